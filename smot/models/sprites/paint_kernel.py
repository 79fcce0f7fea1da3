"""Compiled painting: every sprite visits only the pixels under it."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.sprites.paint_geometry import (
    SMALLEST_SIDE,
    WEIGHT_EPSILON,
    column_taps,
    footprint,
    mix_rows,
    texel_maps,
)


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
            top, bottom = footprint(y, h, G, H)
            left, right = footprint(x, w, G, W)
            if top >= bottom or left >= right:
                continue
            texel_maps(
                colours[n, k], presence[n, k], depth[n, k], background, temperature, floor, maps
            )
            column_taps(left, right, x, w, G, taps, parts)
            for p in range(top, bottom):
                mix_rows(maps, G * ((p + 0.5 - y) / h + 0.5) - 0.5, mixed, slope)
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
