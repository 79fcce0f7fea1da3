"""Masks: which object each pixel belongs to, in the truth and as a tracker has it.

Mask MOTA is the CLEAR-MOT of `clear.py` with the IoU of masks in place of that of boxes. The
others compare whole videos, in which all pixels of an identity, of all frames, are one tube: mIoU
pairs true and predicted tubes, and the adjusted Rand index compares them as clusterings of the
pixels, background being a cluster too. FG-ARI leaves out what is background in the truth.

Source: Weis et al., "Benchmarking unsupervised object representations for video sequences", JMLR
2021 (mask MOTA); Voigtlaender et al., "MOTS", CVPR 2019; Hubert and Arabie, "Comparing
partitions", 1985; Kipf et al., "Conditional object-centric learning from video", ICLR 2022 (ARI of
videos). What Weis et al. do with objects without a pixel they do not say: here, as in MOTS, they
are not there.
"""

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.errors import DataError
from smot.evaluation.metrics.clear import clear_counts, correspond
from smot.evaluation.metrics.matching import MatchSettings, Pairing, packed
from smot.tracks import ABSENT, Tracks

_CLEAR = {
    "mask_truth": "n_truth",
    "mask_misses": "misses",
    "mask_false_positives": "false_positives",
    "mask_switches": "switches",
}
_TUBES = ("n_tubes", "tube_overlap", "ari", "n_foreground", "fg_ari")


def mask_counts(
    truth: Tracks, predicted: Tracks, settings: MatchSettings
) -> dict[str, IntArray | FloatArray]:
    """What is counted of masks in each of B videos, by the names of `VideoCounts`, [B] each.

    Args:
        truth: [B, T, K].
        predicted: of the same frames.
        settings: what counts as a prediction and as a match.

    Returns:
        Counts; all 0 where either side has no masks.

    Raises:
        DataError: masks of different sizes.
    """
    B = truth.shape[0]
    if truth.masks is None or predicted.masks is None:
        return {name: np.zeros(B) for name in ("n_masked", *_CLEAR, *_TUBES)}
    if truth.masks.shape != predicted.masks.shape:
        sizes = list(predicted.masks.shape), list(truth.masks.shape)
        raise DataError("predicted masks are {}, but the true ones {}".format(*sizes))
    counted = predicted.present & (predicted.confidence > settings.confidence)
    # Of one type, so that one kernel is compiled.
    masks, others = (each.astype(np.int32) for each in (truth.masks, predicted.masks))
    shared = shared_pixels(masks, others, truth.present, counted)
    pairing = _paired(truth.ids, predicted.ids, shared)
    clear = clear_counts(pairing, *correspond(pairing, settings), settings)
    tables = map(_tubes, truth.ids, predicted.ids, shared)
    tubes = np.array([_tube_counts(table) for table in tables]).reshape(B, len(_TUBES))
    return {
        "n_masked": np.ones(B),
        **{name: clear[of_boxes] for name, of_boxes in _CLEAR.items()},
        **dict(zip(_TUBES, tubes.T, strict=True)),
    }


@njit(cache=True, nogil=True)
def shared_pixels(
    masks: IntArray, others: IntArray, present: BoolArray, counted: BoolArray
) -> IntArray:
    """How many pixels of each true entry belong to each predicted one.

    Args:
        masks: of the truth, [B, T, H, W].
        others: of the predictions, [B, T, H, W].
        present: true entries that there are, [B, T, K].
        counted: predicted entries that count, [B, T, K'].

    Returns:
        [B, T, 1 + K, 1 + K'], int64; place 0 is background, in which all other entries are.
    """
    B, T, H, W = masks.shape
    shared = np.zeros((B, T, 1 + present.shape[2], 1 + counted.shape[2]), np.int64)
    for b in range(B):
        for t in range(T):
            for y in range(H):
                for x in range(W):
                    i, j = masks[b, t, y, x], others[b, t, y, x]
                    if i > 0 and not present[b, t, i - 1]:
                        i = 0
                    if j > 0 and not counted[b, t, j - 1]:
                        j = 0
                    shared[b, t, i, j] += 1
    return shared


def _paired(ids: IntArray, others: IntArray, shared: IntArray) -> Pairing:
    """Masks side by side, those without a pixel left out."""
    overlap, area, other_area = _iou(shared)
    truth, predicted = packed(ids, area > 0), packed(others, other_area > 0)
    iou = np.take_along_axis(overlap, np.maximum(truth.entry, 0)[..., None], axis=2)
    iou = np.take_along_axis(iou, np.maximum(predicted.entry, 0)[:, :, None], axis=3)
    return Pairing(truth, predicted, iou)


def _iou(shared: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """IoU of all pairs [..., K, K'], and the areas of both sides, from pixels they share."""
    area, other_area = shared.sum(-1)[..., 1:], shared.sum(-2)[..., 1:]
    inside = shared[..., 1:, 1:]
    union = area[..., None] + other_area[..., None, :] - inside
    return inside / np.maximum(union, 1), area, other_area


def _tubes(ids: IntArray, others: IntArray, shared: IntArray) -> IntArray:
    """Pixels that true and predicted identities of a video share, [1 + I, 1 + J].

    Args:
        ids: true identities, [T, K].
        others: predicted ones, [T, K'].
        shared: by entries, [T, 1 + K, 1 + K'].
    """
    # Background comes first as an identity of its own, like the place 0 of `shared`.
    padding = ((0, 0), (1, 0))
    names, rows = np.unique(np.pad(ids, padding, constant_values=ABSENT), return_inverse=True)
    other_names, columns = np.unique(
        np.pad(others, padding, constant_values=ABSENT), return_inverse=True
    )
    table = np.zeros((len(names), len(other_names)), np.int64)
    np.add.at(table, (rows[:, :, None], columns[:, None, :]), shared)
    return table


def _tube_counts(table: IntArray) -> tuple[float, ...]:
    """The counts of a video's tubes, in the order of their names."""
    overlap, area, _ = _iou(table)
    best = overlap[linear_sum_assignment(overlap, maximize=True)].sum()
    n_tubes = (area > 0).sum()
    return (
        n_tubes,
        best,
        adjusted_rand(table),
        n_tubes > 0,
        adjusted_rand(table[1:]) if n_tubes else 0.0,
    )


def adjusted_rand(table: IntArray) -> float:
    """Adjusted Rand index of two clusterings, from how many points their clusters share, [I, J].

    1 for equal clusterings, about 0 for independent ones; at least -1/2.
    """
    pairs, rows, columns, total = (
        float((n * (n - 1) // 2).sum())
        for n in (table, table.sum(1), table.sum(0), table.sum(keepdims=True))
    )
    expected, most = rows * columns / max(total, 1), (rows + columns) / 2
    # Both clusterings are one cluster, or both have clusters of single points alone.
    return 1.0 if most == expected else (pairs - expected) / (most - expected)
