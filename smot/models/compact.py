"""Weights in few bits, for files that travel."""

from collections.abc import Mapping

import torch
from torch import Tensor

from smot.errors import DataError

LARGE = 2**15
"""Numbers from which on a matrix is stored in 8 bits. Of smaller ones there are few, and what a
model predicts depends on them more."""


def compacted(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Large matrices in 8 bits, the other weights in float16 where that holds them.

    Returns:
        The weights, and what one step is worth in each row of those in 8 bits: float32,
        [rows, 1, ...], by name.
    """
    stored, scales = dict(weights), {}
    for name, weight in weights.items():
        if not weight.is_floating_point():
            continue
        if weight.dim() > 1 and weight.numel() >= LARGE:
            largest = weight.float().abs().flatten(1).amax(1).view(_one_each(weight))
            scales[name] = (largest / 127).clamp_min(torch.finfo(torch.float32).tiny)
            stored[name] = (weight / scales[name]).round().to(torch.int8)
        elif torch.isfinite(half := weight.half()).all():
            stored[name] = half
    return stored, scales


def restored(weights: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `compacted` stored, matrices as float32.

    Raises:
        DataError: scales and matrices in 8 bits do not belong to each other, or several of these
            are the same memory, so that a small file would become much.
    """
    steps = {name: weight for name, weight in weights.items() if weight.dtype == torch.int8}
    for name in (*steps, *scales):
        step, scale = steps.get(name), scales.get(name)
        if step is None or scale is None or scale.shape != _one_each(step):
            raise DataError(
                f"weight {name!r}: a matrix in 8 bits and a scale for each row go together"
            )
    if len({each.untyped_storage().data_ptr() for each in steps.values()}) < len(steps):
        raise DataError("weights in 8 bits share memory")
    return {**weights, **{name: steps[name] * scale for name, scale in scales.items()}}


def _one_each(weight: Tensor) -> tuple[int, ...]:
    """Shape of one number for each row of a matrix."""
    return (*weight.shape[:1], *(1 for _ in weight.shape[1:]))
