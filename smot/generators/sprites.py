"""Objects as small pictures of opacity: resized, and cropped to what can be seen of them."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from smot.arrays import IntArray, UInt8Array

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
        [n, height, width]; what Pillow's ``Image.resize(..., BILINEAR)`` gives where both sides
        shrink or both grow.
    """
    _, H, W = images.shape
    return _filtered(np.ascontiguousarray(images), _weights(W, width), _weights(H, height))


def cropped(images: UInt8Array) -> Sprites:
    """Crop each image to the bounding box of its non-zero pixels.

    Args:
        images: opacity, [n, S, S]; an empty one becomes one transparent pixel.
    """
    opacity = np.zeros_like(images)
    heights, widths = np.ones((2, len(images)), np.int64)
    _crop(images, opacity, heights, widths)
    return Sprites(opacity=opacity, heights=heights, widths=widths)


def _weights(old: int, new: int) -> IntArray:
    """Weight of every old pixel in every new one along an axis, [new, old], fixed point."""
    scale = old / new
    reach = max(scale, 1.0)
    weights = np.zeros((new, old), np.int64)
    for place in range(new):
        centre = (place + 0.5) * scale
        first = max(int(centre - reach + 0.5), 0)
        last = min(int(centre + reach + 0.5), old)
        distances = (np.arange(first, last) - centre + 0.5) / reach
        heights = np.maximum(1 - np.abs(distances), 0)
        shares = heights / heights.sum()
        weights[place, first:last] = np.floor(shares * (1 << _PRECISION) + 0.5)
    return weights


@njit(nogil=True, cache=True)
def _filtered(images: UInt8Array, across: IntArray, down: IntArray) -> UInt8Array:
    n, H, _ = images.shape
    height, width = len(down), len(across)
    lines = np.empty((H, width), np.uint8)
    result = np.empty((n, height, width), np.uint8)
    for index in range(n):
        for row in range(H):
            _combine(images[index, row], across, lines[row])
        for column in range(width):
            _combine(lines[:, column], down, result[index, :, column])
    return result


@njit(nogil=True, cache=True)
def _combine(line: UInt8Array, weights: IntArray, result: UInt8Array) -> None:
    for place in range(len(weights)):
        total = 1 << (_PRECISION - 1)
        for old in range(len(line)):
            if weights[place, old]:
                total += weights[place, old] * np.int64(line[old])
        result[place] = min(max(total >> _PRECISION, 0), 255)


@njit(nogil=True, cache=True)
def _crop(images: UInt8Array, opacity: UInt8Array, heights: IntArray, widths: IntArray) -> None:
    n, H, W = images.shape
    for index in range(n):
        top, bottom, left, right = H, 0, W, 0
        for y in range(H):
            for x in range(W):
                if images[index, y, x]:
                    top, bottom = min(top, y), max(bottom, y + 1)
                    left, right = min(left, x), max(right, x + 1)
        if bottom == 0:
            continue
        heights[index], widths[index] = bottom - top, right - left
        for y in range(top, bottom):
            for x in range(left, right):
                opacity[index, y - top, x - left] = images[index, y, x]
