"""Compiled gates and appearances, forward and backward; conventions as in ``kernels``."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.sqair import formulas
from smot.models.sqair.compiled.kernels import COMPILED, ONE, STD_FLOOR
from smot.models.sqair.compiled.numbers import sigmoid, softplus, tanh

GATE_LIMIT = np.float32(formulas.GATE_LIMIT)


@njit(**COMPILED)
def gru(
    from_input: FloatArray, from_state: FloatArray, state: FloatArray, updated: FloatArray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """The next state, [M, h]; ``from_input`` [M, 3h] becomes reset, update and candidate."""
    h = state.shape[1]
    for i in range(start, stop):
        for j in range(2 * h):
            from_input[i, j] = sigmoid(from_input[i, j] + from_state[i, j])
        for j in range(h):
            kept = from_input[i, j] * from_state[i, 2 * h + j]
            from_input[i, 2 * h + j] = tanh(from_input[i, 2 * h + j] + kept)
        for j in range(h):
            update, candidate = from_input[i, h + j], from_input[i, 2 * h + j]
            updated[i, j] = candidate + update * (state[i, j] - candidate)


@njit(**COMPILED)
def gru_slopes(
    gates: FloatArray, from_state: FloatArray, state: FloatArray, updated: FloatArray,
    input_slopes: FloatArray, from_state_slopes: FloatArray, state_slopes: FloatArray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Slopes of `gru`.

    Args:
        gates: reset, update, candidate, as `gru` left them, [M, 3h].
        from_state: as given to `gru`.
        state: as given to `gru`.
        updated: slopes for the next state, [M, h].
        input_slopes: written, [M, 3h].
        from_state_slopes: written, [M, 3h].
        state_slopes: written, [M, h].
        start: first row.
        stop: one past the last row.
    """
    h = state.shape[1]
    for i in range(start, stop):
        for j in range(h):
            reset, update, candidate = gates[i, j], gates[i, h + j], gates[i, 2 * h + j]
            slope = updated[i, j]
            state_slopes[i, j] = slope * update
            inner = slope * (ONE - update) * (ONE - candidate * candidate)
            turn = slope * (state[i, j] - candidate) * update * (ONE - update)
            open_ = inner * from_state[i, 2 * h + j] * reset * (ONE - reset)
            input_slopes[i, j], from_state_slopes[i, j] = open_, open_
            input_slopes[i, h + j], from_state_slopes[i, h + j] = turn, turn
            input_slopes[i, 2 * h + j], from_state_slopes[i, 2 * h + j] = inner, inner * reset


@njit(**COMPILED)
def blend(
    heads: FloatArray, seen: FloatArray, first: int, before: FloatArray, noise: FloatArray,
    std_floor: float, what: FloatArray, std: FloatArray, start: int, stop: int,
) -> None:  # fmt: skip
    """A sample of a propagated object's appearance, and its deviations.

    Args:
        heads: temporal mean and raw deviation, and three gates, [M, 5A].
        seen: mean and deviation of what the glimpse shows, in columns from ``first`` on.
        first: see ``seen``.
        before: the appearance in the last frame, [M, A].
        noise: [M, A].
        std_floor: least deviation.
        what: written, first A columns.
        std: written, [M, A].
        start: first row.
        stop: one past the last row.
    """
    n = before.shape[1]
    for i in range(start, stop):
        for j in range(n):
            forget = GATE_LIMIT * sigmoid(heads[i, 2 * n + j])
            new = ONE - GATE_LIMIT * sigmoid(heads[i, 3 * n + j])
            trend = ONE - GATE_LIMIT * sigmoid(heads[i, 4 * n + j])
            kept_std = softplus(heads[i, n + j]) + STD_FLOOR
            std[i, j] = new * seen[i, first + n + j] + trend * kept_std + np.float32(std_floor)
            mean = forget * before[i, j] + new * seen[i, first + j] + trend * heads[i, j]
            what[i, j] = mean + std[i, j] * noise[i, j]


@njit(**COMPILED)
def blend_slopes(
    heads: FloatArray, seen: FloatArray, first: int, before: FloatArray, noise: FloatArray,
    what: FloatArray, std: FloatArray,
    heads_slopes: FloatArray, seen_slopes: FloatArray, before_slopes: FloatArray,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Slopes of `blend`; ``what`` and ``std`` hold slopes, the last three arrays are written."""
    n = before.shape[1]
    for i in range(start, stop):
        for j in range(n):
            f = sigmoid(heads[i, 2 * n + j])
            g, t = sigmoid(heads[i, 3 * n + j]), sigmoid(heads[i, 4 * n + j])
            new, trend = ONE - GATE_LIMIT * g, ONE - GATE_LIMIT * t
            kept_std = softplus(heads[i, n + j]) + STD_FLOOR
            mean_slope = what[i, j]
            std_slope = std[i, j] + mean_slope * noise[i, j]
            heads_slopes[i, j] = mean_slope * trend
            heads_slopes[i, n + j] = std_slope * trend * sigmoid(heads[i, n + j])
            heads_slopes[i, 2 * n + j] = mean_slope * before[i, j] * GATE_LIMIT * f * (ONE - f)
            through_new = mean_slope * seen[i, first + j] + std_slope * seen[i, first + n + j]
            heads_slopes[i, 3 * n + j] = -through_new * GATE_LIMIT * g * (ONE - g)
            through_trend = mean_slope * heads[i, j] + std_slope * kept_std
            heads_slopes[i, 4 * n + j] = -through_trend * GATE_LIMIT * t * (ONE - t)
            seen_slopes[i, j], seen_slopes[i, n + j] = mean_slope * new, std_slope * new
            before_slopes[i, j] = mean_slope * GATE_LIMIT * f


@njit(**COMPILED)
def appear(
    codes: FloatArray, noise: FloatArray, what: FloatArray, std: FloatArray, start: int, stop: int
) -> None:
    """A sample of a discovered object's appearance, and its deviations."""
    n = noise.shape[1]
    for i in range(start, stop):
        for j in range(n):
            std[i, j] = softplus(codes[i, n + j]) + STD_FLOOR
            what[i, j] = codes[i, j] + std[i, j] * noise[i, j]


@njit(**COMPILED)
def appear_slopes(
    codes: FloatArray, noise: FloatArray, what: FloatArray, std: FloatArray,
    codes_slopes: FloatArray, start: int, stop: int,
) -> None:  # fmt: skip
    """Slopes of `appear` for its codes; ``what`` and ``std`` hold slopes."""
    n = noise.shape[1]
    for i in range(start, stop):
        for j in range(n):
            codes_slopes[i, j] = what[i, j]
            raw = std[i, j] + what[i, j] * noise[i, j]
            codes_slopes[i, n + j] = raw * sigmoid(codes[i, n + j])
