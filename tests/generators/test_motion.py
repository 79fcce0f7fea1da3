from collections.abc import Iterator

import numpy as np

from smot.boxes import reflect
from smot.generators.drawing import corner_at


def motions() -> Iterator[tuple[int, float, float, int]]:
    """Limit, start as a share of it, velocity and frame: what is special, and much at random."""
    for limit in (0, 1, 34, 90):
        for share in (0.0, 0.5, 1.0):
            for velocity in (-50.0, -1.0, 0.0, 1e-9, 34.0, 50.0):
                yield limit, share, velocity, 7
    generator = np.random.default_rng(0)
    for _ in range(200):
        share, velocity = generator.random(), generator.uniform(-50, 50)
        yield int(generator.integers(91)), share, velocity, int(generator.integers(41))


def _stepped(start: float, velocity: float, n_steps: int, limit: float) -> float:
    """The elastic bounce, wall by wall."""
    position, left = start, abs(velocity) * n_steps
    heading = 1.0 if velocity > 0 else -1.0
    while left > 0 and limit > 0:
        room = limit - position if heading > 0 else position
        if left <= room:
            return position + heading * left
        position, left, heading = (limit if heading > 0 else 0.0), left - room, -heading
    return position


def test_folding_equals_bouncing_wall_by_wall() -> None:
    for limit, share, velocity, _ in motions():
        start = share * limit
        folded = reflect(np.array(start + 5 * velocity), np.array(limit))
        np.testing.assert_allclose(folded, _stepped(start, velocity, 5, limit), atol=1e-9)


def test_reflection_stays_in_the_frame() -> None:
    for limit, _, velocity, _ in motions():
        corners = reflect(np.arange(50) * velocity, np.array(limit))
        assert (corners >= 0).all()
        assert (corners <= limit).all()


def test_reflection_preserves_speed_away_from_walls() -> None:
    corners = reflect(3.5 + 2.0 * np.arange(200), np.array(41.0))
    steps = np.abs(np.diff(corners))
    bounces = steps < 2 - 1e-9
    np.testing.assert_allclose(steps[~bounces], 2)
    assert bounces.sum() == 9  # on the way to 3.5 + 2 * 199 lie 9 multiples of 41


def test_reflection_leaves_positions_inside_alone() -> None:
    inside = np.array([[0.0, 1.5], [34.0, 17.25]])
    np.testing.assert_array_equal(reflect(inside, np.array([34.0, 34.0])), inside)


def test_kernel_is_the_floor_of_the_reference() -> None:
    for limit, share, velocity, frame in motions():
        start = int(share * limit)
        expected = np.floor(reflect(np.array(start + velocity * frame), np.array(limit)))
        assert corner_at(start, velocity, frame, limit) == expected
