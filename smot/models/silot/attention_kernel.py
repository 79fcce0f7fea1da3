"""Compiled parts of the attention between places and objects.

Arrays of pairs are float32, or uint16 that holds bfloat16.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import read, write


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def pair(heard: FloatArray, asked: FloatArray, pairs: FloatArray) -> None:
    """ReLU of the sum of what each object says and what each place asks.

    Args:
        heard: of objects, [B, K, W].
        asked: of places, [B or 1, J, W].
        pairs: written, [B, J, K, W].
    """
    B, J, K, W = pairs.shape
    for b in range(B):
        place = b if len(asked) > 1 else 0
        for j in range(J):
            for k in range(K):
                for i in range(W):
                    value = max(heard[b, k, i] + asked[place, j, i], np.float32(0))
                    write(pairs, (b, j, k, i), value)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def pair_backward(
    pairs: FloatArray, pull: FloatArray, heard_pull: FloatArray, asked_pull: FloatArray
) -> None:
    """Gradients of ``pair`` from those for the pairs, like ``pairs``; both are written in full."""
    B, J, K, W = pairs.shape
    heard_pull[:] = 0
    asked_pull[:] = 0
    for b in range(B):
        place = b if len(asked_pull) > 1 else 0
        for j in range(J):
            for k in range(K):
                for i in range(W):
                    on = read(pairs[b, j, k, i]) > 0
                    value = read(pull[b, j, k, i]) if on else np.float32(0)
                    heard_pull[b, k, i] += value
                    asked_pull[place, j, i] += value


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def pool(values: FloatArray, shares: FloatArray, pooled: FloatArray) -> None:
    """Weighted sum over objects.

    Args:
        values: of pairs, [B, J, K, W].
        shares: weights, [B, J, K].
        pooled: written, [B, J, W].
    """
    B, J, K, W = values.shape
    for b in range(B):
        for j in range(J):
            pooled[b, j] = 0
            for k in range(K):
                share = shares[b, j, k]
                for i in range(W):
                    pooled[b, j, i] += share * read(values[b, j, k, i])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def pool_backward(
    values: FloatArray,
    shares: FloatArray,
    pull: FloatArray,
    values_pull: FloatArray,
    shares_pull: FloatArray,
) -> None:
    """Gradients of ``pool`` after a ReLU, so that pairs whose value is 0 get none.

    Args:
        values: of pairs, after ReLU, [B, J, K, W].
        shares: weights, [B, J, K].
        pull: gradient for the sums, [B, J, W].
        values_pull: written, for the pairs before the ReLU, like ``values``.
        shares_pull: written, [B, J, K].
    """
    B, J, K, W = values.shape
    for b in range(B):
        for j in range(J):
            for k in range(K):
                share = shares[b, j, k]
                total = np.float32(0)
                for i in range(W):
                    value = read(values[b, j, k, i])
                    total += value * pull[b, j, i]
                    spread = share * pull[b, j, i] if value > 0 else np.float32(0)
                    write(values_pull, (b, j, k, i), spread)
                shares_pull[b, j, k] = total
