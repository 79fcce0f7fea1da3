from collections.abc import Iterable

import numpy as np
import pytest
import torch

from smot.models.family import Objective
from smot.training.blowup import FAR_UPDATES, BlowupWatch, watched_loss


def noisy(levels: Iterable[float]) -> list[float]:
    """Losses that scatter around given levels by a fifth of these."""
    around = np.array(list(levels))
    noise = np.random.default_rng(0).standard_normal(len(around))
    return [float(loss) for loss in around + 0.2 * np.abs(around) * noise]


def stopped_at(losses: list[float], n_frames: int = 1, watch: BlowupWatch | None = None) -> int:
    """The update at which training stops; -1 if it does not."""
    watch = watch or BlowupWatch(10.0)
    for step, loss in enumerate(losses):
        if watch.add(step, n_frames, loss=loss, terms={}):
            return step
    return -1


@pytest.mark.parametrize("level", [400.0, -1900.0])
def test_a_loss_that_stays_an_order_of_magnitude_up_stops_training(level: float) -> None:
    losses = noisy([level] * 300 + [30 * abs(level)] * 1000)
    assert 300 + FAR_UPDATES <= stopped_at(losses) < 300 + FAR_UPDATES + 50


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_a_few_times_the_best_is_not_far(factor: float) -> None:
    assert stopped_at(noisy([400.0] * 300 + [400.0 * factor] * 2000)) == -1


def test_a_slow_rise_stops_training_too() -> None:
    assert stopped_at(noisy(400.0 * 2.0 ** (np.arange(8000) / 1000))) > 3000


def test_what_a_loss_falls_from_is_not_far() -> None:
    assert stopped_at(noisy(400 + 1e5 * np.exp(-np.arange(3000) / 100))) == -1


def test_a_single_loss_however_large_is_not_enough() -> None:
    losses = noisy([400.0] * 1000)
    losses[500] = 1e12
    losses[700] = -1e12
    assert stopped_at(losses) == -1


def test_a_loss_may_fall_through_zero_and_stay_anywhere_below() -> None:
    falling = 3000.0 - 5000.0 * (1 - np.exp(-np.arange(4000) / 500))
    rising_again = np.linspace(falling[-1], -100.0, 1000)
    assert stopped_at(noisy([*falling, *rising_again, *[-100.0] * 1000])) == -1


def test_a_loss_may_hover_around_zero() -> None:
    assert stopped_at(np.random.default_rng(0).standard_normal(5000).tolist()) == -1


def test_clips_of_each_length_have_a_level_of_their_own() -> None:
    watch = BlowupWatch(10.0)
    for n_frames, level in ((1, 60.0), (2, 700.0), (8, 9000.0)):
        assert stopped_at(noisy([level] * 500), n_frames, watch) == -1


def test_short_clips_in_between_neither_trip_nor_hide_long_ones() -> None:
    def stops(long_level: float) -> list[int]:
        watch = BlowupWatch(10.0)
        lengths = [1, 8] * 1000
        long = [900.0 if step < 500 else long_level for step in range(2000)]
        levels = [60.0 if T == 1 else level for T, level in zip(lengths, long, strict=True)]
        clips = enumerate(zip(lengths, noisy(levels), strict=True))
        return [step for step, (T, loss) in clips if watch.add(step, T, loss=loss, terms={})]

    assert stops(900.0) == []
    assert 500 + 2 * FAR_UPDATES <= stops(90_000.0)[0] < 500 + 2 * FAR_UPDATES + 100


def test_the_end_of_a_length_is_the_end_of_its_trouble() -> None:
    watch = BlowupWatch(10.0)
    stopped_at([10.0] * 100 + [1e4] * 100, 1, watch)
    assert watch.is_doubtful
    for step in range(200, 200 + FAR_UPDATES):
        watch.add(step, 2, loss=1e4, terms={})
    assert not watch.is_doubtful


def test_one_far_loss_is_doubtful_until_the_next_and_many_for_longer() -> None:
    def doubtful(*losses: float) -> bool:
        stopped_at(list(losses), 1, watch)
        return watch.is_doubtful

    watch = BlowupWatch(10.0)
    assert not doubtful(*[10.0] * 100)
    assert doubtful(1e4)
    assert not doubtful(10.0)
    assert doubtful(*[1e4] * 50, 10.0)
    watch.forget()
    assert not doubtful()


def test_a_factor_of_0_switches_the_watch_off() -> None:
    assert stopped_at([1.0] * 100 + [1e9] * 1000, watch=BlowupWatch(0.0)) == -1


def test_a_watch_goes_on_as_if_it_had_not_been_stored() -> None:
    losses = noisy([400.0] * 300 + [1e5] * 500)
    first, second = BlowupWatch(10.0), BlowupWatch(10.0)
    stopped_at(losses[:350], watch=first)
    second.restore(first.plain(), what="a.pt")
    assert second.plain() == first.plain()
    assert stopped_at(losses[350:], watch=second) == stopped_at(losses) - 350


def test_the_term_that_changed_most_is_named() -> None:
    watch = BlowupWatch(10.0)
    small, large = torch.tensor(3.0), torch.tensor(5e4)
    found = ""
    for step in range(500):
        terms = {"fit": small, "penalty": large if step > 100 else small}
        loss = float(terms["fit"] + terms["penalty"])
        found = found or watch.add(step, 4, loss=loss, terms=terms) or ""
    assert "the loss with 4 frames a clip stayed above 60 for 200 updates" in found
    assert "after 6 at its best; what changed most is penalty, now 5e+04" in found


def test_a_bound_is_watched_where_the_total_means_nothing() -> None:
    total = torch.tensor(7.0, requires_grad=True)
    assert watched_loss(Objective(total=total, terms={"fit": torch.tensor(1.0)})).item() == 7.0
    assert watched_loss(Objective(total=total, terms={"bound": torch.tensor(-3.0)})).item() == 3.0
    assert not watched_loss(Objective(total=total, terms={})).requires_grad
