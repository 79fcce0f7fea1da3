"""Identity measures: one assignment of predicted to true identities for a whole video.

    IDTP = the most boxes that such an assignment can match,
    IDF1 = 2 IDTP / (true boxes + predicted boxes), IDP = IDTP / predicted, IDR = IDTP / true.

Source: Ristani et al., "Performance measures and a data set for multi-target, multi-camera
tracking", 2016. py-motmetrics and TrackEval agree on it.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.assignment import assign
from smot.evaluation.metrics.matching import Pairing


def identity_matches(pairing: Pairing, iou_threshold: float) -> IntArray:
    """IDTP of every video.

    Args:
        pairing: entries of B videos of T frames.
        iou_threshold: least IoU of boxes that may match.

    Returns:
        Boxes matched under the best assignment of identities, [B], int64.
    """
    truth, predicted = pairing.truth, pairing.predicted
    return _identity_matches(
        truth.identity,
        truth.n_entries,
        truth.n_identities,
        predicted.identity,
        predicted.n_entries,
        predicted.n_identities,
        pairing.iou,
        iou_threshold,
    )


@njit(cache=True, nogil=True)
def _identity_matches(
    truth_identity: IntArray,
    n_truth: IntArray,
    n_truth_identities: IntArray,
    predicted_identity: IntArray,
    n_predicted: IntArray,
    n_predicted_identities: IntArray,
    iou: FloatArray,
    threshold: float,
) -> IntArray:
    B, T, _ = truth_identity.shape
    matches = np.zeros(B, np.int64)
    for b in range(B):
        n_ids, m_ids = n_truth_identities[b], n_predicted_identities[b]
        if n_ids == 0 or m_ids == 0:
            continue
        cost = np.zeros((n_ids, m_ids))
        for t in range(T):
            for i in range(n_truth[b, t]):
                for j in range(n_predicted[b, t]):
                    if iou[b, t, i, j] >= threshold:
                        cost[truth_identity[b, t, i], predicted_identity[b, t, j]] -= 1
        column_of = assign(cost)
        for i in range(n_ids):
            if column_of[i] >= 0:
                matches[b] -= np.int64(cost[i, column_of[i]])
    return matches
