"""Compiled painting: every sprite visits only the pixels under it.

Several arrays travel together: `scene` is colours and transparency after their sigmoids
[N, K, C + 1, G, G], boxes y, x, h, w [N, K, 4], presence [N, K], depth [N, K] and background [C];
`settings` is pixels per unit of the boxes, importance temperature, importance floor and whether
importance is exponential.
"""

import math
from typing import TypeAlias

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray

Scene: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
Settings: TypeAlias = tuple[float, float, float, bool]

WEIGHT_EPSILON = np.float32(1e-8)
"""Added to the sum of importances, which is 0 where there is no sprite."""
SMALLEST_SIDE = 1e-4
"""Boxes count as at least so large, in their unit."""


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def paint(scene: Scene, settings: Settings, images: FloatArray, weight: FloatArray) -> None:
    """Fill `images` [N, C, H, W] and sums of importances `weight` [N, H, W]."""
    colours, boxes, presence, depth, background = scene
    _, K, n_planes, G, _ = colours.shape
    N, C, H, W = images.shape
    maps = np.empty((n_planes + 1, G, G), np.float32)
    mixed = np.zeros((n_planes + 1, G + 2), np.float32)
    gaps = np.zeros((n_planes + 1, G + 2), np.float32)
    taps, parts = np.empty(W, np.int64), np.empty(W, np.float32)
    for n in range(N):
        images[n] = 0
        weight[n] = 0
        for k in range(K):
            y, x, h, w = place_of(boxes[n, k], settings[0])
            top, bottom = footprint(y, h, G, H)
            left, right = footprint(x, w, G, W)
            if top >= bottom or left >= right:
                continue
            texel_maps(colours[n, k], presence[n, k], depth[n, k], background, settings, maps)
            column_taps(left, right, x, w, G, taps, parts)
            for p in range(top, bottom):
                mix_rows(maps, G * ((p + 0.5 - y) / h + 0.5) - 0.5, mixed, gaps)
                for q in range(left, right):
                    tap, part = taps[q], parts[q]
                    alpha = mixed[C, tap] + part * (mixed[C, tap + 1] - mixed[C, tap])
                    share = mixed[C + 1, tap] + part * (mixed[C + 1, tap + 1] - mixed[C + 1, tap])
                    weight[n, p, q] += share
                    for c in range(C):
                        colour = mixed[c, tap] + part * (mixed[c, tap + 1] - mixed[c, tap])
                        images[n, c, p, q] += share * alpha * colour
        for c in range(C):
            for p in range(H):
                for q in range(W):
                    images[n, c, p, q] = background[c] + images[n, c, p, q] / (
                        weight[n, p, q] + WEIGHT_EPSILON
                    )


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def place_of(box: FloatArray, unit: float) -> tuple[float, float, float, float]:
    """y, x, h, w of a box [4], pixels."""
    h, w = max(box[2], SMALLEST_SIDE), max(box[3], SMALLEST_SIDE)
    return unit * box[0], unit * box[1], unit * h, unit * w


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def footprint(centre: float, side: float, n_texels: int, n_pixels: int) -> tuple[int, int]:
    """First pixel and one past the last whose centres lie under the sprite, along one axis."""
    # A sprite fades out over half a sprite pixel beyond its box.
    reach = side * (0.5 + 0.5 / n_texels)
    low = min(max(centre - reach - 0.5, -1.0), n_pixels + 0.0)
    high = min(max(centre + reach - 0.5, -1.0), n_pixels + 0.0)
    return max(math.ceil(low), 0), min(math.floor(high) + 1, n_pixels)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def texel_maps(
    colours: FloatArray,
    presence: float,
    depth: float,
    background: FloatArray,
    settings: Settings,
    maps: FloatArray,
) -> None:
    """Colour less background, alpha and importance of one sprite, [C + 2, G, G]."""
    n_maps, G, _ = maps.shape
    C = n_maps - 2
    _, temperature, floor, exponential = settings
    for u in range(G):
        for c in range(C):
            for v in range(G):
                maps[c, u, v] = colours[c, u, v] - background[c]
        for v in range(G):
            alpha = colours[C, u, v] * presence
            maps[C, u, v] = alpha
            if exponential:
                maps[C + 1, u, v] = math.exp((alpha * depth - 1) / temperature)
            else:
                maps[C + 1, u, v] = max(alpha * depth / temperature, floor)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def column_taps(
    start: int,
    stop: int,
    centre: float,
    side: float,
    n_texels: int,
    taps: IntArray,
    parts: FloatArray,
) -> None:
    """For each column under a sprite: its left texel plus one, and the share of the right one."""
    for q in range(start, stop):
        place = n_texels * ((q + 0.5 - centre) / side + 0.5) - 0.5
        below = math.floor(place)
        taps[q] = min(max(below + 1, 0), n_texels)
        parts[q] = place - below


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def mix_rows(maps: FloatArray, place: float, mixed: FloatArray, gaps: FloatArray) -> int:
    """Interpolate between two rows of texels; columns shifted by one, with zeros around.

    Args:
        maps: of one sprite, [C + 2, G, G].
        place: where between the rows, in texels.
        mixed: the row there, written, [C + 2, G + 2].
        gaps: its derivative by the place, written, the same.

    Returns:
        The upper row, which may be -1; the lower one may be G.
    """
    n_maps, G, _ = maps.shape
    upper: int = min(max(math.floor(place), -1), G - 1)
    part = np.float32(place - upper)
    has_upper, has_lower = upper >= 0, upper + 1 < G
    first, second = max(upper, 0), min(upper + 1, G - 1)
    first_share = np.float32(1) - part if has_upper else np.float32(0)
    second_share = part if has_lower else np.float32(0)
    first_sign = np.float32(-1) if has_upper else np.float32(0)
    second_sign = np.float32(1) if has_lower else np.float32(0)
    for each in range(n_maps):
        for v in range(G):
            above, under = maps[each, first, v], maps[each, second, v]
            mixed[each, v + 1] = first_share * above + second_share * under
            gaps[each, v + 1] = first_sign * above + second_sign * under
    return upper
