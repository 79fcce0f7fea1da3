import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smot.errors import UsageError
from smot.filmstrips import (
    IDENTITY_COLOURS,
    Mark,
    Row,
    animation,
    masked,
    rows_of,
    save_gif,
    save_strip,
    save_video,
    strip,
)
from smot.tracks import Tracks

FRAMES = np.zeros((3, 20, 24, 3), np.uint8)
RED = (255, 59, 48)


def _tracks(ids: list[list[int]], left: float = 4.0) -> Tracks:
    """Boxes of 6 x 5 pixels, the second 10 pixels to the right of the first."""
    boxes = np.array([[left, 3, left + 6, 8], [left + 10, 3, left + 16, 8]], np.float32)
    return Tracks(
        boxes=np.tile(boxes, (1, len(ids), 1, 1)),
        ids=np.array([ids]),
        confidence=np.ones((1, len(ids), 2), np.float32),
    )


TRUTH = _tracks([[0, 1]] * 3)


def _strip(scale: int = 3, **drawn: Any) -> Image.Image:
    return strip(rows_of(FRAMES, **drawn), scale=scale)


def _counts(picture: Image.Image) -> dict[tuple[int, ...], int]:
    pixels, counts = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_counts=True)
    return {
        tuple(int(value) for value in pixel): int(count)
        for pixel, count in zip(pixels, counts, strict=True)
    }


def _left_of(picture: Image.Image, colour: tuple[int, ...]) -> int:
    """The first column in which a colour appears."""
    return int(np.flatnonzero((np.asarray(picture) == colour).all(-1).any(0))[0])


def test_boxes_are_thin_lines_around_the_objects() -> None:
    row = Row(label="", frames=FRAMES[:1], tracks=_tracks([[0, 1]]))
    (picture,) = animation([row], scale=4)
    line, margin = 2, 8
    width, height = 6 * 4 + 2 * line, 5 * 4 + 2 * line
    counts = _counts(picture)
    for identity in (0, 1):
        assert counts[IDENTITY_COLOURS[identity]] == line * 2 * (width + height - 2 * line)
    pixels = np.asarray(picture)
    assert tuple(pixels[margin + 3 * 4 - 1, margin + 4 * 4 - 1]) == IDENTITY_COLOURS[0]
    assert tuple(pixels[margin + 3 * 4, margin + 4 * 4]) == (0, 0, 0)


def test_truth_and_prediction_stand_in_rows_of_their_own() -> None:
    plain = _strip(scale=3)
    one = _strip(truth=TRUTH, scale=3)
    both = _strip(truth=TRUTH, predicted=TRUTH, scale=3)
    assert one.height == plain.height
    margin = gap = 8
    assert both.height == one.height + 20 * 3 + 2 * margin + gap
    assert both.width > plain.width  # labels


def test_prediction_takes_the_colour_of_the_truth_it_is_on() -> None:
    predicted = _tracks([[7, 3]] * 3)
    rows = rows_of(FRAMES, truth=TRUTH, predicted=predicted)
    assert rows[1].colours == {7: IDENTITY_COLOURS[0], 3: IDENTITY_COLOURS[1]}


def test_switch_shows_as_a_change_of_colour() -> None:
    predicted = _tracks([[0, 1], [0, 1], [1, 0]])
    rows = rows_of(FRAMES, truth=TRUTH, predicted=predicted)
    pictures = animation(rows[1:], scale=3)
    lefts = [_left_of(picture, IDENTITY_COLOURS[0]) for picture in pictures]
    assert lefts[0] == lefts[1]
    assert lefts[2] - lefts[1] == 10 * 3  # where the second object is


def test_prediction_on_nothing_has_a_colour_of_its_own() -> None:
    predicted = _tracks([[0, 9]] * 3, left=-9.0)  # the second lies on the first truth
    rows = rows_of(FRAMES, truth=TRUTH, predicted=predicted)
    assert rows[1].colours[9] == IDENTITY_COLOURS[0]
    assert rows[1].colours[0] not in IDENTITY_COLOURS[:2]


@pytest.mark.parametrize("kind", ["miss", "false positive", "switch"])
def test_marks_show_in_their_frame_alone(kind: str) -> None:
    mark = Mark(frame=1, box=(2, 2, 8, 9), kind=kind)  # type: ignore[arg-type]
    rows = rows_of(FRAMES, truth=TRUTH, marks=[mark])
    red = [_counts(picture).get(RED, 0) for picture in animation(rows, scale=3)]
    assert red[0] == red[2] == 0
    assert red[1] > 60
    assert _strip(truth=TRUTH, marks=[mark]).height > _strip().height


def test_dashed_boxes_have_gaps() -> None:
    tracks = _tracks([[0, 1]] * 3)
    dashed = np.zeros((3, 2), bool)
    dashed[0, 0] = True
    row = Row(label="", frames=FRAMES, tracks=tracks, dashed=dashed)
    first, second, _ = (_counts(picture) for picture in animation([row], scale=4))
    assert 0.4 < first[IDENTITY_COLOURS[0]] / second[IDENTITY_COLOURS[0]] < 0.7
    assert first[IDENTITY_COLOURS[1]] == second[IDENTITY_COLOURS[1]]


