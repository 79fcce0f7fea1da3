import numpy as np
import pytest

from smot.arrays import IntArray
from smot.models.silot.tracker import linked
from smot.tracks import Tracks


def tracks_of(centres: list[list[tuple[float, float] | None]], ids: IntArray) -> Tracks:
    """Boxes of four pixels at the centres x, y of one video's frames; None where nothing is."""
    present = np.array([[each is not None for each in frame] for frame in centres])
    middle = np.array([[each or (0, 0) for each in frame] for frame in centres], float)
    return Tracks(
        boxes=np.concatenate([middle - 2, middle + 2], -1)[None],
        ids=np.where(present, ids, -1)[None],
        confidence=present[None].astype(float),
    )


def link(tracks: Tracks, memory: int = 2) -> IntArray:
    ids: IntArray = linked(tracks, reach=6, memory=memory, confidence=0.5).ids[0]
    return ids


@pytest.mark.parametrize(("n_lost", "memory", "same"), [(1, 2, True), (2, 3, True), (2, 2, False)])
def test_a_lost_object_is_taken_up_where_it_should_be_by_now(
    n_lost: int, memory: int, same: bool
) -> None:
    path: list[tuple[float, float] | None] = [(10 + 3 * t, 10) for t in range(6)]
    path[2 : 2 + n_lost] = [None] * n_lost
    slots = np.repeat([[0], [7]], [3, 3], axis=0)
    ids = link(tracks_of([[each] for each in path], slots), memory)
    found = ids[[0, 1, 4, 5], 0]
    assert (len(set(found)) == 1) == same
    assert found[0] == found[1]
    assert found[2] == found[3]


def test_objects_that_cross_and_change_slots_keep_their_identities() -> None:
    one = [(10.0 + 3 * t, 10.0) for t in range(6)]
    other = [(25.0 - 3 * t, 12.0) for t in range(6)]
    swapped = [
        [a, b] if t < 3 else [b, a] for t, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    ids = link(tracks_of(swapped, np.tile([4, 5], (6, 1))))
    assert (ids[:3] == ids[0]).all()
    assert (ids[3:] == ids[0, ::-1]).all()


def test_entries_without_confidence_keep_other_identities() -> None:
    tracks = tracks_of([[(10, 10), (30, 30)]] * 2, np.tile([0, 1], (2, 1)))
    faint = Tracks(boxes=tracks.boxes, ids=tracks.ids, confidence=tracks.confidence * [0.9, 0.3])
    found = linked(faint, reach=6, memory=2, confidence=0.5)
    assert (found.ids[0, :, 0] == found.ids[0, 0, 0]).all()
    assert (found.ids[0, :, 1] != found.ids[0, 0, 0]).all()
    assert (found.present == tracks.present).all()
    np.testing.assert_array_equal(found.boxes, tracks.boxes)


def test_no_frame_is_looked_at_before_its_time() -> None:
    generator = np.random.default_rng(0)
    centres = generator.uniform(0, 48, (1, 8, 5, 2))
    tracks = Tracks(
        boxes=np.concatenate([centres - 2, centres + 2], -1),
        ids=np.arange(40).reshape(1, 8, 5),
        confidence=np.ones((1, 8, 5)),
    )
    whole = link(tracks)
    for t in range(1, 8):
        np.testing.assert_array_equal(link(tracks[:, :t]), whole[:t])


def test_nothing_to_link() -> None:
    empty = tracks_of([[None, None]] * 3, np.zeros((3, 2), int))
    assert (link(empty) == -1).all()
    none = Tracks(
        boxes=np.zeros((0, 3, 2, 4)), ids=np.zeros((0, 3, 2), int), confidence=np.zeros((0, 3, 2))
    )
    assert linked(none, reach=6, memory=2, confidence=0.5).shape == (0, 3, 2)
