"""Objects as small pictures of opacity: digits, resized and cropped, and the five shapes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.generators.settings import ShapesSettings

SMALLEST_SIDE = 5
_MASTER_SIDE = 64
_SAMPLES = 8  # per master pixel and axis
_STAR_POINTS = 5
_STAR_WAIST = 0.5  # inner radius over outer
_CROSS_ARM = 1 / 3  # thickness over length
_X_ARM = 0.2  # half thickness along an axis, over half the side
_AT_ONCE = 4096  # images that are held as floating-point numbers
_PRECISION = 22  # bits behind the point of a filter weight, as Pillow has it


@dataclass(frozen=True, kw_only=True)
class Sprites:
    """Objects to choose from, each cropped to the bounding box of its non-zero pixels.

    Attributes:
        opacity: 0 to 255, each in the top-left corner of its square, [n, S, S], uint8.
        heights: pixels, [n], int64.
        widths: pixels, [n], int64.
    """

    opacity: UInt8Array
    heights: IntArray
    widths: IntArray

    @property
    def n_pixels(self) -> IntArray:
        """Number of pixels of each that are not transparent, [n], int64."""
        n_pixels: IntArray = np.count_nonzero(self.opacity, axis=(1, 2)).astype(np.int64)
        return n_pixels


def resize(images: UInt8Array, height: int, width: int) -> UInt8Array:
    """Resize grey images by the antialiased bilinear filter, in integers: exact everywhere.

    Args:
        images: [n, H, W].
        height: new height, pixels.
        width: new width, pixels.

    Returns:
        [n, height, width]; what Pillow's `Image.resize(..., BILINEAR)` gives where both sides
        shrink or both grow.
    """
    _, H, W = images.shape
    lines = _filtered(images, _weights(W, width))
    return np.swapaxes(_filtered(np.swapaxes(lines, 1, 2), _weights(H, height)), 1, 2)


def cropped(images: UInt8Array) -> Sprites:
    """Crop each image to the bounding box of its non-zero pixels.

    Args:
        images: opacity, [n, S, S]; an empty one becomes one transparent pixel.
    """
    n, S, _ = images.shape
    line = np.arange(S)
    top, heights = _extent(np.any(images, axis=2))
    left, widths = _extent(np.any(images, axis=1))
    # Beyond an object's last row and column all is 0, so moving it to the corner crops it.
    padded = np.pad(images, ((0, 0), (0, S), (0, S)))
    rows, columns = top[:, None, None] + line[:, None], left[:, None, None] + line
    opacity = padded[np.arange(n)[:, None, None], rows, columns]
    return Sprites(opacity=opacity, heights=heights, widths=widths)


def _extent(used: BoolArray) -> tuple[IntArray, IntArray]:
    """First used place along an axis and number from there to the last, at least 1; [n, S]."""
    first = used.argmax(1)
    last = used.shape[1] - 1 - used[:, ::-1].argmax(1)
    return first, np.where(used.any(1), last - first + 1, 1)


def _weights(old: int, new: int) -> IntArray:
    """Weight of every old pixel in every new one along an axis, [new, old], fixed point."""
    scale = old / new
    # When shrinking, the triangle is as wide as the pixels that become one.
    reach = max(scale, 1.0)
    weights = np.zeros((new, old), np.int64)
    for place in range(new):
        centre = (place + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), old)
        distances = (np.arange(first, last) - centre + 0.5) / reach
        heights = np.maximum(1 - np.abs(distances), 0)
        shares = heights / heights.sum()
        # Pillow keeps weights as whole numbers, rounded to the nearest.
        weights[place, first:last] = np.floor(shares * (1 << _PRECISION) + 0.5)
    return weights


def _filtered(images: UInt8Array, weights: IntArray) -> UInt8Array:
    """Filter along the last axis, [n, H, old] -> [n, H, new], with weights [new, old]."""
    shares = weights.T.astype(np.float64) / (1 << _PRECISION)
    result = np.empty((*images.shape[:2], len(weights)), np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        # Exact, and the same everywhere: all sums are multiples of 2**-22 below 2**8.
        result[part] = (images[part].astype(np.float64) @ shares + 0.5).astype(np.uint8)
    return result


def largest_side(settings: ShapesSettings) -> int:
    """Longest side that an object may have: six deviations up, or the frame."""
    longest = settings.object_size * (1 + 6 * settings.size_spread)
    return min(int(longest) + 1, *settings.frame_size)


@lru_cache(maxsize=4)
def shape_sprites(largest: int, shapes: tuple[str, ...]) -> Sprites:
    """Every shape in every size from 5 to `largest`: shape, then height, then width.

    Args:
        largest: longest side, pixels.
        shapes: names, as `master` has them.

    Returns:
        Sprites, n = shapes x (largest - 4) heights x (largest - 4) widths.

    Source: supplement D.2 names the shapes; their proportions are ours.
    """
    sides = range(SMALLEST_SIDE, largest + 1)
    opacity = np.zeros((len(shapes), len(sides), len(sides), largest, largest), np.uint8)
    masters = np.stack([master(name) for name in shapes])
    for row, height in enumerate(sides):
        for column, width in enumerate(sides):
            opacity[:, row, column, :height, :width] = resize(masters, height, width)
    heights, widths = np.meshgrid(sides, sides, indexing="ij")
    return Sprites(
        opacity=opacity.reshape(-1, largest, largest),
        heights=np.tile(heights.reshape(-1), len(shapes)).astype(np.int64),
        widths=np.tile(widths.reshape(-1), len(shapes)).astype(np.int64),
    )


def master(name: str) -> UInt8Array:
    """A shape that touches all four sides of its square, anti-aliased, [64, 64].

    Args:
        name: one of `ALL_SHAPES`.
    """
    n_samples = _MASTER_SIDE * _SAMPLES
    line = (np.arange(n_samples) + 0.5) / n_samples * 2 - 1
    inside = _inside(name, *np.meshgrid(line, line))
    # The share of samples inside each pixel is its opacity.
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
    if name == "rectangle":
        return np.ones(x.shape, bool)
    if name == "triangle":
        return np.asarray(2 * np.abs(x) <= y + 1)
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