def test_boxes_that_stick_out_of_the_frame_can_be_drawn() -> None:
    drawn = [
        _counts(_strip(predicted=_tracks([[0, 1]] * 3, left=left), scale=2))
        for left in (4.0, -3.0, -30.0)
    ]
    inside, partly, outside = (counts.get(IDENTITY_COLOURS[0], 0) for counts in drawn)
    assert inside > partly > outside == 0
    assert len({sum(counts.values()) for counts in drawn}) == 1


def test_pixels_of_a_mask_are_mixed_with_the_colour_of_their_identity() -> None:
    owner = np.zeros((1, 3, 20, 24), np.uint8)
    owner[0, :, 3, 4], owner[0, :, 3, 14] = 1, 2
    tracks = replace(_tracks([[5, 7], [5, 7], [5, -1]]), masks=owner)
    colours = {5: (200, 100, 0)}
    row = masked(Row(label="", frames=FRAMES + 100, tracks=tracks, colours=colours))
    assert row.frames[0, 3, 4].tolist() == [160, 100, 40]  # 0.4 of 100 and 0.6 of the colour
    other = [round(40 + 0.6 * part) for part in IDENTITY_COLOURS[7]]
    assert row.frames[0, 3, 14].tolist() == other
    assert row.frames[2, 3, 14].tolist() == [100] * 3  # nobody is there
    assert (row.frames != 100).any(-1).sum() == 5
    plain = Row(label="", frames=FRAMES, tracks=TRUTH)
    assert masked(plain) is plain


def test_empty_tracks_can_be_drawn() -> None:
    nothing = _tracks([[-1, -1]] * 3)
    assert rows_of(FRAMES, truth=nothing, predicted=nothing)[1].colours == {}
    _strip(truth=nothing, predicted=nothing)


def test_gif_runs_for_ever_through_all_frames(tmp_path: Path) -> None:
    frames = FRAMES.copy()
    frames[1], frames[2] = 90, 180
    path = tmp_path / "video.gif"
    save_gif(path, animation(rows_of(frames, truth=TRUTH), scale=2), seconds=0.2)
    with Image.open(path) as picture:
        assert picture.n_frames == 3  # type: ignore[attr-defined]
        assert picture.info["loop"] == 0
        assert picture.info["duration"] == 200


def test_discs_keep_off_boxes_and_off_each_other() -> None:
    tracks = _tracks([[0, 1]] * 3)
    plain = np.asarray(_strip(predicted=tracks, scale=8))
    marks = [Mark(frame=0, box=box, kind="false positive") for box in tracks.boxes[0, 0]]
    marked = np.asarray(_strip(predicted=tracks, scale=8, marks=marks))[: len(plain)]
    box = (plain == IDENTITY_COLOURS[0]).all(-1)
    assert (marked[box] == IDENTITY_COLOURS[0]).all()
    assert (marked == RED).all(-1).sum() > 500


def test_boxes_and_letters_are_vectors_in_svg_and_pdf(tmp_path: Path) -> None:
    rows = rows_of(FRAMES, truth=TRUTH, marks=[Mark(frame=1, box=(2, 2, 8, 9), kind="miss")])
    for name in ("a.svg", "b.svg", "a.pdf", "b.pdf"):
        save_strip(tmp_path / name, rows, scale=3)
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.count("<image") == 3
    assert ">? miss</text>" in drawn
    for colour in IDENTITY_COLOURS[:2]:
        assert drawn.count("stroke: #{:02x}{:02x}{:02x}".format(*colour)) == 3
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    for kind in ("svg", "pdf"):
        one, other = (tmp_path / f"{name}.{kind}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()
    save_strip(tmp_path / "a.png", rows, scale=3)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(strip(rows, scale=3)))
    with pytest.raises(UsageError, match=r"must end in \.png, \.pdf or \.svg"):
        save_strip(tmp_path / "a.eps", rows, scale=3)


def test_mp4_holds_every_frame_and_names_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = animation(rows_of(FRAMES, truth=TRUTH), scale=3)
    path = tmp_path / "video.mp4"
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "av", None)
        with pytest.raises(UsageError, match=r"MP4 needs PyAV: pip install 'smot\[video\]'"):
            save_video(path, pictures)
    assert not path.exists()
    av = pytest.importorskip("av")
    save_video(path, pictures, seconds=0.25)
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert file.streams.video[0].average_rate == 4
    assert len(frames) == len(pictures)
    height, width = np.asarray(pictures[0]).shape[:2]
    assert frames[0].shape[:2] == (height + height % 2, width + width % 2)


def test_tracks_of_another_length_are_refused() -> None:
    with pytest.raises(UsageError, match=r"row 'truth': frames .* do not fit"):
        _strip(truth=TRUTH[:, :2])


def test_rows_of_different_sizes_are_refused() -> None:
    rows = [Row(label="a", frames=FRAMES), Row(label="b", frames=FRAMES[:, :10])]
    with pytest.raises(UsageError, match="row 'b'"):
        strip(rows, scale=2)


def test_scale_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="scale must be at least 1, not 0"):
        _strip(scale=0)


def test_unknown_kind_of_mark_is_refused() -> None:
    with pytest.raises(UsageError, match="must be one of miss, false positive, switch, not 'x'"):
        Mark(frame=0, box=(0, 0, 1, 1), kind="x")  # type: ignore[arg-type]
