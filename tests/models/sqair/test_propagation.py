import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import MultivariateNormal

from smot.models.sqair import SqairConfig
from smot.models.sqair.objects import log_normal
from smot.models.sqair.propagation import Propagation, blend


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(shape, dtype=torch.float64, generator=generator)


def test_the_density_of_a_propagated_place_is_that_of_its_covariance() -> None:
    module = Propagation(SqairConfig(n_hidden=4), torch.Generator().manual_seed(0))
    lower, stretch = module.factor()
    d = torch.tensor([0.1, 0.2, 0.3, 0.4])
    noise = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    where = d * (noise @ lower)[0]
    expected = MultivariateNormal(torch.zeros(4), scale_tril=d[:, None] * lower.T)
    torch.testing.assert_close(log_normal(noise[0], d * stretch), expected.log_prob(where))


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
