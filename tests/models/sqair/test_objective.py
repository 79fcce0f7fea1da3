import math

import pytest
import torch

from smot.models.sqair.objective import (
    baselines,
    effective_particles,
    importance_bound,
    loss,
    signals,
)


def weights(K: int = 5) -> torch.Tensor:
    return 30 * torch.randn(4, K, generator=torch.Generator().manual_seed(0))


def test_the_bound_is_at_least_the_mean_log_weight() -> None:
    assert (importance_bound(weights()) >= weights().mean(-1)).all()


def test_the_bound_of_equal_weights_is_their_value() -> None:
    torch.testing.assert_close(importance_bound(torch.full((1, 7), 3.0)), torch.tensor([3.0]))


def test_the_baseline_of_a_particle_does_not_depend_on_it() -> None:
    changed = weights()
    changed[:, 2] += 100
    torch.testing.assert_close(baselines(changed)[:, 2], baselines(weights())[:, 2])
    assert not torch.allclose(baselines(changed)[:, 1], baselines(weights())[:, 1])


def test_the_baseline_replaces_a_weight_by_the_geometric_mean_of_the_others() -> None:
    values = torch.tensor([[0.0, math.log(2.0), math.log(8.0)]])
    # Without the first: weights 4 (mean of 2 and 8), 2, 8.
    assert baselines(values)[0, 0].item() == pytest.approx(math.log(14 / 3))


def test_two_particles_have_opposite_signals_in_the_original_code() -> None:
    both = signals(weights(2), "code")
    torch.testing.assert_close(both[:, 0], -both[:, 1])
    difference = weights(2)[:, 0] - weights(2)[:, 1]
    torch.testing.assert_close(both[:, 0], difference / 2)


def test_the_signal_of_two_particles_is_bounded_below_in_the_textbook() -> None:
    both = signals(weights(2), "vimco")
    difference = weights(2)[:, 0] - weights(2)[:, 1]
    expected = torch.nn.functional.softplus(difference) - math.log(2)
    torch.testing.assert_close(both[:, 0], expected, atol=1e-4, rtol=1e-4)
    assert (both > -0.7).all()


@pytest.mark.parametrize("estimator", ["code", "vimco"])
def test_the_score_term_estimates_the_gradient_for_a_discrete_choice(estimator: str) -> None:
    """One Bernoulli choice worth 1 nat: the mean over all outcomes is the exact gradient."""
    logit = torch.tensor(0.3, requires_grad=True)
    outcomes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    log_q = outcomes * torch.nn.functional.logsigmoid(logit) + (
        1 - outcomes
    ) * torch.nn.functional.logsigmoid(-logit)
    log_weights = outcomes - log_q  # log p(x, z) = z
    chances = log_q.detach().sum(-1).exp()
    surrogate = loss(log_weights, log_q, estimator=estimator, clip=0.0, weight=1.0)
    (estimate,) = torch.autograd.grad((chances * surrogate).sum(), logit, retain_graph=True)
    detached = log_weights.detach()
    score_only = loss(detached, log_q, estimator=estimator, clip=0.0, weight=1.0)
    (score,) = torch.autograd.grad((chances * score_only).sum(), logit)
    p = torch.sigmoid(logit.detach()).requires_grad_()
    chance = torch.where(outcomes > 0, p, 1 - p)
    if estimator == "vimco":
        exact = -(chance.prod(-1) * importance_bound(outcomes - chance.log())).sum()
        (gradient,) = torch.autograd.grad(exact, p)
        torch.testing.assert_close(estimate, gradient * p * (1 - p))
    else:
        fixed = (outcomes - chance.log()).detach()
        exact = -(chance.prod(-1) * fixed.mean(-1)).sum()
        (gradient,) = torch.autograd.grad(exact, p)
        torch.testing.assert_close(score, gradient * p * (1 - p))


def test_the_signal_can_be_clipped_and_the_score_term_switched_off() -> None:
    score = torch.zeros(4, 2, requires_grad=True)
    for clip, weight, largest in ((0.5, 1.0, 0.5), (0.5, 0.1, 0.05), (0.0, 0.0, 0.0)):
        value = loss(weights(2), score, estimator="code", clip=clip, weight=weight).sum()
        (gradient,) = torch.autograd.grad(value, score)
        assert gradient.abs().max().item() == pytest.approx(largest)


def test_effective_particles_lie_between_one_and_all() -> None:
    torch.testing.assert_close(effective_particles(torch.zeros(1, 5)), torch.tensor([5.0]))
    one = torch.tensor([[0.0, -1000.0, -1000.0]])
    torch.testing.assert_close(effective_particles(one), torch.tensor([1.0]))
