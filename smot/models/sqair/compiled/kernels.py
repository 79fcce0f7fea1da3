"""Compiled formulas of one slot, forward and backward: rows ``start`` to ``stop - 1`` of arrays.

Arrays are float32 and hold a row per use of a slot, [M, ...]; slopes are the gradients of what is
minimised. The plain formulas stand in `smot.models.sqair.formulas`.
"""

from typing import Any

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.sqair import formulas, slots
from smot.models.sqair.compiled.numbers import elu, sigmoid, softplus, tanh

COMPILED: dict[str, Any] = {
    "nogil": True,
    "fastmath": True,
    "cache": True,
    "error_model": "numpy",
}

ZERO, ONE = np.float32(0), np.float32(1)
STD_FLOOR = np.float32(formulas.STD_FLOOR)
ABSENT_LOGIT = np.float32(slots.ABSENT_LOGIT)


@njit(**COMPILED)
def tanh_rows(values: FloatArray, start: int, stop: int) -> None:
    """Replace rows by their tanh."""
    for i in range(start, stop):
        for j in range(values.shape[1]):
            values[i, j] = tanh(values[i, j])


@njit(**COMPILED)
def tanh_slopes(outputs: FloatArray, slopes: FloatArray, start: int, stop: int) -> None:
    """Slopes for what went into tanh, from those for what came out, in place."""
    for i in range(start, stop):
        for j in range(outputs.shape[1]):
            slopes[i, j] *= ONE - outputs[i, j] * outputs[i, j]


@njit(**COMPILED)
def elu_rows(values: FloatArray, width: int, start: int, stop: int) -> None:
    """Replace the first columns of rows by their ELU."""
    for i in range(start, stop):
        for j in range(width):
            values[i, j] = elu(values[i, j])


@njit(**COMPILED)
def elu_slopes(outputs: FloatArray, slopes: FloatArray, width: int, start: int, stop: int) -> None:
    """Slopes for what went into ELU, from those for what came out, in place."""
    for i in range(start, stop):
        for j in range(width):
            slopes[i, j] *= min(outputs[i, j] + ONE, ONE)


