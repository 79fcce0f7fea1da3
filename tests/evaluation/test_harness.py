import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smot.errors import DataError, UsageError
from smot.evaluation.metrics.counts import VideoCounts
from smot.evaluation.metrics.table import MASKS, summarise
from smot.evaluation.protocols import EvaluationSettings, Job
from smot.evaluation.report.page import render_report
from smot.evaluation.report.tables import terminal_table
from smot.evaluation.results import Results, read_results, write_results
from smot.evaluation.run import evaluate, run
from smot.evaluation.testsets import SPAN, make_plan
from smot.generators.synthesis import generate
from smot.trackers import Recipe
from smot.videos import open_videos
from tests.evaluation.made import SETTINGS, made_outcome, made_videos
from tests.evaluation.made_trackers import (
    Failing,
    NoCandidates,
    Scribbler,
    Spy,
    Still,
    Told,
    brightness_of,
)

ROOT = Path(__file__).parents[2]


def without_timing(results: Results) -> dict[str, object]:
    return {key: value for key, value in results.to_json().items() if key != "timing"}


def test_the_truth_scores_one_and_standing_still_does_not_predict() -> None:
    results = made_outcome(made_videos(), "oracle").results
    for count in (1, 2, 3):
        scores = results.tracking[count]
        assert [scores[key] for key in ("mota", "idf1", "hota", "count_error")] == [1, 1, 1, 0]
        assert results.prediction[count]["mota"] < 0.5
    assert results.tracker.is_oracle
    assert results.prediction_reason == ""


