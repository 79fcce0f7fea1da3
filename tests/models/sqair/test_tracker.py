from dataclasses import replace

import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.errors import UsageError
from smot.models.sqair import (
    FAMILY,
    CountOracle,
    Sqair,
    SqairTracker,
    TrackerConfig,
    build,
)
from smot.models.sqair.objects import Slots
from smot.models.sqair.tracker import tracks_of
from smot.trackers import build_tracker
from smot.tracks import (
    CountInformed,
    DataDescription,
    Explainer,
    Predictor,
    Tracker,
    Tracks,
)

from .conftest import SMALL

DATA = DataDescription(
    dataset="mnist", frame_size=(48, 48), n_frames=8, max_objects=6, palette=((255, 255, 255),)
)


@pytest.fixture
def videos(frames: torch.Tensor) -> UInt8Array:
    """uint8, [4, 4, 24, 20, 3]."""
    return frames.numpy()


def tracker(model: Sqair, **options: object) -> SqairTracker:
    return SqairTracker(model=model, config=TrackerConfig(**options))  # type: ignore[arg-type]


def assert_equal(first: Tracks, second: Tracks) -> None:
    n_entries = max(first.shape[2], second.shape[2])
    first, second = first.padded(n_entries), second.padded(n_entries)
    assert np.array_equal(first.ids, second.ids)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-3)
    np.testing.assert_allclose(first.confidence, second.confidence, atol=1e-5)


WAYS = [{}, {"choose": "video"}, {"latents": "mean", "rollout": "mean"}]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_tracking_twice_gives_the_same(
    small: Sqair, videos: UInt8Array, options: dict[str, object]
) -> None:
    state = torch.get_rng_state()
    first = tracker(small, **options).track(videos)
    assert_equal(first, tracker(small, **options).track(videos))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.present.any()


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_video_is_tracked_alike_in_any_batch(
    small: Sqair, videos: UInt8Array, options: dict[str, object]
) -> None:
    follower = tracker(small, **options)
    alone = Tracks.stack([follower.track(videos[i : i + 1]) for i in range(4)])
    assert_equal(follower.track(videos), alone)
    predicted = Tracks.stack([follower.predict(videos[i : i + 1], 2) for i in range(4)])
    assert_equal(follower.predict(videos, 2), predicted)


def test_masks_are_of_objects_that_count(small: Sqair, videos: UInt8Array) -> None:
    followed = tracker(small)
    plain, tracks = followed.track(videos), followed.track_masks(videos)
    assert plain.masks is None
    assert tracks.masks is not None
    np.testing.assert_array_equal(plain.ids, tracks.ids)
    assert tracks.masks.shape == videos.shape[:4]
    sure = tracks.above(0.5).present
    for b, t, k in np.argwhere(~sure):
        assert not (tracks.masks[b, t] == 1 + k).any()


@pytest.mark.parametrize("options", [WAYS[0], WAYS[2]], ids=str)
def test_tracking_is_causal(small: Sqair, videos: UInt8Array, options: dict[str, object]) -> None:
    changed = videos.copy()
    changed[:, 2:] = 255 - changed[:, 2:]
    follower = tracker(small, **options)
    whole, other = follower.track(videos), follower.track(changed)
    assert_equal(whole[:, :2], other[:, :2])
    assert_equal(follower.track(videos[:, :2]), whole[:, :2])
    assert not np.array_equal(whole.boxes[:, 2:], other.boxes[:, 2:])


