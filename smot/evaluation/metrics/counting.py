"""By how many objects a frame's prediction is off, and how often by none.

    count error = mean over frames of |predicted objects - true objects|
    counting accuracy = share of frames in which there are as many of both

Source: the paper's "Count Abs. Error"; counting accuracy as SQAIR's authors report it.
"""

import numpy as np

from smot.arrays import IntArray
from smot.evaluation.metrics.matching import Pairing


def count_differences(pairing: Pairing) -> IntArray:
    """Sum over frames of |predicted - true| for every video, [B], int64."""
    return np.asarray(np.abs(_differences(pairing)).sum(-1))


def exact_frames(pairing: Pairing) -> IntArray:
    """Number of frames with as many predicted as true objects in every video, [B], int64."""
    return np.asarray((_differences(pairing) == 0).sum(-1))


def _differences(pairing: Pairing) -> IntArray:
    difference: IntArray = pairing.predicted.n_entries - pairing.truth.n_entries
    return difference
