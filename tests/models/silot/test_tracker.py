from dataclasses import replace

import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.errors import DataError, UsageError
from smot.evaluation.protocols import predict_videos
from smot.generators import MnistSettings, load_digits, render
from smot.models.silot import FAMILY, Silot, SilotTracker, load_tracker
from smot.models.silot.model import THRESHOLD
from smot.models.silot.objects import Objects
from smot.models.silot.tracker import corner_boxes
from smot.tracks import Explainer, Predictor, Tracks
from smot.videos import Videos


@pytest.fixture
def tracker(model: Silot) -> SilotTracker:
    return SilotTracker(model=model, n_slots=6)


def same(first: Tracks, second: Tracks) -> bool:
    return (
        np.array_equal(first.ids, second.ids)
        and np.array_equal(first.boxes, second.boxes)
        and np.array_equal(first.confidence, second.confidence)
    )


def close(first: Tracks, second: Tracks) -> bool:
    return np.array_equal(first.ids, second.ids) and np.allclose(
        first.boxes, second.boxes, atol=1e-3
    )


def test_masks_are_the_ink_of_the_objects_that_count() -> None:
    shipped = load_tracker(data=MnistSettings().describe("mnist-5k"))
    videos = render(
        MnistSettings(), load_digits("mnist-5k"), seed=7, split="val", indices=np.arange(4)
    )
    plain, tracks = shipped.track(videos.frames), shipped.track_masks(videos.frames)
    assert plain.masks is None
    assert close(plain, tracks)
    sure, x, y = tracks.above(THRESHOLD).present, np.arange(48), np.arange(48)
    for b, t, k in np.ndindex(tracks.shape):
        mask = tracks.masks[b, t] == 1 + k
        assert sure[b, t, k] or not mask.any()
        x0, y0, x1, y1 = tracks.boxes[b, t, k]  # tight to the ink, up to half a sprite pixel
        assert not mask[:, (x < x0 - 2) | (x > x1 + 2)].any()
        assert not mask[(y < y0 - 2) | (y > y1 + 2)].any()
    ink = videos.frames.max(-1) > 127
    assert (tracks.masks[ink] > 0).mean() > 0.9


def from_a_file(frames: UInt8Array) -> Videos:
    """Videos as the harness gets them, [N, T, H, W, 3], with a truth of no objects."""
    N, T = frames.shape[:2]
    return Videos(
        frames=frames,
        boxes=np.zeros((N, T, 0, 4), np.float32),
        present=np.zeros((N, T, 0), bool),
        visibility=np.zeros((N, T, 0), np.float32),
        velocity=np.zeros((N, 0, 2), np.float32),
        label=np.zeros((N, 0), np.int16),
        source_index=np.zeros((N, 0), np.int32),
        count=np.zeros(N, np.int16),
    )


def test_it_is_a_predictor(model: Silot) -> None:
    assert isinstance(FAMILY.tracker(model, "mine"), Predictor)
    assert FAMILY.tracker(model, "mine").name == "mine"


def test_samples_differ_from_means_and_do_not_depend_on_the_batch(
    model: Silot, videos: UInt8Array
) -> None:
    means, samples = (
        SilotTracker(model=model, n_slots=6, latents=latents) for latents in ("mean", "sample")
    )
    found = samples.track(videos)
    assert not np.allclose(found.boxes, means.track(videos).boxes, atol=1e-3)
    assert close(found[1:], samples.track(videos[1:]))
    assert samples.predict(videos[:, :2], 2).shape[:2] == (len(videos), 2)


def test_other_latents_are_refused() -> None:
    with pytest.raises(UsageError, match="silot: latents must be mean or sample, not 'median'"):
        load_tracker(latents="median")  # type: ignore[arg-type]


def test_tracking_is_deterministic(tracker: SilotTracker, videos: UInt8Array) -> None:
    tracks = tracker.track(videos)
    assert tracks.present.any()
    assert same(tracks, tracker.track(videos))


def test_tracking_is_causal(tracker: SilotTracker, videos: UInt8Array) -> None:
    changed = videos.copy()
    changed[:, 3:] = np.random.default_rng(0).integers(0, 256, changed[:, 3:].shape)
    assert close(tracker.track(videos)[:, :3], tracker.track(changed)[:, :3])


@pytest.mark.parametrize(("observe", "changes"), [(3, False), (4, True)])
def test_prediction_in_an_evaluation_depends_on_the_frames_observed_alone(
    tracker: SilotTracker, videos: UInt8Array, observe: int, changes: bool
) -> None:
    """The fourth frame and the fifth become noise: that counts once the fourth is observed."""
    changed = videos.copy()
    changed[:, 3:] = np.random.default_rng(0).integers(0, 256, changed[:, 3:].shape)
    first, second = (
        predict_videos(tracker, from_a_file(frames), observe, 1, ("test/00", 0))
        for frames in (videos, changed)
    )
    assert same(first, second) != changes


