"""How well identities hold over a whole video: the identity measures, and HOTA.

The identity measures make one assignment of predicted to true identities for a video:

    IDTP = the most boxes that such an assignment can match,
    IDF1 = 2 IDTP / (true boxes + predicted boxes), IDP = IDTP / predicted, IDR = IDTP / true.

HOTA weighs detection, association and localisation evenly, over all IoU thresholds. For each alpha
in 0.05, 0.10, ..., 0.95, with TP, FN and FP counted at IoU >= alpha,

    DetA = TP / (TP + FN + FP),    AssA = mean over TP of TPA / (TPA + FNA + FPA),
    HOTA = sqrt(DetA AssA),        LocA = mean IoU of TP,

where for a match of truth i and prediction j, TPA counts the frames that match i with j, and
TPA + FNA + FPA those in which i or j appears. Frames are matched once for all alphas, at the
highest total IoU x (how well the two identities fit over the whole video).

Source: Ristani et al., "Performance measures and a data set for multi-target, multi-camera
tracking", 2016, on which py-motmetrics and TrackEval agree; Luiten et al., "HOTA: a higher order
metric for evaluating multi-object tracking", 2021, as TrackEval 1.3.0 computes it.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.assignment import assign
from smot.evaluation.metrics.matching import Pairing

# Spelled as TrackEval spells them: the rounding of each threshold decides matches at it.
ALPHAS = np.arange(0.05, 0.99, 0.05)
SLACK = float(np.finfo(np.float64).eps)


@njit(cache=True, nogil=True)
def identity_matches(pairing: Pairing, iou_threshold: float, *, by_distance: bool) -> IntArray:
    """Boxes matched under the best assignment of identities (IDTP), [B], int64.

    Args:
        pairing: entries of B videos.
        iou_threshold: least IoU of boxes that may match.
        by_distance: compare 1 - IoU, which rounds otherwise, as py-motmetrics does.
    """
    truth, predicted = pairing.truth, pairing.predicted
    B, T = truth.n_entries.shape
    matches = np.zeros(B, np.int64)
    for b in range(B):
        n_ids, m_ids = truth.n_identities[b], predicted.n_identities[b]
        if n_ids == 0 or m_ids == 0:
            continue
        cost = np.zeros((n_ids, m_ids))
        for t in range(T):
            for i in range(truth.n_entries[b, t]):
                for j in range(predicted.n_entries[b, t]):
                    iou = pairing.iou[b, t, i, j]
                    if iou >= iou_threshold or (by_distance and 1 - iou <= 1 - iou_threshold):
                        cost[truth.identity[b, t, i], predicted.identity[b, t, j]] -= 1
        column_of = assign(cost)
        for i in range(n_ids):
            if column_of[i] >= 0:
                matches[b] -= np.int64(cost[i, column_of[i]])
    return matches


@njit(cache=True, nogil=True)
def hota_sums(pairing: Pairing) -> FloatArray:
    """What HOTA needs of every video; each adds up over videos.

    Args:
        pairing: entries of B videos.

    Returns:
        For every alpha, [3, B, 19]: matches (TP); the sum over them of TPA / (TPA + FNA + FPA);
        the sum of their IoU.
    """
    truth, predicted = pairing.truth, pairing.predicted
    B, T = truth.n_entries.shape
    A = len(ALPHAS)
    sums = np.zeros((3, B, A))
    for b in range(B):
        truth_frames = np.zeros(truth.n_identities[b])
        predicted_frames = np.zeros(predicted.n_identities[b])
        fit = np.zeros((len(truth_frames), len(predicted_frames)))
        for t in range(T):
            n, m = truth.n_entries[b, t], predicted.n_entries[b, t]
            objects, others = truth.identity[b, t, :n], predicted.identity[b, t, :m]
            for i in range(n):
                truth_frames[objects[i]] += 1
            for j in range(m):
                predicted_frames[others[j]] += 1
            _add_fit(objects, others, pairing.iou[b, t, :n, :m], fit)
        _normalise(fit, truth_frames, predicted_frames)
        together = np.zeros((*fit.shape, A), np.int32)
        for t in range(T):
            n, m = truth.n_entries[b, t], predicted.n_entries[b, t]
            objects, others = truth.identity[b, t, :n], predicted.identity[b, t, :m]
            _match_frame(objects, others, pairing.iou[b, t, :n, :m], fit, together, sums[:, b])
        _add_association(together, truth_frames, predicted_frames, sums[1, b])
    return sums


@njit(cache=True, nogil=True)
def _normalise(fit: FloatArray, truth_frames: FloatArray, predicted_frames: FloatArray) -> None:
    """Turn sums of shares into the Jaccard index of two identities over the video."""
    n_ids, m_ids = fit.shape
    for i in range(n_ids):
        for j in range(m_ids):
            fit[i, j] /= truth_frames[i] + predicted_frames[j] - fit[i, j]


@njit(cache=True, nogil=True)
def _add_fit(objects: IntArray, others: IntArray, overlap: FloatArray, fit: FloatArray) -> None:
    """Add each pair's share of all the overlap that either of the two has in this frame."""
    n, m = overlap.shape
    column_sum, row_sum = np.zeros(m), np.zeros(n)
    for i in range(n):
        row_sum[i] = _pairwise_sum(overlap[i])
        for j in range(m):
            column_sum[j] += overlap[i, j]
    for i in range(n):
        for j in range(m):
            whole = column_sum[j] + row_sum[i] - overlap[i, j]
            if whole > SLACK:
                fit[objects[i], others[j]] += overlap[i, j] / whole


