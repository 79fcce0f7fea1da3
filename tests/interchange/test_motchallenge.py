import gzip
from pathlib import Path

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
    import motmetrics

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


LINE = "1,4,10,20,5,6,1,-1,-1,-1\n"


@pytest.mark.parametrize(
    "content",
    [
        LINE.encode(),
        LINE.replace(",", " ").encode(),
        LINE.replace(",", "\t").encode(),
        LINE.replace(",", ", ").encode(),
        b"1,4,10,20,5,6,1,\n",
        b"1,4.0,10,20,5,6\r\n\r\n",
        b"\xef\xbb\xbf" + LINE.encode(),
        LINE.encode("utf-16"),
        gzip.compress(LINE.encode(), mtime=0),  # a test's name holds these bytes
        LINE.encode() + b"# caf\xe9\n",
        b"frame,id,left,top,width,height\n" + LINE.encode(),
        b"# frame id left top width height\n\n" + LINE.encode(),
    ],
)
def test_files_of_other_tools_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    rows = to_arrays(read_motchallenge(path))
    assert (rows.frame.tolist(), rows.identity.tolist()) == ([0], [4])
    assert rows.box.tolist() == [[9, 19, 14, 25]]
    assert rows.confidence.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "notice", "frames", "ids", "confidences"),
    [
        ("0,4,1,1,5,5\n2,4,1,1,5,5\n", "numbered from 0", [0, 2], [4, 4], [1, 1]),
        ("1,-1,1,1,5,5\n1,-1,9,1,5,5\n", "no box has an identity", [0, 0], [0, 1], [1, 1]),
        ("1,4,1,1,5,5,0\n2,4,1,1,5,5,0\n", "every confidence is 0", [0, 1], [4, 4], [1, 1]),
        ("1,4,1,1,5,5,-2\n2,4,1,1,5,5,6\n", "scores from -2 to 6", [0, 1], [4, 4], [0, 1]),
    ],
)
def test_what_has_to_be_assumed_is_said(
    tmp_path: Path,
    text: str,
    notice: str,
    frames: list[int],
    ids: list[int],
    confidences: list[float],
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.warns(UserWarning, match=notice):
        rows = to_arrays(read_motchallenge(path))
    assert rows.frame.tolist() == frames
    assert rows.identity.tolist() == ids
    assert rows.confidence.tolist() == confidences


def test_the_number_of_the_first_frame_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(LINE)
    assert to_arrays(read_motchallenge(path, first_frame=0)).frame.tolist() == [1]
    path.write_text(LINE.replace("1,4", "0,4"))
    with pytest.raises(DataError, match="line 1: before the first frame, 1: 0"):
        read_motchallenge(path, first_frame=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "line 1: 3 columns"),
        ("1,2,3,4,5,six\n", "line 1: not numbers: '1,2,3,4,5,six'"),
        ("1,2,3,,5,6\n", "line 1: not numbers"),
        ("# boxes\n1,2,3,4,5,6\n\n1,2,3\n", "line 4: 3 columns"),
        ("1;2;3;4;5;6\n", "line 1: not numbers: '1;2;3;4;5;6'"),
        ("frame,id\nbox,of\n1,2,3,4,5,6\n", "line 2: not numbers: 'box,of'"),
        ("1.5,2,3,4,5,6\n", "line 1: not a whole number: frame 1.5"),
        ("nan,2,3,4,5,6\n", "line 1: not a whole number: frame nan"),
        ("-1,2,3,4,5,6\n", "line 1: negative frame -1"),
        ("9,2,3,4,5,6\n", "line 1: beyond the last frame, 7: 9"),
        ("1543358529500,2,3,4,5,6\n", r"line 1: .*\(a time\?\): 1543358529500"),
        ("1,-1,3,4,5,6\n1,2,3,4,5,6\n", "line 1: negative identity -1"),
        ("1,2.5,3,4,5,6\n", "line 1: not a whole number below .*: identity 2.5"),
        ("1,2,3,4,-5,6\n", "line 1: negative width -5"),
        ("1,2,3,inf,5,6\n", "line 1: a number is not finite"),
        ("1,2,1e200,4,5,6\n", "line 1: a number is not finite, or vast"),
        ("1,2,3,4,5,6\n2,2,3,4,5,6\n1,2,3,4,5,6\n", "line 3: twice in its frame: identity 2"),
        ("1,2,3,4,5,6\0\n", "not text in UTF-8, UTF-16"),
    ],
)
def test_a_faulty_file_is_refused_by_name_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "faulty.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as refusal:
        read_motchallenge(path, n_frames=7)
    assert "faulty.txt" in str(refusal.value)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(LINE.encode())[:-9])
    with pytest.raises(DataError, match=r"a\.txt: damaged gzip"):
        read_motchallenge(path)


def test_a_file_holds_one_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one video, not 2"):
        write_motchallenge(tmp_path / "a.txt", Tracks.stack([some_tracks()] * 2))
