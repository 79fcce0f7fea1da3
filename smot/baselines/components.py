"""Connected components of equal colour in stacks of frames, as one compiled kernel."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray, UInt8Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """The components of N frames, one after another.

    Attributes:
        first: where each frame's components begin in the other arrays, [N + 1].
        boxes: x0, y0, x1, y1, [M, 4], pixels.
        centroids: mean x, y of the pixels' centres, [M, 2], pixels.
        colours: index into the palette, [M].
    """

    first: IntArray
    boxes: FloatArray
    centroids: FloatArray
    colours: IntArray


def find_components(
    frames: UInt8Array,
    *,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    min_area: int,
) -> Components:
    """Connected components (4-neighbourhood, same colour) of the pixels that differ enough.

    Args:
        frames: RGB, [N, H, W, 3].
        palette: colours to tell apart by the cosine of RGB vectors, [P, 3], any scale.
        background: the background's colour, [3], 0..255.
        threshold: least sum over channels of the absolute difference to the background for a
            pixel to count as foreground, in units of a channel's full range, so 0..3.
        min_area: components of fewer pixels are dropped.

    Source: supplement C; the colour rule is anchors' reading of the original code.
    """
    length = np.linalg.norm(palette, axis=1, keepdims=True)
    directions = (palette / np.where(length > 0, length, 1)).astype(np.float32)
    first, rows = _label(
        np.ascontiguousarray(frames),
        directions,
        background.astype(np.float32),
        threshold * 255 - 1e-3,
        min_area,
    )
    return Components(
        first=first,
        boxes=rows[:, :4],
        centroids=rows[:, 4:6],
        colours=rows[:, 6].astype(np.int32),
    )


@njit(cache=True, nogil=True)
def _label(
    frames: UInt8Array,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    min_area: int,
) -> tuple[IntArray, FloatArray]:
    """Rows of x0, y0, x1, y1, centroid x, y, colour; and where each frame's rows begin."""
    N, H, W, _ = frames.shape
    first = np.zeros(N + 1, np.int64)
    rows = np.empty((max(16, 8 * N), 7), np.float32)
    colour = np.zeros((H, W), np.int16)
    parent = np.zeros((H, W), np.int32)
    stats = np.zeros((H * W, 6), np.int32)
    n_rows = 0
    for n in range(N):
        _colour_pixels(frames[n], palette, background, threshold, colour)
        _join(colour, parent)
        roots = _measure(colour, parent, stats)
        if n_rows + len(roots) > len(rows):
            grown = np.empty((2 * (n_rows + len(roots)), 7), np.float32)
            grown[:n_rows] = rows[:n_rows]
            rows = grown
        for root in roots:
            x0, y0, x1, y1 = stats[root, 0], stats[root, 1], stats[root, 2], stats[root, 3]
            area = stats[root, 4]
            if area < min_area:
                continue
            rows[n_rows, 0], rows[n_rows, 1] = x0, y0
            rows[n_rows, 2], rows[n_rows, 3] = x1 + 1, y1 + 1
            rows[n_rows, 6] = colour[root // W, root % W] - 1
            rows[n_rows, 4], rows[n_rows, 5] = _centroid(parent, root, x0, y0, x1, y1, area)
            n_rows += 1
        first[n + 1] = n_rows
    return first, rows[:n_rows].copy()


@njit(cache=True, nogil=True)
def _colour_pixels(
    frame: UInt8Array,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    colour: IntArray,
) -> None:
    """Mark each pixel with 0 for background or 1 + the nearest palette colour."""
    H, W, _ = frame.shape
    for y in range(H):
        for x in range(W):
            colour[y, x] = 0
            difference = np.float32(0)
            for c in range(3):
                difference += abs(np.float32(frame[y, x, c]) - background[c])
            if difference >= threshold and difference > 0:
                best, best_cosine = 0, np.float32(-1)
                for p in range(len(palette)):
                    cosine = np.float32(0)
                    for c in range(3):
                        cosine += frame[y, x, c] * palette[p, c]
                    if cosine > best_cosine:
                        best, best_cosine = p, cosine
                colour[y, x] = best + 1


@njit(cache=True, nogil=True)
def _root(parent: IntArray, pixel: int) -> int:
    W = parent.shape[1]
    while parent[pixel // W, pixel % W] != pixel:
        above = parent[pixel // W, pixel % W]
        parent[pixel // W, pixel % W] = parent[above // W, above % W]
        pixel = parent[pixel // W, pixel % W]
    return pixel


@njit(cache=True, nogil=True)
def _join(colour: IntArray, parent: IntArray) -> None:
    """Union-find over the left and upper neighbours of equal colour."""
    H, W = colour.shape
    for y in range(H):
        for x in range(W):
            parent[y, x] = y * W + x
            if colour[y, x] == 0:
                continue
            if x > 0 and colour[y, x - 1] == colour[y, x]:
                parent[y, x] = _root(parent, y * W + x - 1)
            if y > 0 and colour[y - 1, x] == colour[y, x]:
                upper, here = _root(parent, (y - 1) * W + x), _root(parent, y * W + x)
                low, high = min(upper, here), max(upper, here)
                parent[high // W, high % W] = low


@njit(cache=True, nogil=True)
def _measure(colour: IntArray, parent: IntArray, stats: IntArray) -> IntArray:
    """Box and area of each component at its root's row of ``stats``; the roots in raster order."""
    H, W = colour.shape
    roots = np.empty(H * W, np.int32)
    n_roots = 0
    for y in range(H):
        for x in range(W):
            if colour[y, x] == 0:
                continue
            root = _root(parent, y * W + x)
            parent[y, x] = root
            if root == y * W + x:
                stats[root, 0], stats[root, 1], stats[root, 2], stats[root, 3] = x, y, x, y
                stats[root, 4] = 0
                roots[n_roots] = root
                n_roots += 1
            stats[root, 0] = min(stats[root, 0], x)
            stats[root, 2] = max(stats[root, 2], x)
            stats[root, 3] = y
            stats[root, 4] += 1
    return roots[:n_roots].copy()


@njit(cache=True, nogil=True)
def _centroid(
    parent: IntArray, root: int, x0: int, y0: int, x1: int, y1: int, area: int
) -> tuple[float, float]:
    sum_x, sum_y = 0.0, 0.0
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            if parent[y, x] == root:
                sum_x += x + 0.5
                sum_y += y + 0.5
    return sum_x / area, sum_y / area
