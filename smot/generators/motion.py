"""Where objects stand in the first frame, and how they move from there."""

import math

from numba import njit

from smot.arrays import IntArray, UInt64Array
from smot.generators.randomness import below

N_TRIES = 1000  # for one object, before the whole placement starts again
N_RESTARTS = 200  # of the whole placement, before it is called impossible


@njit(nogil=True, cache=True)
def place(
    state: UInt64Array,
    heights: IntArray,
    widths: IntArray,
    frame_height: int,
    frame_width: int,
    max_overlap: int,
    corners: IntArray,
) -> bool:
    """Draw top-left corners one object at a time, again while the overlap exceeds the limit.

    Args:
        state: of the random stream.
        heights: of the objects, [K], pixels.
        widths: of the objects, [K], pixels.
        frame_height: H.
        frame_width: W.
        max_overlap: largest sum of the areas that an object's box shares with those before it.
        corners: receives x, y, [K, 2].

    Returns:
        Whether a placement was found.

    Source: supplement D.1; tries and restarts are ours (docs/benchmark.md 1.1).
    """
    for _ in range(N_RESTARTS):
        n_placed = 0
        while n_placed < len(heights):
            if not _place_one(
                state, heights, widths, frame_height, frame_width, max_overlap, corners, n_placed
            ):
                break
            n_placed += 1
        if n_placed == len(heights):
            return True
    return False


@njit(nogil=True, cache=True)
def _place_one(
    state: UInt64Array,
    heights: IntArray,
    widths: IntArray,
    frame_height: int,
    frame_width: int,
    max_overlap: int,
    corners: IntArray,
    index: int,
) -> bool:
    height, width = heights[index], widths[index]
    for _ in range(N_TRIES):
        x = below(state, frame_width - width + 1)
        y = below(state, frame_height - height + 1)
        overlap = 0  # summed over the objects before, as the paper counts it
        for other in range(index):
            shared_x = min(x + width, corners[other, 0] + widths[other]) - max(
                x, corners[other, 0]
            )
            shared_y = min(y + height, corners[other, 1] + heights[other]) - max(
                y, corners[other, 1]
            )
            if shared_x > 0 and shared_y > 0:
                overlap += shared_x * shared_y
        if overlap <= max_overlap:
            corners[index, 0], corners[index, 1] = x, y
            return True
    return False


@njit(nogil=True, cache=True)
def corner_at(start: int, velocity: float, frame: int, limit: int) -> int:
    """Whole pixel at which an object is drawn along one axis; see `smot.boxes.reflect`.

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
    if phase > limit:  # on the way back
        phase = period - phase
    return math.floor(phase)
