from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from smot.errors import DataError
from smot.tracks import Trace, Tracks, as_frames


def make(**changes: tuple[Any, Any]) -> Tracks:
    arrays: dict[str, Any] = {
        "boxes": np.tile(np.array([1.0, 2, 5, 9]), (2, 3, 2, 1)),
        "ids": np.tile(np.array([4, 7]), (2, 3, 1)),
        "confidence": np.full((2, 3, 2), 0.9),
    }
    for name, (where, value) in changes.items():
        arrays[name][where] = value
    return Tracks(**arrays)


def test_unused_entries_are_blanked() -> None:
    tracks = make(ids=((0, 0, 1), -1), boxes=((0, 0, 1), np.nan))
    assert tracks.ids[0, 0, 1] == -1
    assert not tracks.boxes[0, 0, 1].any()
    assert tracks.confidence[0, 0, 1] == 0
    assert tracks.present.sum() == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ((1, 2, 1), 4)}, "video 1, frame 2: identity 4 appears twice"),
        ({"ids": ((1, 2, 1), -2)}, "video 1, frame 2: identity -2; unused entries must have -1"),
        ({"ids": ((0, 0, 0), 2**40)}, "ids must fit 32 bits, not 1099511627776"),
        ({"boxes": ((1, 0, 1, 3), np.inf)}, "video 1, frame 0: box .* is not finite"),
        ({"boxes": ((0, 1, 0, 2), 1e200)}, "video 0, frame 1: box .* is too large for its area"),
        ({"boxes": ((0, 1, 0, 2), 0.5)}, "video 0, frame 1: box .* has x1 < x0"),
        ({"confidence": ((0, 2, 0), 1.5)}, "video 0, frame 2: .*confidence outside"),
        ({"confidence": ((0, 2, 0), np.nan)}, "video 0, frame 2: .*confidence outside"),
    ],
)
def test_faults_name_video_and_frame(change: dict[str, tuple[Any, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**change)


def test_wrong_shapes_are_named() -> None:
    ids = np.zeros((2, 3, 2), int)
    with pytest.raises(DataError, match=r"boxes must be \[2, 3, 2, 4\] like ids"):
        Tracks(boxes=np.zeros((2, 3, 2)), ids=ids, confidence=np.zeros((2, 3, 2)))
    with pytest.raises(DataError, match=r"ids must be integers \[B, T, K\]"):
        Tracks(boxes=np.zeros((2, 3, 2, 4)), ids=ids * 1.0, confidence=np.zeros((2, 3, 2)))


def test_stacking_pads_and_slicing_undoes_it() -> None:
    one, other = make(), make()
    wide = one.padded(5)
    both = Tracks.stack([wide, other])
    assert both.shape == (4, 3, 5)
    np.testing.assert_array_equal(both[2:].ids[..., :2], other.ids)
    np.testing.assert_array_equal(both[:2, 1:].boxes, wide.boxes[:, 1:])


def test_above_keeps_only_the_sure() -> None:
    tracks = make(confidence=((0, 0, 0), 0.5))
    assert tracks.above(0.5).present.sum() == 11


def test_masks_go_where_their_videos_go() -> None:
    masks = np.zeros((2, 3, 4, 5), np.uint8)
    masks[1, 2] = 2
    tracks = replace(make(), masks=masks)
    both = Tracks.stack([tracks.padded(4), tracks.above(0.5)])
    np.testing.assert_array_equal(both.masks, np.concatenate([masks, masks]))
    np.testing.assert_array_equal(both[1:2, 1:].masks, masks[1:, 1:])
    with pytest.raises(DataError, match="all have masks of one size, or none"):
        Tracks.stack([tracks, make()])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.zeros((2, 3, 4)), r"masks must be integers \[2, 3, H, W\], not float64 \[2, 3, 4\]"),
        (np.zeros((2, 1, 4, 5), int), r"not int64 \[2, 1, 4, 5\]"),
        (np.full((2, 3, 4, 5), 3), "video 0, frame 0: masks must be 0 to K = 2, not 3"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(make(), masks=masks)


def test_slots_are_identities() -> None:
    present = np.array([[[True, False], [True, True]]])
    tracks = Tracks.from_slots(np.ones((1, 2, 2, 4)), present)
    assert tracks.ids.tolist() == [[[0, -1], [0, 1]]]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("is_new", (2, 3)), ("appearances", (2, 3, 1, 4, 5, 5)), ("reconstruction", (2, 4, 8, 8, 3))],
)
def test_a_trace_must_fit_its_tracks(name: str, shape: tuple[int, ...]) -> None:
    arrays: dict[str, Any] = {
        "is_new": np.zeros((2, 3, 2), bool),
        "appearances": np.zeros((2, 3, 2, 4, 5, 5)),
        "reconstruction": np.zeros((2, 3, 8, 8, 3)),
    }
    Trace(tracks=make(), **arrays)
    with pytest.raises(DataError, match=f"{name} must have .* like the tracks"):
        Trace(tracks=make(), **{**arrays, name: np.zeros(shape)})


