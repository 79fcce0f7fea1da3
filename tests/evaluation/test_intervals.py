import numpy as np
import pytest

from smot.evaluation.metrics import bootstrap as module
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import METRICS, shares, summarise
from smot.tracks import Tracks
from tests.evaluation.sequences import painted, some_of, untidy_sequences


@pytest.fixture(scope="module")
def counts() -> VideoCounts:
    truth, predicted = untidy_sequences(np.random.default_rng(2), n_videos=50, n_objects=4)
    return count_errors(painted(truth), painted(predicted), MatchSettings())


def test_intervals_are_percentiles_of_resampled_summaries(counts: VideoCounts) -> None:
    drawn = np.random.default_rng(7).integers(50, size=(40, 50))
    summaries = [summarise(some_of(counts, rows)) for rows in drawn]
    found = intervals(counts, n_resamples=40, generator=np.random.default_rng(7))
    assert found.keys() == {metric.key for metric in shares(METRICS)}
    for name, ends in found.items():
        expected = np.percentile([summary[name] for summary in summaries], [2.5, 97.5])
        assert ends == pytest.approx(tuple(expected), abs=1e-9), name


def test_intervals_contain_the_score_and_shrink_with_more_videos(counts: VideoCounts) -> None:
    def width(ends: tuple[float, float]) -> float:
        return ends[1] - ends[0]

    summary = summarise(counts)
    few = intervals(counts, generator=np.random.default_rng(0))
    many = intervals(VideoCounts.stack([counts] * 4), generator=np.random.default_rng(0))
    for name in ("mota", "idf1", "hota", "ap", "count_error"):
        low, high = few[name] or (1, 0)
        assert low < summary[name] < high
        # AP jumps where the curve first reaches a tenth of recall, so it only narrows
        least, most = (0.2, 1.0) if name == "ap" else (0.35, 0.65)
        assert least < width(many[name]) / width(few[name]) < most


def test_one_seed_gives_one_interval(counts: VideoCounts) -> None:
    first, second = (
        intervals(counts, n_resamples=100, generator=np.random.default_rng(4)) for _ in range(2)
    )
    assert first == second


def test_work_in_blocks_gives_the_same(
    counts: VideoCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = intervals(counts, n_resamples=100, generator=np.random.default_rng(4))
    monkeypatch.setattr(module, "_MOST_DRAWS", 700)
    monkeypatch.setattr(module, "_MOST_VIDEOS", 7)
    pieces = intervals(counts, n_resamples=100, generator=np.random.default_rng(4))
    for name in (metric.key for metric in shares(METRICS)):
        assert pieces[name] == pytest.approx(whole[name], abs=1e-6)


def test_a_coarse_curve_hardly_moves_the_interval_of_ap(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    truth, predicted = untidy_sequences(generator, n_videos=200, n_objects=6)
    sure = generator.random(predicted.shape) ** 0.3
    predicted = Tracks(boxes=predicted.boxes, ids=predicted.ids, confidence=sure)
    counts = count_errors(truth, predicted, MatchSettings())
    coarse = intervals(counts, n_resamples=200, generator=np.random.default_rng(0))["ap"]
    monkeypatch.setattr(module, "MOST_STEPS", 10**6)
    fine = intervals(counts, n_resamples=200, generator=np.random.default_rng(0))["ap"]
    assert coarse != fine
    assert coarse == pytest.approx(fine, abs=2e-3)


def test_a_metric_without_value_has_no_interval() -> None:
    _, predicted = untidy_sequences(np.random.default_rng(2), n_videos=5)
    nobody = Tracks.from_slots(np.zeros((5, 8, 0, 4)), np.zeros((5, 8, 0), np.bool_))
    found = intervals(
        count_errors(nobody, predicted, MatchSettings()), generator=np.random.default_rng(0)
    )
    assert "mota" not in found
    assert found["precision"] == (0.0, 0.0)


def test_resamples_without_value_are_left_out() -> None:
    """Only one of four videos has objects: a third of the resamples has no MOTA."""
    boxes = np.tile(np.array([0.0, 0, 5, 5]), (4, 2, 1, 1))
    present = np.zeros((4, 2, 1), np.bool_)
    present[0] = True
    truth = Tracks.from_slots(boxes, present)
    counts = count_errors(truth, truth, MatchSettings())
    assert intervals(counts, generator=np.random.default_rng(0))["mota"] == (1.0, 1.0)