@njit(cache=True, nogil=True)
def _pairwise_sum(values: FloatArray) -> float:
    """Sum in the order in which numpy sums a row: TrackEval's ties hang on the last bit."""
    n = len(values)
    if n > 128:
        half = n // 2
        half -= half % 8
        total: float = _pairwise_sum(values[:half]) + _pairwise_sum(values[half:])
        return total
    if n < 8:
        total = 0.0
        for i in range(n):
            total += values[i]
        return total
    part = np.zeros(8)
    stop = n - n % 8
    for i in range(0, stop, 8):
        for k in range(8):
            part[k] += values[i + k]
    total = (part[0] + part[1] + (part[2] + part[3])) + (part[4] + part[5] + (part[6] + part[7]))
    for i in range(stop, n):
        total += values[i]
    return total


@njit(cache=True, nogil=True)
def _match_frame(
    objects: IntArray,
    others: IntArray,
    overlap: FloatArray,
    fit: FloatArray,
    together: IntArray,
    sums: FloatArray,
) -> None:
    """Match one frame; add to `together` [n, m, A], and to matches and IoU in `sums` [3, A]."""
    n, m = overlap.shape
    if n == 0 or m == 0:
        return
    cost = np.empty((n, m))
    for i in range(n):
        for j in range(m):
            cost[i, j] = -(fit[objects[i], others[j]] * overlap[i, j])
    column_of = assign(cost)
    for i in range(n):
        j = column_of[i]
        if j < 0:
            continue
        for a in range(len(ALPHAS)):
            if overlap[i, j] < ALPHAS[a] - SLACK:
                break
            together[objects[i], others[j], a] += 1
            sums[0, a] += 1
            sums[2, a] += overlap[i, j]


@njit(cache=True, nogil=True)
def _add_association(
    together: IntArray, truth_frames: FloatArray, predicted_frames: FloatArray, total: FloatArray
) -> None:
    """Add TPA / (TPA + FNA + FPA) of every match to `total` [A]."""
    n_ids, m_ids, A = together.shape
    for i in range(n_ids):
        for j in range(m_ids):
            for a in range(A):
                both = together[i, j, a]
                if both == 0:
                    break
                total[a] += both * (both / (truth_frames[i] + predicted_frames[j] - both))
