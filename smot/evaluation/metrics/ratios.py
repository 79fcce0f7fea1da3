"""The metrics as ratios of summed counts; the only place where anything is divided.

Everything takes R pools of videos at once: one for a table, a thousand for a bootstrap. NaN stands
for "not defined" here and becomes None where values leave this package.
"""

from collections.abc import Mapping

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.average_precision import THRESHOLDS, UNUSED
from smot.evaluation.metrics.counts import UNIT

RATIOS = (
    "mota", "motp", "recall", "precision", "idf1", "idp", "idr", "hota", "deta", "assa", "loca",
    "ap", "count_error", "counting_accuracy",
)  # fmt: skip


def ratios(sums: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """All ratios but AP.

    Args:
        sums: the summed counts of ``VideoCounts`` by name, [R] or [R, A], float64.

    Returns:
        Metrics by name, [R]; NaN where not defined.

    Source: docs/definitions.md.
    """
    n_truth, n_predicted = sums["n_truth"], sums["n_predicted"]
    matches, id_matches = sums["matches"], sums["id_matches"]
    errors = sums["misses"] + sums["false_positives"] + sums["switches"]
    return {
        "mota": 1 - _divide(errors, n_truth),
        "motp": _divide(sums["overlap"] * UNIT, matches),
        "recall": _divide(matches, n_truth),
        "precision": _divide(matches, n_predicted),
        "idf1": _divide(2 * id_matches, n_truth + n_predicted),
        "idp": _divide(id_matches, n_predicted),
        "idr": _divide(id_matches, n_truth),
        **_hota(sums),
        "count_error": _divide(sums["count_difference"], sums["n_frames"]),
        "counting_accuracy": _divide(sums["exact_frames"], sums["n_counted"]),
    }


def _hota(sums: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """HOTA and its parts; at an alpha without match AssA is 0 and LocA 1, as in TrackEval."""
    matches = sums["hota_matches"]
    boxes = (sums["n_truth"] + sums["n_predicted"])[:, None]
    detection = _divide(matches, boxes - matches)
    some = np.maximum(matches, 1)
    association = np.where(matches > 0, sums["hota_association"] * UNIT / some, 0.0)
    location = np.where(matches > 0, sums["hota_overlap"] * UNIT / some, 1.0)
    defined = np.where(boxes[:, 0] > 0, 1.0, np.nan)
    ever = np.where((matches > 0).any(-1), 1.0, np.nan)
    return {
        "hota": np.sqrt(detection * association).mean(-1) * defined,
        "deta": detection.mean(-1) * defined,
        "assa": association.mean(-1) * defined,
        "loca": location.mean(-1) * ever,
    }


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """NaN where the denominator is 0."""
    blank = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=blank, where=denominator > 0)
    return blank


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
