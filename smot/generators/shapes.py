"""The five shapes, drawn once at high resolution and resized for each object."""

from functools import lru_cache

import numpy as np

from smot.arrays import BoolArray, FloatArray, UInt8Array
from smot.generators.settings import SHAPES, ShapesSettings
from smot.generators.sprites import Sprites, resize

SMALLEST_SIDE = 5
_MASTER_SIDE = 64
_SAMPLES = 8  # per master pixel and axis
_STAR_POINTS = 5
_STAR_WAIST = 0.5  # inner radius over outer
_CROSS_ARM = 1 / 3  # thickness over length
_X_ARM = 0.2  # half thickness along an axis, over half the side


def largest_side(settings: ShapesSettings) -> int:
    """Longest side that an object may have: six deviations up, or the frame."""
    longest = settings.object_size * (1 + 6 * settings.size_spread)
    return min(int(longest) + 1, *settings.frame_size)


@lru_cache(maxsize=4)
def shape_sprites(largest: int) -> Sprites:
    """Every shape in every size from 5 to ``largest``: shape, then height, then width.

    Args:
        largest: longest side, pixels.

    Returns:
        Sprites, n = 5 shapes x (largest - 4) heights x (largest - 4) widths.

    Source: supplement D.2 names the shapes; their proportions are ours.
    """
    sides = range(SMALLEST_SIDE, largest + 1)
    opacity = np.zeros((len(SHAPES), len(sides), len(sides), largest, largest), np.uint8)
    masters = np.stack([master(name) for name in SHAPES])
    for row, height in enumerate(sides):
        for column, width in enumerate(sides):
            opacity[:, row, column, :height, :width] = resize(masters, height, width)
    heights, widths = np.meshgrid(sides, sides, indexing="ij")
    return Sprites(
        opacity=opacity.reshape(-1, largest, largest),
        heights=np.tile(heights.reshape(-1), len(SHAPES)).astype(np.int64),
        widths=np.tile(widths.reshape(-1), len(SHAPES)).astype(np.int64),
    )


def master(name: str) -> UInt8Array:
    """A shape that touches all four sides of its square, anti-aliased, [64, 64].

    Args:
        name: "circle", "diamond", "star", "cross" or "x".
    """
    n_samples = _MASTER_SIDE * _SAMPLES
    line = (np.arange(n_samples) + 0.5) / n_samples * 2 - 1
    inside = _inside(name, *np.meshgrid(line, line))
    blocks = inside.reshape(_MASTER_SIDE, _SAMPLES, _MASTER_SIDE, _SAMPLES).sum((1, 3))
    return np.asarray((blocks * 255 + _SAMPLES**2 // 2) // _SAMPLES**2, np.uint8)


def _inside(name: str, x: FloatArray, y: FloatArray) -> BoolArray:
    """Whether points of the square [-1, 1] x [-1, 1], y down, belong to a shape."""
    if name == "circle":
        return np.asarray(x * x + y * y <= 1)
    if name == "diamond":
        return np.asarray(np.abs(x) + np.abs(y) <= 1)
    if name == "cross":
        return np.asarray((np.abs(x) <= _CROSS_ARM) | (np.abs(y) <= _CROSS_ARM))
    if name == "x":
        return np.asarray((np.abs(x - y) <= 2 * _X_ARM) | (np.abs(x + y) <= 2 * _X_ARM))
    return _inside_star(x, y)


def _inside_star(x: FloatArray, y: FloatArray) -> BoolArray:
    """A star of five points, stretched to fill the square; by counting crossings of its edge."""
    turns = np.arange(2 * _STAR_POINTS) / (2 * _STAR_POINTS)
    radii = np.where(np.arange(2 * _STAR_POINTS) % 2 == 0, 1.0, _STAR_WAIST)
    corners = np.stack([np.sin(2 * np.pi * turns), -np.cos(2 * np.pi * turns)], -1)
    corners *= radii[:, None]
    low, high = corners.min(0), corners.max(0)
    corners = (corners - low) / (high - low) * 2 - 1
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