def test_the_published_choice_of_a_particle_looks_at_all_frames(
    small: Sqair, videos: UInt8Array
) -> None:
    changed = videos.copy()
    changed[:, 2:] = 255
    follower = tracker(small, choose="video", n_particles=8)
    whole, other = follower.track(videos), follower.track(changed)
    assert not np.array_equal(whole.boxes[:, :2], other.boxes[:, :2])


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_prediction_goes_on_from_tracking(
    small: Sqair, videos: UInt8Array, options: dict[str, object]
) -> None:
    follower = tracker(small, **options)
    assert isinstance(follower, Predictor)
    predicted = follower.predict(videos[:, :3], 5)
    assert predicted.shape[:2] == (4, 5)
    seen = follower.track(videos[:, :3])
    for video in range(4):
        before = set(seen.ids[video, 2][seen.present[video, 2]].tolist())
        for t in range(5):
            now = set(predicted.ids[video, t][predicted.present[video, t]].tolist())
            assert now <= before
            before = now


def test_a_longer_prediction_begins_like_a_shorter_one(small: Sqair, videos: UInt8Array) -> None:
    follower = tracker(small)
    assert_equal(follower.predict(videos, 5)[:, :2], follower.predict(videos, 2))


def test_confidence_is_a_probability_where_present(small: Sqair, videos: UInt8Array) -> None:
    tracks = tracker(small).track(videos)
    sure = tracks.confidence[tracks.present]
    assert ((sure > 0) & (sure <= 1)).all()


def test_the_likelier_of_present_and_absent_is_taken_without_noise(
    small: Sqair, videos: UInt8Array
) -> None:
    tracks = tracker(small, latents="mean").track(videos)
    assert (tracks.confidence[tracks.present] > 0.5).all()


def test_another_look_at_the_first_frame_leaves_tracking_causal(
    small: Sqair, videos: UInt8Array
) -> None:
    twice = tracker(small, n_first_looks=2)
    tracks = twice.track(videos)
    assert tracks.shape[:2] == (4, 4)
    doubled = np.concatenate([videos[:, :1], videos], axis=1)
    assert_equal(tracks, tracker(small).track(doubled)[:, 1:])
    assert_equal(twice.track(videos[:, :2]), tracks[:, :2])
    predicted = tracker(small).predict(doubled, 2)
    assert_equal(twice.predict(videos, 2), predicted)


def test_seeds_differ(small: Sqair, videos: UInt8Array) -> None:
    first, second = (tracker(small, seed=seed).track(videos) for seed in (0, 1))
    assert first.boxes.shape != second.boxes.shape or not np.array_equal(first.boxes, second.boxes)


def test_more_particles_and_slots_than_in_training(small: Sqair, videos: UInt8Array) -> None:
    tracks = tracker(small, n_slots=9, n_particles=5).track(videos)
    assert tracks.shape[:2] == (4, 4)


def test_the_oracle_of_counts_finds_as_many_as_given(small: Sqair, videos: UInt8Array) -> None:
    known = tracker(small, count=5)
    assert isinstance(known, Predictor)
    assert (known.track(videos).present.sum(-1) == 5).all()
    assert (known.predict(videos, 2).present.sum(-1) == 5).all()
    oracle = CountOracle(tracker=tracker(small))
    assert oracle.name == "sqair (oracle count)"
    assert isinstance(oracle, CountInformed)
    assert not isinstance(oracle, Tracker)
    counts = np.array([0, 1, 2, 6])
    assert (oracle.track_counted(videos, counts).present.sum(-1) == counts[:, None]).all()
    predicted = oracle.predict_counted(videos, counts, 3)
    assert (predicted.present.sum(-1) == counts[:, None]).all()


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_known_counts_are_tracked_alike_in_any_batch(
    small: Sqair, videos: UInt8Array, options: dict[str, object]
) -> None:
    oracle = CountOracle(tracker=tracker(small, **options))
    counts = np.array([3, 1, 5, 1])
    together = oracle.track_counted(videos, counts), oracle.predict_counted(videos, counts, 2)
    rows = [slice(i, i + 1) for i in range(4)]
    alone = [oracle.track_counted(videos[row], counts[row]) for row in rows]
    assert_equal(together[0], Tracks.stack(alone))
    alone = [oracle.predict_counted(videos[row], counts[row], 2) for row in rows]
    assert_equal(together[1], Tracks.stack(alone))


