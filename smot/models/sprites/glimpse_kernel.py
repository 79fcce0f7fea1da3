"""Compiled glimpses: bilinear reading of boxes, and the gradient for the boxes and weights."""

import numpy as np
from numba import njit

from smot.arrays import FloatArray, IntArray


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _taps(
    centre: float, side: float, unit: float, n_pixels: int, taps: IntArray, shares: FloatArray
) -> None:
    """For each sample of one axis: two pixels, their shares, and d share / d position."""
    n_samples = taps.shape[1]
    for sample in range(n_samples):
        place = unit * (centre + side * ((sample + 0.5) / n_samples - 0.5)) - 0.5
        below = np.floor(place)
        first = np.int64(below)
        part = np.float32(place - below)
        for tap in range(2):
            # Pixels outside the image count as 0: any pixel, with no share.
            pixel = first + tap
            inside = 0 <= pixel < n_pixels
            taps[tap, sample] = pixel if inside else 0
            share = part if tap == 1 else np.float32(1) - part
            shares[tap, sample] = share if inside else np.float32(0)
            gradient = np.float32(1) if tap == 1 else np.float32(-1)
            shares[2 + tap, sample] = gradient if inside else np.float32(0)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def read(
    images: FloatArray, boxes: FloatArray, weights: FloatArray, unit: float, glimpses: FloatArray
) -> None:
    """Fill `glimpses` [N, K, C, G, G]; see `smot.models.sprites.glimpse`.

    Args:
        images: [N, C, H, W].
        boxes: y, x, h, w, [N, K, 4].
        weights: [N, K, G, G], or with N = 0 for none.
        unit: pixels per unit of the boxes.
        glimpses: written.
    """
    _, C, H, W = images.shape
    N, K, _, G, _ = glimpses.shape
    weighted = weights.shape[0] > 0
    rows, columns = np.empty((2, G), np.int64), np.empty((2, G), np.int64)
    row_shares, column_shares = np.empty((4, G), np.float32), np.empty((4, G), np.float32)
    for n in range(N):
        for k in range(K):
            y, x, h, w = boxes[n, k, 0], boxes[n, k, 1], boxes[n, k, 2], boxes[n, k, 3]
            _taps(y, h, unit, H, rows, row_shares)
            _taps(x, w, unit, W, columns, column_shares)
            for c in range(C):
                for u in range(G):
                    upper, lower = images[n, c, rows[0, u]], images[n, c, rows[1, u]]
                    for v in range(G):
                        left, right = columns[0, v], columns[1, v]
                        value = row_shares[0, u] * (
                            column_shares[0, v] * upper[left] + column_shares[1, v] * upper[right]
                        ) + row_shares[1, u] * (
                            column_shares[0, v] * lower[left] + column_shares[1, v] * lower[right]
                        )
                        if weighted:
                            value *= weights[n, k, u, v]
                        glimpses[n, k, c, u, v] = value


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def read_backward(
    images: FloatArray,
    boxes: FloatArray,
    weights: FloatArray,
    unit: float,
    gradient: FloatArray,
    box_gradient: FloatArray,
    weight_gradient: FloatArray,
) -> None:
    """Gradients of `read` for boxes and weights.

    Args:
        images: as in `read`.
        boxes: as in `read`.
        weights: as in `read`.
        unit: as in `read`.
        gradient: of the loss for the glimpses, [N, K, C, G, G].
        box_gradient: written, [N, K, 4].
        weight_gradient: added to where there are weights, like `weights`.
    """
    _, C, H, W = images.shape
    N, K, _, G, _ = gradient.shape
    weighted = weights.shape[0] > 0
    rows, columns = np.empty((2, G), np.int64), np.empty((2, G), np.int64)
    row_shares, column_shares = np.empty((4, G), np.float32), np.empty((4, G), np.float32)
    down, across = np.empty(G, np.float32), np.empty(G, np.float32)
    for n in range(N):
        for k in range(K):
            y, x, h, w = boxes[n, k, 0], boxes[n, k, 1], boxes[n, k, 2], boxes[n, k, 3]
            _taps(y, h, unit, H, rows, row_shares)
            _taps(x, w, unit, W, columns, column_shares)
            # Gradients for the positions of whole rows and columns of samples.
            down[:] = 0
            across[:] = 0
            for c in range(C):
                for u in range(G):
                    upper, lower = images[n, c, rows[0, u]], images[n, c, rows[1, u]]
                    for v in range(G):
                        left, right = columns[0, v], columns[1, v]
                        top = (
                            column_shares[0, v] * upper[left] + column_shares[1, v] * upper[right]
                        )
                        low = (
                            column_shares[0, v] * lower[left] + column_shares[1, v] * lower[right]
                        )
                        sideways = row_shares[0, u] * (
                            column_shares[2, v] * upper[left] + column_shares[3, v] * upper[right]
                        ) + row_shares[1, u] * (
                            column_shares[2, v] * lower[left] + column_shares[3, v] * lower[right]
                        )
                        grad = gradient[n, k, c, u, v]
                        if weighted:
                            value = row_shares[0, u] * top + row_shares[1, u] * low
                            weight_gradient[n, k, u, v] += grad * value
                            grad *= weights[n, k, u, v]
                        down[u] += grad * (row_shares[2, u] * top + row_shares[3, u] * low)
                        across[v] += grad * sideways
            sums = np.zeros(4, np.float32)
            for u in range(G):
                # A side moves each sample by its distance from the centre.
                reach = np.float32((u + 0.5) / G - 0.5)
                sums[0] += down[u]
                sums[1] += across[u]
                sums[2] += down[u] * reach
                sums[3] += across[u] * reach
            for side in range(4):
                box_gradient[n, k, side] = sums[side] * unit
