"""What painting and its gradient share, compiled: where a sprite lies, and its rows of texels."""

import math

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray

WEIGHT_EPSILON = np.float32(1e-8)
SMALLEST_SIDE = 1e-4


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def footprint(centre: float, side: float, n_texels: int, n_pixels: int) -> tuple[int, int]:
    """First pixel and one past the last whose centres lie under the sprite, along one axis."""
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
    temperature: float,
    floor: float,
    maps: FloatArray,
) -> None:
    """Colour less background, alpha and importance of one sprite, [C + 2, G, G]."""
    n_maps, G, _ = maps.shape
    C = n_maps - 2
    for u in range(G):
        for c in range(C):
            for v in range(G):
                maps[c, u, v] = colours[c, u, v] - background[c]
        for v in range(G):
            alpha = colours[C, u, v] * presence
            importance = alpha * depth / temperature
            maps[C, u, v] = alpha
            maps[C + 1, u, v] = importance if importance > floor else floor


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def column_taps(
    start: int, stop: int, centre: float, side: float, n_texels: int, taps: IntArray,
    parts: FloatArray,
) -> None:  # fmt: skip
    """For each column under a sprite: its left texel plus one, and the share of the right one."""
    for q in range(start, stop):
        place = n_texels * ((q + 0.5 - centre) / side + 0.5) - 0.5
        below = math.floor(place)
        tap = min(max(below + 1, 0), n_texels)
        taps[q] = tap
        parts[q] = place - below


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def mix_rows(maps: FloatArray, place: float, mixed: FloatArray, slope: FloatArray) -> int:
    """Interpolate between two rows of texels; columns shifted by one, with zeros around.

    Returns the upper row, which may be -1; the lower one may be G.
    """
    n_maps, G, _ = maps.shape
    upper: int = min(max(math.floor(place), -1), G - 1)
    part = np.float32(place - upper)
    has_upper, has_lower = upper >= 0, upper + 1 < G
    first, second = max(upper, 0), min(upper + 1, G - 1)
    first_share = np.float32(1) - part if has_upper else np.float32(0)
    second_share = part if has_lower else np.float32(0)
    first_slope = np.float32(-1) if has_upper else np.float32(0)
    second_slope = np.float32(1) if has_lower else np.float32(0)
    for each in range(n_maps):
        for v in range(G):
            above, under = maps[each, first, v], maps[each, second, v]
            mixed[each, v + 1] = first_share * above + second_share * under
            slope[each, v + 1] = first_slope * above + second_slope * under
    return upper
