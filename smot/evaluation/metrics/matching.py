"""Who could be matched with whom: the settings, and ground truth and predictions side by side.

Every metric starts from the same thing, the IoU of each true box with each predicted box of its
frame. `pair_up` computes it once, with entries sorted by identity and identities numbered from
0, so that no metric depends on the slots in which a tracker happens to put its boxes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.errors import DataError, UsageError
from smot.tracks import ABSENT, Tracks

# Sorts behind every identity, which are int32.
_LAST = np.iinfo(np.int64).max

Convention: TypeAlias = Literal["py-motmetrics", "trackeval"]


@dataclass(frozen=True, kw_only=True)
class MatchSettings:
    """What counts as a prediction and as a match.

    Attributes:
        iou_threshold: a match needs at least this IoU; above 0, at most 1.
        confidence: a prediction counts if its confidence exceeds this; in [0, 1). Average
            precision alone takes all predictions with a confidence above 0.
        convention: whose CLEAR-MOT matching: "py-motmetrics" (the paper's) or "trackeval".

    Raises:
        UsageError: a value outside its range.

    Source: docs/benchmark.md 4; docs/definitions.md shows where the conventions differ.
    """

    iou_threshold: float = 0.5
    confidence: float = 0.5
    convention: Convention = "py-motmetrics"

    def __post_init__(self) -> None:
        if not 0 < self.iou_threshold <= 1:
            raise UsageError(f"iou_threshold must be in (0, 1], not {self.iou_threshold}")
        if not 0 <= self.confidence < 1:
            raise UsageError(f"confidence must be in [0, 1), not {self.confidence}")
        if self.convention not in get_args(Convention):
            allowed = " or ".join(get_args(Convention))
            raise UsageError(f"convention must be {allowed}, not {self.convention!r}")


DEFAULTS = MatchSettings()


# Named tuples: numba's kernels take them as they are.
class Side(NamedTuple):
    """The entries of one side (truth or predictions), packed to the front of each frame.

    Attributes:
        n_entries: entries in a frame, [B, T], int64.
        identity: identities numbered from 0 within the video, ascending in each frame,
            [B, T, N], int32; -1 beyond `n_entries`.
        entry: where the entry stood in the Tracks, [B, T, N], int32; -1 beyond `n_entries`.
        n_identities: different identities in a video, [B], int64.
    """

    n_entries: IntArray
    identity: IntArray
    entry: IntArray
    n_identities: IntArray


class Pairing(NamedTuple):
    """Truth and predictions of the same frames.

    Attributes:
        truth: N places a frame.
        predicted: M places a frame.
        iou: IoU of every true with every predicted box, [B, T, N, M], float64; 0 beyond the
            entries of the frame.
    """

    truth: Side
    predicted: Side
    iou: FloatArray


def check_alike(truth: Tracks, predicted: Tracks) -> None:
    """Refuse truth and predictions of different numbers of videos or frames.

    Raises:
        DataError: they differ.
    """
    if truth.shape[:2] != predicted.shape[:2]:
        (B, T, _), (b, t, _) = truth.shape, predicted.shape
        raise DataError(
            f"predictions are {b} videos of {t} frames, but the truth is {B} videos of {T} frames"
        )


def pair_up(truth: Tracks, predicted: Tracks, confidence: float) -> Pairing:
    """Put truth and predictions side by side.

    Args:
        truth: [B, T, K].
        predicted: [B, T, K'], of which entries with a confidence above `confidence` count.
        confidence: in [0, 1).
    """
    left = packed(truth.ids, truth.ids != ABSENT)
    right = packed(predicted.ids, (predicted.ids != ABSENT) & (predicted.confidence > confidence))
    # Of one layout, for which alone kernels are compiled: trackers give arrays of any.
    boxes = np.ascontiguousarray(truth.boxes), np.ascontiguousarray(predicted.boxes)
    return Pairing(left, right, _overlaps(boxes[0], left, boxes[1], right))


def packed(ids: IntArray, keep: BoolArray) -> Side:
    """Sort the kept entries of each frame by identity and number identities from 0.

    Args:
        ids: [B, T, K].
        keep: which entries count, [B, T, K].
    """
    B, T, K = ids.shape
    n_entries = np.ascontiguousarray(keep.sum(-1, dtype=np.int64))
    ranked = np.where(keep, ids.astype(np.int64), _LAST)
    places = np.argsort(ranked, axis=-1, kind="stable")[..., : int(n_entries.max(initial=0))]
    used = np.take_along_axis(keep, places, axis=-1)
    number, n_identities = _numbered(ranked.reshape(B, T * K))
    identity = np.take_along_axis(number.reshape(B, T, K), places, axis=-1)
    identity = np.where(used, identity, ABSENT).astype(np.int32)
    entry = np.where(used, places, ABSENT).astype(np.int32)
    return Side(n_entries, identity, entry, n_identities)


def _numbered(ids: IntArray) -> tuple[IntArray, IntArray]:
    """Number the different values of each row in ascending order, [B, N]; how many, [B].

    Entries that are not used hold `_LAST` and are not counted.
    """
    order = np.argsort(ids, axis=-1)
    rising = np.take_along_axis(ids, order, axis=-1)
    is_new = np.ones(ids.shape, np.bool_)
    is_new[:, 1:] = rising[:, 1:] != rising[:, :-1]
    number = np.empty(ids.shape, np.int64)
    np.put_along_axis(number, order, np.cumsum(is_new, axis=-1) - 1, axis=-1)
    return number, (is_new & (rising != _LAST)).sum(-1)


@njit(cache=True, nogil=True)
def _overlaps(
    true_boxes: FloatArray, truth: Side, predicted_boxes: FloatArray, predicted: Side
) -> FloatArray:
    """IoU of packed entries, by the formula (and rounding) of `smot.boxes.iou`."""
    B, T, N = truth.entry.shape
    iou = np.zeros((B, T, N, predicted.entry.shape[2]))
    for b in range(B):
        for t in range(T):
            for i in range(truth.n_entries[b, t]):
                left, top, right, bottom = true_boxes[b, t, truth.entry[b, t, i]]
                area = (right - left) * (bottom - top)
                for j in range(predicted.n_entries[b, t]):
                    x0, y0, x1, y1 = predicted_boxes[b, t, predicted.entry[b, t, j]]
                    width = min(right, x1) - max(left, x0)
                    height = min(bottom, y1) - max(top, y0)
                    shared = max(width, 0.0) * max(height, 0.0)
                    if shared > 0:
                        union = area + (x1 - x0) * (y1 - y0) - shared
                        iou[b, t, i, j] = shared / union
    return iou