def test_objects_of_known_number_have_confidences_that_differ(
    small: Sqair, videos: UInt8Array
) -> None:
    with torch.no_grad():  # inference by itself would find nothing
        small.inference.discovery.presence.linear[-1].bias.fill_(-6.0)
    tracks = tracker(small, count=3).track(videos)
    sure = tracks.confidence[tracks.present]
    assert ((sure > 0.5) & (sure < 1)).all()
    assert len(np.unique(sure)) > 10


def test_no_videos_give_no_tracks(small: Sqair, videos: UInt8Array) -> None:
    assert tracker(small).track(videos[:0]).shape[:2] == (0, 4)


def test_a_learned_count_prior_bounds_the_slots() -> None:
    model = build(replace(SMALL, count_prior="cat"), 0)
    with pytest.raises(UsageError, match=r"n_slots must be at most 3 .* not 4"):
        tracker(model, n_slots=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": -1}, "count must be at least 0, not -1"),
        ({"n_first_looks": 0}, "n_first_looks must be at least 1, not 0"),
        ({"n_particles": -1}, "n_particles must be at least 0, not -1"),
    ],
)
def test_settings_that_cannot_be_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrackerConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"choose": "best"}, "choose must be one of frame, video, not 'best'"),
        ({"mode": "oracle"}, "mode must be one of normal, oracle-count, not 'oracle'"),
        ({"mode": "oracle-count", "count": "3"}, "count is not for mode 'oracle-count'"),
        ({"checkpoint": "none.pt", "look": "1"}, "it has: checkpoint, device, n_slots, n_part"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_tracker("sqair", options, DATA)


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, ""), ({"count": "2"}, " (oracle count)"), ({"mode": "oracle-count"}, " (oracle count)")],
)
def test_a_tracker_that_is_given_counts_says_so(options: dict[str, str], name: str) -> None:
    assert build_tracker("sqair", options, DATA).name == f"sqair{name}"


def test_the_family_makes_trackers_of_its_modules_only(small: Sqair) -> None:
    assert FAMILY.tracker(small, "mine").name == "mine"
    with pytest.raises(UsageError, match="not a SQAIR model: Linear"):
        FAMILY.tracker(torch.nn.Linear(1, 1), "mine")


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_trace_has_the_tracks_and_what_is_new(
    small: Sqair, videos: UInt8Array, options: dict[str, object]
) -> None:
    follower = tracker(small, **options)
    trace = follower.trace(videos, 2)
    assert_equal(trace.tracks[:, :4], follower.track(videos))
    assert_equal(trace.tracks[:, 4:], follower.predict(videos, 2))
    assert (trace.is_new[:, 0] == trace.tracks.present[:, 0]).all()
    assert not trace.is_new[:, 4:].any()
    assert trace.reconstruction.shape == (4, 6, 24, 20, 3)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_an_object_is_new_in_the_first_frame_of_its_identity(
    small: Sqair, videos: UInt8Array, options: dict[str, str]
) -> None:
    trace = tracker(small, **options).trace(videos, 2)
    ids = trace.tracks.ids
    for video in range(4):
        for identity in np.unique(ids[video][ids[video] >= 0]):
            frames, entries = np.nonzero(ids[video] == identity)
            new = trace.is_new[video, frames, entries]
            assert new.tolist() == [True] + [False] * (len(frames) - 1)
    assert not trace.is_new[:, 4:].any()
    assert trace.is_new.any()


def test_reconstruction_is_black_where_nothing_is(small: Sqair, videos: UInt8Array) -> None:
    follower = tracker(small)
    assert isinstance(follower, Explainer)
    trace = tracker(small, count=0).trace(videos)
    assert not trace.tracks.present.any()
    assert trace.reconstruction.shape == (4, 4, 24, 20, 3)
    assert trace.reconstruction.max() < 1e-3
    assert trace.appearances.shape[3:] == (4, 7, 7)


