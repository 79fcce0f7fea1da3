"""Motion of objects: straight on, and elastically back from the frame's edges."""

import math

import numpy as np
from numba import njit

from smot.arrays import FloatArray


def reflect(position: FloatArray, limit: FloatArray) -> FloatArray:
    """Fold free positions back into [0, limit] as elastic bounces would.

    Args:
        position: where the corner would be without walls, [..., 2], pixels.
        limit: largest legal corner (frame size less object size), [..., 2], pixels.

    Returns:
        The corner inside the frame, [..., 2], pixels.

    Source: supplement D.1 says only "bounce off the edges"; elastic reflection is our choice.
    """
    limit = np.asarray(limit, np.float64)
    period = np.where(limit > 0, 2 * limit, 1.0)
    phase = np.mod(position, period)
    folded: FloatArray = np.where(limit > 0, np.minimum(phase, 2 * limit - phase), 0.0)
    return folded


@njit(nogil=True, cache=True)
def corner_at(start: int, velocity: float, frame: int, limit: int) -> int:
    """Whole pixel at which an object is drawn along one axis; the kernel form of `reflect`.

    Args:
        start: corner in the first frame.
        velocity: pixels per frame.
        frame: 0 for the first.
        limit: largest legal corner.
    """
    if limit <= 0:
        return 0
    period = 2.0 * limit
    phase = (start + velocity * frame) % period
    if phase > limit:
        phase = period - phase
    return math.floor(phase)
