from dataclasses import replace

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from smot.models.distributions import Gaussian
from smot.models.silot import SilotConfig, objective
from smot.models.silot.objects import Drawn
from smot.models.sprites import Paint, paint
from smot.models.sprites.painting import paint_reference

CPU = torch.device("cpu")


def gaussian(*leading: int, seed: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(*leading, 9, generator=generator)
    return Gaussian(mean, torch.rand(*leading, 9, generator=generator) + 0.05)


def drawn(posterior: Gaussian, pres: float) -> Drawn:
    ones = torch.ones(*posterior.mean.shape[:-1], 1)
    return Drawn(*posterior, logit=ones, sample=ones, pres=pres * ones)


def test_divergence_from_itself_is_zero() -> None:
    same = gaussian(2, 3, 4, seed=1)
    parts = objective.gaussian_terms(drawn(same, 1.0), same)
    assert all(value.abs() < 1e-5 for value in parts.values())


def test_parts_sum_to_the_divergence_of_torch() -> None:
    posterior, prior = gaussian(2, 3, 4, seed=1), gaussian(2, 3, 4, seed=2)
    parts = objective.gaussian_terms(drawn(posterior, 1.0), prior)
    expected = kl_divergence(Normal(*posterior), Normal(*prior)).sum() / 3
    torch.testing.assert_close(torch.stack([*parts.values()]).sum(), expected)


def test_absent_objects_cost_nothing() -> None:
    posterior = gaussian(2, 3, 4, seed=1)
    config = SilotConfig(what_size=4)
    prior = objective.prior_of_discovery(config, posterior.mean)
    parts = objective.gaussian_terms(drawn(posterior, 0.0), prior)
    assert all(value == 0 for value in parts.values())


def test_priors_are_those_of_the_specification() -> None:
    config = SilotConfig(what_size=2)
    like = torch.zeros(1)
    found = objective.prior_of_discovery(config, like)
    assert found.mean.tolist() == pytest.approx([0, 0, -2.197, -2.197, 0, 0, 0])
    assert found.scale.tolist() == pytest.approx([1, 1, 0.5, 0.5, 1, 1, 1])
    kept = objective.prior_of_propagation(replace(config, size_prior_std=0.25), like)
    assert kept.mean.tolist() == found.mean.tolist()
    assert kept.scale.tolist() == pytest.approx([0.3, 0.3, 0.25, 0.25, 0.4, 0.4, 1])


def test_the_supplements_prior_of_sizes_is_on_their_increment() -> None:
    """Sizes that stay cost the same at any size, and -0.3 more of them half a nat each."""
    config = SilotConfig(what_size=2, hidden_size=3, size_prior_on_increment=True)
    prior = objective.prior_of_propagation(config, torch.zeros(1))
    assert prior.scale[2:4].tolist() == pytest.approx([0.3, 0.3])
    last = torch.tensor([[-2.0, 0.5], [3.0, -1.0]])
    states = torch.randn(1, 1, 2, 2 + 2 + 2 + 2 + 3 + 4 + 2 + 1)
    states[..., -3:-1] = last
    around = objective.around_last_sizes(prior, states, config)
    mean = prior.mean.expand(1, 1, 2, -1).clone()
    mean[..., 2:4] = last + torch.tensor([[0.0, 0.0], [0.3, -0.3]])
    kept = Gaussian(mean, prior.scale.expand_as(mean))
    terms = objective.gaussian_terms(drawn(kept, 1.0), around)
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {"where": 0.0, "size": 1.0, "what": 0.0, "depth": 0.0}, abs=1e-5
    )


def test_cross_entropy_is_that_of_torch_without_a_floor() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 1, 4, 4, generator=generator)
    painted = torch.rand(2, 3, 1, 4, 4, generator=generator)
    expected = torch.nn.functional.binary_cross_entropy(painted, images, reduction="sum") / 3
    torch.testing.assert_close(objective.cross_entropy(images, painted, 1e-9), expected)


@pytest.mark.parametrize("floor", [1e-9, 1e-2])
def test_cross_entropy_of_sure_pixels_is_that_of_the_formula(floor: float) -> None:
    """Right and wrong zeros and ones, in float32 as in float64: all values are finite."""
    images = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 1, 4)
    painted = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 1, 4).requires_grad_()
    value = objective.cross_entropy(images, painted, floor)
    value.backward()
    exact = painted.detach().double().requires_grad_()
    on, off = torch.log(exact + floor), torch.log((1 - exact) + floor)
    expected = -(images * on + (1 - images) * off).sum()
    expected.backward()
    torch.testing.assert_close(value.detach(), expected.detach().float())
    assert painted.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(painted.grad, exact.grad.float())


def test_white_frames_on_a_white_background_cost_the_same_compiled_and_plain() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(2, 3, 2, 6, 6, generator=generator) * 20,
        torch.rand(2, 3, 4, generator=generator) * 0.3 + 0.1,
        torch.rand(2, 3, generator=generator),
        torch.rand(2, 3, generator=generator),
    ]
    found = []
    for painter in (paint, paint_reference):
        leaves = [each.clone().requires_grad_() for each in tensors]
        sprites, boxes, presence, depth = leaves
        painted = painter(
            sprites,
            boxes,
            presence,
            depth,
            torch.ones(1),
            unit=48.0,
            frame_size=(24, 24),
            style=Paint(alpha_scale=1.0),
        )
        assert (painted == 1).any()
        value = objective.cross_entropy(torch.ones(1, 2, 1, 24, 24), painted[None], 1e-9)
        found.append([value.detach(), *torch.autograd.grad(value, leaves)])
    for fast, plain in zip(*found, strict=True):
        assert torch.isfinite(fast).all()
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)


def test_count_divergence_counts_the_units_before() -> None:
    tables = objective.count_prior(4, torch.tensor(0.3, dtype=torch.float64))
    logits = torch.tensor([[[0.5, -1.0, 2.0, 0.1]]])
    on = torch.tensor([[[True, False, True, True]]])
    expected = sum(
        kl_divergence(Bernoulli(torch.sigmoid(logits[0, 0, i])), Bernoulli(tables[0][i, c].exp()))
        for i, c in enumerate([0, 1, 1, 2])
    )
    found = objective.count_divergence(logits, on, tables, 0)
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-4, atol=1e-5)


def test_the_first_frame_starts_after_the_slots() -> None:
    tables = objective.count_prior(4, torch.tensor(0.3, dtype=torch.float64))
    logits, on = torch.tensor([[[0.5, -1.0]]]), torch.tensor([[[True, True]]])
    expected = sum(
        kl_divergence(Bernoulli(torch.sigmoid(logits[0, 0, i])), Bernoulli(tables[0][u, i].exp()))
        for i, u in enumerate([2, 3])
    )
    found = objective.count_divergence(logits, on, tables, 2)
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-4, atol=1e-5)


def test_presence_divergence_of_equals_is_zero() -> None:
    sample = torch.randn(2, 3, 4, 1, generator=torch.Generator().manual_seed(0))
    assert objective.presence_divergence(sample, sample / 2, sample / 2) == 0
