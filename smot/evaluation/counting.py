"""Count error: by how many objects a frame's prediction is off.

    count error = mean over frames of |predicted objects - true objects|.

Source: the paper's "Count Abs. Error".
"""

import numpy as np

from smot.arrays import IntArray
from smot.evaluation.matching import Pairing


def count_differences(pairing: Pairing) -> IntArray:
    """Sum over frames of |predicted - true| for every video, [B], int64."""
    difference: IntArray = pairing.predicted.n_entries - pairing.truth.n_entries
    return np.asarray(np.abs(difference).sum(-1))
