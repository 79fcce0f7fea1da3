"""Compiled divergences of objects' Gaussians, weighted with presences; arrays are rows of objects.

The columns of a Gaussian are position (2), size (2), appearance (A), depth (1).
"""

import numpy as np
from numba import njit

from smot.arrays import FloatArray
from smot.models.kernel_math import HALF, ONE, log


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def diverge(
    mean: FloatArray, scale: FloatArray, pres: FloatArray,
    prior_mean: FloatArray, prior_scale: FloatArray, sums: FloatArray,
) -> None:  # fmt: skip
    """Sums over the columns of each part of pres * KL(posterior || prior).

    Args:
        mean: posterior, [N, n].
        scale: posterior, [N, n].
        pres: [N, 1].
        prior_mean: [N or 1, n].
        prior_scale: [N or 1, n].
        sums: of position, size, appearance, depth, written, [N, 4].
    """
    N, n = mean.shape
    terms = np.empty(n, np.float32)
    for row in range(N):
        prior = row % len(prior_mean)
        for i in range(n):
            inverse = ONE / prior_scale[prior, i]
            ratio = scale[row, i] * inverse
            gap = (mean[row, i] - prior_mean[prior, i]) * inverse
            terms[i] = HALF * (ratio * ratio + gap * gap - ONE) - log(ratio)
        sums[row, 0] = pres[row, 0] * (terms[0] + terms[1])
        sums[row, 1] = pres[row, 0] * (terms[2] + terms[3])
        sums[row, 2] = pres[row, 0] * terms[4 : n - 1].sum()
        sums[row, 3] = pres[row, 0] * terms[n - 1]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _diverge_row(
    mean: FloatArray, scale: FloatArray, prior_mean: FloatArray, prior_scale: FloatArray,
    pulls: FloatArray, pres: float, mean_pull: FloatArray, scale_pull: FloatArray,
) -> float:  # fmt: skip
    """Gradients for one row of posterior Gaussians [n]; returns that for its presence."""
    n = len(mean)
    total = np.float32(0)
    for i in range(n):
        inverse = ONE / prior_scale[i]
        ratio = scale[i] * inverse
        gap = (mean[i] - prior_mean[i]) * inverse
        total += pulls[i] * (HALF * (ratio * ratio + gap * gap - ONE) - log(ratio))
        weight = pulls[i] * pres
        mean_pull[i] = weight * gap * inverse
        scale_pull[i] = weight * (ratio * inverse - ONE / scale[i])
    return float(total)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def _spread(sums_pull: FloatArray, pulls: FloatArray) -> None:
    """The gradient for each column [n] from those for the four sums [4]."""
    n = len(pulls)
    pulls[:2], pulls[2:4] = sums_pull[0], sums_pull[1]
    pulls[4 : n - 1], pulls[n - 1] = sums_pull[2], sums_pull[3]


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def diverge_backward(
    mean: FloatArray, scale: FloatArray, pres: FloatArray,
    prior_mean: FloatArray, prior_scale: FloatArray, sums_pull: FloatArray,
    mean_pull: FloatArray, scale_pull: FloatArray, pres_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``diverge`` for the posterior; the prior is fixed."""
    N, n = mean.shape
    pulls = np.empty(n, np.float32)
    for row in range(N):
        prior = row % len(prior_mean)
        _spread(sums_pull[row], pulls)
        pres_pull[row, 0] = _diverge_row(
            mean[row], scale[row], prior_mean[prior], prior_scale[prior], pulls,
            pres[row, 0], mean_pull[row], scale_pull[row],
        )  # fmt: skip


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def diverge_learned(
    mean: FloatArray, scale: FloatArray, pres: FloatArray,
    prior_mean: FloatArray, prior_scale: FloatArray, sums: FloatArray,
) -> None:  # fmt: skip
    """``diverge`` from a prior that gets gradients, [N, n]."""
    diverge(mean, scale, pres, prior_mean, prior_scale, sums)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def diverge_learned_backward(
    mean: FloatArray, scale: FloatArray, pres: FloatArray,
    prior_mean: FloatArray, prior_scale: FloatArray, sums_pull: FloatArray,
    mean_pull: FloatArray, scale_pull: FloatArray, pres_pull: FloatArray,
    prior_mean_pull: FloatArray, prior_scale_pull: FloatArray,
) -> None:  # fmt: skip
    """Gradients of ``diverge_learned``."""
    diverge_backward(
        mean, scale, pres, prior_mean, prior_scale, sums_pull, mean_pull, scale_pull, pres_pull
    )
    N, n = mean.shape
    pulls = np.empty(n, np.float32)
    for row in range(N):
        _spread(sums_pull[row], pulls)
        for i in range(n):
            inverse = ONE / prior_scale[row, i]
            ratio = scale[row, i] * inverse
            gap = (mean[row, i] - prior_mean[row, i]) * inverse
            prior_mean_pull[row, i] = -mean_pull[row, i]
            slope = ONE - ratio * ratio - gap * gap
            prior_scale_pull[row, i] = pulls[i] * pres[row, 0] * slope * inverse