@pytest.mark.slow
def test_masks_are_scored_where_the_data_have_them(tmp_path: Path) -> None:
    plain = made_videos(n_test=4, counts=(2, 3))
    masked = replace(plain, has_masks=True)
    results = evaluate("conncomp", masked, settings=SETTINGS, tune="off")
    without = evaluate("conncomp", plain, settings=SETTINGS, tune="off")
    assert (
        results.dataset.videos == without.dataset.videos
    )  # the same videos, fingerprints and all
    for count, scores in results.tracking.items():
        known = without.tracking[count].metrics
        assert scores.metrics.keys() - known.keys() == set(MASKS)
        assert {key: scores[key] for key in known} == known
        assert MASKS[0] in scores.intervals
    assert not MASKS & results.prediction[2].metrics.keys()
    write_results(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json").tracking == results.tracking
    assert "Mask MOTA   mIoU  FG-ARI" in terminal_table(results)
    assert "Mask MOTA" not in terminal_table(without)
    page = render_report(results)
    tracking, prediction = (page.count(f'data-metric="{key}"') for key in ("mask_mota", "mota"))
    assert (tracking, prediction) == (2, 4)  # both counts; no masks in the prediction test


def test_an_oracle_has_the_masks_of_the_truth() -> None:
    masked = replace(made_videos(), has_masks=True)
    results = evaluate("oracle", masked, settings=SETTINGS)
    assert {results.tracking[3][key] for key in MASKS} == {1.0}
    for moved in ("oracle-jitter", "oracle-motion"):
        results = evaluate(moved, masked, settings=SETTINGS)
        assert not MASKS & results.tracking[3].metrics.keys()


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    data = made_videos(n_val=20, n_test=SPAN + 3, counts=(1, 3))
    plan = make_plan(data, None, None)
    jobs = [
        Job(
            tracker=Recipe(target="conncomp", data=data.description),
            data=data,
            plan=plan,
            settings=SETTINGS,
            workers=workers,
            with_events=True,
        )
        for workers in (1, 2)
    ]
    one, two = (run(job) for job in jobs)
    assert without_timing(one.results) == without_timing(two.results)
    assert one.results.timing.n_workers == 1
    assert two.results.timing.n_workers == 2
    for count in (1, 3):
        for name in ("video", "frame", "truth_id", "predicted_id", "kind"):
            ours, theirs = getattr(one.errors[count], name), getattr(two.errors[count], name)
            np.testing.assert_array_equal(ours, theirs)


def test_the_first_videos_of_more_are_the_same_as_fewer() -> None:
    data = made_videos(n_test=SPAN + 6, counts=(2,))
    part = evaluate(Still(), data, n_videos=5, settings=SETTINGS)
    alone = evaluate(Still(), made_videos(n_test=5, counts=(2,)), settings=SETTINGS)
    assert part.tracking == alone.tracking
    assert part.dataset.videos == alone.dataset.videos


def test_pooled_counts_of_two_parts_give_the_metrics_of_the_whole() -> None:
    data = made_videos(n_test=4, counts=(1, 2))
    outcome = made_outcome(data)
    pools = [VideoCounts.from_json(each.counts) for each in outcome.results.tracking.values()]
    whole = VideoCounts.stack(list(outcome.counts.values()))
    assert summarise(VideoCounts.stack(pools)) == summarise(whole)


def test_a_predictor_gets_a_copy_of_the_frames_seen_and_nothing_else() -> None:
    data, spy = made_videos(counts=(2,)), Spy()
    results = evaluate(spy, data, settings=SETTINGS)
    (shown,) = spy.shown
    videos = data.read("test/02", 0, 6)
    np.testing.assert_array_equal(shown, videos.frames[:, :3])
    assert shown.base is None
    assert results.prediction[2]["n_frames"] == 6 * 5
    assert results.prediction[2]["n_truth"] == videos.present[:, 3:8].sum()


def test_prediction_is_scored_on_the_frames_after_those_seen() -> None:
    data = made_videos(counts=(1,))
    settings = replace(SETTINGS, observe=2, horizon=4)
    spy = Spy()
    assert evaluate(spy, data, settings=settings).prediction[1]["n_frames"] == 6 * 4
    assert spy.shown[0].shape[1] == 2


def test_a_tracker_without_predict_has_no_prediction_and_a_reason() -> None:
    results = evaluate(Still(), made_videos(), settings=SETTINGS)
    assert results.prediction is None
    assert results.prediction_reason == "still has no predict(videos, horizon)"


def test_videos_too_short_for_the_horizon_give_a_reason_and_not_an_error() -> None:
    settings = replace(SETTINGS, horizon=6)
    results = evaluate(Spy(), made_videos(counts=(1,)), settings=settings)
    assert results.prediction is None
    assert "8 frames" in results.prediction_reason


def test_a_file_and_the_same_videos_made_on_the_spot_give_the_same_results(tmp_path: Path) -> None:
    data = made_videos(n_test=5, counts=(1, 3))
    generate(data.settings, None, tmp_path / "a.h5", groups=dict(data.groups))
    with open_videos(tmp_path / "a.h5") as file:
        stored = evaluate(Still(), file, settings=SETTINGS)
    made = evaluate(Still(), data, settings=SETTINGS)
    assert stored.tracking == made.tracking
    assert stored.dataset.videos == made.dataset.videos
    assert stored.dataset.settings_fingerprint == made.dataset.settings_fingerprint
    assert (made.dataset.origin, made.dataset.content_fingerprint) == ("made on the spot", "")
    assert stored.dataset.content_fingerprint


def test_fingerprints_tell_videos_apart() -> None:
    ours = made_outcome(made_videos(seed=0)).results.dataset.videos
    theirs = made_outcome(made_videos(seed=1)).results.dataset.videos
    assert len({each.fingerprint for each in (*ours.values(), *theirs.values())}) == 6


def test_an_empty_group_has_metrics_without_value_and_says_why() -> None:
    results = made_outcome(made_videos(counts=(0,)), "oracle").results
    scores = results.tracking[0]
    assert scores["mota"] is None
    assert scores.reasons["mota"] == "no object in the ground truth"
    assert scores["count_error"] == 0


@pytest.mark.parametrize(
    ("counts", "n_videos", "said"),
    [
        ([1, 9], None, "counts=[9]: the data has test videos for 1, 2, 3"),
        ([], None, "counts=[]"),
        (None, 7, "n_videos=7: test/01 has 1 to 6"),
        (None, 0, "n_videos=0"),
    ],
)
def test_what_the_data_does_not_have_is_refused(
    counts: list[int] | None, n_videos: int, said: str
) -> None:
    with pytest.raises(UsageError, match="^" + re.escape(said)):
        make_plan(made_videos(), counts, n_videos)


def test_data_without_test_groups_is_refused() -> None:
    with pytest.raises(UsageError, match="no test groups; it has: val"):
        make_plan(made_videos(counts=(), n_val=3), None, None)


def test_a_failing_tracker_is_named_with_its_video() -> None:
    data = made_videos(n_test=SPAN + 8, counts=(2,))
    brightness = brightness_of(data.read("test/02", SPAN + 5, SPAN + 6).frames)[0]
    with pytest.raises(DataError) as caught:
        evaluate(Failing(brightness=brightness), data, settings=SETTINGS)
    said = f"tracker 'failing' failed on video {SPAN + 5} of test/02: ValueError: too bright ("
    assert str(caught.value).startswith(said)
    assert re.search(r"made_trackers\.py, line \d+\)$", str(caught.value))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("list", "tracker 'failing' gave list on videos 0 to 5 of test/01, not Tracks"),
        ("short", "gave tracks of 6 videos of 7 frames on videos 0 to 5 of test/01, not of 6"),
        ("narrow", "gave masks of 48 x 7 pixels on videos 0 to 5 of test/01, not of 48 x 48"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused(how: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        evaluate(Failing(how=how), made_videos(), settings=SETTINGS)


def test_masks_of_some_videos_alone_are_no_score_of_all() -> None:
    data = replace(made_videos(n_test=SPAN + 8, counts=(2,)), has_masks=True)
    brightness = brightness_of(data.read("test/02", SPAN + 5, SPAN + 6).frames)[0]
    with pytest.raises(DataError, match=f"gave no masks on video {SPAN} of test/02"):
        evaluate(Failing(how="forget", brightness=brightness), data, settings=SETTINGS)


def test_tracks_that_do_not_fit_are_blamed_on_the_line_that_made_them() -> None:
    said = r"of test/01: boxes must be .* like ids, .*made_trackers\.py, line \d+\)$"
    with pytest.raises(DataError, match=said):
        evaluate(Failing(how="mismatch"), made_videos(), settings=SETTINGS)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_tracker_that_exits_or_breaks_in_candidates_is_one_line(workers: int) -> None:
    with pytest.raises(DataError, match=r"failed on .*SystemExit: 0 \(.*made_trackers"):
        evaluate(Failing(how="exit"), made_videos(), settings=SETTINGS, workers=workers)
    with pytest.raises(DataError, match=r"'failing' failed in candidates\(\): ValueError: none"):
        evaluate(NoCandidates(), made_videos(), settings=SETTINGS, workers=workers)


def test_what_a_tracker_does_to_its_frames_reaches_nothing_else() -> None:
    data = made_videos(counts=(2,))
    scribbler = Scribbler()
    results = evaluate(scribbler, data, settings=SETTINGS)
    plain = evaluate(Spy(), data, settings=SETTINGS)
    videos = data.read("test/02", 0, 6)
    np.testing.assert_array_equal(scribbler.shown[0], videos.frames[:, :3])
    assert results.dataset.videos == plain.dataset.videos
    assert results.tracking == plain.tracking


def test_a_tracker_predicts_before_it_has_seen_the_frames_to_come() -> None:
    scribbler = Scribbler()
    evaluate(scribbler, made_videos(counts=(1, 2)), settings=SETTINGS)
    assert scribbler.order == ["predict", "track"] * 2


@pytest.mark.slow
def test_a_script_without_a_main_guard_gets_a_hint(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import smot\n"
        "from tests.evaluation.made import made_videos\n"
        "from tests.evaluation.made_trackers import Still\n"
        "smot.evaluate(Still(), made_videos(), workers=2)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert ended.returncode == 1
    assert "while it started: in a script, call smot under `if __name__" in ended.stderr


@pytest.mark.slow
def test_a_process_that_dies_is_one_line_and_no_hang() -> None:
    with pytest.raises(DataError, match=r"one of 2 processes died"):
        evaluate(Failing(how="die"), made_videos(), settings=SETTINGS, workers=2)


def test_no_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="workers=0 must be at least 1"):
        evaluate(Still(), made_videos(), workers=0)


def test_the_library_itself_gives_the_same_numbers() -> None:
    data = made_videos(counts=(3,))
    settings = EvaluationSettings(backend="motmetrics", n_resamples=50)
    ours = made_outcome(data).results.tracking[3].metrics
    theirs = made_outcome(data, settings=settings).results.tracking[3].metrics
    assert "hota" not in theirs
    assert theirs == pytest.approx({key: ours[key] for key in theirs})


def test_a_source_made_on_the_spot_travels_to_other_processes() -> None:
    data = made_videos()
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(
        copy.read("test/02", 1, 3).frames, data.read("test/02", 1, 3).frames
    )


def test_a_tracker_that_wants_the_count_is_told_it_and_is_an_oracle() -> None:
    data, told = made_videos(counts=(1, 3)), Told()
    results = evaluate(told, data, settings=SETTINGS)
    assert results.tracker.is_oracle
    assert results.prediction_reason == ""
    n_frames = [(3, 1), (8, 1), (3, 3), (8, 3)]  # those seen, then all frames, for each count
    assert [(shape[1], set(counts)) for shape, counts in told.heard] == [
        (frames, {count}) for frames, count in n_frames
    ]