@njit(**COMPILED)
def place(
    codes: FloatArray, origin: FloatArray, noise: FloatArray, std_bias: float, window: FloatArray,
    where: FloatArray, std: FloatArray, squashed: FloatArray, boxes: FloatArray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """A sample of ``where``, its deviations, and its box as `smot.models.sprites` wants it.

    Args:
        codes: mean and raw deviation, [M, 8].
        origin: what the mean is relative to, [M, 4].
        noise: [M, 4].
        std_bias: added to the raw deviations.
        window: from `Geometry.window`.
        where: written, [M, 4].
        std: written, [M, 4].
        squashed: written, what the box is an affine map of, [M, 4].
        boxes: written, y, x, h, w, [M, 1, 4].
        start: first row.
        stop: one past the last row.
    """
    for i in range(start, stop):
        for j in range(4):
            std[i, j] = softplus(codes[i, 4 + j] + np.float32(std_bias)) + STD_FLOOR
            where[i, j] = origin[i, j] + codes[i, j] + std[i, j] * noise[i, j]
            squashed[i, j] = tanh(where[i, j] * window[0, j])
            boxes[i, 0, 3 - j] = window[2, j] + window[1, j] * squashed[i, j]


@njit(**COMPILED)
def place_slopes(
    codes: FloatArray, noise: FloatArray, std_bias: float, window: FloatArray,
    squashed: FloatArray, deviations: FloatArray, boxes: FloatArray, where: FloatArray,
    std: FloatArray, codes_slopes: FloatArray, noise_slopes: FloatArray, start: int, stop: int,
) -> None:  # fmt: skip
    """Slopes of `place` from those for its box, its place and its deviations.

    Args:
        codes: as placed.
        noise: as placed.
        std_bias: as placed.
        window: as placed.
        squashed: as placed.
        deviations: as placed.
        boxes: slopes for the boxes, [stop - start, 1, 4].
        where: slopes for where; those through the box are added, [M, 4].
        std: slopes for the deviations, [M, 4].
        codes_slopes: written, [M, 8].
        noise_slopes: written, [M, 4].
        start: first row.
        stop: one past the last row.
    """
    for i in range(start, stop):
        for j in range(4):
            curve = ONE - squashed[i, j] * squashed[i, j]
            where[i, j] += boxes[i - start, 0, 3 - j] * window[0, j] * window[1, j] * curve
            raw = std[i, j] + where[i, j] * noise[i, j]
            codes_slopes[i, j] = where[i, j]
            codes_slopes[i, 4 + j] = raw * sigmoid(codes[i, 4 + j] + np.float32(std_bias))
            noise_slopes[i, j] = where[i, j] * deviations[i, j]


@njit(**COMPILED)
def see(
    codes: FloatArray, state: FloatArray, where: FloatArray, inputs: FloatArray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """What the temporal network reads: the state, the place, and what the glimpse there shows.

    Args:
        codes: mean and raw deviation of the appearance, [M, 2A].
        state: [M, h].
        where: [M, 4].
        inputs: written: state, where, mean, deviation, [M, h + 4 + 2A].
        start: first row.
        stop: one past the last row.
    """
    h, n = state.shape[1], codes.shape[1] // 2
    for i in range(start, stop):
        for j in range(h):
            inputs[i, j] = state[i, j]
        for j in range(4):
            inputs[i, h + j] = where[i, j]
        for j in range(n):
            inputs[i, h + 4 + j] = codes[i, j]
        for j in range(n, 2 * n):
            inputs[i, h + 4 + j] = softplus(codes[i, j]) + STD_FLOOR


@njit(**COMPILED)
def see_slopes(
    codes: FloatArray, inputs: FloatArray, state: FloatArray, where: FloatArray,
    codes_slopes: FloatArray, start: int, stop: int,
) -> None:  # fmt: skip
    """Slopes of `see` from those for ``inputs``.

    Args:
        codes: as seen.
        inputs: slopes for what the temporal network reads.
        state: slopes for the state, added to.
        where: slopes for the place, added to.
        codes_slopes: slopes for mean and deviation; added to, then turned into those for codes.
        start: first row.
        stop: one past the last row.
    """
    h, n = state.shape[1], codes.shape[1] // 2
    for i in range(start, stop):
        for j in range(h):
            state[i, j] += inputs[i, j]
        for j in range(4):
            where[i, j] += inputs[i, h + j]
        for j in range(n):
            codes_slopes[i, j] += inputs[i, h + 4 + j]
        for j in range(n, 2 * n):
            total = codes_slopes[i, j] + inputs[i, h + 4 + j]
            codes_slopes[i, j] = total * sigmoid(codes[i, j])


@njit(**COMPILED)
def decide(
    logit: FloatArray, could: FloatArray, chance: FloatArray, present: FloatArray,
    start: int, stop: int,
) -> int:  # fmt: skip
    """Mask logits [M, 1] as `presence_logit` does, sample presence, and count who is there."""
    n_present = 0
    for i in range(start, stop):
        if could[i, 0] == ZERO:
            logit[i, 0] = ABSENT_LOGIT
        there = could[i, 0] > ZERO and chance[i, 0] < sigmoid(logit[i, 0])
        present[i, 0] = ONE if there else ZERO
        n_present += there
    return n_present


@njit(**COMPILED)
def carry(
    what: FloatArray, where: FloatArray, present: FloatArray, state: FloatArray,
    inputs: FloatArray, before: int, start: int, n_rows: int,
) -> None:  # fmt: skip
    """What the recurrent network reads of the slot before: its samples and the state.

    Args:
        what: [M, A].
        where: [M, 4].
        present: [M, 1].
        state: [M, h].
        inputs: written: what, where, present, state, [M, A + 5 + h].
        before: first row of the slot before.
        start: first row of this slot.
        n_rows: rows of this slot, the first of those of the slot before.
    """
    A, h = what.shape[1], state.shape[1]
    for i in range(n_rows):
        for j in range(A):
            inputs[start + i, j] = what[before + i, j]
        for j in range(4):
            inputs[start + i, A + j] = where[before + i, j]
        inputs[start + i, A + 4] = present[before + i, 0]
        for j in range(h):
            inputs[start + i, A + 5 + j] = state[before + i, j]


@njit(**COMPILED)
def carry_slopes(
    inputs: FloatArray, what: FloatArray, where: FloatArray, state: FloatArray,
    before: int, start: int, n_rows: int,
) -> None:  # fmt: skip
    """Add the slopes for ``inputs`` of `carry` to those for what it read."""
    A, h = what.shape[1], state.shape[1]
    for i in range(n_rows):
        for j in range(A):
            what[before + i, j] += inputs[start + i, j]
        for j in range(4):
            where[before + i, j] += inputs[start + i, A + j]
        for j in range(h):
            state[before + i, j] += inputs[start + i, A + 5 + j]