def test_geometry_keeps_the_precision_of_what_is_given() -> None:
    easting = 448_262.123456
    boxes = np.array([[[[easting, 5_411_932.1, easting + 2, 5_411_934.1]]]])
    tracks = Tracks(boxes=boxes, ids=np.zeros((1, 1, 1), int), confidence=np.ones((1, 1, 1)))
    np.testing.assert_array_equal(tracks.boxes, boxes)


def test_unsigned_identities_are_identities() -> None:
    ids = np.array([[[4, 7]]], np.uint64)
    boxes = np.ones((1, 1, 2, 4))
    assert Tracks(boxes=boxes, ids=ids, confidence=np.ones((1, 1, 2))).ids.tolist() == [[[4, 7]]]
    with pytest.raises(DataError, match="ids must fit 32 bits, not 18446744073709551615"):
        Tracks(boxes=boxes, ids=ids + np.uint64(2**64 - 8), confidence=np.ones((1, 1, 2)))


FRAMES = np.random.default_rng(0).integers(0, 256, (2, 4, 10, 12, 3), np.uint8)
GREY = np.repeat(FRAMES[..., :1], 3, axis=-1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FRAMES, FRAMES),
        (FRAMES.astype(np.int64), FRAMES),
        (FRAMES / 255, FRAMES),
        ((FRAMES / 255).astype(np.float32), FRAMES),
        (torch.from_numpy(FRAMES), FRAMES),
        (torch.from_numpy(FRAMES > 127).bfloat16(), np.where(FRAMES > 127, 255, 0)),
        (np.moveaxis(FRAMES, -1, 2), FRAMES),
        (FRAMES[0], FRAMES[:1]),
        (FRAMES[..., 0], GREY),
        (FRAMES[..., :1], GREY),
        (FRAMES[:0], FRAMES[:0]),
    ],
)
def test_frames_are_converted_where_they_can_only_mean_one_thing(
    given: object, expected: np.ndarray
) -> None:
    found = as_frames(given)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (FRAMES - 300.0, "floats from 0 to 1, not float64 from -300"),
        (FRAMES * 1.0, "not float64 from 0 to 255"),
        (FRAMES.astype(np.int16) - 1, "integers from 0 to 255 .*, not int16 from -1"),
        (np.where(FRAMES == 0, np.nan, 0.5), "not float64 from nan to nan"),
        (FRAMES > 0, "not bool"),
        (np.full((1, 2, 3), "a"), "not <U1"),
        (np.concatenate([FRAMES, FRAMES[..., :1]], -1), r"RGB .*, not \[2, 4, 10, 12, 4\]"),
        (FRAMES[:, :3, ..., 0], r"grey \[B, T, H, W, 1\], not \[2, 3, 10, 12\]"),
        (FRAMES[0, 0], r"not \[10, 12, 3\]"),
        ([[1], [1, 2]], "frames must be an array"),
    ],
)
def test_other_frames_are_refused_with_what_is_expected(given: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_frames(given)


def test_frames_on_the_inverse_background_are_refused() -> None:
    frames = np.zeros((1, 4, 10, 12, 3), np.uint8)
    frames[..., 2:6, 2:6, :] = 255
    np.testing.assert_array_equal(as_frames(frames, (0, 0, 0)), frames)
    with pytest.raises(DataError, match=r"inverse of the background \(0, 0, 0\)"):
        as_frames(255 - frames, (0, 0, 0))
