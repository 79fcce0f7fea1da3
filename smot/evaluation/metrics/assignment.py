"""The assignment problem for matrices of any shape, with scipy's way of breaking ties.

numba cannot call `scipy.optimize.linear_sum_assignment`, and both py-motmetrics and TrackEval
rest on it. Where several assignments are best, which of them is found decides identity switches,
so this kernel visits rows, columns and equal costs in the same order as scipy does: its answer
is scipy's, not merely an equally good one.

A kernel that calls this one keeps a compiled copy of it in numba's cache, which does not notice
changes here: delete `__pycache__` after editing.

Source: D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions
on Aerospace and Electronic Systems 52(4), 2016, the shortest augmenting path algorithm.
"""

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray

FREE = -1


@njit(cache=True, nogil=True)
def assign(cost: FloatArray) -> IntArray:
    """Assign rows to columns, as many as there are, at the lowest total cost.

    Args:
        cost: finite, [N, M], float64.

    Returns:
        The column of each row, -1 for a row left over, [N], int64.

    Source: Crouse 2016; ties as in `scipy.optimize.linear_sum_assignment`.
    """
    N, M = cost.shape
    if N <= M:
        return _assign_wide(cost)
    turned = np.empty((M, N))
    for row in range(N):
        for column in range(M):
            turned[column, row] = cost[row, column]
    row_of = _assign_wide(turned)
    column_of = np.full(N, FREE, np.int64)
    for column in range(M):
        column_of[row_of[column]] = column
    return column_of


@njit(cache=True, nogil=True)
def _assign_wide(cost: FloatArray) -> IntArray:
    """Assign every row of a matrix that is at least as wide as it is tall."""
    N, M = cost.shape
    row_price, column_price = np.zeros(N), np.zeros(M)
    column_of, row_of = np.full(N, FREE, np.int64), np.full(M, FREE, np.int64)
    came_from = np.full(M, FREE, np.int64)
    distance = np.empty(M)
    row_seen, column_seen = np.empty(N, np.bool_), np.empty(M, np.bool_)
    for row in range(N):
        sink, length = _shortest_path(
            cost, row, row_price, column_price, row_of, came_from, distance, row_seen, column_seen
        )
        row_price[row] += length
        for other in range(N):
            if row_seen[other] and other != row:
                row_price[other] += length - distance[column_of[other]]
        for column in range(M):
            if column_seen[column]:
                column_price[column] -= length - distance[column]
        _augment(sink, row, came_from, row_of, column_of)
    return column_of


@njit(cache=True, nogil=True)
def _shortest_path(
    cost: FloatArray,
    row: int,
    row_price: FloatArray,
    column_price: FloatArray,
    row_of: IntArray,
    came_from: IntArray,
    distance: FloatArray,
    row_seen: BoolArray,
    column_seen: BoolArray,
) -> tuple[int, float]:
    """Find the free column nearest to `row`; fills the last four arrays on the way.

    Among columns at equal distance a free one wins, then the one that stands first in
    `remaining`, which starts in reverse order: constant costs give the identity.
    """
    M = cost.shape[1]
    remaining = np.arange(M - 1, -1, -1)
    n_remaining = M
    distance[:] = np.inf
    row_seen[:] = False
    column_seen[:] = False
    length = 0.0
    while True:
        row_seen[row] = True
        nearest, lowest = 0, np.inf
        for place in range(n_remaining):
            column = remaining[place]
            through = length + cost[row, column] - row_price[row] - column_price[column]
            if through < distance[column]:
                came_from[column] = row
                distance[column] = through
            reach = distance[column]
            if reach < lowest or (reach == lowest and row_of[column] == FREE):
                lowest, nearest = reach, place
        length = lowest
        column = remaining[nearest]
        column_seen[column] = True
        if row_of[column] == FREE:
            return column, length
        row = row_of[column]
        n_remaining -= 1
        remaining[nearest] = remaining[n_remaining]


@njit(cache=True, nogil=True)
def _augment(
    sink: int, start: int, came_from: IntArray, row_of: IntArray, column_of: IntArray
) -> None:
    """Turn the path that leads from row `start` to column `sink` into assignments."""
    column = sink
    while True:
        row = came_from[column]
        row_of[column] = row
        before = column_of[row]
        column_of[row] = column
        column = before
        if row == start:
            return
