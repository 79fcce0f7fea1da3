from typing import Any

import numpy as np
import pytest

from smot.baselines.extrapolation import extrapolate
from smot.baselines.oracle import JitterOracle, MotionOracle, TruthOracle
from smot.boxes import reflect
from smot.errors import UsageError
from smot.tracks import Oracle, Tracks


def moving(corners: Any, size: int = 4, ids: Any = None) -> Tracks:
    """Tracks of one video from corners [T, K, 2]."""
    corners = np.asarray(corners, float)[None]
    shape = corners.shape[:-1]
    ids = np.broadcast_to(np.arange(shape[-1]), shape) if ids is None else np.asarray(ids)[None]
    boxes = np.concatenate([corners, corners + size], -1)
    return Tracks(boxes=boxes, ids=ids, confidence=np.ones(shape))


def test_reflection_agrees_with_stepping_between_walls() -> None:
    position, velocity, limit = 7.0, 0.9, 10.0
    for step in range(200):
        free = 7.0 + 0.9 * step
        assert reflect(np.array([free, free]), np.array([limit, limit]))[0] == pytest.approx(
            position, abs=1e-9
        )
        position += velocity
        if position > limit:
            position, velocity = 2 * limit - position, -velocity
        if position < 0:
            position, velocity = -position, -velocity


def test_constant_velocity_goes_on_and_bounces() -> None:
    seen = moving([[[10, 5]], [[12, 5]], [[14, 5]]])
    ahead = extrapolate(seen, (30, 20), 3)  # widest corner is 16
    np.testing.assert_allclose(ahead.boxes[0, :, 0, 0], [16, 14, 12], atol=1e-4)
    np.testing.assert_allclose(ahead.boxes[0, :, 0, 1], [5, 5, 5], atol=1e-4)
    assert ahead.ids.tolist() == [[[0], [0], [0]]]


def test_a_bounce_within_the_seen_frames_leaves_the_last_step() -> None:
    seen = moving([[[2, 5]], [[0, 5]], [[2, 5]]])
    np.testing.assert_allclose(extrapolate(seen, (30, 30), 1).boxes[0, 0, 0, 0], 4, atol=1e-4)


def test_an_object_seen_once_stands_still() -> None:
    seen = moving([[[2, 5]], [[9, 5]]], ids=[[4], [7]])
    np.testing.assert_array_equal(
        extrapolate(seen, (30, 30), 2).boxes[0, :, 0], [[9, 5, 13, 9]] * 2
    )


def test_identity_not_entry_carries_the_history() -> None:
    corners = [[[2, 2], [20, 20]], [[21, 20], [4, 2]]]
    seen = moving(corners, ids=[[0, 1], [1, 0]])
    ahead = extrapolate(seen, (40, 40), 1)
    np.testing.assert_allclose(ahead.boxes[0, 0, :, 0], [22, 6], atol=1e-4)


def test_oracles_meet_the_contract_and_truth_is_truth() -> None:
    seen = moving([[[10, 5]], [[12, 5]], [[14, 5]], [[16, 5]]])
    for oracle in (TruthOracle(), JitterOracle(), MotionOracle()):
        assert isinstance(oracle, Oracle)
        assert oracle.track_truth(seen, (30, 30)).shape == seen.shape
        assert oracle.predict_truth(seen, (30, 30), 5).shape == (1, 5, 1)
    assert TruthOracle().track_truth(seen, (30, 30)) is seen
    np.testing.assert_allclose(
        MotionOracle().track_truth(seen, (30, 30)).boxes, seen.boxes, atol=1e-4
    )


def test_jitter_does_not_depend_on_the_batch() -> None:
    both = Tracks.stack([moving([[[10, 5]], [[12, 5]]]), moving([[[3, 5]], [[5, 5]]])])
    oracle = JitterOracle(jitter=2.0)
    whole = oracle.track_truth(both, (30, 30)).boxes
    np.testing.assert_array_equal(whole[1:], oracle.track_truth(both[1:], (30, 30)).boxes)
    assert 0.5 < np.abs(whole - both.boxes).mean() < 4


def test_negative_jitter_is_refused() -> None:
    with pytest.raises(UsageError, match="jitter"):
        JitterOracle(jitter=-1.0)
