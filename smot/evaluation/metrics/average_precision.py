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
from smot.evaluation.metrics.matching import Pairing

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


def detections(pairing: Pairing, confidence: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """All predictions of every video, and at which thresholds each is right.

    Args:
        pairing: entries of B videos of T frames, all confidences above 0.
        confidence: of the predictions, in their slots, [B, T, K], float32.

    Returns:
        Three arrays [B, P], P the most predictions in a video: level of confidence, uint16 (0
        where unused); and the half-open range `first`, `last` of places in `THRESHOLDS` at
        which the prediction is right, uint8 each. It is a range because a prediction is wrong
        above its own IoU and below that of a more confident one for the same box.
    """
    predicted = pairing.predicted
    most = int(predicted.n_entries.sum(-1).max(initial=0))
    if most == 0:
        nothing = np.zeros((len(confidence), 0), np.uint8)
        return nothing.astype(np.uint16), nothing, nothing
    sure = np.take_along_axis(confidence, np.maximum(predicted.entry, 0), axis=-1)
    sure[predicted.entry < 0] = -1
    return _detections(
        pairing.truth.n_entries,
        predicted.n_entries,
        np.argsort(-sure, axis=-1, kind="stable"),
        confidence_levels(np.maximum(sure, 0)),
        pairing.iou,
        THRESHOLDS,
        most,
    )


@njit(cache=True, nogil=True)
def _detections(
    n_truth: IntArray,
    n_predicted: IntArray,
    order: IntArray,
    levels: IntArray,
    iou: FloatArray,
    thresholds: FloatArray,
    most: int,
) -> tuple[IntArray, IntArray, IntArray]:
    B, T = n_truth.shape
    level = np.full((B, most), UNUSED, np.uint16)
    first, last = np.zeros((B, most), np.uint8), np.zeros((B, most), np.uint8)
    for b in range(B):
        n = 0
        for t in range(T):
            covered = np.zeros(n_truth[b, t], np.int64)
            for rank in range(n_predicted[b, t]):
                j = order[b, t, rank]
                level[b, n] = levels[b, t, j]
                best, overlap = 0, 0.0
                for i in range(n_truth[b, t]):
                    tied = iou[b, t, i, j] == overlap and covered[i] < covered[best]
                    if iou[b, t, i, j] > overlap or (tied and overlap > 0):
                        best, overlap = i, iou[b, t, i, j]
                reach = 0
                while reach < len(thresholds) and overlap > thresholds[reach]:
                    reach += 1
                if reach > 0 and reach > covered[best]:
                    first[b, n], last[b, n] = covered[best], reach
                    covered[best] = reach
                n += 1
    return level, first, last


@njit(cache=True, nogil=True)
def detection_histogram(
    level: IntArray,
    first: IntArray,
    last: IntArray,
    n: IntArray,
    row: IntArray,
    n_rows: int,
    place: IntArray,
    n_places: int,
) -> FloatArray:
    """Count detections, and those right at each AP threshold, per place of their level.

    Args:
        level: confidence levels, [V, P]; 0 where unused.
        first: first threshold at which the detection is right, [V, P].
        last: end of those thresholds, [V, P].
        n: how many such detections, [V, P].
        row: where to count a video, [V].
        n_rows: R.
        place: where to count a level, one for each level there can be.
        n_places: Q.

    Returns:
        Counts, [R, Q, 10], float64: all, then right at each of the 9 thresholds.
    """
    counts = np.zeros((n_rows, n_places, 1 + len(THRESHOLDS)))
    V, P = level.shape
    for v in range(V):
        for p in range(P):
            if level[v, p] != UNUSED:
                cell = counts[row[v], place[level[v, p]]]
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
