import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from smot.models.sqair import SqairConfig
from smot.models.sqair.decoder import Decoder
from smot.models.sqair.layers import Gru, Linear
from smot.models.sqair.priors import CountPrior, PropagationPrior, WherePrior
from smot.models.sqair.propagation import Propagation
from smot.models.sqair.samples import (
    Chosen,
    log_bernoulli,
    log_discoveries,
    log_normal,
    presence_logit,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_probabilities_of_all_numbers_of_discoveries_sum_to_one() -> None:
    N = 4
    logit = torch.randn(N, generator=generator())
    total = 0.0
    for n in range(N + 1):
        present = (torch.arange(N) < n).float()
        could = torch.cat([torch.ones(1), present[:-1]])
        masked = presence_logit(logit, could)
        total += log_discoveries(present.view(1, N, 1), masked.view(1, N, 1)).exp().item()
    assert total == pytest.approx(1)


def test_a_ruled_out_slot_costs_nothing_to_leave_empty() -> None:
    logit = presence_logit(torch.tensor([3.0]), torch.zeros(1))
    assert log_bernoulli(torch.zeros(1), logit).item() == 0


def test_log_densities_are_those_of_torch() -> None:
    value, mean = torch.randn(2, 5, 3, generator=generator())
    std = torch.rand(5, 3, generator=generator()) + 0.1
    expected = Normal(mean, std).log_prob(value).sum(-1)
    torch.testing.assert_close(log_normal(value, mean, std), expected)
    present, logit = torch.tensor([0.0, 1.0]), torch.tensor([0.3, -2.0])
    expected = Bernoulli(logits=logit).log_prob(present)
    torch.testing.assert_close(log_bernoulli(present, logit), expected)


def test_the_density_of_a_propagated_place_is_that_of_its_covariance() -> None:
    module = Propagation(SqairConfig(n_hidden=4), generator())
    lower, _ = module._factor()
    d = torch.tensor([0.1, 0.2, 0.3, 0.4])
    noise = torch.randn(1, 4, generator=generator())
    where = d * (noise @ lower)[0]
    _, stretch = module._factor()
    empty = torch.zeros(1, 0)
    chosen = Chosen(
        what=empty, where=where[None], present=torch.ones(1), logit=torch.zeros(1),
        what_log_std=empty, what_noise=empty,
        where_log_std=(d * stretch).log()[None], where_noise=noise,
    )  # fmt: skip
    expected = MultivariateNormal(torch.zeros(4), scale_tril=d[:, None] * lower.T)
    torch.testing.assert_close(chosen.log_density()[0], expected.log_prob(where))


@pytest.mark.parametrize("kind", ["cat", "geom"])
def test_count_priors_are_distributions(kind: str) -> None:
    prior = CountPrior(SqairConfig(n_slots=4, count_prior=kind), generator())
    staying = torch.linspace(-0.5, 0.5, 6).view(2, 3)
    logs = prior(4, staying)
    assert logs.shape == (2, 3, 5)
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(2, 3))


def test_the_geometric_prior_is_truncated_and_follows_the_number_of_slots() -> None:
    prior = CountPrior(SqairConfig(step_success=0.4), generator())
    for n_slots in (2, 12):
        logs = prior(n_slots, torch.zeros(1, 1))[0, 0]
        torch.testing.assert_close(logs.diff(), torch.full((n_slots,), math.log(0.4)))


def test_the_learned_prior_expects_nothing_new_after_the_first_frame() -> None:
    prior = CountPrior(SqairConfig(count_prior="cat"), generator())
    logs = prior(6, torch.zeros(2, 1))
    assert logs[0, 0, 0] < -0.5
    assert logs[1, 0, 0] > -0.01
    torch.testing.assert_close(prior(6, torch.zeros(1, 1), first=1)[0], logs[1])


def test_the_prior_of_places_is_a_chain_over_steps() -> None:
    config = SqairConfig(n_hidden=8)
    prior = WherePrior(config, generator())
    where = torch.randn(2, 3, 5, 4, generator=generator())
    condition, staying = torch.rand(2, 5, 8, generator=generator()), torch.rand(2, 5)
    together = prior(where, condition, staying)
    changed = where.clone()
    changed[:, 1] += 1
    moved = prior(changed, condition, staying) != together
    assert moved[:, 1:].all()
    assert not moved[:, 0].any()
    first = prior(where[:, :1], condition, staying)
    torch.testing.assert_close(first, together[:, :1])


