"""What a place hears from the objects around it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.fused import as_array, runs_fused
from smot.models.layers import linear
from smot.models.silot import attention_kernel


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

    def silence(self) -> None:
        """Let every place hear nothing until training has moved the last layer."""
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

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
        heard = F.linear(source, weight[:, :n], self.first.bias).float()
        heard = heard + _product(place, weight[:, n : n + 2])
        asked = -_product(target_place, weight[:, n : n + 2])
        if target is not None:
            asked = asked + F.linear(target, weight[:, n + 2 :]).float()
        shares = gaussian_shares(place, target_place, self.sigma)
        combine = combine_pairs if runs_fused(source) else combine_pairs_reference
        pooled = combine(heard, asked, shares, self.second.weight, self.second.bias)
        answer = F.linear(pooled, self.last.weight).float()
        return answer + shares.sum(-1, keepdim=True) * self.last.bias


def gaussian_shares(place: Tensor, target_place: Tensor, sigma: float) -> Tensor:
    """w_jk for objects [B, K, 2] and places [B or 1, J, 2], [B, J, K]."""
    gap = place[:, None] - target_place[:, :, None]
    distance = (gap * gap).sum(-1)
    return torch.exp(distance * (-0.5 / sigma**2)) * (0.5 / (math.pi * sigma**2))


def _product(place: Tensor, weight: Tensor) -> Tensor:
    """Places [..., 2] times weights [width, 2] in full precision, [..., width]."""
    return place[..., :1] * weight[:, 0] + place[..., 1:] * weight[:, 1]


def combine_pairs(
    heard: Tensor, asked: Tensor, shares: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """Weighted sum over k of ReLU(weight @ ReLU(heard_k + asked_j) + bias).

    Args:
        heard: of objects, [B, K, W].
        asked: of places, [B or 1, J, W].
        shares: weights w_jk, [B, J, K].
        weight: [W, W].
        bias: [W].

    Returns:
        [B, J, W], float32.
    """
    dtype = torch.float32
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
    pooled: Tensor = _Combine.apply(heard, asked, shares, weight.to(dtype), bias.to(dtype))
    return pooled


def combine_pairs_reference(
    heard: Tensor, asked: Tensor, shares: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """What ``combine_pairs`` computes, in plain PyTorch; same arguments."""
    pairs = torch.relu(heard[:, None] + asked[:, :, None])
    values = torch.relu(F.linear(pairs, weight, bias))
    return (shares[..., None] * values).sum(2)


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, heard: Tensor, asked: Tensor, shares: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        B, K, W = heard.shape
        J = asked.shape[1]
        heard, asked, shares = heard.contiguous(), asked.contiguous(), shares.contiguous()
        pairs = heard.new_empty(B, J, K, W, dtype=weight.dtype)
        attention_kernel.pair(heard.numpy(), asked.numpy(), as_array(pairs))
        values = torch.addmm(bias, pairs.view(-1, W), weight.t()).relu_().view(pairs.shape)
        pooled = heard.new_empty(B, J, W)
        attention_kernel.pool(as_array(values), shares.numpy(), pooled.numpy())
        ctx.save_for_backward(pairs, values, shares, weight)
        ctx.n_asked = len(asked)
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        pairs, values, shares, weight = ctx.saved_tensors
        B, J, K, W = pairs.shape
        values_pull, shares_pull = torch.empty_like(values), torch.empty_like(shares)
        attention_kernel.pool_backward(
            as_array(values), shares.numpy(), gradients[0].float().contiguous().numpy(),
            as_array(values_pull), shares_pull.numpy(),
        )  # fmt: skip
        flat = values_pull.view(-1, W)
        pull = flat @ weight
        heard_pull, asked_pull = shares.new_empty(B, K, W), shares.new_empty(ctx.n_asked, J, W)
        attention_kernel.pair_backward(
            as_array(pairs),
            as_array(pull.view(pairs.shape)),
            heard_pull.numpy(),
            asked_pull.numpy(),
        )
        return heard_pull, asked_pull, shares_pull, flat.t() @ pairs.view(-1, W), flat.sum(0)
