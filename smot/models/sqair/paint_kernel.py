"""Compiled additive painting: a patch visits only the pixels under it, forward and backward."""

import math

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray


@njit(nogil=True, cache=True, error_model="numpy")
def _footprint(centre: float, step: float, n_texels: int, n_pixels: int) -> tuple[int, int]:
    """First pixel and one past the last that lie under the patch, along one axis."""
    reach = step * (n_texels + 1) / 2
    low = min(max(centre - reach, -1.0), n_pixels + 0.0)
    high = min(max(centre + reach, -1.0), n_pixels + 0.0)
    return max(math.ceil(low), 0), min(math.floor(high) + 1, n_pixels)


@njit(nogil=True, cache=True, error_model="numpy")
def _axis(
    centre: float, step: float, n_texels: int, n_pixels: int, texels: IntArray, shares: FloatArray
) -> tuple[int, int]:
    """For each pixel of one axis: its texel plus one, and what it takes of that and the next.

    ``shares`` [4, n_pixels] gets share of the texel, share of the next, their sum inside the
    patch (how far the pixel is covered) and the derivative of that sum for the place.
    """
    start, stop = _footprint(centre, step, n_texels, n_pixels)
    for pixel in range(start, stop):
        place = (n_texels - 1) / 2 + (pixel - centre) / step
        below = min(max(math.floor(place), -1), n_texels - 1)
        part = min(max(place - below, 0.0), 1.0)
        texels[pixel] = below + 1
        shares[0, pixel], shares[1, pixel] = 1 - part, part
        first, second = below >= 0, below + 1 < n_texels
        shares[2, pixel] = (1 - part if first else 0.0) + (part if second else 0.0)
        shares[3, pixel] = (1.0 if second else 0.0) - (1.0 if first else 0.0)
    return start, stop


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def paint(
    patches: FloatArray,
    places: FloatArray,
    firsts: IntArray,
    canvases: FloatArray,
    covers: FloatArray,
    start: int,
    stop: int,
) -> None:
    """Add patches to canvases start..stop - 1, and their outlines to the covers.

    Args:
        patches: [M, C, G, G], in the order of their canvases.
        places: centre and sample distance y, x, dy, dx, [M, 4], pixel indices.
        firsts: the first patch of each canvas, and M, [n + 1].
        canvases: added to, [n, C, H, W].
        covers: added to, [n, H, W].
        start: first canvas.
        stop: one past the last canvas.
    """
    _, C, G, _ = patches.shape
    _, H, W = covers.shape
    padded = np.zeros((C, G + 2, G + 2), np.float32)
    mixed = np.zeros(G + 2, np.float32)
    rows, columns = np.empty(H, np.int64), np.empty(W, np.int64)
    ys, xs = np.empty((4, H), np.float32), np.empty((4, W), np.float32)
    for canvas in range(start, stop):
        for m in range(firsts[canvas], firsts[canvas + 1]):
            padded[:, 1:-1, 1:-1] = patches[m]
            top, bottom = _axis(places[m, 0], places[m, 2], G, H, rows, ys)
            left, right = _axis(places[m, 1], places[m, 3], G, W, columns, xs)
            for i in range(top, bottom):
                cover = ys[2, i]
                for j in range(left, right):
                    covers[canvas, i, j] += cover * xs[2, j]
                for c in range(C):
                    upper, lower = padded[c, rows[i]], padded[c, rows[i] + 1]
                    for v in range(G + 2):
                        mixed[v] = ys[0, i] * upper[v] + ys[1, i] * lower[v]
                    for j in range(left, right):
                        v = columns[j]
                        canvases[canvas, c, i, j] += xs[0, j] * mixed[v] + xs[1, j] * mixed[v + 1]


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def paint_backward(
    patches: FloatArray,
    places: FloatArray,
    firsts: IntArray,
    canvas_slopes: FloatArray,
    cover_slopes: FloatArray,
    patch_slopes: FloatArray,
    place_slopes: FloatArray,
    start: int,
    stop: int,
) -> None:
    """The gradients of ``paint`` for patches and places.

    Args:
        patches: as painted.
        places: as painted.
        firsts: as painted.
        canvas_slopes: gradient for the canvases, [n, C, H, W].
        cover_slopes: gradient for the covers, [n, H, W].
        patch_slopes: written, [M, C, G, G].
        place_slopes: written, [M, 4].
        start: first canvas.
        stop: one past the last canvas.
    """
    _, C, G, _ = patches.shape
    _, H, W = cover_slopes.shape
    padded = np.zeros((C, G + 2, G + 2), np.float32)
    slopes = np.zeros((C, G + 2, G + 2), np.float32)
    above, below = np.zeros(G + 2, np.float32), np.zeros(G + 2, np.float32)
    spread = np.zeros(G + 2, np.float32)
    by_column = np.zeros(W, np.float32)
    rows, columns = np.empty(H, np.int64), np.empty(W, np.int64)
    ys, xs = np.empty((4, H), np.float32), np.empty((4, W), np.float32)
    for canvas in range(start, stop):
        for m in range(firsts[canvas], firsts[canvas + 1]):
            padded[:, 1:-1, 1:-1] = patches[m]
            slopes[:] = 0
            step_y, step_x = places[m, 2], places[m, 3]
            top, bottom = _axis(places[m, 0], step_y, G, H, rows, ys)
            left, right = _axis(places[m, 1], step_x, G, W, columns, xs)
            by_column[left:right] = 0
            centre_y, stretch_y = 0.0, 0.0
            for i in range(top, bottom):
                by_row = np.float32(0)
                for j in range(left, right):
                    slope = cover_slopes[canvas, i, j]
                    by_row += slope * xs[2, j] * ys[3, i]
                    by_column[j] += slope * ys[2, i] * xs[3, j]
                for c in range(C):
                    upper, lower = padded[c, rows[i]], padded[c, rows[i] + 1]
                    for v in range(G + 2):
                        above[v] = ys[0, i] * upper[v] + ys[1, i] * lower[v]
                        below[v] = lower[v] - upper[v]
                        spread[v] = 0
                    for j in range(left, right):
                        v, slope = columns[j], canvas_slopes[canvas, c, i, j]
                        by_row += slope * (xs[0, j] * below[v] + xs[1, j] * below[v + 1])
                        by_column[j] += slope * (above[v + 1] - above[v])
                        spread[v] += slope * xs[0, j]
                        spread[v + 1] += slope * xs[1, j]
                    for v in range(G + 2):
                        slopes[c, rows[i], v] += ys[0, i] * spread[v]
                        slopes[c, rows[i] + 1, v] += ys[1, i] * spread[v]
                centre_y -= by_row / step_y
                stretch_y -= by_row * (i - places[m, 0]) / step_y**2
            centre_x, stretch_x = 0.0, 0.0
            for j in range(left, right):
                centre_x -= by_column[j] / step_x
                stretch_x -= by_column[j] * (j - places[m, 1]) / step_x**2
            patch_slopes[m] = slopes[:, 1:-1, 1:-1]
            place_slopes[m, 0], place_slopes[m, 1] = centre_y, centre_x
            place_slopes[m, 2], place_slopes[m, 3] = stretch_y, stretch_x
