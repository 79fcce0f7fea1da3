from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sqair.fused import (
    blend,
    elu,
    gru_gates,
    normal_parameters,
    place,
    sample,
    softplus,
)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(shape, dtype=torch.float64, generator=generator)


def plain_place(codes: Tensor, start: Tensor, noise: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    std = F.softplus(codes[:, 4:] + bias) + 0.01
    return start + codes[:, :4] + std * noise, std


def plain_blend(heads: Tensor, seen: Tensor, before: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
    n = noise.shape[1]
    mean, raw, f, i, g = heads.split(n, dim=1)
    f, i, g = (0.9999 * gate.sigmoid() for gate in (f, i, g))
    std = (1 - i) * seen[:, n:] + (1 - g) * (F.softplus(raw) + 0.01) + 0.1
    return f * before + (1 - i) * seen[:, :n] + (1 - g) * mean + std * noise, std


def plain_gru(from_input: Tensor, from_state: Tensor, state: Tensor) -> Tensor:
    """The gates of `torch.nn.GRUCell`, from given products."""
    inputs, states = from_input.chunk(3, 1), from_state.chunk(3, 1)
    reset, update = (inputs[0] + states[0]).sigmoid(), (inputs[1] + states[1]).sigmoid()
    return (1 - update) * (inputs[2] + reset * states[2]).tanh() + update * state


CASES: dict[str, tuple[Callable[..., object], Callable[..., object], list[Tensor]]] = {
    "elu": (elu, F.elu, [numbers(5, 4)]),
    "softplus": (softplus, F.softplus, [numbers(5, 4)]),
    "normal_parameters": (
        normal_parameters,
        lambda codes: torch.cat([codes[:, :3], F.softplus(codes[:, 3:]) + 0.01], 1),
        [numbers(5, 6)],
    ),
    "sample": (sample, lambda p, e: p[:, :3] + p[:, 3:] * e, [numbers(5, 6), numbers(5, 3)]),
    "place": (place, plain_place, [numbers(5, 8), numbers(5, 4), numbers(5, 4), numbers()]),
    "blend": (
        lambda *inputs: blend(*inputs, 0.1),
        plain_blend,
        [numbers(5, 15), numbers(5, 6, seed=1).abs(), numbers(5, 3), numbers(5, 3, seed=2)],
    ),
    "gru_gates": (
        gru_gates,
        plain_gru,
        [numbers(5, 12), numbers(5, 12, seed=1), numbers(5, 4, seed=2)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fused_formula_equals_the_plain_one(name: str) -> None:
    fused, plain, inputs = CASES[name]
    torch.testing.assert_close(fused(*inputs), plain(*inputs), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_slopes_written_by_hand_are_those_of_finite_differences(name: str) -> None:
    fused, _, inputs = CASES[name]
    leaves = [each.clone().requires_grad_() for each in inputs]
    assert torch.autograd.gradcheck(fused, leaves)


def test_softplus_is_exact_where_exponentials_overflow() -> None:
    values = torch.tensor([-88.0, 0.0, 88.0, 1000.0])
    torch.testing.assert_close(softplus(values), F.softplus(values))
