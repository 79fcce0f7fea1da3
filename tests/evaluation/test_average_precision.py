from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest

from smot.boxes import iou
from smot.evaluation.metrics.average_precision import N_LEVELS, THRESHOLDS, confidence_levels
from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.tracks import Tracks
from tests.evaluation.sequences import untidy_sequences


def test_levels_keep_the_order_of_confidences() -> None:
    confidence = np.sort(np.random.default_rng(0).random(10_000).astype(np.float32) ** 3)
    assert (np.diff(confidence_levels(confidence).astype(int)) >= 0).all()


def test_levels_span_the_grid_and_are_finest_at_both_ends() -> None:
    half = np.float32(0.5)
    ends = np.array([0, 1e-9, half, np.nextafter(half, np.float32(1)), 1], np.float32)
    levels = confidence_levels(ends).tolist()
    assert levels == [1, 1, N_LEVELS // 2, N_LEVELS // 2 + 2, N_LEVELS]
    for low in (0.001, 0.998, 0.4):
        some = np.float32([low, low + 1e-4])
        n_between = int(np.diff(confidence_levels(some).astype(int))[0])
        assert (n_between > 3) == (low != 0.4)


def plain_average_precision(truth: Tracks, predicted: Tracks) -> float:
    """By loops, from the definition, with confidences as they are."""
    found = [
        each for v, t in np.ndindex(truth.shape[:2]) for each in flags(truth, predicted, v, t)
    ]
    n_truth = int(truth.present.sum())
    curves = [[(sure, hits[i]) for sure, hits in found] for i in range(len(THRESHOLDS))]
    return sum(interpolated(right, n_truth) for right in curves) / len(THRESHOLDS)


def flags(truth: Tracks, predicted: Tracks, v: int, t: int) -> list[tuple[float, list[bool]]]:
    """Confidence of each prediction of a frame, and whether it is right at each threshold."""
    order = [k for k in np.argsort(truth.ids[v, t]) if truth.present[v, t, k]]
    objects = truth.boxes[v, t][order]
    used = np.flatnonzero(predicted.present[v, t] & (predicted.confidence[v, t] > 0))
    taken: list[set[int]] = [set() for _ in THRESHOLDS]
    found = []
    for k in sorted(used, key=lambda k: (-predicted.confidence[v, t, k], predicted.ids[v, t, k])):
        overlap = iou(predicted.boxes[v, t, k][None], objects)[0]
        alike = np.flatnonzero(overlap == overlap.max(initial=0)).tolist()
        best = min(alike, key=lambda i: sum(i in each for each in taken), default=-1)
        hits = []
        for threshold, those in zip(THRESHOLDS, taken, strict=True):
            hits.append(bool(best >= 0 and overlap[best] > threshold and best not in those))
            those |= {best} if hits[-1] else set()
        found.append((float(predicted.confidence[v, t, k]), hits))
    return found


def interpolated(right: list[tuple[float, bool]], n_truth: int) -> float:
    points, n, hits = [], 0, 0
    for _, tied in groupby(sorted(right, reverse=True), key=itemgetter(0)):
        outcomes = [hit for _, hit in tied]
        n, hits = n + len(outcomes), hits + sum(outcomes)
        points.append((hits, hits / n))
    best = [
        max((precision for hits, precision in points if 10 * hits >= tenth * n_truth), default=0.0)
        for tenth in range(11)
    ]
    return sum(best) / 11


@pytest.mark.parametrize("seed", range(6))
def test_ap_equals_the_definition_spelled_out_in_loops(seed: int) -> None:
    truth, predicted = untidy_sequences(np.random.default_rng(seed), n_videos=4, n_objects=4)
    found = summarise(count_errors(truth, predicted, MatchSettings()))["ap"]
    assert found == pytest.approx(plain_average_precision(truth, predicted), abs=1e-12)


def test_the_grid_of_confidences_hardly_moves_ap() -> None:
    generator = np.random.default_rng(3)
    truth, predicted = untidy_sequences(generator, n_videos=30, n_objects=5)
    sure = generator.random(predicted.shape) ** 0.2
    predicted = Tracks(boxes=predicted.boxes, ids=predicted.ids, confidence=sure)
    found = summarise(count_errors(truth, predicted, MatchSettings()))["ap"]
    assert found == pytest.approx(plain_average_precision(truth, predicted), abs=2e-3)


def test_truth_finds_itself_even_where_two_true_boxes_are_the_same() -> None:
    boxes = np.tile(np.array([3.0, 4, 9, 12]), (1, 2, 2, 1))
    truth = Tracks.from_slots(boxes, np.ones((1, 2, 2), bool))
    assert summarise(count_errors(truth, truth, MatchSettings()))["ap"] == 1.0
