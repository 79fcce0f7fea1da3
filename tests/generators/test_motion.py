import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smot.boxes import reflect
from smot.generators.drawing import corner_at

LIMITS = st.integers(0, 90)
STARTS = st.floats(0, 1)
SPEEDS = st.floats(-50, 50)


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


@given(LIMITS, STARTS, SPEEDS)
def test_folding_equals_bouncing_wall_by_wall(limit: int, share: float, velocity: float) -> None:
    start = share * limit
    folded = reflect(np.array(start + 5 * velocity), np.array(limit))
    np.testing.assert_allclose(folded, _stepped(start, velocity, 5, limit), atol=1e-9)


@given(LIMITS, SPEEDS)
def test_reflection_stays_in_the_frame(limit: int, velocity: float) -> None:
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


@settings(deadline=None)  # the first call compiles
@given(LIMITS, STARTS, SPEEDS, st.integers(0, 40))
def test_kernel_is_the_floor_of_the_reference(
    limit: int, share: float, velocity: float, frame: int
) -> None:
    start = int(share * limit)
    expected = np.floor(reflect(np.array(start + velocity * frame), np.array(limit)))
    assert corner_at(start, velocity, frame, limit) == expected
