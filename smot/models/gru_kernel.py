"""Compiled gates of the recurrent unit; rows of n numbers.

``driven``, ``remembered`` and ``proposed`` and their gradients are float32, or uint16 that holds
bfloat16; the rest is float32.
"""

from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import ONE, read, sigmoid, tanh, write


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def open_gates(
    driven: FloatArray, state: FloatArray, update: FloatArray, remembered: FloatArray
) -> None:
    """The update gate, and what the reset gate lets through.

    Args:
        driven: what drives update, reset and candidate, [N, 3n].
        state: [N, n].
        update: written, [N, n].
        remembered: reset * state, written, [N, n].
    """
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            update[row, i] = sigmoid(read(driven[row, i]))
        for i in range(n):
            write(remembered, (row, i), sigmoid(read(driven[row, n + i])) * state[row, i])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def open_gates_backward(
    driven: FloatArray, state: FloatArray, update: FloatArray, update_pull: FloatArray,
    remembered_pull: FloatArray, driven_pull: FloatArray, state_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``open_gates``.

    Args:
        driven: as in ``open_gates``.
        state: as in ``open_gates``.
        update: what ``open_gates`` made.
        update_pull: gradient for it.
        remembered_pull: gradient for what was remembered.
        driven_pull: the first two thirds are written, [N, 3n].
        state_pull: added to, [N, n].
    """
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            value = update[row, i]
            write(driven_pull, (row, i), update_pull[row, i] * value * (ONE - value))
        for i in range(n):
            value = sigmoid(read(driven[row, n + i]))
            pull = read(remembered_pull[row, i])
            state_pull[row, i] += pull * value
            write(driven_pull, (row, n + i), pull * state[row, i] * value * (ONE - value))


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def close_gates(
    driven: FloatArray, proposed: FloatArray, state: FloatArray, update: FloatArray,
    result: FloatArray,
) -> None:  # fmt: skip
    """The new state, (1 - update) * state + update * tanh(driven's last third + proposed)."""
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            candidate = tanh(read(driven[row, 2 * n + i]) + read(proposed[row, i]))
            gap = candidate - state[row, i]
            result[row, i] = state[row, i] + update[row, i] * gap


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def close_gates_backward(
    driven: FloatArray, proposed: FloatArray, state: FloatArray, update: FloatArray,
    pull: FloatArray,
    driven_pull: FloatArray, state_pull: FloatArray, update_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``close_gates``; of ``driven_pull`` the last third is written, [N, 3n].

    It is the gradient for ``proposed``, too.
    """
    n = state.shape[1]
    for row in range(len(state)):
        for i in range(n):
            candidate = tanh(read(driven[row, 2 * n + i]) + read(proposed[row, i]))
            steep = pull[row, i] * update[row, i] * (ONE - candidate * candidate)
            write(driven_pull, (row, 2 * n + i), steep)
            update_pull[row, i] = pull[row, i] * (candidate - state[row, i])
            state_pull[row, i] = pull[row, i] * (ONE - update[row, i])
