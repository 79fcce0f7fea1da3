"""Average precision: how well confidence sorts right boxes from wrong ones.

At each IoU threshold 0.1, 0.2, ..., 0.9, predictions of all frames are taken in the order of
their confidence. A prediction belongs to the true box that it overlaps most (of those that it
overlaps exactly alike, one that is free); it is right if their IoU exceeds the threshold and no
more confident prediction has taken that box (it gets no second choice). Precision is interpolated
at recall 0, 0.1, ..., 1 and averaged over recalls and thresholds.

So that the result depends neither on the order of videos nor on how work was divided, predictions
of equal confidence enter the curve together, and confidences are first put on a grid of levels
that is fine near 0 and near 1: the nearer end's distance, to 8 significant binary digits.

Source: the paper's experiments (auto_yolo, "AP": strict inequality, argmax, 11 points); joining
equal confidences and the grid are our choice.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.matching import Pairing, pair_up
from smot.tracks import Tracks

DETECTIONS = ("detection_level", "detection_first", "detection_last", "n_detections")
THRESHOLDS = np.arange(1, 10) / 10
N_RECALLS = 11
UNUSED = 0
# The grid: float32 bits of the distance to the nearer end, cut to 7 stored binary digits;
# distances below 2 ** -20 share one level.
_DROPPED_BITS = 23 - 7
_CLOSEST = np.float32(2.0**-20)
_FIRST_STEP = int(_CLOSEST.view(np.int32)) >> _DROPPED_BITS
_STEPS = (int(np.float32(0.5).view(np.int32)) >> _DROPPED_BITS) - _FIRST_STEP + 1
N_LEVELS = 2 * _STEPS


def confidence_levels(confidence: FloatArray) -> IntArray:
    """Put confidences on the grid.

    Args:
        confidence: in [0, 1], [...], float32.

    Returns:
        Levels that rise with confidence, from 1 to `N_LEVELS`, [...], uint16.
    """
    high = confidence > 0.5
    nearer = np.where(high, np.float32(1) - confidence, confidence).astype(np.float32)
    step = (np.maximum(nearer, _CLOSEST).view(np.int32) >> _DROPPED_BITS) - _FIRST_STEP
    return np.where(high, N_LEVELS - step, step + 1).astype(np.uint16)


def detections(truth: Tracks, predicted: Tracks) -> dict[str, IntArray]:
    """All predictions of any confidence above 0, and at which thresholds each is right.

    Args:
        truth: of B videos.
        predicted: of the same frames.

    Returns:
        By the names of `VideoCounts`, arrays [B, P], P the most predictions in a video: level of
        confidence, uint16, 0 where unused; the half-open range of places in `THRESHOLDS` at which
        the prediction is right, uint8 each; and how many such predictions there are, int64. It is
        a range because a prediction is wrong above its own IoU and below that of a more confident
        one for the same box.
    """
    pairing = pair_up(truth, predicted, 0.0)
    entry = pairing.predicted.entry
    most = int(pairing.predicted.n_entries.sum(-1).max(initial=0))
    sure: FloatArray = np.zeros(entry.shape)
    if most:
        sure = np.take_along_axis(predicted.confidence, np.maximum(entry, 0), axis=-1)
        sure[entry < 0] = -1
    order = np.argsort(-sure, axis=-1, kind="stable")
    found = _detections(pairing, order, confidence_levels(np.maximum(sure, 0)), most)
    columns = (*found, (found[0] != UNUSED).astype(np.int64))
    return dict(zip(DETECTIONS, columns, strict=True))


@njit(cache=True, nogil=True)
def _detections(
    pairing: Pairing, order: IntArray, levels: IntArray, most: int
) -> tuple[IntArray, IntArray, IntArray]:
    n_truth, iou = pairing.truth.n_entries, pairing.iou
    B, T = n_truth.shape
    level = np.full((B, most), UNUSED, np.uint16)
    first, last = np.zeros((B, most), np.uint8), np.zeros((B, most), np.uint8)
    for b in range(B):
        n = 0
        for t in range(T):
            covered = np.zeros(n_truth[b, t], np.int64)
            for rank in range(pairing.predicted.n_entries[b, t]):
                j = order[b, t, rank]
                level[b, n] = levels[b, t, j]
                best, overlap = 0, 0.0
                for i in range(n_truth[b, t]):
                    tied = iou[b, t, i, j] == overlap and covered[i] < covered[best]
                    if iou[b, t, i, j] > overlap or (tied and overlap > 0):
                        best, overlap = i, iou[b, t, i, j]
                reach = 0
                while reach < len(THRESHOLDS) and overlap > THRESHOLDS[reach]:
                    reach += 1
                if reach > 0 and reach > covered[best]:
                    first[b, n], last[b, n] = covered[best], reach
                    covered[best] = reach
                n += 1
    return level, first, last


def curve_steps(level: IntArray, most: int) -> tuple[IntArray, int]:
    """Cut the levels into steps, most confident first, finest where the curve begins.

    Half of the cuts are equally far apart in the number of detections before them, half in its
    logarithm: the few most confident detections decide the precision at recall 0.

    Args:
        level: of detections, any shape; 0 where unused.
        most: where there are more levels than this, several share a step.

    Returns:
        The step of every level, and how many steps there are.
    """
    n_at_level = np.bincount(level[level != UNUSED].ravel(), minlength=N_LEVELS + 1)[::-1]
    begins = n_at_level > 0
    if begins.sum() > most:
        n_before, half = np.cumsum(n_at_level) - n_at_level, most // 2
        even = n_before * half // n_at_level.sum()
        growing = np.floor(np.log1p(n_before) / np.log1p(n_at_level.sum()) * half)
        begins[begins] = np.diff((even + growing)[begins], prepend=-1) > 0
    step = np.maximum(np.cumsum(begins) - 1, 0)
    return step[::-1].copy(), int(step.max(initial=0)) + 1


@njit(cache=True, nogil=True)
def detection_histogram(
    level: IntArray, first: IntArray, last: IntArray, n: IntArray, step: IntArray, n_steps: int
) -> FloatArray:
    """Count detections, and those right at each AP threshold, per step of their level.

    Args:
        level: confidence levels, [V, P]; 0 where unused.
        first: first threshold at which the detection is right, [V, P].
        last: end of those thresholds, [V, P].
        n: how many such detections, [V, P].
        step: from `curve_steps`, as is the next.
        n_steps: Q.

    Returns:
        Counts, [V, Q, 10], float64: all, then right at each of the 9 thresholds.
    """
    V, P = level.shape
    counts = np.zeros((V, n_steps, 1 + len(THRESHOLDS)))
    for v in range(V):
        for p in range(P):
            if level[v, p] != UNUSED:
                cell = counts[v, step[level[v, p]]]
                cell[0] += n[v, p]
                for k in range(first[v, p], last[v, p]):
                    cell[1 + k] += n[v, p]
    return counts


@njit(cache=True, nogil=True)
def mean_average_precision(histogram: FloatArray, n_truth: FloatArray) -> FloatArray:
    """Interpolated precision, averaged over recalls and thresholds, of R pools of videos.

    Args:
        histogram: per level of confidence, most confident level first, the number of predictions
            and of those right at each of the 9 thresholds, [R, Q, 10], float64.
        n_truth: true boxes, [R].

    Returns:
        AP in [0, 1], [R], float64; NaN where there is no true box.
    """
    R, Q, _ = histogram.shape
    n_thresholds = len(THRESHOLDS)
    result = np.full(R, np.nan)
    right_so_far, precision = np.empty(Q), np.empty(Q)
    for r in range(R):
        if n_truth[r] <= 0:
            continue
        total = 0.0
        for k in range(n_thresholds):
            n_so_far, right = 0.0, 0.0
            for q in range(Q):
                n_so_far += histogram[r, q, 0]
                right += histogram[r, q, 1 + k]
                right_so_far[q] = right
                precision[q] = right / n_so_far if n_so_far > 0 else 0.0
            best, q = 0.0, Q - 1
            for tenth in range(N_RECALLS - 1, -1, -1):
                while q >= 0 and right_so_far[q] * (N_RECALLS - 1) >= tenth * n_truth[r]:
                    best = max(best, precision[q])
                    q -= 1
                total += best
        result[r] = total / (n_thresholds * N_RECALLS)
    return result
