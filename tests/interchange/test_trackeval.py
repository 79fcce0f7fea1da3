import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smot.errors import DataError, UsageError
from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.interchange import write_trackeval
from smot.tracks import Tracks
from tests.evaluation.sequences import untidy_sequences

SIZE = (48, 64)


@pytest.fixture
def sequences() -> tuple[Tracks, Tracks]:
    return untidy_sequences(np.random.default_rng(0), n_videos=12, n_objects=4)


def evaluated(folder: Path, tracker: str) -> dict[str, Any]:
    """TrackEval's own run over the folder: its combined result."""
    with contextlib.redirect_stdout(io.StringIO()):
        import trackeval

        evaluator = trackeval.Evaluator(
            {
                "PRINT_CONFIG": False,
                "TIME_PROGRESS": False,
                "OUTPUT_SUMMARY": False,
                "OUTPUT_DETAILED": False,
                "PLOT_CURVES": False,
                "BREAK_ON_ERROR": True,
                "PRINT_RESULTS": False,
                "LOG_ON_ERROR": None,
                "OUTPUT_EMPTY_CLASSES": False,
            }
        )
        data = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "gt" / "mot_challenge"),
                "TRACKERS_FOLDER": str(folder / "trackers" / "mot_challenge"),
                "BENCHMARK": "smot",
                "SPLIT_TO_EVAL": "test",
                "DO_PREPROC": False,
                "TRACKERS_TO_EVAL": [tracker],
                "PRINT_CONFIG": False,
            }
        )
        metrics = [trackeval.metrics.HOTA()] + [
            metric({"PRINT_CONFIG": False, "THRESHOLD": 0.5})
            for metric in (trackeval.metrics.CLEAR, trackeval.metrics.Identity)
        ]
        results, _ = evaluator.evaluate([data], metrics)
    combined: dict[str, Any] = results["MotChallenge2DBox"][tracker]["COMBINED_SEQ"]["pedestrian"]
    return combined


def test_trackeval_scores_the_folder_as_we_score_the_tracks(
    sequences: tuple[Tracks, Tracks], tmp_path: Path
) -> None:
    truth, predicted = sequences
    write_trackeval(tmp_path / "out", truth, {"mine": predicted}, frame_size=SIZE)
    theirs = evaluated(tmp_path / "out", "mine")
    ours = summarise(count_errors(truth, predicted, MatchSettings(convention="trackeval")))
    assert ours["mota"] == pytest.approx(theirs["CLEAR"]["MOTA"], abs=1e-9)
    assert ours["switches"] == theirs["CLEAR"]["IDSW"]
    assert ours["idf1"] == pytest.approx(theirs["Identity"]["IDF1"], abs=1e-9)
    assert ours["hota"] == pytest.approx(theirs["HOTA"]["HOTA"].mean(), abs=1e-9)


def test_trackeval_reads_a_tracker_that_found_nothing(
    sequences: tuple[Tracks, Tracks], tmp_path: Path
) -> None:
    truth, predicted = sequences
    write_trackeval(tmp_path / "out", truth, {"blind": predicted.above(1.0)}, frame_size=SIZE)
    assert evaluated(tmp_path / "out", "blind")["CLEAR"]["CLR_FN"] == truth.present.sum()


def test_a_zip_holds_the_same_files(sequences: tuple[Tracks, Tracks], tmp_path: Path) -> None:
    truth, predicted = sequences
    trackers = {"mine": predicted, "other": truth}
    for name in ("out", "out.zip"):
        write_trackeval(tmp_path / name, truth, trackers, frame_size=SIZE)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    on_disk = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*.*")
    }
    assert files == on_disk
    assert len(files) == 1 + 12 * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip"]


def test_nothing_is_overwritten_and_names_stay_inside(
    sequences: tuple[Tracks, Tracks], tmp_path: Path
) -> None:
    truth, predicted = sequences
    with pytest.raises(UsageError, match="is there already"):
        write_trackeval(tmp_path, truth, {"a": predicted}, frame_size=SIZE)
    for name in ("../a", "..", ".", "", "a,b", "a/b", "a\\b", "a\nb", "a\udcff", "a" * 300):
        with pytest.raises(UsageError, match="must be the name of a folder"):
            write_trackeval(tmp_path / "new", truth, {name: predicted}, frame_size=SIZE)
        with pytest.raises(UsageError, match=r"benchmark name .* must be"):
            write_trackeval(tmp_path / "new", truth, {}, frame_size=SIZE, name=name)
    with pytest.raises(DataError, match="11 videos"):
        write_trackeval(tmp_path / "out", truth, {"a": predicted[:11]}, frame_size=SIZE)
    assert list(tmp_path.iterdir()) == []
