"""Compiled sampling of latents, forward and backward; arrays are rows of objects.

Every kernel's backward takes the same inputs, then the gradients for its outputs, then writes the
gradients for its inputs. What is computed is told in ``latents``.
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import (
    HALF,
    LOGIT_LIMIT,
    ONE,
    TWO,
    clipped,
    clipped_sigmoid_slope,
    sigmoid,
    tanh,
)

GATE_LIMIT = np.float32(0.9999)
ZERO = np.float32(0)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def move(
    outputs: FloatArray, place: FloatArray, centre: FloatArray, size_logit: FloatArray,
    noise: FloatArray, reach: float,
    mean: FloatArray, scale: FloatArray, summary: FloatArray, box: FloatArray,
) -> None:  # fmt: skip
    """[N, 8], [N, 2] three times, [N, 4] -> [N, 4], [N, 4], [N, 6], [N, 4]."""
    step = np.float32(reach)
    for row in range(len(outputs)):
        for i in range(4):
            growth = size_logit[row, i - 2] if i >= 2 else ZERO
            mean[row, i] = outputs[row, i] + growth
            scale[row, i] = TWO * sigmoid(clipped(outputs[row, 4 + i]))
            summary[row, 2 + i] = mean[row, i] + scale[row, i] * noise[row, i]
        for i in range(2):
            shift = step * tanh(summary[row, 2 + i])
            summary[row, i] = place[row, i] + shift
            box[row, i] = centre[row, i] + shift
            box[row, 2 + i] = sigmoid(clipped(summary[row, 4 + i]))


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def move_backward(
    outputs: FloatArray, place: FloatArray, centre: FloatArray, size_logit: FloatArray,  # noqa: ARG001
    noise: FloatArray, reach: float,
    mean_pull: FloatArray, scale_pull: FloatArray, summary_pull: FloatArray, box_pull: FloatArray,
    outputs_pull: FloatArray, place_pull: FloatArray, centre_pull: FloatArray,
    size_logit_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``move``."""
    step = np.float32(reach)
    for row in range(len(outputs)):
        for i in range(4):
            mean = outputs[row, i] + (size_logit[row, i - 2] if i >= 2 else ZERO)
            raw = outputs[row, 4 + i]
            half = sigmoid(clipped(raw))
            sample = mean + TWO * half * noise[row, i]
            pull = summary_pull[row, 2 + i]
            if i < 2:
                slope = tanh(sample)
                moved = summary_pull[row, i] + box_pull[row, i]
                pull += moved * step * (ONE - slope * slope)
            else:
                side = sigmoid(clipped(sample))
                pull += box_pull[row, i] * clipped_sigmoid_slope(sample, side)
            steep = TWO * clipped_sigmoid_slope(raw, half)
            outputs_pull[row, i] = pull + mean_pull[row, i]
            outputs_pull[row, 4 + i] = (pull * noise[row, i] + scale_pull[row, i]) * steep
        for i in range(2):
            place_pull[row, i] = summary_pull[row, i]
            centre_pull[row, i] = box_pull[row, i]
            size_logit_pull[row, i] = outputs_pull[row, 2 + i]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def change_what(
    evidence: FloatArray, temporal: FloatArray, what: FloatArray, noise: FloatArray,
    increment: FloatArray, scale: FloatArray, sample: FloatArray,
) -> None:  # fmt: skip
    """[N, 2A], [N, 5A], [N, A], [N, A] -> [N, A] three times."""
    A = what.shape[1]
    for row in range(len(what)):
        for i in range(A):
            forget = GATE_LIMIT * sigmoid(temporal[row, 2 * A + i])
            opened = ONE - GATE_LIMIT * sigmoid(temporal[row, 3 * A + i])
            moving = ONE - GATE_LIMIT * sigmoid(temporal[row, 4 * A + i])
            mean = forget * what[row, i] + opened * evidence[row, i] + moving * temporal[row, i]
            spread = TWO * (
                opened * sigmoid(clipped(evidence[row, A + i]))
                + moving * sigmoid(clipped(temporal[row, A + i]))
            )
            increment[row, i] = mean - what[row, i]
            scale[row, i] = spread
            sample[row, i] = mean + spread * noise[row, i]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def change_what_backward(
    evidence: FloatArray, temporal: FloatArray, what: FloatArray, noise: FloatArray,
    increment_pull: FloatArray, scale_pull: FloatArray, sample_pull: FloatArray,
    evidence_pull: FloatArray, temporal_pull: FloatArray, what_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``change_what``."""
    A = what.shape[1]
    for row in range(len(what)):
        for i in range(A):
            pull = sample_pull[row, i] + increment_pull[row, i]
            spread_pull = TWO * (scale_pull[row, i] + sample_pull[row, i] * noise[row, i])
            forget = sigmoid(temporal[row, 2 * A + i])
            what_pull[row, i] = pull * GATE_LIMIT * forget - increment_pull[row, i]
            slope = GATE_LIMIT * forget * (ONE - forget)
            temporal_pull[row, 2 * A + i] = pull * what[row, i] * slope
        for i in range(A):
            pull = sample_pull[row, i] + increment_pull[row, i]
            spread_pull = TWO * (scale_pull[row, i] + sample_pull[row, i] * noise[row, i])
            gate = sigmoid(temporal[row, 3 * A + i])
            raw = evidence[row, A + i]
            half = sigmoid(clipped(raw))
            opened = ONE - GATE_LIMIT * gate
            evidence_pull[row, i] = pull * opened
            evidence_pull[row, A + i] = spread_pull * opened * clipped_sigmoid_slope(raw, half)
            gate_pull = pull * evidence[row, i] + spread_pull * half
            temporal_pull[row, 3 * A + i] = -gate_pull * GATE_LIMIT * gate * (ONE - gate)
        for i in range(A):
            pull = sample_pull[row, i] + increment_pull[row, i]
            spread_pull = TWO * (scale_pull[row, i] + sample_pull[row, i] * noise[row, i])
            gate = sigmoid(temporal[row, 4 * A + i])
            raw = temporal[row, A + i]
            half = sigmoid(clipped(raw))
            moving = ONE - GATE_LIMIT * gate
            gate_pull = pull * temporal[row, i] + spread_pull * half
            temporal_pull[row, i] = pull * moving
            temporal_pull[row, A + i] = spread_pull * moving * clipped_sigmoid_slope(raw, half)
            temporal_pull[row, 4 * A + i] = -gate_pull * GATE_LIMIT * gate * (ONE - gate)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw(
    outputs: FloatArray, noise: FloatArray,
    mean: FloatArray, scale: FloatArray, sample: FloatArray,
) -> None:  # fmt: skip
    """[N, 2n], [N, n] -> [N, n] three times."""
    n = noise.shape[1]
    for row in range(len(outputs)):
        for i in range(n):
            spread = TWO * sigmoid(clipped(outputs[row, n + i]))
            mean[row, i] = outputs[row, i]
            scale[row, i] = spread
            sample[row, i] = outputs[row, i] + spread * noise[row, i]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw_backward(
    outputs: FloatArray, noise: FloatArray,
    mean_pull: FloatArray, scale_pull: FloatArray, sample_pull: FloatArray,
    outputs_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``draw``."""
    n = noise.shape[1]
    for row in range(len(outputs)):
        for i in range(n):
            raw = outputs[row, n + i]
            steep = TWO * clipped_sigmoid_slope(raw, sigmoid(clipped(raw)))
            pull = sample_pull[row, i]
            outputs_pull[row, i] = mean_pull[row, i] + pull
            outputs_pull[row, n + i] = (scale_pull[row, i] + pull * noise[row, i]) * steep


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw_depth(
    outputs: FloatArray, before: FloatArray, noise: FloatArray,
    mean: FloatArray, scale: FloatArray, logit: FloatArray, depth: FloatArray,
) -> None:  # fmt: skip
    """[N, 2], [N, 1], [N, 1] -> [N, 1] four times."""
    for row in range(len(outputs)):
        mean[row, 0] = outputs[row, 0]
        scale[row, 0] = TWO * sigmoid(clipped(outputs[row, 1]))
        logit[row, 0] = before[row, 0] + mean[row, 0] + scale[row, 0] * noise[row, 0]
        depth[row, 0] = sigmoid(clipped(logit[row, 0]))


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw_depth_backward(
    outputs: FloatArray, before: FloatArray, noise: FloatArray,
    mean_pull: FloatArray, scale_pull: FloatArray, logit_pull: FloatArray, depth_pull: FloatArray,
    outputs_pull: FloatArray, before_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``draw_depth``."""
    for row in range(len(outputs)):
        raw = outputs[row, 1]
        half = sigmoid(clipped(raw))
        logit = before[row, 0] + outputs[row, 0] + TWO * half * noise[row, 0]
        slope = clipped_sigmoid_slope(logit, sigmoid(clipped(logit)))
        pull = logit_pull[row, 0] + depth_pull[row, 0] * slope
        steep = TWO * clipped_sigmoid_slope(raw, half)
        before_pull[row, 0] = pull
        outputs_pull[row, 0] = mean_pull[row, 0] + pull
        outputs_pull[row, 1] = (scale_pull[row, 0] + pull * noise[row, 0]) * steep


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw_presence(
    outputs: FloatArray, before: FloatArray, noise: FloatArray,
    logit: FloatArray, sample: FloatArray, pres: FloatArray,
) -> None:  # fmt: skip
    """[N, 1] three times -> [N, 1] three times."""
    for row in range(len(outputs)):
        logit[row, 0] = clipped(outputs[row, 0])
        sample[row, 0] = logit[row, 0] + noise[row, 0]
        pres[row, 0] = before[row, 0] * sigmoid(sample[row, 0])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def draw_presence_backward(
    outputs: FloatArray, before: FloatArray, noise: FloatArray,
    logit_pull: FloatArray, sample_pull: FloatArray, pres_pull: FloatArray,
    outputs_pull: FloatArray, before_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``draw_presence``."""
    for row in range(len(outputs)):
        raw = outputs[row, 0]
        value = sigmoid(clipped(raw) + noise[row, 0])
        slope = value * (ONE - value)
        pull = logit_pull[row, 0] + sample_pull[row, 0]
        pull += pres_pull[row, 0] * before[row, 0] * slope
        inside = -LOGIT_LIMIT <= raw <= LOGIT_LIMIT
        outputs_pull[row, 0] = pull if inside else ZERO
        before_pull[row, 0] = pres_pull[row, 0] * value


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def propose_box(
    outputs: FloatArray, noise: FloatArray, cells: FloatArray, cell: float,
    mean: FloatArray, scale: FloatArray, sample: FloatArray, local: FloatArray, box: FloatArray,
) -> None:  # fmt: skip
    """[N, 8], [N, 4], cells' centres [J, 2] -> [N, 4] five times; row n is of cell n % J."""
    side = np.float32(cell)
    for row in range(len(outputs)):
        centre = cells[row % len(cells)]
        for i in range(4):
            mean[row, i] = outputs[row, i]
            scale[row, i] = TWO * sigmoid(clipped(outputs[row, 4 + i]))
            sample[row, i] = mean[row, i] + scale[row, i] * noise[row, i]
            value = sigmoid(clipped(sample[row, i]))
            local[row, i] = value if i >= 2 else TWO * value - HALF
            box[row, i] = value if i >= 2 else centre[i] + (TWO * value - ONE) * side


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def propose_box_backward(
    outputs: FloatArray, noise: FloatArray, cells: FloatArray, cell: float,  # noqa: ARG001
    mean_pull: FloatArray, scale_pull: FloatArray, sample_pull: FloatArray, local_pull: FloatArray,
    box_pull: FloatArray, outputs_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``propose_box``."""
    side = np.float32(cell)
    for row in range(len(outputs)):
        for i in range(4):
            raw = outputs[row, 4 + i]
            half = sigmoid(clipped(raw))
            sample = outputs[row, i] + TWO * half * noise[row, i]
            slope = clipped_sigmoid_slope(sample, sigmoid(clipped(sample)))
            if i >= 2:
                pull = (local_pull[row, i] + box_pull[row, i]) * slope
            else:
                pull = (local_pull[row, i] + box_pull[row, i] * side) * TWO * slope
            pull += sample_pull[row, i]
            steep = TWO * clipped_sigmoid_slope(raw, half)
            outputs_pull[row, i] = mean_pull[row, i] + pull
            outputs_pull[row, 4 + i] = (scale_pull[row, i] + pull * noise[row, i]) * steep
