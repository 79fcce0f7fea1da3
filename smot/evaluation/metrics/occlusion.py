"""Recall and identity switches against how much of the object can be seen.

Every true box falls into a bin by its visibility, the share of the object's own pixels that no
later-drawn object covers:

    [0, 1/4), [1/4, 1/2), [1/2, 3/4), [3/4, 1), fully visible.

Recall of a bin is the share of its boxes that were matched, its switch rate the share of those
matches that were switches. A switch after an occlusion is booked where the object is matched
again, and that is mostly once it can be seen well.

Source: our choice (benchmark.md section 5.4).
"""

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.evaluation.metrics.clear import NOBODY, Correspondence
from smot.evaluation.metrics.matching import Pairing

BINS = ("[0, 1/4)", "[1/4, 1/2)", "[1/2, 3/4)", "[3/4, 1)", "1")


def by_visibility(
    pairing: Pairing, found: Correspondence, visibility: FloatArray
) -> tuple[IntArray, IntArray, IntArray]:
    """True boxes, matches and switches in each bin.

    Args:
        pairing: entries of B videos of T frames.
        found: their CLEAR-MOT matches.
        visibility: in [0, 1], in the slots of the truth, [B, T, K].

    Returns:
        Three counts, [B, 5], int64.
    """
    entry = pairing.truth.entry
    used = entry >= 0
    if not entry.size:
        empty = np.zeros((len(entry), len(BINS)), np.int64)
        return empty, empty, empty
    seen = np.take_along_axis(visibility, np.maximum(entry, 0), axis=2)
    bins = np.minimum((seen * (len(BINS) - 1)).astype(np.int64), len(BINS) - 1)
    matched = used & (found.partner != NOBODY)
    return _tally(bins, used), _tally(bins, matched), _tally(bins, found.switched)


def _tally(bins: IntArray, chosen: BoolArray) -> IntArray:
    counts = [(chosen & (bins == place)).sum((1, 2)) for place in range(len(BINS))]
    return np.stack(counts, -1)
