from typing import Any

import numpy as np
import pytest

from smot.errors import DataError
from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.interchange import Rows, from_arrays, to_arrays
from smot.tracks import Tracks
from tests.evaluation.sequences import untidy_sequences


def rebuilt(rows: Rows, order: np.ndarray, tracks: Tracks) -> Tracks:
    return from_arrays(
        video=rows.video[order],
        frame=rows.frame[order],
        identity=rows.identity[order],
        box=rows.box[order],
        confidence=rows.confidence[order],
        n_videos=tracks.shape[0],
        n_frames=tracks.shape[1],
    )


def test_tracks_survive_as_rows_in_any_order() -> None:
    generator = np.random.default_rng(0)
    both = untidy_sequences(generator, n_videos=12)
    again = []
    for tracks in both:
        rows = to_arrays(tracks)
        assert len(rows.frame) == tracks.present.sum()
        again.append(rebuilt(rows, generator.permutation(len(rows.frame)), tracks))
        back = to_arrays(again[-1])
        for name in ("video", "frame", "identity", "box", "confidence"):
            np.testing.assert_array_equal(getattr(back, name), getattr(rows, name))
    first, second = (count_errors(truth, found, MatchSettings()) for truth, found in (both, again))
    assert summarise(first) == summarise(second)


def test_one_video_needs_only_frame_identity_and_box() -> None:
    tracks = from_arrays(frame=[2, 0, 2], identity=[7, 7, 3], box=np.ones((3, 4)) * [0, 0, 4, 4])
    assert tracks.shape == (1, 3, 2)
    assert tracks.ids.tolist() == [[[7, -1], [-1, -1], [3, 7]]]
    assert tracks.confidence.max() == 1


def test_no_rows_are_videos_in_which_nothing_is() -> None:
    tracks = from_arrays(frame=[], identity=[], box=[], n_frames=5, n_videos=2)
    assert tracks.shape == (2, 5, 0)
    assert len(to_arrays(tracks).frame) == 0
    assert from_arrays(frame=[], identity=[], box=[]).shape[0] == 1


def test_videos_and_frames_without_boxes_survive() -> None:
    tracks = from_arrays(
        frame=[1], identity=[3], box=[[0, 0, 2, 2]], video=[1], n_frames=4, n_videos=3
    )
    rows = to_arrays(tracks)
    assert (rows.n_videos, rows.n_frames) == (3, 4)
    back = rebuilt(rows, np.arange(1), tracks)
    np.testing.assert_array_equal(back.ids, tracks.ids)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frame": [0, -1]}, "frame must not be negative, but row 1 has -1"),
        ({"frame": [0.0, 1.5]}, "frame must be integers"),
        ({"frame": [0]}, "frame has 1 rows, but identity has 2"),
        ({"identity": [5, 5]}, "identity 5 appears twice"),
        ({"identity": [5, 2**40]}, "ids must fit 32 bits"),
        (
            {"identity": np.array([5, 2**64 - 1], np.uint64)},
            "identity must fit 63 bits, but row 1",
        ),
        ({"frame": [0, 2_000_000_000]}, "1 videos of 2000000001 frames .* are too many for 2"),
        ({"box": np.zeros((2, 3))}, r"box must be \[2, 4\]"),
        ({"box": [[0, 0, 4, 4], [4, 0, 0, 4]]}, "video 0, frame 0"),
        ({"confidence": [0.5, 1.5]}, "confidence outside"),
        ({"n_frames": 0}, "frame 0 is beyond the last"),
        ({"video": [0, 3], "n_videos": 2}, "video 3 is beyond the last, 1"),
    ],
)
def test_impossible_rows_are_refused(wrong: dict[str, Any], message: str) -> None:
    sound = {"frame": [0, 0], "identity": [1, 2], "box": np.array([[0, 0, 4, 4.0]] * 2)}
    assert from_arrays(**sound).shape == (1, 1, 2)
    with pytest.raises(DataError, match=message):
        from_arrays(**(sound | wrong))
