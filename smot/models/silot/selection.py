"""Which objects go on: the most present of the propagated and the discovered ones."""

from typing import NamedTuple

import torch
from torch import Tensor


class Selection(NamedTuple):
    """The outcome for K slots.

    Attributes:
        source: index of each slot's object among [propagated, discovered], [B, K].
        is_new: whether that is a discovered one, [B, K].
    """

    source: Tensor
    is_new: Tensor


def select(propagated_pres: Tensor, discovered_pres: Tensor) -> Selection:
    """Keep the K objects with the largest presence; who was propagated stays in its slot.

    Freed slots are filled in increasing order with the kept discovered objects in increasing
    order. Ties go to the lower index, so to propagated objects first.

    Args:
        propagated_pres: [B, K].
        discovered_pres: [B, J].

    Source: the original code (selection); the order of slots is ours.
    """
    K, J = propagated_pres.shape[1], discovered_pres.shape[1]
    pres = torch.cat([propagated_pres, discovered_pres], dim=1)
    best = pres.argsort(dim=1, descending=True, stable=True)[:, :K]
    chosen = torch.zeros_like(pres, dtype=torch.bool).scatter_(1, best, True)
    stays, enters = chosen[:, :K], chosen[:, K:]
    cells = torch.arange(J, device=pres.device)
    entering = (cells + (J + 1) * ~enters).argsort(dim=1)
    rank = ((~stays).cumsum(1) - 1).clamp(0, J - 1)
    slots = torch.arange(K, device=pres.device)
    source = torch.where(stays, slots, K + entering.gather(1, rank))
    return Selection(source, ~stays)


def gather(objects: Tensor, source: Tensor) -> Tensor:
    """Rows of packed objects [B, N, S] by index [B, K] -> [B, K, S]."""
    B, N, S = objects.shape
    offsets = torch.arange(B, device=source.device)[:, None] * N
    rows = objects.reshape(B * N, S).index_select(0, (source + offsets).reshape(-1))
    return rows.view(B, source.shape[1], S)
