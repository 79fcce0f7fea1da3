import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from smot.evaluation.metrics.assignment import assign


def scipys(cost: np.ndarray) -> np.ndarray:
    column_of = np.full(len(cost), -1)
    rows, columns = linear_sum_assignment(cost)
    column_of[rows] = columns
    return column_of


@pytest.mark.parametrize("n_different", [2, 3, 10, 10**6])
def test_assignment_is_scipys_even_where_several_are_best(n_different: int) -> None:
    generator = np.random.default_rng(n_different)
    for _ in range(500):
        shape = generator.integers(1, 12, 2)
        cost = generator.integers(0, n_different, shape) / 7.0
        np.testing.assert_array_equal(assign(cost), scipys(cost))


def test_equal_costs_give_the_identity() -> None:
    np.testing.assert_array_equal(assign(np.ones((4, 6))), np.arange(4))


def test_a_matrix_without_rows_or_columns_assigns_nobody() -> None:
    assert assign(np.zeros((0, 3))).shape == (0,)
    np.testing.assert_array_equal(assign(np.zeros((3, 0))), [-1, -1, -1])
