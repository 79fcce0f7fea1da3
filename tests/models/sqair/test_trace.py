import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.models.sqair import Sqair, SqairTracker, TrackerConfig
from smot.tracks import Explainer

WAYS = [{}, {"choose": "video"}, {"latents": "mean", "rollout": "mean"}]


@pytest.fixture
def videos(frames: torch.Tensor) -> UInt8Array:
    """uint8, [4, 4, 24, 20, 3]."""
    return frames.numpy()


def _tracker(model: Sqair, options: dict[str, str]) -> SqairTracker:
    return SqairTracker(model=model, config=TrackerConfig(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_trace_reports_what_tracking_and_prediction_report(
    small: Sqair, videos: UInt8Array, options: dict[str, str]
) -> None:
    tracker = _tracker(small, options)
    found = tracker.trace(videos, 2).tracks
    tracks, predicted = tracker.track(videos), tracker.predict(videos, 2)
    assert found.shape[:2] == (4, 6)
    for part, whole in ((found[:, :4], tracks), (found[:, 4:], predicted)):
        n_entries = max(part.shape[2], whole.shape[2])
        ours, theirs = part.padded(n_entries), whole.padded(n_entries)
        assert np.array_equal(ours.ids, theirs.ids)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_an_object_is_new_in_the_first_frame_of_its_identity(
    small: Sqair, videos: UInt8Array, options: dict[str, str]
) -> None:
    trace = _tracker(small, options).trace(videos, 2)
    ids = trace.tracks.ids
    for video in range(4):
        for identity in np.unique(ids[video][ids[video] >= 0]):
            frames, entries = np.nonzero(ids[video] == identity)
            new = trace.is_new[video, frames, entries]
            assert new.tolist() == [True] + [False] * (len(frames) - 1)
    assert not trace.is_new[:, 4:].any()
    assert trace.is_new.any()


def test_reconstruction_is_black_where_nothing_is(small: Sqair, videos: UInt8Array) -> None:
    tracker = _tracker(small, {})
    assert isinstance(tracker, Explainer)
    trace = tracker.told(0).trace(videos)
    assert not trace.tracks.present.any()
    assert trace.reconstruction.shape == (4, 4, 24, 20, 3)
    assert trace.reconstruction.max() < 1e-3
    assert trace.appearances.shape[3:] == (4, 7, 7)


def test_every_object_has_its_own_appearance(small: Sqair, videos: UInt8Array) -> None:
    trace = _tracker(small, {}).told(3).trace(videos)
    assert (trace.tracks.present.sum(-1) == 3).all()
    sprites = trace.appearances[0, 0, :, :3]
    assert np.abs(sprites[0] - sprites[1]).max() > 1e-4
    assert trace.reconstruction.max() > 0