def test_prediction_goes_on_with_the_tracks_of_the_last_frame(
    tracker: SilotTracker, videos: UInt8Array
) -> None:
    predicted = tracker.predict(videos[:, :3], 4)
    assert predicted.shape == (4, 4, 6)
    last = tracker.track(videos[:, :3]).ids[:, -1]
    assert set(predicted.ids[predicted.present]) <= set(last[last >= 0])


def test_a_video_does_not_depend_on_its_neighbours(
    tracker: SilotTracker, videos: UInt8Array
) -> None:
    assert close(tracker.track(videos)[1:3], tracker.track(videos[1:3]))


def test_no_videos_give_no_tracks(tracker: SilotTracker, videos: UInt8Array) -> None:
    assert tracker.track(videos[:0]).shape == (0, 5, 6)


def test_identities_follow_slots_until_they_are_refilled(tracker: SilotTracker) -> None:
    pres = torch.tensor([[0.9, 0.3, 0.8], [0.8, 0.3, 0.4], [0.7, 0.9, 0.3], [0.6, 0.8, 0.6]])
    is_new = np.array([[1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    zeros = torch.zeros(4, 1, 3, 2)
    objects = Objects(
        place=zeros,
        size=zeros + 0.1,
        what=zeros,
        depth=zeros[..., :1],
        pres=pres[:, None, :, None],
        hidden=zeros,
        box=torch.full((4, 1, 3, 4), 0.5),
        size_logit=zeros,
        depth_logit=zeros[..., :1],
    )
    tracks, _ = tracker.tracks(objects, is_new[:, None], None)
    assert tracks.ids[0].tolist() == [[0, 1, 2], [0, 1, 2], [0, 3, 2], [0, 3, 4]]
    sure = tracks.above(THRESHOLD)
    assert sure.ids[0].tolist() == [[0, -1, 2], [0, -1, -1], [0, 3, -1], [0, 3, 4]]


def test_boxes_are_corners_in_pixels() -> None:
    box = corner_boxes(torch.tensor([0.5, 0.25, 0.25, 0.5]), 48.0)
    assert box.tolist() == [0.0, 18.0, 24.0, 30.0]


def test_a_trace_shows_what_the_tracker_saw(tracker: SilotTracker, videos: UInt8Array) -> None:
    trace = tracker.trace(videos)
    assert close(trace.tracks, tracker.track(videos).above(THRESHOLD))
    assert trace.appearances.shape == (4, 5, 6, 4, 6, 6)
    assert trace.reconstruction.shape == (4, 5, 24, 24, 3)
    assert trace.is_new[:, 0].sum() == trace.tracks.present[:, 0].sum()


def test_a_trace_goes_on_as_prediction_does(tracker: SilotTracker, videos: UInt8Array) -> None:
    assert isinstance(tracker, Explainer)
    trace = tracker.trace(videos[:, :3], 2)
    assert close(trace.tracks[:, :3], tracker.track(videos[:, :3]).above(THRESHOLD))
    assert close(trace.tracks[:, 3:], tracker.predict(videos[:, :3], 2).above(THRESHOLD))
    assert trace.reconstruction.shape == (4, 5, 24, 24, 3)
    assert not trace.is_new[:, 3:].any()


def test_frames_are_taken_in_any_unambiguous_form(
    tracker: SilotTracker, videos: UInt8Array
) -> None:
    expected = tracker.track(videos)
    grey, read_only = videos[..., 0], videos.copy()
    read_only.setflags(write=False)
    for form in (videos / 255.0, grey, grey[..., None], videos.astype(np.int64), read_only):
        assert same(tracker.track(form), expected)  # type: ignore[arg-type]
    assert close(tracker.track(videos[0]), expected[:1])
    with pytest.raises(DataError, match="frames must be integers from 0 to 255"):
        tracker.predict(videos.astype(np.float32), 2)
    with pytest.raises(DataError, match="invert the frames"):
        tracker.trace(255 - videos)


def test_no_slots_are_refused() -> None:
    with pytest.raises(UsageError, match="n_slots is 0"):
        load_tracker(n_slots=0)


@pytest.mark.parametrize("reach", [0.0, 12.0])
def test_streamed_equals_whole(model: Silot, videos: UInt8Array, reach: float) -> None:
    model.config = replace(model.config, link_reach=reach)
    tracker = SilotTracker(model=model, n_slots=6)
    for video in videos:
        stream = tracker.stream()
        whole = tracker.track(video[None]).above(THRESHOLD)
        for t, frame in enumerate(video):
            assert close(stream.update(frame), whole[:, t : t + 1])


def test_a_stream_takes_means_alone(model: Silot) -> None:
    with pytest.raises(UsageError, match="a stream takes means"):
        SilotTracker(model=model, latents="sample").stream()
