import math

import pytest
import torch

from smot.models.sqair import SqairConfig
from smot.models.sqair.objects import Slots
from smot.models.sqair.priors import CountPrior, PropagationPrior, WherePrior


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("n_learned", [4, 0])
def test_count_priors_are_distributions(n_learned: int) -> None:
    prior = CountPrior(0.516, n_learned, generator())
    logs = prior(4, torch.linspace(-0.5, 0.5, 3), is_first=True)
    assert logs.shape == (3, 5)
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(3))


def test_the_geometric_prior_is_truncated_and_follows_the_number_of_slots() -> None:
    prior = CountPrior(0.4, 0, generator())
    for n_slots in (2, 12):
        logs = prior(n_slots, torch.zeros(1), is_first=True)[0]
        torch.testing.assert_close(logs.diff(), torch.full((n_slots,), math.log(0.4)))


def test_the_learned_prior_expects_nothing_new_after_the_first_frame() -> None:
    prior = CountPrior(0.516, 6, generator())
    assert prior(6, torch.zeros(1), is_first=True)[0, 0] < -0.5
    assert prior(6, torch.zeros(1), is_first=False)[0, 0] > -0.01


def test_the_prior_of_places_is_a_chain_over_steps() -> None:
    prior = WherePrior(8, -2.0, generator())
    where = torch.randn(3, 5, 4, generator=generator())
    condition, staying = torch.rand(5, 8, generator=generator()), torch.rand(5)
    together = prior(where, condition, staying)
    changed = where.clone()
    changed[1] += 1
    moved = prior(changed, condition, staying) != together
    assert moved[1:].all()
    assert not moved[0].any()
    first = prior(where[:1], condition, staying)
    torch.testing.assert_close(first, together[:1])


def test_the_prior_of_sizes_starts_small() -> None:
    prior = WherePrior(256, -2.0, generator())
    places = torch.tensor([[-2.0, -2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]])[None]
    logs = prior(places, torch.zeros(2, 256), torch.zeros(2))[0]
    assert logs[0] > logs[1] + 3


@pytest.mark.parametrize("kind", ["rnn", "rw", "guided"])
def test_priors_of_propagation_differ_in_what_they_start_from(kind: str) -> None:
    config = SqairConfig(n_hidden=8, n_what=3, propagation_prior=kind)  # type: ignore[arg-type]
    prior = PropagationPrior(config, generator())
    what, where = 9 * torch.ones(2, 4, 3), -9 * torch.ones(2, 4, 4)
    present = torch.tensor([[1.0] * 4, [0.0] * 4])
    state = torch.zeros(2, 4, 8)
    slots = Slots(
        what=what,
        where=where,
        present=present,
        logit=torch.ones(2, 4),
        temporal=state,
        prior=state,
        ids=torch.zeros(2, 4, dtype=torch.int64),
    )
    expected, _ = prior(slots)
    near = {"rnn": False, "rw": True, "guided": True}[kind]
    assert bool(((expected.what - what).abs() < 1).all()) is near
    assert bool(((expected.where - where).abs() < 1).all()) is near
    assert (expected.logit[1] == -88).all()
    # Near the last logit, a tenth of the bias towards staying counts, and else the whole of it.
    prior.stay_bias += 10
    step = 10.0 if kind == "rnn" else 1.0
    raised, _ = prior(slots)
    assert torch.allclose(raised.logit[0] - expected.logit[0], torch.full((4,), step), atol=1e-5)
    again, _ = prior(slots._replace(logit=3 * torch.ones(2, 4)))
    start = 0.0 if kind == "rnn" else 2.0
    assert torch.allclose(again.logit[0] - raised.logit[0], torch.full((4,), start), atol=1e-5)
