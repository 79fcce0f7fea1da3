"""Compiled gates of the recurrent unit; rows of n numbers."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import ONE, sigmoid, tanh


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def open_gates(
    driven: FloatArray,
    recurrent: FloatArray,
    state: FloatArray,
    update: FloatArray,
    remembered: FloatArray,
    rest: FloatArray,
) -> None:
    """Update gate, what the reset gate lets through, and what drives the candidate.

    Args:
        driven: from the inputs, for update, reset and candidate, [N, 3n].
        recurrent: from the state, for update and reset, [N, 2n].
        state: [N, n].
        update: written, [N, n].
        remembered: reset * state, written, [N, n].
        rest: the candidate's part of ``driven``, written, [N, n].
    """
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            update[row, i] = sigmoid(driven[row, i] + recurrent[row, i])
        for i in range(n):
            reset = sigmoid(driven[row, n + i] + recurrent[row, n + i])
            remembered[row, i] = reset * state[row, i]
        for i in range(n):
            rest[row, i] = driven[row, 2 * n + i]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def open_gates_backward(
    driven: FloatArray,
    recurrent: FloatArray,
    state: FloatArray,
    update_pull: FloatArray,
    remembered_pull: FloatArray,
    rest_pull: FloatArray,
    driven_pull: FloatArray,
    recurrent_pull: FloatArray,
    state_pull: FloatArray,
) -> None:
    """Gradients of ``open_gates``: those for its outputs in, those for its inputs out."""
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            value = sigmoid(driven[row, i] + recurrent[row, i])
            pull = update_pull[row, i] * value * (ONE - value)
            driven_pull[row, i] = pull
            recurrent_pull[row, i] = pull
        for i in range(n):
            value = sigmoid(driven[row, n + i] + recurrent[row, n + i])
            state_pull[row, i] = remembered_pull[row, i] * value
            pull = remembered_pull[row, i] * state[row, i] * value * (ONE - value)
            driven_pull[row, n + i] = pull
            recurrent_pull[row, n + i] = pull
        for i in range(n):
            driven_pull[row, 2 * n + i] = rest_pull[row, i]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def close_gates(
    driven: FloatArray,
    proposed: FloatArray,
    update: FloatArray,
    state: FloatArray,
    result: FloatArray,
) -> None:
    """The new state, (1 - update) * state + update * tanh(driven + proposed); all [N, n]."""
    for row in range(len(state)):
        for i in range(state.shape[1]):
            candidate = tanh(driven[row, i] + proposed[row, i])
            gap = candidate - state[row, i]
            result[row, i] = state[row, i] + update[row, i] * gap


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def close_gates_backward(
    driven: FloatArray,
    proposed: FloatArray,
    update: FloatArray,
    state: FloatArray,
    pull: FloatArray,
    driven_pull: FloatArray,
    proposed_pull: FloatArray,
    update_pull: FloatArray,
    state_pull: FloatArray,
) -> None:
    """Gradients of ``close_gates``."""
    one = np.float32(1)
    for row in range(len(state)):
        for i in range(state.shape[1]):
            candidate = tanh(driven[row, i] + proposed[row, i])
            steep = pull[row, i] * update[row, i] * (one - candidate * candidate)
            driven_pull[row, i] = steep
            proposed_pull[row, i] = steep
            update_pull[row, i] = pull[row, i] * (candidate - state[row, i])
            state_pull[row, i] = pull[row, i] * (one - update[row, i])
