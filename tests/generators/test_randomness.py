import numpy as np
import pytest
from scipy import stats

from smot.errors import UsageError
from smot.generators.randomness import (
    below,
    direction,
    drawn_from,
    fill_state,
    next_word,
    noise_table,
    rounded_up_normal,
    uniform,
)
from smot.seeding import mixed, video_keys


def _state(key: int) -> np.ndarray:
    state = np.empty(4, np.uint64)
    fill_state(state, np.uint64(key))
    return state


def test_words_are_those_of_the_published_xoshiro256_plus_plus() -> None:
    state = np.array([1, 2, 3, 4], np.uint64)
    words = [int(next_word(state)) for _ in range(5)]
    assert words == [
        41943041,
        58720359,
        3588806011781223,
        3591011842654386,
        9228616714210784205,
    ]


def test_state_is_filled_by_the_published_splitmix64() -> None:
    assert _state(1477776061723855037).tolist() == [
        1985237415132408290,
        2979275885539914483,
        13511426838097143398,
        8488337342461049707,
    ]


def test_keys_are_those_of_splitmix64() -> None:
    first = np.array([1477776061723855037], np.uint64)
    assert int(mixed(first)[0]) == 1985237415132408290


def test_keys_of_videos_all_differ() -> None:
    places = np.arange(5000)
    keys = [
        video_keys(seed, split, places)
        for seed in (0, 1, 2**62)
        for split in ("train", "val", "test/01", "test/12")
    ]
    assert len(np.unique(np.concatenate(keys))) == 12 * 5000


def test_key_depends_on_its_own_index_only() -> None:
    alone = video_keys(7, "val", np.array([41]))
    assert alone == video_keys(7, "val", np.arange(100))[41]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_outside_its_range_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="seed must be from 0"):
        video_keys(seed, "train", np.arange(1))


def test_integers_below_a_bound_are_uniform() -> None:
    state = _state(1)
    drawn = np.array([below(state, 7) for _ in range(7000)])
    assert stats.chisquare(np.bincount(drawn, minlength=7)).pvalue > 1e-3


def test_directions_have_length_one_and_uniform_angles() -> None:
    state = _state(2)
    vectors = np.array([direction(state) for _ in range(4000)])
    np.testing.assert_allclose(np.hypot(*vectors.T), 1, atol=1e-12)
    angles = np.arctan2(*vectors.T) / (2 * np.pi) + 0.5
    assert stats.kstest(angles, "uniform").pvalue > 1e-3


def test_uniform_numbers_stay_below_one() -> None:
    state = _state(3)
    drawn = np.array([uniform(state) for _ in range(4000)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3


def test_sizes_follow_the_normal_rounded_up() -> None:
    cumulative = rounded_up_normal(14, 1.4, 5, 23)
    expected = stats.norm.cdf(np.arange(5, 23), 14, 1.4)
    np.testing.assert_allclose(cumulative, [*expected, 1], atol=1e-12)
    state = _state(4)
    drawn = np.array([5 + drawn_from(state, cumulative) for _ in range(4000)])
    assert abs(drawn.mean() - 14.5) < 0.1
    assert abs(drawn.std() - 1.43) < 0.1


def test_sizes_without_spread_are_all_the_mean() -> None:
    cumulative = rounded_up_normal(14, 0, 5, 23)
    state = _state(5)
    assert {5 + drawn_from(state, cumulative) for _ in range(50)} == {14}


@pytest.mark.parametrize("deviation", [0.5, 8.0, 64.0])
def test_noise_table_has_the_deviation_asked_for(deviation: float) -> None:
    table = noise_table(deviation)
    assert abs(table.mean()) < 1e-3
    assert table.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.02)  # rounded
