"""Connected components of equal colour in stacks of frames, as one compiled kernel."""

import math
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
        masks: 1 + the component of its frame that a pixel belongs to, 0 for none, int32,
            [N, H, W]; None if not asked for.
    """

    first: IntArray
    boxes: FloatArray
    centroids: FloatArray
    colours: IntArray
    masks: IntArray | None = None


def find_components(
    frames: UInt8Array,
    *,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    cosine: float,
    min_area: int,
    masks: bool = False,
) -> Components:
    """Connected components (4-neighbourhood, same colour) of the pixels that differ enough.

    Args:
        frames: RGB, [N, H, W, 3].
        palette: colours to tell apart by the cosine of RGB vectors, [P, 3], any scale.
        background: the background's colour, [3], 0..255.
        threshold: least sum over channels of the absolute difference to the background for a
            pixel to count as foreground, in units of a channel's full range, so 0..3.
        cosine: least cosine between a pixel's RGB vector and the nearest colour of the palette
            for the pixel to count as foreground: pixels in which two objects blend do not.
        min_area: components of fewer pixels are dropped.
        masks: whether to keep the pixels of each component.

    Source: supplement C; docs/benchmark.md 3.1 for the rule of colours.
    """
    length = np.linalg.norm(palette, axis=1, keepdims=True)
    directions = (palette / np.where(length > 0, length, 1)).astype(np.float32)
    frames = np.ascontiguousarray(frames).view()
    frames.flags.writeable = False  # or the kernel is compiled twice, for arrays of either kind
    # Without masks the kernel has no place to write them to.
    owners = np.zeros((len(frames) if masks else 0, *frames.shape[1:3]), np.int32)
    first, rows = _label(
        frames,
        directions,
        background.astype(np.float32),
        threshold * 255 - 1e-3,  # 15 * k / 255 * 255 may round to just above 15 * k
        cosine - 1e-6,  # the cosine of equal directions may round to just below 1
        min_area,
        owners,
    )
    return Components(
        first=first,
        boxes=rows[:, :4],
        centroids=rows[:, 4:6],
        colours=rows[:, 6].astype(np.int32),
        masks=owners if masks else None,
    )


@njit(cache=True, nogil=True)
def _label(
    frames: UInt8Array,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    cosine: float,
    min_area: int,
    owners: IntArray,
) -> tuple[IntArray, FloatArray]:
    """Rows of x0, y0, x1, y1, centroid x, y, colour; and where each frame's rows begin."""
    N, H, W, _ = frames.shape
    first = np.zeros(N + 1, np.int64)
    rows = np.empty((max(16, 8 * N), 7), np.float32)  # grows where there are more
    colour = np.zeros(H * W, np.int16)
    parent = np.zeros(H * W, np.int32)
    stats = np.zeros((H * W, 7), np.int64)
    number = np.zeros(H * W, np.int32)  # of each root: 1 + its row, counted within the frame
    n_rows = 0
    for n in range(N):
        _colour_pixels(frames[n], palette, background, threshold, cosine, colour)
        _join(colour, parent, W)
        roots = _measure(colour, parent, stats, W)
        if n_rows + len(roots) > len(rows):
            grown = np.empty((2 * (n_rows + len(roots)), 7), np.float32)
            grown[:n_rows] = rows[:n_rows]
            rows = grown
        for root in roots:
            x0, y0, x1, y1, area, sum_x, sum_y = stats[root]
            number[root] = 0
            if area < min_area:
                continue
            number[root] = n_rows - first[n] + 1
            rows[n_rows, 0], rows[n_rows, 1] = x0, y0
            rows[n_rows, 2], rows[n_rows, 3] = x1 + 1, y1 + 1
            # The centre of pixel i is at i + 1/2.
            rows[n_rows, 4], rows[n_rows, 5] = sum_x / area + 0.5, sum_y / area + 0.5
            rows[n_rows, 6] = colour[root] - 1
            n_rows += 1
        first[n + 1] = n_rows
        if len(owners):
            flat = owners[n].reshape(-1)
            for pixel in range(H * W):
                if colour[pixel] > 0:
                    flat[pixel] = number[_root(parent, pixel)]
    return first, rows[:n_rows].copy()


@njit(cache=True, nogil=True)
def _colour_pixels(
    frame: UInt8Array,
    palette: FloatArray,
    background: FloatArray,
    threshold: float,
    cosine: float,
    colour: IntArray,
) -> None:
    """Mark each pixel with 0 for background or 1 + the nearest palette colour."""
    H, W, _ = frame.shape
    for y in range(H):
        for x in range(W):
            difference = (
                abs(frame[y, x, 0] - background[0])
                + abs(frame[y, x, 1] - background[1])
                + abs(frame[y, x, 2] - background[2])
            )
            marked = 0
            if difference >= threshold and difference > 0:
                best = np.float32(-1)
                for p in range(len(palette)):
                    # The pixel's own length is the same for every p, and not divided by.
                    along = (
                        frame[y, x, 0] * palette[p, 0]
                        + frame[y, x, 1] * palette[p, 1]
                        + frame[y, x, 2] * palette[p, 2]
                    )
                    if along > best:
                        marked, best = p + 1, along
                if cosine > 0 and best < cosine * _length(frame[y, x]):
                    marked = 0
            colour[y * W + x] = marked


@njit(cache=True, nogil=True)
def _length(pixel: UInt8Array) -> float:
    red, green, blue = float(pixel[0]), float(pixel[1]), float(pixel[2])
    return math.sqrt(red * red + green * green + blue * blue)


@njit(cache=True, nogil=True)
def _root(parent: IntArray, pixel: int) -> int:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]  # halves the path for the next search
        pixel = parent[pixel]
    return pixel


@njit(cache=True, nogil=True)
def _join(colour: IntArray, parent: IntArray, W: int) -> None:
    """Union-find over the left and upper neighbours of equal colour."""
    for start in range(0, len(colour), W):
        for pixel in range(start, start + W):
            if colour[pixel] == 0:
                continue
            parent[pixel] = pixel
            if pixel > start and colour[pixel - 1] == colour[pixel]:
                parent[pixel] = _root(parent, pixel - 1)
            if start > 0 and colour[pixel - W] == colour[pixel]:
                upper, here = _root(parent, pixel - W), _root(parent, pixel)
                # The smaller place becomes the root: it is met first when measuring.
                parent[max(upper, here)] = min(upper, here)


@njit(cache=True, nogil=True)
def _measure(colour: IntArray, parent: IntArray, stats: IntArray, W: int) -> IntArray:
    """Fill a root's row of `stats` with x0, y0, x1, y1, area, sum x, sum y; list the roots."""
    roots = np.empty(len(colour), np.int64)
    n_roots = 0
    for start in range(0, len(colour), W):
        y = start // W
        for x in range(W):
            if colour[start + x] == 0:
                continue
            root = _root(parent, start + x)
            if root == start + x:
                stats[root] = 0
                stats[root, 0], stats[root, 1], stats[root, 2] = x, y, x
                roots[n_roots] = root
                n_roots += 1
            stats[root, 0] = min(stats[root, 0], x)
            stats[root, 2] = max(stats[root, 2], x)
            stats[root, 3] = y
            stats[root, 4] += 1
            stats[root, 5] += x
            stats[root, 6] += y
    return roots[:n_roots].copy()
