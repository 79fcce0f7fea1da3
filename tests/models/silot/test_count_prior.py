import math

import pytest
import torch

from smot.models.silot.objective import count_prior

CPU = torch.device("cpu")


def slow_table(n: int, odds: float) -> list[list[float]]:
    """Chance that the next unit is on, by keeping a distribution over counts up to date."""
    s = odds / (1 + odds)
    table = [[0.0] * (n + 1) for _ in range(n)]
    for pattern in range(n + 1):
        # which of the first ``pattern`` units are on does not matter, how many does: walk along
        # c = min(seen, pattern) units on
        beliefs = [s**count for count in range(n + 1)]
        on = 0
        for seen in range(n):
            chances = [
                min(max((count - on) / (n - seen), 0.0), 1.0) if belief else 0.0
                for count, belief in enumerate(beliefs)
            ]
            total = sum(beliefs)
            table[seen][on] = sum(b * c for b, c in zip(beliefs, chances, strict=True)) / total
            is_on = seen < pattern
            beliefs = [b * (c if is_on else 1 - c) for b, c in zip(beliefs, chances, strict=True)]
            on += is_on
    return table


@pytest.mark.parametrize("log_odds", [-4.38, 0.0, 3.0])
def test_table_equals_the_slow_loop_over_count_distributions(log_odds: float) -> None:
    n = 9
    on, off = count_prior(n, torch.tensor(log_odds, dtype=torch.float64))
    for seen, row in enumerate(slow_table(n, math.exp(log_odds))):
        for count in range(seen + 1):
            # The loop visits (seen, count) with the ``count`` on units first.
            if row[count]:
                assert math.exp(on[seen, count]) == pytest.approx(row[count], rel=1e-5)
                assert math.exp(off[seen, count]) == pytest.approx(1 - row[count], rel=1e-4)


def test_certain_odds_give_the_rule_of_succession() -> None:
    on, _ = count_prior(32, torch.tensor(40.0, dtype=torch.float64))
    seen, count = torch.tril_indices(32, 32)
    expected = (count + 1) / (seen + 2)
    torch.testing.assert_close(on[seen, count].exp(), expected.float(), rtol=1e-5, atol=0)


def test_chances_of_all_patterns_sum_to_one() -> None:
    n = 6
    on, off = count_prior(n, torch.tensor(0.4, dtype=torch.float64))
    total = 0.0
    for pattern in range(2**n):
        count, log_chance = 0, torch.zeros(())
        for unit in range(n):
            is_on = bool(pattern >> unit & 1)
            log_chance = log_chance + (on if is_on else off)[unit, count]
            count += is_on
        total += math.exp(log_chance)
    assert total == pytest.approx(1, rel=1e-5)


def test_tables_are_finite_over_the_whole_schedule() -> None:
    for odds in (13.8, 0.0, -4.38):
        assert all(
            torch.isfinite(table).all()
            for table in count_prior(80, torch.tensor(odds, dtype=torch.float64))
        )
