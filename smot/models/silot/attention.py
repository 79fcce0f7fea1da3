"""Attention from places to the objects around them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.layers import linear


class SpatialAttention(nn.Module):
    """Sum over objects k of w_jk * MLP([source_k, place_k - place_j, target_j]) for places j.

    w_jk = exp(-|place_k - place_j|^2 / (2 sigma^2)) / (2 pi sigma^2). The first layer is linear
    in its three inputs and the last layer is linear, so the first is applied to objects and
    places apart and the last after the sum: exact, and most of the work is saved.

    Args:
        n_source: width of the objects' features.
        n_target: width of the places' features, 0 for none.
        width: of the hidden layers and the output.
        sigma: reach, anchors.

    Source: SILOT supplement B.
    """

    def __init__(self, n_source: int, n_target: int, width: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.n_source = n_source
        self.first = linear(n_source + 2 + n_target, width)
        self.second = linear(width, width)
        self.last = linear(width, width)

    def forward(
        self, source: Tensor, place: Tensor, target: Tensor | None, target_place: Tensor
    ) -> Tensor:
        """What each place takes from the objects.

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
        of_objects = F.linear(source, weight[:, :n], self.first.bias).float()
        of_objects = of_objects + _product(place, weight[:, n : n + 2])
        of_places = -_product(target_place, weight[:, n : n + 2])
        if target is not None:
            of_places = of_places + F.linear(target, weight[:, n + 2 :]).float()
        pairs = torch.relu(of_objects[:, None] + of_places[:, :, None])  # [B, J, K, width]
        values = torch.relu_(self.second(pairs))
        gap = place[:, None] - target_place[:, :, None]
        weights = torch.exp((gap * gap).sum(-1) * (-0.5 / self.sigma**2))
        shares = weights * (0.5 / (math.pi * self.sigma**2))  # w_jk, [B, J, K]
        pooled = (shares[..., None] * values).sum(2)
        # The bias of the last layer, which is applied after the sum, counts once per object.
        outputs = F.linear(pooled, self.last.weight).float()
        return outputs + shares.sum(-1, keepdim=True) * self.last.bias


def _product(place: Tensor, weight: Tensor) -> Tensor:
    """Places [..., 2] times weights [width, 2] in float32 under autocast too, [..., width]."""
    return place[..., :1] * weight[:, 0] + place[..., 1:] * weight[:, 1]