def test_every_object_has_its_own_appearance(small: Sqair, videos: UInt8Array) -> None:
    trace = tracker(small, count=3).trace(videos)
    assert (trace.tracks.present.sum(-1) == 3).all()
    sprites = trace.appearances[0, 0, :, :3]
    assert np.abs(sprites[0] - sprites[1]).max() > 1e-4
    assert trace.reconstruction.max() > 0


# Frames are 24 x 20 pixels, patches 7 samples; a box of no logits is half a frame wide.
WHAT, WHERE = torch.zeros(1, 2, 6), torch.zeros(1, 2, 4)
CENTRE, STEP = torch.tensor([10.0, 12.0]), torch.tensor([9.5, 11.5]) / 6  # x, y


def painting(patch: torch.Tensor, *, tight: bool = True) -> Sqair:
    """A model that paints every object as one patch, [7, 7]."""
    model = build(replace(SMALL, tight_boxes=tight, ink_threshold=0.25), 0)
    last = model.generative.decoder.mlp.linear[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(patch.flatten())
        model.generative.decoder.output_scale.fill_(1.0)
    return model


def test_tight_boxes_end_where_the_ink_does() -> None:
    patch = torch.zeros(7, 7)
    patch[1:4, 2:6] = 1.0
    # Between a dark and a bright sample, a quarter of the way brightness reaches 0.25.
    low = torch.tensor([1.25, 0.25]) - 3  # x, y from the middle sample, in steps
    high = torch.tensor([5.75, 3.75]) - 3
    expected = torch.cat([CENTRE + STEP * low, CENTRE + STEP * high])
    boxes, _ = painting(patch).generative.decoder.ink_boxes(WHAT, WHERE, 0.25)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


def test_ink_beyond_white_or_below_black_counts_as_white_and_black() -> None:
    patch = torch.full((7, 7), -1.0)
    patch[3, 3] = 5.0
    half = 0.75 * STEP
    expected = torch.cat([CENTRE - half, CENTRE + half])
    boxes, _ = painting(patch).generative.decoder.ink_boxes(WHAT, WHERE, 0.25)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


def test_without_ink_the_box_is_the_patch_and_counts_for_nothing() -> None:
    boxes, seen = painting(torch.zeros(7, 7)).generative.decoder.ink_boxes(WHAT, WHERE, 0.25)
    assert not seen.any()
    # Sprites end half a sample past their samples.
    torch.testing.assert_close(boxes[0, 0, 2:] - boxes[0, 0, :2], 7 * STEP)


@pytest.mark.parametrize("tight", [False, True])
def test_a_box_without_ink_is_no_object(tight: bool) -> None:
    model = painting(torch.zeros(7, 7), tight=tight)
    follower = tracker(model, count=2)
    videos: UInt8Array = np.zeros((3, 2, 24, 20, 3), np.uint8)
    trace = follower.trace(videos, 1)
    for tracks in (follower.track(videos), follower.predict(videos, 1), trace.tracks):
        assert tracks.present.any() != tight
    assert trace.is_new.any() != tight


def test_an_object_that_shows_again_is_still_the_same() -> None:
    model = painting(torch.zeros(7, 7))
    last = model.generative.decoder.mlp.linear[-1]
    with torch.no_grad():  # the first number of what lies behind the patch is its brightness
        for layer in model.generative.decoder.mlp.layers[:-1]:
            layer.weight.zero_()
            layer.weight[0, 0] = 1.0
        last.weight[:, 0] = 1.0
    frames = []
    for brightness in (1.0, 0.0, 1.0):
        slots = Slots.empty(1, 6, 16, torch.device("cpu")).padded(1)
        slots.what[..., 0], slots.present[:], slots.ids[:] = brightness, 1.0, 4
        frames.append(slots)
    assert tracks_of(model, frames).ids.tolist() == [[[4], [-1], [4]]]
