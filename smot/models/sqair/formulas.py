"""Formulas of one slot, in plain PyTorch; the compiled loops compute the same."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STD_FLOOR = 0.01
GATE_LIMIT = 0.9999
LARGEST_EXPONENT = 15.0


def elu(inputs: Tensor) -> Tensor:
    """ELU with slope 1, several times as fast on a CPU as PyTorch's own, which uses expm1."""
    outputs: Tensor = _Elu.apply(inputs)
    return outputs


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        outputs = torch.maximum(inputs, inputs.clamp(max=0).exp_().sub_(1))
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        slopes: Tensor = (outputs + 1).clamp_(max=1).mul_(slope)
        return slopes


def softplus(inputs: Tensor) -> Tensor:
    """log(1 + exp(x)), several times as fast on a CPU as PyTorch's own, which uses log1p."""
    outputs: Tensor = _Softplus.apply(inputs)
    return outputs


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return torch.maximum(inputs, inputs.clamp(max=LARGEST_EXPONENT).exp_().add_(1).log_())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (inputs,) = ctx.saved_tensors
        slopes: Tensor = inputs.sigmoid().mul_(slope)
        return slopes


def normal_parameters(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Means m and deviations softplus(s) + 0.01 of codes (m, s), [M, 2A] to [M, A] each."""
    mean, raw = codes.chunk(2, dim=-1)
    return mean, softplus(raw) + STD_FLOOR


def place(codes: Tensor, start: Tensor, noise: Tensor, std_bias: Tensor) -> tuple[Tensor, Tensor]:
    """A sample of ``where`` around where it was, and its deviations.

    std = softplus(s + std_bias) + 0.01 and where = start + m + std * noise, for codes (m, s).

    Args:
        codes: [M, 8].
        start: [M, 4].
        noise: [M, 4].
        std_bias: [].

    Returns:
        where and std, [M, 4] each.
    """
    mean, raw = codes.chunk(2, dim=-1)
    std = softplus(raw + std_bias) + STD_FLOOR
    return torch.addcmul(start + mean, std, noise), std


def blend(
    heads: Tensor, seen: tuple[Tensor, Tensor], before: Tensor, noise: Tensor, std_floor: float
) -> tuple[Tensor, Tensor]:
    """A sample of a propagated object's appearance, and its deviations.

    For heads (kept, k, a, b, c) and gates f, i, g = 0.9999 * sigmoid of a, b, c:
    std = (1 - i) * seen_std + (1 - g) * (softplus(k) + 0.01) + std_floor and
    what = f * before + (1 - i) * seen_mean + (1 - g) * kept + std * noise.

    Args:
        heads: [M, 5A].
        seen: mean and deviation of what the glimpse shows, [M, A] each.
        before: the appearance in the last frame, [M, A].
        noise: [M, A].
        std_floor: least deviation.

    Returns:
        what and std, [M, A] each.

    Source: sqair.md 3.3, step 5.
    """
    A = noise.shape[-1]
    kept, kept_std = normal_parameters(heads[:, : 2 * A])
    forget, skip_seen, skip_kept = (GATE_LIMIT * heads[:, 2 * A :].sigmoid()).chunk(3, dim=-1)
    new, trend = 1 - skip_seen, 1 - skip_kept
    std = new * seen[1] + trend * kept_std + std_floor
    return forget * before + new * seen[0] + trend * kept + std * noise, std


def gru_gates(from_input: Tensor, from_state: Tensor, state: Tensor) -> Tensor:
    """The next state of a gated recurrent unit, given its two products.

    reset, update = sigmoid of the sums of the first two thirds, candidate = tanh(i + reset * s)
    of the last thirds, and (1 - update) * candidate + update * state.

    Args:
        from_input: product of the input, [M, 3h]: reset, update, candidate.
        from_state: product of the state, [M, 3h].
        state: [M, h].

    Returns:
        [M, h].
    """
    inputs, states = from_input.chunk(3, dim=-1), from_state.chunk(3, dim=-1)
    reset, update = (inputs[0] + states[0]).sigmoid(), (inputs[1] + states[1]).sigmoid()
    candidate = torch.addcmul(inputs[2], reset, states[2]).tanh()
    return torch.lerp(candidate, state, update)
