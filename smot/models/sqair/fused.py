"""Small formulas of the loops over slots, each one step of the graph with its slopes by hand.

With some thirty rows an operation costs more to call than to compute, so a formula of ten
operations is worth writing out. Beside each stands the plain formula in its docstring; the tests
compare slopes with finite differences.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smot.models.sqair.taped import elu_, elu_slope

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
        outputs = elu_(inputs.clone())
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        return elu_slope(outputs).mul_(slope)


def softplus(inputs: Tensor) -> Tensor:
    """log(1 + exp(x)), several times as fast on a CPU as PyTorch's own, which uses log1p."""
    outputs: Tensor = _Softplus.apply(inputs)
    return outputs


def _softplus(inputs: Tensor) -> Tensor:
    grown = inputs.clamp(max=LARGEST_EXPONENT).exp_().add_(1).log_()
    return torch.maximum(inputs, grown, out=grown)


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return _softplus(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (inputs,) = ctx.saved_tensors
        slopes: Tensor = inputs.sigmoid().mul_(slope)
        return slopes


def normal_parameters(codes: Tensor) -> Tensor:
    """Means and deviations side by side: (m, softplus(s) + 0.01) of codes (m, s), [..., 2A]."""
    parameters: Tensor = _NormalParameters.apply(codes)
    return parameters


class _NormalParameters(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, codes: Tensor) -> Tensor:
        n = codes.shape[-1] // 2
        ctx.save_for_backward(codes)
        parameters = codes.clone()
        parameters[..., n:] = _softplus(codes[..., n:]).add_(STD_FLOOR)
        return parameters

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (codes,) = ctx.saved_tensors
        n = codes.shape[-1] // 2
        slope = slope.clone()
        slope[..., n:] *= codes[..., n:].sigmoid()
        return slope


def place(codes: Tensor, start: Tensor, noise: Tensor, std_bias: Tensor) -> tuple[Tensor, Tensor]:
    """A sample of ``where`` around where it was, and its deviations.

    std = softplus(s + std_bias) + 0.01 and where = start + m + std * noise, for codes (m, s).

    Args:
        codes: [M, 8].
        start: [M, 4], or [1, 4] that gets no gradient.
        noise: [M, 4].
        std_bias: [].

    Returns:
        where and std, [M, 4] each.
    """
    placed: tuple[Tensor, Tensor] = _Place.apply(codes, start, noise, std_bias)
    return placed


class _Place(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, codes: Tensor, start: Tensor, noise: Tensor, std_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        raw = codes[:, 4:] + std_bias
        std = _softplus(raw).add_(STD_FLOOR)
        ctx.save_for_backward(raw, std, noise)
        return (start + codes[:, :4]).addcmul_(std, noise), std

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, where_slope: Tensor, std_slope: Tensor) -> tuple[Tensor | None, ...]:
        raw, std, noise = ctx.saved_tensors
        raw_slope = raw.sigmoid().mul_(torch.addcmul(std_slope, where_slope, noise))
        codes_slope = torch.cat([where_slope, raw_slope], dim=1)
        needs = ctx.needs_input_grad
        start_slope = where_slope if needs[1] else None
        noise_slope = where_slope * std if needs[2] else None
        return codes_slope, start_slope, noise_slope, raw_slope.sum()


def sample(parameters: Tensor, noise: Tensor) -> Tensor:
    """A sample m + std * noise of parameters (m, std), [M, 2A] and [M, A] to [M, A]."""
    mean, std = parameters.chunk(2, dim=1)
    return torch.addcmul(mean, std, noise)


def blend(
    heads: Tensor, seen: Tensor, before: Tensor, noise: Tensor, std_floor: float
) -> tuple[Tensor, Tensor]:
    """A sample of a propagated object's appearance, and its deviations.

    For heads (kept, k, a, b, c) and gates f, i, g = 0.9999 * sigmoid of a, b, c:
    std = (1 - i) * seen_std + (1 - g) * (softplus(k) + 0.01) + std_floor and
    what = f * before + (1 - i) * seen_mean + (1 - g) * kept + std * noise.

    Args:
        heads: [M, 5A].
        seen: mean and deviation of what the glimpse shows, [M, 2A].
        before: the appearance in the last frame, [M, A].
        noise: [M, A].
        std_floor: least deviation.

    Returns:
        what and std, [M, A] each.

    Source: sqair.md 3.3, step 5.
    """
    blended: tuple[Tensor, Tensor] = _Blend.apply(heads, seen, before, noise, std_floor)
    return blended


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, heads: Tensor, seen: Tensor, before: Tensor, noise: Tensor, std_floor: float
    ) -> tuple[Tensor, Tensor]:
        n = noise.shape[-1]
        gates = heads[:, 2 * n :].sigmoid()
        shares = gates * -GATE_LIMIT
        shares[:, n:] += 1
        shares[:, :n].neg_()
        kept = heads[:, : 2 * n].clone()
        kept[:, n:] = _softplus(heads[:, n : 2 * n]).add_(STD_FLOOR)
        forget, new, trend = shares.chunk(3, dim=1)
        std = (new * seen[:, n:]).addcmul_(trend, kept[:, n:]).add_(std_floor)
        what = (forget * before).addcmul_(new, seen[:, :n]).addcmul_(trend, kept[:, :n])
        ctx.save_for_backward(heads, seen, before, noise, gates, shares, kept, std)
        return what.addcmul_(std, noise), std

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, what_slope: Tensor, std_slope: Tensor) -> tuple[Tensor | None, ...]:
        heads, seen, before, noise, gates, shares, kept, std = ctx.saved_tensors
        n = noise.shape[-1]
        forget, new, trend = shares.chunk(3, dim=1)
        std_slope = torch.addcmul(std_slope, what_slope, noise)
        both = torch.cat([what_slope, std_slope], dim=1)
        heads_slope = torch.empty_like(heads)
        heads_slope[:, : 2 * n] = both * trend.repeat(1, 2)
        heads_slope[:, n : 2 * n] *= heads[:, n : 2 * n].sigmoid()
        gate_slope = heads_slope[:, 2 * n :]
        gate_slope[:, :n] = what_slope * before
        gate_slope[:, n : 2 * n] = -(both * seen).view(-1, 2, n).sum(1)
        gate_slope[:, 2 * n :] = -(both * kept).view(-1, 2, n).sum(1)
        gate_slope *= gates.mul(GATE_LIMIT).mul_(1 - gates)
        noise_slope = what_slope * std if ctx.needs_input_grad[3] else None
        return heads_slope, both * new.repeat(1, 2), what_slope * forget, noise_slope, None


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
    updated: Tensor = _GruGates.apply(from_input, from_state, state)
    return updated


class _GruGates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, from_input: Tensor, from_state: Tensor, state: Tensor) -> Tensor:
        h = state.shape[-1]
        gates = (from_input[:, : 2 * h] + from_state[:, : 2 * h]).sigmoid_()
        reset, update = gates[:, :h], gates[:, h:]
        kept = from_state[:, 2 * h :]
        candidate = torch.addcmul(from_input[:, 2 * h :], reset, kept).tanh_()
        ctx.save_for_backward(gates, candidate, kept, state)
        return torch.lerp(candidate, state, update)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, candidate, kept, state = ctx.saved_tensors
        h = state.shape[-1]
        reset, update = gates[:, :h], gates[:, h:]
        input_slope = slope.new_empty(len(slope), 3 * h)
        candidate_slope = torch.mul(slope, 1 - update, out=input_slope[:, 2 * h :])
        candidate_slope.mul_(1 - candidate.square())
        torch.mul(candidate_slope, kept, out=input_slope[:, :h])
        torch.mul(slope, state - candidate, out=input_slope[:, h : 2 * h])
        input_slope[:, : 2 * h].mul_(gates * (1 - gates))
        state_slope = input_slope.clone()
        state_slope[:, 2 * h :].mul_(reset)
        return input_slope, state_slope, slope * update
