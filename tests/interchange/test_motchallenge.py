from pathlib import Path

import motmetrics
import numpy as np
import pytest

from smot.errors import DataError
from smot.interchange import read_motchallenge, to_arrays, write_motchallenge
from smot.tracks import Tracks


def some_tracks() -> Tracks:
    generator = np.random.default_rng(0)
    corner = generator.uniform(-5, 50, (1, 6, 4, 2))
    boxes = np.concatenate([corner, corner + generator.uniform(0.1, 20, corner.shape)], -1)
    ids = np.where(generator.random((1, 6, 4)) < 0.7, [3, 0, 11, 5], -1)
    return Tracks(boxes=boxes, ids=ids, confidence=generator.random((1, 6, 4)))


def assert_same(first: Tracks, second: Tracks) -> None:
    one, two = to_arrays(first), to_arrays(second)
    for name in ("video", "frame", "identity", "box"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_tracks_survive_the_file_to_the_last_bit(tmp_path: Path) -> None:
    tracks = some_tracks()
    write_motchallenge(tmp_path / "a.txt", tracks)
    back = read_motchallenge(tmp_path / "a.txt", n_frames=6)
    assert back.shape[:2] == (1, 6)
    assert_same(tracks, back)
    np.testing.assert_array_equal(to_arrays(tracks).confidence, to_arrays(back).confidence)


def test_frames_and_pixels_are_numbered_from_one(tmp_path: Path) -> None:
    tracks = Tracks.from_slots(np.array([[[[0.0, 2, 10, 7.5]]]]), np.ones((1, 1, 1), np.bool_))
    write_motchallenge(tmp_path / "a.txt", tracks)
    assert (tmp_path / "a.txt").read_text() == "1,0,1,3,10,5.5,1,-1,-1,-1\n"
    seen = np.array([[[0.25]]])
    write_motchallenge(tmp_path / "gt.txt", tracks, is_truth=True, visibility=seen)
    assert (tmp_path / "gt.txt").read_text() == "1,0,1,3,10,5.5,1,1,0.25\n"


@pytest.mark.filterwarnings("ignore")
def test_py_motmetrics_reads_the_same_boxes(tmp_path: Path) -> None:
    tracks = some_tracks()
    write_motchallenge(tmp_path / "a.txt", tracks)
    frame = motmetrics.io.loadtxt(tmp_path / "a.txt", fmt="mot15-2D")
    box = frame[["X", "Y", "Width", "Height"]].to_numpy()
    box[:, 2:] += box[:, :2]
    rows = to_arrays(tracks)
    order = np.lexsort((frame.index.get_level_values(1), frame.index.get_level_values(0)))
    np.testing.assert_allclose(box[order], rows.box, atol=1e-9)
    np.testing.assert_array_equal(frame.index.get_level_values(0)[order], rows.frame + 1)


def test_a_video_in_which_nothing_is_found_survives(tmp_path: Path) -> None:
    nothing = some_tracks().above(1.0)
    write_motchallenge(tmp_path / "a.txt", nothing)
    assert (tmp_path / "a.txt").read_text() == ""
    assert read_motchallenge(tmp_path / "a.txt", n_frames=6).shape == (1, 6, 0)


def test_truth_leaves_out_what_does_not_count_and_minus_one_is_certain(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,4,1,1,5,5,1,1,1\n\n1,5,1,1,5,5,0,1,1\n2,4,1,1,5,5,1,1,0.5\n")
    assert to_arrays(read_motchallenge(path, is_truth=True)).identity.tolist() == [4, 4]
    path.write_text("1,4,1,1,5,5,-1,-1,-1,-1\n")
    assert read_motchallenge(path).confidence.tolist() == [[[1.0]]]
    path.write_text("1,4,1,1,5,5\n")
    assert read_motchallenge(path).confidence.tolist() == [[[1.0]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "3 columns"),
        ("1,2,3,4,5,six\n", "not a MOTChallenge file"),
        ("1,2,3,4,5,6\n1,2,3\n", "not a MOTChallenge file"),
        ("1.5,2,3,4,5,6\n", "frame 1.5 is not a whole number"),
        ("nan,2,3,4,5,6\n", "frame nan is not a whole number"),
        ("0,2,3,4,5,6\n", "frame must not be negative"),
        ("9,2,3,4,5,6\n", "frame 8 is beyond the last, 6"),
        ("1,-1,3,4,5,6\n", "identity must not be negative"),
        ("1,2,3,4,-5,6\n", "video 0, frame 0: box"),
        ("1,2,3,4,5,6,37\n", "confidence"),
        ("1,2,3,4,5,6\n1,2,3,4,5,6\n", "identity 2 appears twice"),
    ],
)
def test_a_faulty_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "faulty.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as refusal:
        read_motchallenge(path, n_frames=7)
    assert "faulty.txt" in str(refusal.value)


def test_a_file_holds_one_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one video, not 2"):
        write_motchallenge(tmp_path / "a.txt", Tracks.stack([some_tracks()] * 2))
