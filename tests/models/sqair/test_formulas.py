import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sqair.formulas import blend, elu, gru_gates, softplus


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("mine", "theirs"), [(elu, F.elu), (softplus, F.softplus)])
def test_fast_activations_are_those_of_torch(mine, theirs) -> None:  # type: ignore[no-untyped-def]
    values = numbers(50)
    torch.testing.assert_close(mine(values), theirs(values), atol=1e-12, rtol=1e-12)
    assert torch.autograd.gradcheck(mine, values.requires_grad_())


def test_softplus_is_exact_where_exponentials_overflow() -> None:
    values = torch.tensor([-88.0, 0.0, 88.0, 1000.0])
    torch.testing.assert_close(softplus(values), F.softplus(values))


def test_closed_gates_keep_the_appearance() -> None:
    """f = i = g = .9999: what was there stays, nearly without noise."""
    before, noise = numbers(5, 3), numbers(5, 3, seed=1)
    heads = torch.cat([numbers(5, 6, seed=2), torch.full((5, 9), 50.0)], dim=1)
    seen = (numbers(5, 3, seed=3), numbers(5, 3, seed=4).abs())
    what, std = blend(heads, seen, before, noise, 0.0)
    torch.testing.assert_close(what, before, atol=1e-2, rtol=0)
    assert (std < 1e-3).all()
    assert (std > 0).all()


def test_open_gates_take_what_is_seen_and_the_trend() -> None:
    before, noise = numbers(5, 3), torch.zeros(5, 3)
    heads = torch.cat([numbers(5, 6, seed=2), torch.full((5, 9), -50.0)], dim=1)
    seen = (numbers(5, 3, seed=3), numbers(5, 3, seed=4).abs())
    what, std = blend(heads, seen, before, noise, 0.1)
    torch.testing.assert_close(what, seen[0] + heads[:, :3])
    torch.testing.assert_close(std, seen[1] + F.softplus(heads[:, 3:6]) + 0.01 + 0.1)


def test_a_closed_update_gate_keeps_the_state() -> None:
    state = numbers(5, 4)
    from_input = torch.cat([numbers(5, 4), torch.full((5, 4), 50.0), numbers(5, 4)], dim=1)
    torch.testing.assert_close(gru_gates(from_input, numbers(5, 12), state), state)
