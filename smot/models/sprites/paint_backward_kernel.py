"""Compiled gradient of painting: every sprite visits only the pixels under it."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.models.sprites.paint_geometry import (
    SMALLEST_SIDE,
    WEIGHT_EPSILON,
    column_taps,
    footprint,
    mix_rows,
    texel_maps,
)

# Just inside the sigmoids of -10 and 10, where the gradient of the clipped sigmoid ends.
LOWEST, HIGHEST = np.float32(4.5445e-05), np.float32(0.9999545)


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
            top, bottom = footprint(y, h, G, H)
            left, right = footprint(x, w, G, W)
            map_pull[:] = 0
            place_y, place_x, size_y, size_x = 0.0, 0.0, 0.0, 0.0
            if top < bottom and left < right:
                texel_maps(
                    colours[n, k], presence[n, k], depth[n, k], background, temperature, floor,
                    maps,
                )  # fmt: skip
                column_taps(left, right, x, w, G, taps, parts)
            else:
                bottom = top
            for p in range(top, bottom):
                place = G * ((p + 0.5 - y) / h + 0.5) - 0.5
                upper = mix_rows(maps, place, mixed, slope)
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
