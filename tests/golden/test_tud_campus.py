"""The pedestrian video that comes with py-motmetrics, scored as the field scores it."""

from importlib.metadata import distribution
from pathlib import Path

import pytest

from smot.evaluation.library import summarise_by_motmetrics
from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.interchange import read_motchallenge
from smot.tracks import Tracks

FOLDER = Path(str(distribution("motmetrics").locate_file("motmetrics/data/TUD-Campus")))


@pytest.fixture(scope="module")
def tracks() -> tuple[Tracks, Tracks]:
    truth = read_motchallenge(FOLDER / "gt.txt", is_truth=True)
    return truth, read_motchallenge(FOLDER / "test.txt", n_frames=truth.shape[1])


def test_tud_campus_has_its_published_scores(tracks: tuple[Tracks, Tracks]) -> None:
    summary = summarise(count_errors(*tracks, MatchSettings()))
    published = {"mota": 0.526462, "motp": 1 - 0.277201, "idf1": 0.557659}
    published |= {"hota": 0.391398, "deta": 0.418047, "assa": 0.369121}
    assert {name: summary[name] for name in published} == pytest.approx(published, abs=1e-6)
    counts = {"switches": 7, "misses": 150, "false_positives": 13, "mostly_tracked": 1}
    assert {name: summary[name] for name in counts} == counts


def test_py_motmetrics_itself_agrees(tracks: tuple[Tracks, Tracks]) -> None:
    theirs = summarise_by_motmetrics(*tracks, MatchSettings())
    ours = summarise(count_errors(*tracks, MatchSettings()))
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)
