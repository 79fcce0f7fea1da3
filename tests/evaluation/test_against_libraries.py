"""Second opinions: py-motmetrics and TrackEval on thousands of untidy sequences."""

import numpy as np
import pytest

from benchmarks.by_trackeval import trackeval_metric, trackeval_summary
from smot.boxes import iou
from smot.errors import UsageError
from smot.evaluation.library import summarise_by_motmetrics
from smot.evaluation.metrics.counts import UNIT, VideoCounts, count_errors
from smot.evaluation.metrics.events import events
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.tracks import Tracks
from tests.evaluation.oracles import motmetrics_errors
from tests.evaluation.sequences import crowded_sequence, untidy_sequences

MOTMETRICS, TRACKEVAL = MatchSettings(), MatchSettings(convention="trackeval")
# Few objects quickly, crowds where there is time.
SIZES = pytest.mark.parametrize(
    "n_objects", [3, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 11))]
)


def sequences(n_objects: int, n_videos: int, n_frames: int = 6) -> tuple[Tracks, Tracks]:
    return untidy_sequences(
        np.random.default_rng(n_objects), n_videos, n_frames=n_frames, n_objects=n_objects
    )


@SIZES
def test_every_single_error_is_py_motmetrics(n_objects: int) -> None:
    truth, predicted = sequences(n_objects, n_videos=500)
    found = events(truth, predicted, MOTMETRICS)
    columns = (found.frame, found.kind, found.truth_id, found.predicted_id)
    for video in range(len(truth.ids)):
        ours = sorted(zip(*(each[found.video == video].tolist() for each in columns), strict=True))
        assert ours == motmetrics_errors(truth[video : video + 1], predicted[video : video + 1])


@SIZES
def test_metrics_are_py_motmetrics(n_objects: int) -> None:
    truth, predicted = sequences(n_objects, n_videos=15)
    theirs = summarise_by_motmetrics(truth, predicted, MOTMETRICS)
    ours = summarise(count_errors(truth, predicted, MOTMETRICS))
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)


def test_boxes_with_decimals_that_meet_the_threshold_match_as_in_py_motmetrics() -> None:
    random = np.random.default_rng(0)
    corner, size = (
        random.integers(0, 500, (400, 2)) / 10,
        random.integers(1, 60, (400, 2)) * 3 / 10,
    )
    true = np.concatenate([corner, corner + size], -1)
    found = np.round(true + size[:, :1] / 3 * np.array([1, 0, 1, 0]), 1)  # an IoU of one half
    distance = 1 - np.diagonal(iou(true, found))
    assert {0.5} < set(distance)  # but for the last bit
    ids = np.zeros((400, 1, 1), int)
    boxes = (each.reshape(400, 1, 1, 4) for each in (true, found))
    truth, predicted = (Tracks(boxes=each, ids=ids, confidence=ids + 1) for each in boxes)
    counts = count_errors(truth, predicted, MOTMETRICS)
    np.testing.assert_array_equal(counts.matches, distance <= 0.5)
    np.testing.assert_array_equal(counts.id_matches, distance <= 0.5)
    strict = count_errors(truth, predicted, TRACKEVAL)
    assert counts.matches.sum() > strict.id_matches.sum()  # TrackEval's IDF1 compares IoU itself


@SIZES
def test_clear_and_identity_counts_are_trackevals(n_objects: int) -> None:
    truth, predicted = sequences(n_objects, n_videos=400)
    counts = count_errors(truth, predicted, TRACKEVAL)
    names = {
        "matches": "CLR_TP",
        "misses": "CLR_FN",
        "false_positives": "CLR_FP",
        "switches": "IDSW",
        "mostly_tracked": "MT",
        "partly_tracked": "PT",
        "mostly_lost": "ML",
        "fragmentations": "Frag",
        "id_matches": "IDTP",
    }
    for video in range(len(counts.n_videos)):
        one = truth[video : video + 1], predicted[video : video + 1]
        theirs = trackeval_summary("clear", *one) | trackeval_summary("identity", *one)
        ours = {name: int(getattr(counts, name)[video]) for name in names}
        assert ours == {name: int(theirs[key]) for name, key in names.items()}
        assert counts.overlap[video] * UNIT == pytest.approx(theirs["MOTP_sum"], abs=1e-9)


def assert_hota_is_trackevals(counts: VideoCounts, truth: Tracks, predicted: Tracks) -> None:
    for video in range(len(counts.n_videos)):
        theirs = trackeval_summary("hota", truth[video : video + 1], predicted[video : video + 1])
        matches = counts.hota_matches[video]
        np.testing.assert_array_equal(matches, theirs["HOTA_TP"])
        association = counts.hota_association[video] * UNIT / np.maximum(matches, 1)
        np.testing.assert_allclose(association, theirs["AssA"], atol=1e-9)
        overlap = counts.hota_overlap[video] * UNIT
        np.testing.assert_allclose(overlap, theirs["LocA"] * matches, atol=1e-9)


@SIZES
def test_hota_is_trackevals(n_objects: int) -> None:
    truth, predicted = sequences(n_objects, n_videos=150)
    counts = count_errors(truth, predicted, MOTMETRICS)
    assert_hota_is_trackevals(counts, truth, predicted)


# With sums of IoU taken one by one instead of in numpy's order, each of these goes wrong.
@pytest.mark.parametrize("seed", [17, 149, 392, 424, 1275])
def test_hota_is_trackevals_where_the_last_bit_decides(seed: int) -> None:
    truth, predicted = crowded_sequence(np.random.default_rng(seed), n_frames=4, n_objects=12)
    counts = count_errors(truth, predicted, MOTMETRICS)
    assert_hota_is_trackevals(counts, truth, predicted)


def test_pooled_hota_is_trackevals_combination() -> None:
    truth, predicted = sequences(4, n_videos=40)
    each = {
        str(v): trackeval_summary("hota", truth[v : v + 1], predicted[v : v + 1])
        for v in range(40)
    }
    theirs = trackeval_metric("hota").combine_sequences(each)
    ours = summarise(count_errors(truth, predicted, MOTMETRICS))
    for name, key in {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "loca": "LocA"}.items():
        assert ours[name] == pytest.approx(theirs[key].mean(), abs=1e-9)


def test_the_motmetrics_backend_refuses_the_other_convention() -> None:
    truth, predicted = sequences(1, n_videos=1)
    with pytest.raises(UsageError, match="not trackeval"):
        summarise_by_motmetrics(truth, predicted, TRACKEVAL)
