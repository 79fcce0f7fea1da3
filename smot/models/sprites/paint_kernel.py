"""Compiled painting: every sprite visits only the pixels under it, forward and backward."""

import math

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray

WEIGHT_EPSILON = np.float32(1e-8)
SMALLEST_SIDE = 1e-4
# Just inside the sigmoids of -10 and 10, where the gradient of the clipped sigmoid ends.
LOWEST, HIGHEST = np.float32(4.5445e-05), np.float32(0.9999545)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _footprint(centre: float, side: float, n_texels: int, n_pixels: int) -> tuple[int, int]:
    """First pixel and one past the last whose centres lie under the sprite, along one axis."""
    reach = side * (0.5 + 0.5 / n_texels)
    low = min(max(centre - reach - 0.5, -1.0), n_pixels + 0.0)
    high = min(max(centre + reach - 0.5, -1.0), n_pixels + 0.0)
    return max(math.ceil(low), 0), min(math.floor(high) + 1, n_pixels)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _texel_maps(
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
def _column_taps(
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
def _mix_rows(maps: FloatArray, place: float, mixed: FloatArray, slope: FloatArray) -> int:
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


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def paint(
    colours: FloatArray,
    boxes: FloatArray,
    presence: FloatArray,
    depth: FloatArray,
    background: FloatArray,
    settings: tuple[float, float, float],
    images: FloatArray,
    weight: FloatArray,
    start: int,
    stop: int,
) -> None:
    """Fill ``images`` and the sums of importances for images start..stop - 1; see ``paint``.

    Args:
        colours: colours and transparency after their sigmoids, [N, K, C + 1, G, G].
        boxes: y, x, h, w, [N, K, 4].
        presence: [N, K].
        depth: [N, K].
        background: [C].
        settings: pixels per unit of the boxes, importance temperature, importance floor.
        images: written, [N, C, H, W].
        weight: sums of importances, written, [N, H, W].
        start: first image.
        stop: one past the last image.
    """
    _, K, n_planes, G, _ = colours.shape
    _, C, H, W = images.shape
    unit, temperature, floor = settings
    maps = np.empty((n_planes + 1, G, G), np.float32)
    mixed = np.zeros((n_planes + 1, G + 2), np.float32)
    slope = np.zeros((n_planes + 1, G + 2), np.float32)
    taps, parts = np.empty(W, np.int64), np.empty(W, np.float32)
    for n in range(start, stop):
        images[n] = 0
        weight[n] = 0
        for k in range(K):
            y, x = unit * boxes[n, k, 0], unit * boxes[n, k, 1]
            h = unit * max(boxes[n, k, 2], SMALLEST_SIDE)
            w = unit * max(boxes[n, k, 3], SMALLEST_SIDE)
            top, bottom = _footprint(y, h, G, H)
            left, right = _footprint(x, w, G, W)
            if top >= bottom or left >= right:
                continue
            _texel_maps(
                colours[n, k], presence[n, k], depth[n, k], background, temperature, floor, maps
            )
            _column_taps(left, right, x, w, G, taps, parts)
            for p in range(top, bottom):
                _mix_rows(maps, G * ((p + 0.5 - y) / h + 0.5) - 0.5, mixed, slope)
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
def _pixel_gradients(
    gradient: FloatArray, image: FloatArray, weight: FloatArray, background: FloatArray,
    pulls: FloatArray,
) -> None:  # fmt: skip
    """Gradients for each pixel's weighted sums of colours, [:C], and of importances, [C]."""
    C, H, W = image.shape
    for p in range(H):
        for q in range(W):
            pulls[C, p, q] = 0
        for c in range(C):
            for q in range(W):
                pull = gradient[c, p, q] / (weight[p, q] + WEIGHT_EPSILON)
                pulls[c, p, q] = pull
                pulls[C, p, q] -= pull * (image[c, p, q] - background[c])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _row_backward(
    pulls: FloatArray, p: int, left: int, right: int, taps: IntArray, parts: FloatArray,
    mixed: FloatArray, slope: FloatArray, x: float, row_pull: FloatArray,
) -> tuple[float, float, float]:  # fmt: skip
    """One row of pixels under a sprite.

    Adds the gradients for the mixed rows to ``row_pull`` and returns those for the vertical place
    in the sprite, for the horizontal one, and for the latter times the distance from the centre.
    """
    C = pulls.shape[0] - 1
    down, across, widen = 0.0, 0.0, 0.0
    for q in range(left, right):
        tap, part = taps[q], parts[q]
        rest = np.float32(1) - part
        alpha = rest * mixed[C, tap] + part * mixed[C, tap + 1]
        share = rest * mixed[C + 1, tap] + part * mixed[C + 1, tap + 1]
        summed = np.float32(0)
        sideways = np.float32(0)
        for c in range(C):
            colour = rest * mixed[c, tap] + part * mixed[c, tap + 1]
            summed += pulls[c, p, q] * colour
            pull = pulls[c, p, q] * share * alpha
            row_pull[c, tap] += rest * pull
            row_pull[c, tap + 1] += part * pull
            sideways += pull * (mixed[c, tap + 1] - mixed[c, tap])
            down += pull * (rest * slope[c, tap] + part * slope[c, tap + 1])
        pull = summed * share
        row_pull[C, tap] += rest * pull
        row_pull[C, tap + 1] += part * pull
        sideways += pull * (mixed[C, tap + 1] - mixed[C, tap])
        down += pull * (rest * slope[C, tap] + part * slope[C, tap + 1])
        pull = pulls[C, p, q] + summed * alpha
        row_pull[C + 1, tap] += rest * pull
        row_pull[C + 1, tap + 1] += part * pull
        sideways += pull * (mixed[C + 1, tap + 1] - mixed[C + 1, tap])
        down += pull * (rest * slope[C + 1, tap] + part * slope[C + 1, tap + 1])
        across += sideways
        widen += sideways * np.float32(q + 0.5 - x)
    return down, across, widen


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _spread_row(row_pull: FloatArray, upper: int, place: float, map_pull: FloatArray) -> None:
    """Hand a mixed row's gradients on to its two rows of texels."""
    n_maps, G, _ = map_pull.shape
    part = np.float32(place - upper)
    for each in range(n_maps):
        if upper >= 0:
            for v in range(G):
                map_pull[each, upper, v] += (np.float32(1) - part) * row_pull[each, v + 1]
        if upper + 1 < G:
            for v in range(G):
                map_pull[each, upper + 1, v] += part * row_pull[each, v + 1]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _texel_backward(
    colours: FloatArray, presence: float, depth: float, temperature: float, floor: float,
    scales: FloatArray, map_pull: FloatArray, logit_pull: FloatArray,
) -> tuple[float, float]:  # fmt: skip
    """From gradients for the maps to those for logits; returns those for presence and depth."""
    n_maps, G, _ = map_pull.shape
    C = n_maps - 2
    presence_pull, depth_pull = 0.0, 0.0
    for u in range(G):
        for c in range(C):
            for v in range(G):
                value = colours[c, u, v]
                free = LOWEST < value < HIGHEST
                steep = value * (1 - value) * scales[0] if free else np.float32(0)
                logit_pull[c, u, v] = map_pull[c, u, v] * steep
        for v in range(G):
            value = colours[C, u, v]
            alpha = value * presence
            pull = map_pull[C, u, v]
            if alpha * depth / temperature > floor:
                pull += map_pull[C + 1, u, v] * depth / temperature
                depth_pull += map_pull[C + 1, u, v] * alpha / temperature
            presence_pull += pull * value
            free = LOWEST < value < HIGHEST
            steep = value * (1 - value) * scales[1] if free else np.float32(0)
            logit_pull[C, u, v] = pull * presence * steep
    return presence_pull, depth_pull


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def paint_backward(
    colours: FloatArray,
    boxes: FloatArray,
    presence: FloatArray,
    depth: FloatArray,
    background: FloatArray,
    settings: tuple[float, float, float],
    scales: FloatArray,
    images: FloatArray,
    weight: FloatArray,
    gradient: FloatArray,
    logit_gradient: FloatArray,
    box_gradient: FloatArray,
    presence_gradient: FloatArray,
    depth_gradient: FloatArray,
    start: int,
    stop: int,
) -> None:
    """Gradients of ``paint`` for images start..stop - 1; all are written in full.

    Args:
        colours: as in ``paint``.
        boxes: as in ``paint``.
        presence: as in ``paint``.
        depth: as in ``paint``.
        background: as in ``paint``.
        settings: as in ``paint``.
        scales: d (sigmoid's argument) / d logit of the colours and of the transparency, [2].
        images: what ``paint`` made, [N, C, H, W].
        weight: what ``paint`` made, [N, H, W].
        gradient: of the loss for the images, [N, C, H, W].
        logit_gradient: [N, K, C + 1, G, G].
        box_gradient: [N, K, 4].
        presence_gradient: [N, K].
        depth_gradient: [N, K].
        start: first image.
        stop: one past the last image.
    """
    K, G = colours.shape[1], colours.shape[3]
    _, C, H, W = images.shape
    unit, temperature, floor = settings
    pulls = np.empty((C + 1, H, W), np.float32)
    maps, map_pull = np.empty((C + 2, G, G), np.float32), np.empty((C + 2, G, G), np.float32)
    mixed, slope = np.zeros((C + 2, G + 2), np.float32), np.zeros((C + 2, G + 2), np.float32)
    row_pull = np.empty((C + 2, G + 2), np.float32)
    taps, parts = np.empty(W, np.int64), np.empty(W, np.float32)
    for n in range(start, stop):
        _pixel_gradients(gradient[n], images[n], weight[n], background, pulls)
        for k in range(K):
            y, x = unit * boxes[n, k, 0], unit * boxes[n, k, 1]
            h = unit * max(boxes[n, k, 2], SMALLEST_SIDE)
            w = unit * max(boxes[n, k, 3], SMALLEST_SIDE)
            top, bottom = _footprint(y, h, G, H)
            left, right = _footprint(x, w, G, W)
            map_pull[:] = 0
            place_y, place_x, size_y, size_x = 0.0, 0.0, 0.0, 0.0
            if top < bottom and left < right:
                _texel_maps(
                    colours[n, k], presence[n, k], depth[n, k], background, temperature, floor,
                    maps,
                )  # fmt: skip
                _column_taps(left, right, x, w, G, taps, parts)
            else:
                bottom = top
            for p in range(top, bottom):
                place = G * ((p + 0.5 - y) / h + 0.5) - 0.5
                upper = _mix_rows(maps, place, mixed, slope)
                row_pull[:] = 0
                down, across, widen = _row_backward(
                    pulls, p, left, right, taps, parts, mixed, slope, x, row_pull
                )
                _spread_row(row_pull, upper, place, map_pull)
                place_y -= down
                size_y -= down * (p + 0.5 - y)
                place_x -= across
                size_x -= widen
            box_gradient[n, k, 0] = unit * place_y * G / h
            box_gradient[n, k, 1] = unit * place_x * G / w
            clamped_h, clamped_w = boxes[n, k, 2] < SMALLEST_SIDE, boxes[n, k, 3] < SMALLEST_SIDE
            box_gradient[n, k, 2] = 0.0 if clamped_h else unit * size_y * G / (h * h)
            box_gradient[n, k, 3] = 0.0 if clamped_w else unit * size_x * G / (w * w)
            presence_gradient[n, k], depth_gradient[n, k] = _texel_backward(
                colours[n, k], presence[n, k], depth[n, k], temperature, floor, scales, map_pull,
                logit_gradient[n, k],
            )  # fmt: skip
