"""Objects onto frames, back to front, and how much of each stays visible."""

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array, UInt64Array
from smot.generators.randomness import next_word

NOBODY = -1


@njit(nogil=True, cache=True)
def draw_sprite(
    frame: UInt8Array,
    owners: IntArray,
    sprite: UInt8Array,
    colour: IntArray,
    x: int,
    y: int,
    height: int,
    width: int,
    owner: int,
    n_visible: IntArray,
) -> None:
    """Lay one object over a frame and take from the objects below the pixels that it covers.

    Args:
        frame: RGB, [H, W, 3]; changed.
        owners: which object was drawn last at each pixel, [H, W]; changed.
        sprite: opacity, 0 to 255, [S, S], in its top-left ``height`` x ``width``.
        colour: RGB, [3].
        x: left edge, pixels.
        y: top edge, pixels.
        height: pixels.
        width: pixels.
        owner: the object's slot.
        n_visible: number of pixels of each object not covered so far, [K]; changed.
    """
    for row in range(height):
        for column in range(width):
            opacity = np.int64(sprite[row, column])
            if opacity == 0:
                continue
            below = owners[y + row, x + column]
            if below != NOBODY:
                n_visible[below] -= 1
            owners[y + row, x + column] = owner
            n_visible[owner] += 1
            for channel in range(3):
                old = np.int64(frame[y + row, x + column, channel])
                mixed = opacity * colour[channel] + (255 - opacity) * old
                frame[y + row, x + column, channel] = (mixed + 127) // 255


@njit(nogil=True, cache=True)
def fill(frame: UInt8Array, colour: IntArray) -> None:
    """Paint a frame, [H, W, 3], in one colour, [3]."""
    H, W, _ = frame.shape
    for y in range(H):
        for x in range(W):
            for channel in range(3):
                frame[y, x, channel] = colour[channel]


@njit(nogil=True, cache=True)
def add_noise(frame: UInt8Array, table: IntArray, state: UInt64Array) -> None:
    """Add noise to every channel of every pixel, held within 0 to 255.

    Args:
        frame: RGB, [H, W, 3]; changed.
        table: quantiles of the noise, [65536].
        state: of the random stream; 64 bits serve four values.
    """
    values = frame.reshape(-1)
    bits = np.uint64(0)
    for place in range(len(values)):
        if place % 4 == 0:
            bits = next_word(state)
        noisy = np.int64(values[place]) + table[np.int64(bits & np.uint64(0xFFFF))]
        values[place] = min(max(noisy, 0), 255)
        bits >>= np.uint64(16)


def visibility(opacities: BoolArray) -> FloatArray:
    """Share of each object's pixels that no later object covers; the reference of the kernels.

    Args:
        opacities: where each object is not transparent in a frame, back to front, [K, H, W].

    Returns:
        [K]; 0 for an object without pixels.

    Source: ours (benchmark.md 1.1).
    """
    covered = np.cumsum(opacities[::-1], axis=0)[::-1] - opacities > 0
    total = opacities.sum((1, 2))
    seen = (opacities & ~covered).sum((1, 2))
    shares: FloatArray = np.divide(seen, total, out=np.zeros(len(total)), where=total > 0)
    return shares
