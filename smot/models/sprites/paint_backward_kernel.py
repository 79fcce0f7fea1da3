"""Compiled gradient of painting; `scene` and `settings` as in `paint_kernel`."""

import math

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray
from smot.models.sprites.paint_kernel import (
    SMALLEST_SIDE,
    WEIGHT_EPSILON,
    Scene,
    Settings,
    column_taps,
    footprint,
    mix_rows,
    place_of,
    texel_maps,
)

# Just inside the sigmoids of -10 and 10, where the gradient of the clipped sigmoid ends.
LOWEST, HIGHEST = np.float32(4.5445e-05), np.float32(0.9999545)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def paint_backward(
    scene: Scene,
    settings: Settings,
    scales: FloatArray,
    images: FloatArray,
    weight: FloatArray,
    gradient: FloatArray,
    results: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    """Gradients of `paint`, written in full.

    Args:
        scene: what was painted.
        settings: as in `paint`.
        scales: d (sigmoid's argument) / d logit of the colours and of the transparency, [2].
        images: what `paint` made, [N, C, H, W].
        weight: what `paint` made, [N, H, W].
        gradient: of the loss for the images, [N, C, H, W].
        results: gradients for the logits of colours and transparency, boxes, presence and depth;
            written, shaped like the scene.
    """
    colours, boxes, presence, depth, background = scene
    logit_grad, box_grad, presence_grad, depth_grad = results
    K, G = colours.shape[1], colours.shape[3]
    N, C, H, W = images.shape
    unit = settings[0]
    pixel_grad = np.empty((C + 1, H, W), np.float32)
    maps, map_grad = np.empty((C + 2, G, G), np.float32), np.empty((C + 2, G, G), np.float32)
    mixed, gaps = np.zeros((C + 2, G + 2), np.float32), np.zeros((C + 2, G + 2), np.float32)
    row_grad = np.empty((C + 2, G + 2), np.float32)
    taps, parts = np.empty(W, np.int64), np.empty(W, np.float32)
    for n in range(N):
        _pixel_gradients(gradient[n], images[n], weight[n], background, pixel_grad)
        for k in range(K):
            y, x, h, w = place_of(boxes[n, k], unit)
            top, bottom = footprint(y, h, G, H)
            left, right = footprint(x, w, G, W)
            map_grad[:] = 0
            place_y, place_x, size_y, size_x = 0.0, 0.0, 0.0, 0.0
            if top < bottom and left < right:
                texel_maps(colours[n, k], presence[n, k], depth[n, k], background, settings, maps)
                column_taps(left, right, x, w, G, taps, parts)
            else:
                bottom = top  # out of the frame: all gradients are 0
            for p in range(top, bottom):
                place = G * ((p + 0.5 - y) / h + 0.5) - 0.5
                upper = mix_rows(maps, place, mixed, gaps)
                row_grad[:] = 0
                down, across, widen = _row_backward(
                    pixel_grad, p, left, right, taps, parts, mixed, gaps, x, row_grad
                )
                _spread_row(row_grad, upper, place, map_grad)
                place_y -= down
                size_y -= down * (p + 0.5 - y)
                place_x -= across
                size_x -= widen
            box_grad[n, k, 0] = unit * place_y * G / h
            box_grad[n, k, 1] = unit * place_x * G / w
            clamped_h, clamped_w = boxes[n, k, 2] < SMALLEST_SIDE, boxes[n, k, 3] < SMALLEST_SIDE
            box_grad[n, k, 2] = 0.0 if clamped_h else unit * size_y * G / (h * h)
            box_grad[n, k, 3] = 0.0 if clamped_w else unit * size_x * G / (w * w)
            presence_grad[n, k], depth_grad[n, k] = _texel_backward(
                colours[n, k],
                presence[n, k],
                depth[n, k],
                settings,
                scales,
                map_grad,
                logit_grad[n, k],
            )


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _pixel_gradients(
    gradient: FloatArray,
    image: FloatArray,
    weight: FloatArray,
    background: FloatArray,
    pixel_grad: FloatArray,
) -> None:
    """Gradients for each pixel's weighted sums of colours, [:C], and of importances, [C]."""
    C, H, W = image.shape
    for p in range(H):
        for q in range(W):
            pixel_grad[C, p, q] = 0
        for c in range(C):
            for q in range(W):
                grad = gradient[c, p, q] / (weight[p, q] + WEIGHT_EPSILON)
                pixel_grad[c, p, q] = grad
                pixel_grad[C, p, q] -= grad * (image[c, p, q] - background[c])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _row_backward(
    pixel_grad: FloatArray,
    p: int,
    left: int,
    right: int,
    taps: IntArray,
    parts: FloatArray,
    mixed: FloatArray,
    gaps: FloatArray,
    x: float,
    row_grad: FloatArray,
) -> tuple[float, float, float]:
    """One row of pixels under a sprite.

    Adds the gradients for the mixed rows to `row_grad` and returns those for the vertical place
    in the sprite, for the horizontal one, and for the latter times the distance from the centre.
    """
    C = pixel_grad.shape[0] - 1
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
            summed += pixel_grad[c, p, q] * colour
            grad = pixel_grad[c, p, q] * share * alpha
            row_grad[c, tap] += rest * grad
            row_grad[c, tap + 1] += part * grad
            sideways += grad * (mixed[c, tap + 1] - mixed[c, tap])
            down += grad * (rest * gaps[c, tap] + part * gaps[c, tap + 1])
        for m in range(C, C + 2):
            grad = summed * share if m == C else pixel_grad[C, p, q] + summed * alpha
            row_grad[m, tap] += rest * grad
            row_grad[m, tap + 1] += part * grad
            sideways += grad * (mixed[m, tap + 1] - mixed[m, tap])
            down += grad * (rest * gaps[m, tap] + part * gaps[m, tap + 1])
        across += float(sideways)
        widen += float(sideways * np.float32(q + 0.5 - x))
    return down, across, widen


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _spread_row(row_grad: FloatArray, upper: int, place: float, map_grad: FloatArray) -> None:
    """Add a mixed row's gradients to its two rows of texels."""
    n_maps, G, _ = map_grad.shape
    part = np.float32(place - upper)
    for each in range(n_maps):
        if upper >= 0:
            for v in range(G):
                map_grad[each, upper, v] += (np.float32(1) - part) * row_grad[each, v + 1]
        if upper + 1 < G:
            for v in range(G):
                map_grad[each, upper + 1, v] += part * row_grad[each, v + 1]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _texel_backward(
    colours: FloatArray,
    presence: float,
    depth: float,
    settings: Settings,
    scales: FloatArray,
    map_grad: FloatArray,
    logit_grad: FloatArray,
) -> tuple[float, float]:
    """From gradients for the maps to those for logits; returns those for presence and depth."""
    n_maps, G, _ = map_grad.shape
    C = n_maps - 2
    _, temperature, floor, exponential = settings
    presence_grad, depth_grad = 0.0, 0.0
    for u in range(G):
        for c in range(C):
            for v in range(G):
                value = colours[c, u, v]
                free = LOWEST < value < HIGHEST
                steep = value * (1 - value) * scales[0] if free else np.float32(0)
                logit_grad[c, u, v] = map_grad[c, u, v] * steep
        for v in range(G):
            value = colours[C, u, v]
            alpha = value * presence
            grad = map_grad[C, u, v]
            by_nearness = map_grad[C + 1, u, v] / temperature
            if exponential:
                by_nearness *= math.exp((alpha * depth - 1) / temperature)
            elif alpha * depth / temperature <= floor:
                by_nearness = 0.0  # at the floor, importance depends on nothing
            grad += by_nearness * depth
            depth_grad += by_nearness * alpha
            presence_grad += grad * value
            free = LOWEST < value < HIGHEST
            steep = value * (1 - value) * scales[1] if free else np.float32(0)
            logit_grad[C, u, v] = grad * presence * steep
    return presence_grad, depth_grad
