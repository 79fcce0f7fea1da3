import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from smot.models import distributions


def test_kl_of_equal_gaussians_is_zero() -> None:
    mean, scale = torch.tensor([0.3, -2.0]), torch.tensor([0.1, 1.7])
    assert distributions.gaussian_kl(mean, scale, mean, scale).abs().max() < 1e-6


def test_gaussian_kl_equals_that_of_torch() -> None:
    values = torch.rand(4, 10, generator=torch.Generator().manual_seed(0)) + 0.05
    ours = distributions.gaussian_kl(*values)
    theirs = kl_divergence(Normal(values[0], values[1]), Normal(values[2], values[3]))
    torch.testing.assert_close(ours, theirs)


def test_bernoulli_kl_equals_that_of_torch() -> None:
    p, q = torch.rand(2, 20, generator=torch.Generator().manual_seed(0)).clamp(0.01, 0.99)
    ours = distributions.bernoulli_kl(p, torch.log(q), torch.log1p(-q))
    torch.testing.assert_close(ours, kl_divergence(Bernoulli(p), Bernoulli(q)), atol=1e-6, rtol=0)


def test_relaxed_presences_are_on_as_often_as_their_probability_says() -> None:
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    logits = torch.tensor(0.7)
    on = logits + distributions.logistic_noise(uniform) > 0
    assert abs(on.float().mean() - torch.sigmoid(logits)) < 0.005


def test_relaxed_density_integrates_to_one() -> None:
    grid = torch.linspace(-40, 40, 80_001, dtype=torch.float64)
    density = distributions.relaxed_bernoulli_log_density(grid, torch.tensor(1.3)).exp()
    assert abs(torch.trapezoid(density, grid) - 1) < 1e-6


def test_logistic_noise_is_finite_at_the_ends() -> None:
    noise = distributions.logistic_noise(torch.tensor([0.0, 1 - 2**-24]))
    assert torch.isfinite(noise).all()


def test_without_noise_a_sample_is_the_mean() -> None:
    mean = torch.randn(3, generator=torch.Generator().manual_seed(0))
    assert distributions.Gaussian(mean, torch.ones(3)).sample(None) is mean


def test_scales_stay_positive_and_below_two() -> None:
    scales = distributions.positive_scale(torch.tensor([-1e6, 0.0, 1e6]))
    assert 9e-5 < scales[0] < 1e-4
    assert scales[1] == 1
    assert 1.999 < scales[2] < 2


def test_scales_lie_between_0_and_2_and_presences_within_10_logits() -> None:
    outputs = 600 * torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    scale = distributions.Gaussian.of(outputs).scale
    assert 0 < scale.min() < scale.max() < 2
    assert distributions.Presence.drawn(outputs, None).logit.abs().max() == 10
