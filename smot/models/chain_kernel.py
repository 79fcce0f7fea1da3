"""Compiled backward of ReLU and biases in chains of layers."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import read, write


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def mask_and_sum(values: FloatArray, pull: FloatArray, sums: FloatArray) -> None:
    """Set the gradient to 0 where ReLU gave 0, and sum what is left over all rows.

    Args:
        values: after ReLU, [N, n], float32 or uint16 that holds bfloat16.
        pull: the gradient after it, changed to that before it, like ``values``.
        sums: the gradient for the biases before the ReLU, written, [n], float32.
    """
    sums[:] = 0
    for row in range(len(values)):
        for i in range(values.shape[1]):
            on = read(values[row, i]) > 0
            value = read(pull[row, i]) if on else np.float32(0)
            write(pull, (row, i), value)
            sums[i] += value