def test_the_prior_of_sizes_starts_small() -> None:
    prior = WherePrior(SqairConfig(), generator())
    places = torch.tensor([[-2.0, -2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]).view(1, 1, 2, 4)
    logs = prior(places, torch.zeros(1, 2, 256), torch.zeros(1, 2))[0, 0]
    assert logs[0] > logs[1] + 3


@pytest.mark.parametrize("kind", ["rnn", "rw", "guided"])
def test_priors_of_propagation_differ_in_what_they_start_from(kind: str) -> None:
    config = SqairConfig(n_hidden=8, n_what=3, propagation_prior=kind)
    prior = PropagationPrior(config, generator())
    what, where = 9 * torch.ones(2, 4, 3), -9 * torch.ones(2, 4, 4)
    present = torch.tensor([[1.0] * 4, [0.0] * 4])
    state = torch.zeros(2, 4, 8)
    expected, _ = prior(what, where, present, torch.ones(2, 4), state)
    near = {"rnn": False, "rw": True, "guided": True}[kind]
    assert bool(((expected.what - what).abs() < 1).all()) is near
    assert bool(((expected.where - where).abs() < 1).all()) is near
    assert (expected.logit[1] == -88).all()
    assert (expected.logit[0] > -20).all()


@pytest.mark.parametrize(
    ("size", "channels", "std", "nats"),
    [((48, 48), 1, 0.3, 656.7), ((48, 48), 3, 0.3, 1970.1), ((50, 50), 1, 0.3, 712.6)],
)
def test_a_perfect_reconstruction_gives_the_ceiling_of_the_bound(
    size: tuple[int, int], channels: int, std: float, nats: float
) -> None:
    config = SqairConfig(frame_size=size, channels=channels, output_std=std, n_hidden=2)
    decoder = Decoder(config, generator())
    pixels = torch.rand(2, channels, *size, generator=generator())
    logs = decoder.log_likelihood(pixels, pixels.repeat_interleave(3, 0))
    assert logs.shape == (6,)
    assert logs[0].item() == pytest.approx(nats, abs=0.1)


def test_one_channel_with_the_reduced_deviation_weighs_errors_like_three() -> None:
    pixels = torch.rand(1, 1, 48, 48, generator=generator())
    worse = []
    for channels, std in ((1, 0.3 / math.sqrt(3)), (3, 0.3)):
        config = SqairConfig(channels=channels, output_std=std, n_hidden=2)
        decoder = Decoder(config, generator())
        frames = pixels.expand(1, channels, 48, 48)
        perfect = decoder.log_likelihood(frames, frames)
        worse.append(perfect - decoder.log_likelihood(frames, torch.zeros_like(frames)))
    torch.testing.assert_close(worse[0], worse[1])


def test_absent_objects_paint_nothing() -> None:
    decoder = Decoder(SqairConfig(n_hidden=4, channels=1, mean_image=0.5), generator())
    what, where = torch.randn(2, 3, 50), torch.randn(2, 3, 4)
    painted = decoder(what, where, torch.zeros(2, 3))
    assert painted.abs().max() < 1e-4


def test_the_mean_image_shows_only_where_something_is_painted() -> None:
    config = SqairConfig(n_hidden=4, channels=1, mean_image=0.5, output_scale=0.0)
    decoder = Decoder(config, generator())
    painted = decoder(torch.zeros(1, 1, 50), torch.zeros(1, 1, 4), torch.ones(1, 1))[0, 0]
    assert painted[24, 24].item() == pytest.approx(0.5, abs=1e-3)
    assert painted[0, 0] < 1e-4


def test_weights_start_from_a_cut_normal_and_biases_where_told() -> None:
    layer = Linear(100, 200, generator(), bias=3.0)
    assert layer.weight.std().item() == pytest.approx(0.088, abs=0.005)
    assert layer.weight.abs().max().item() <= 0.2
    assert layer.bias is not None
    assert (layer.bias == 3).all()


def test_the_gated_unit_is_that_of_torch() -> None:
    cell = Gru(3, 4, generator())
    theirs = torch.nn.GRUCell(3, 4)
    theirs.load_state_dict(
        {
            "weight_ih": cell.from_input.weight, "weight_hh": cell.from_state.weight,
            "bias_ih": cell.from_input.bias, "bias_hh": cell.from_state.bias,
        }
    )  # fmt: skip
    inputs, state = torch.randn(5, 3), torch.randn(5, 4)
    torch.testing.assert_close(cell(inputs, state), theirs(inputs, state))
