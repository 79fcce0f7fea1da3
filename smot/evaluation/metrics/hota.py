"""HOTA: detection, association and localisation weighed evenly, over all IoU thresholds.

For each alpha in 0.05, 0.10, ..., 0.95, with TP, FN and FP counted at IoU >= alpha,

    DetA = TP / (TP + FN + FP),    AssA = mean over TP of TPA / (TPA + FNA + FPA),
    HOTA = sqrt(DetA AssA),        LocA = mean IoU of TP,

where for a match of truth i and prediction j, TPA counts the frames that match i with j, and
TPA + FNA + FPA those in which i or j appears. Frames are matched once for all alphas, at the
highest total IoU x (how well the two identities fit over the whole video).

Source: Luiten et al., "HOTA: a higher order metric for evaluating multi-object tracking", 2021,
as TrackEval 1.3.0 computes it.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.assignment import assign
from smot.evaluation.metrics.matching import Pairing

# Spelled as TrackEval spells them: the rounding of each threshold decides matches at it.
ALPHAS = np.arange(0.05, 0.99, 0.05)
SLACK = float(np.finfo(np.float64).eps)


def hota_sums(pairing: Pairing) -> tuple[IntArray, FloatArray, FloatArray]:
    """What HOTA needs of every video; each adds up over videos.

    Args:
        pairing: entries of B videos of T frames.

    Returns:
        For every alpha, [B, 19]: matches (TP), int64; the sum over them of
        TPA / (TPA + FNA + FPA); the sum of their IoU.
    """
    truth, predicted = pairing.truth, pairing.predicted
    return _hota_sums(
        truth.identity,
        truth.n_entries,
        truth.n_identities,
        predicted.identity,
        predicted.n_entries,
        predicted.n_identities,
        pairing.iou,
        ALPHAS,
    )


@njit(cache=True, nogil=True)
def _hota_sums(
    truth_identity: IntArray,
    n_truth: IntArray,
    n_truth_identities: IntArray,
    predicted_identity: IntArray,
    n_predicted: IntArray,
    n_predicted_identities: IntArray,
    iou: FloatArray,
    alphas: FloatArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    B, T, _ = truth_identity.shape
    A = len(alphas)
    matches = np.zeros((B, A), np.int64)
    association, overlap = np.zeros((B, A)), np.zeros((B, A))
    for b in range(B):
        truth_frames = np.zeros(n_truth_identities[b])
        predicted_frames = np.zeros(n_predicted_identities[b])
        fit = np.zeros((len(truth_frames), len(predicted_frames)))
        for t in range(T):
            n, m = n_truth[b, t], n_predicted[b, t]
            objects, others = truth_identity[b, t, :n], predicted_identity[b, t, :m]
            for i in range(n):
                truth_frames[objects[i]] += 1
            for j in range(m):
                predicted_frames[others[j]] += 1
            _add_fit(objects, others, iou[b, t, :n, :m], fit)
        together = np.zeros((*fit.shape, A), np.int32)
        _normalise(fit, truth_frames, predicted_frames)
        for t in range(T):
            n, m = n_truth[b, t], n_predicted[b, t]
            objects, others = truth_identity[b, t, :n], predicted_identity[b, t, :m]
            overlaps = iou[b, t, :n, :m]
            _match_frame(objects, others, overlaps, fit, alphas, together, matches[b], overlap[b])
        _add_association(together, truth_frames, predicted_frames, association[b])
    return matches, association, overlap


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
    alphas: FloatArray,
    together: IntArray,
    matches: IntArray,
    matched_overlap: FloatArray,
) -> None:
    """Match one frame; add to `together` [n, m, A], `matches` and `matched_overlap` [A]."""
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
        for a in range(len(alphas)):
            if overlap[i, j] < alphas[a] - SLACK:
                break
            together[objects[i], others[j], a] += 1
            matches[a] += 1
            matched_overlap[a] += overlap[i, j]


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
