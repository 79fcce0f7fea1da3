import numpy as np
import pytest

from smot.errors import DataError
from smot.tracks import Trace, Tracks


def make(**changes):
    arrays = {
        "boxes": np.tile(np.array([1.0, 2, 5, 9]), (2, 3, 2, 1)),
        "ids": np.tile(np.array([4, 7]), (2, 3, 1)),
        "confidence": np.full((2, 3, 2), 0.9),
    }
    for name, (where, value) in changes.items():
        arrays[name][where] = value
    return Tracks(**arrays)


def test_unused_entries_are_blanked():
    tracks = make(ids=((0, 0, 1), -5), boxes=((0, 0, 1), np.nan))
    assert tracks.ids[0, 0, 1] == -1
    assert not tracks.boxes[0, 0, 1].any()
    assert tracks.confidence[0, 0, 1] == 0
    assert tracks.present.sum() == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ((1, 2, 1), 4)}, "video 1, frame 2: identity 4 appears twice"),
        ({"boxes": ((1, 0, 1, 3), np.inf)}, "video 1, frame 0: box .* is not finite"),
        ({"boxes": ((0, 1, 0, 2), 0.5)}, "video 0, frame 1: box .* has x1 < x0"),
        ({"confidence": ((0, 2, 0), 1.5)}, "video 0, frame 2: .*confidence outside"),
        ({"confidence": ((0, 2, 0), np.nan)}, "video 0, frame 2: .*confidence outside"),
    ],
)
def test_faults_name_video_and_frame(change, message):
    with pytest.raises(DataError, match=message):
        make(**change)


def test_wrong_shapes_are_named():
    ids = np.zeros((2, 3, 2), int)
    with pytest.raises(DataError, match=r"boxes must be \[2, 3, 2, 4\] like ids"):
        Tracks(boxes=np.zeros((2, 3, 2)), ids=ids, confidence=np.zeros((2, 3, 2)))
    with pytest.raises(DataError, match=r"ids must be integers \[B, T, K\]"):
        Tracks(boxes=np.zeros((2, 3, 2, 4)), ids=ids * 1.0, confidence=np.zeros((2, 3, 2)))


def test_stacking_pads_and_slicing_undoes_it():
    one, other = make(), make()
    wide = one.padded(5)
    both = Tracks.stack([wide, other])
    assert both.shape == (4, 3, 5)
    np.testing.assert_array_equal(both[2:].ids[..., :2], other.ids)
    np.testing.assert_array_equal(both[:2, 1:].boxes, wide.boxes[:, 1:])


def test_above_keeps_only_the_sure():
    tracks = make(confidence=((0, 0, 0), 0.5))
    assert tracks.above(0.5).present.sum() == 11


def test_slots_are_identities():
    present = np.array([[[True, False], [True, True]]])
    tracks = Tracks.from_slots(np.ones((1, 2, 2, 4)), present)
    assert tracks.ids.tolist() == [[[0, -1], [0, 1]]]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("is_new", (2, 3)), ("appearances", (2, 3, 1, 4, 5, 5)), ("reconstruction", (2, 4, 8, 8, 3))],
)
def test_a_trace_must_fit_its_tracks(name, shape):
    arrays = {
        "is_new": np.zeros((2, 3, 2), bool),
        "appearances": np.zeros((2, 3, 2, 4, 5, 5)),
        "reconstruction": np.zeros((2, 3, 8, 8, 3)),
    }
    Trace(tracks=make(), **arrays)
    with pytest.raises(DataError, match=f"{name} must have .* like the tracks"):
        Trace(tracks=make(), **{**arrays, name: np.zeros(shape)})
