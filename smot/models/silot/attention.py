"""What a place hears from the objects around it."""

import math

import torch
from torch import Tensor, nn

from smot.models.layers import linear


class SpatialAttention(nn.Module):
    """Sum over objects k of w_jk * MLP([source_k, place_k - place_j, target_j]) for places j.

    w_jk = exp(-|place_k - place_j|^2 / (2 sigma^2)) / (2 pi sigma^2). The first layer is linear
    in its three inputs and the last layer is linear, so the first is computed for objects and
    places apart and the last after the sum: exact, and most of the work is saved.

    Source: supplement (attention of discovery and of propagation).
    """

    def __init__(self, n_source: int, n_target: int, width: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        n_in = n_source + 2 + n_target
        self.first = linear(n_in, width)
        self.second = linear(width, width)
        self.last = linear(width, width)
        self.n_source = n_source

    def forward(
        self, source: Tensor, place: Tensor, target: Tensor | None, target_place: Tensor
    ) -> Tensor:
        """What each place hears.

        Args:
            source: features of objects, [B, K, n_source].
            place: y, x of objects, [B, K, 2], anchors.
            target: features of the places, [B, J, n_target], or None for n_target = 0.
            target_place: y, x of the places, [B or 1, J, 2], anchors.

        Returns:
            [B, J, width], float32.
        """
        n = self.n_source
        weight = self.first.weight
        heard = nn.functional.linear(source, weight[:, :n], self.first.bias)
        heard = heard + _product(place, weight[:, n : n + 2])
        asked = -_product(target_place, weight[:, n : n + 2])
        if target is not None:
            asked = asked + nn.functional.linear(target, weight[:, n + 2 :])
        pairs = torch.relu(heard[:, None] + asked[:, :, None]).to(self._dtype(source))
        pairs = torch.relu(self.second(pairs))
        shares = self._shares(place, target_place)
        pooled = torch.matmul(shares[:, :, None].to(pairs.dtype), pairs)[:, :, 0]
        total = shares.sum(-1, keepdim=True)
        answer = nn.functional.linear(pooled, self.last.weight).float()
        return answer + total * self.last.bias

    def _shares(self, place: Tensor, target_place: Tensor) -> Tensor:
        """w_jk, [B, J, K]."""
        gap = place[:, None] - target_place[:, :, None]
        variance = self.sigma**2
        distance = (gap * gap).sum(-1)
        return torch.exp(distance * (-0.5 / variance)) * (0.5 / (math.pi * variance))

    def _dtype(self, source: Tensor) -> torch.dtype:
        kind = source.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else source.dtype


def _product(place: Tensor, weight: Tensor) -> Tensor:
    """Places [..., 2] times weights [width, 2] in full precision, [..., width]."""
    return place[..., :1] * weight[:, 0] + place[..., 1:] * weight[:, 1]
