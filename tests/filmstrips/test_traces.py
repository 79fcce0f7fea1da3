from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from smot.errors import UsageError
from smot.filmstrips import (
    IDENTITY_COLOURS,
    Row,
    Span,
    SpriteRow,
    animation,
    rows_of,
    strip,
    trace_rows,
    track_rows,
)
from smot.filmstrips.layout import Style, sprite_cells
from smot.filmstrips.pages import painted
from smot.filmstrips.tiles import tile
from smot.tracks import Trace, Tracks

T, H, W, G = 4, 20, 24, 5
FRAMES = np.full((T, H, W, 3), 100, np.uint8)
STYLE = Style.of(4)


def _tracks(ids: list[list[int]]) -> Tracks:
    boxes = np.array([[1, 3, 7, 8], [9, 3, 15, 8], [16, 3, 22, 8]], np.float32)
    n_entries = len(ids[0])
    return Tracks(
        boxes=np.tile(boxes[:n_entries], (1, T, 1, 1)),
        ids=np.array([ids]),
        confidence=np.ones((1, T, n_entries), np.float32),
    )


TRUTH = _tracks([[0, 1]] * T)


def _trace(ids: list[list[int]]) -> Trace:
    """Object k is white, half transparent, and the picture grey; new in the first frame."""
    tracks = _tracks(ids)
    appearances = np.ones((1, T, len(ids[0]), 4, G, G), np.float32)
    appearances[:, :, :, 3] = 0.5
    is_new = tracks.present.copy()
    is_new[:, 1:] = False
    reconstruction = np.full((1, T, H, W, 3), 0.25, np.float32)
    return Trace(
        tracks=tracks, is_new=is_new, appearances=appearances, reconstruction=reconstruction
    )


def _count(picture: Image.Image, colour: tuple[int, ...]) -> int:
    return int((np.asarray(picture) == colour).all(-1).sum())


def test_rows_are_truth_input_objects_and_reconstruction() -> None:
    true, seen, objects, painted = trace_rows(FRAMES, _trace([[4, 7]] * T), truth=TRUTH)
    labels = [row.label for row in (true, seen, objects, painted)]
    assert labels == ["truth", "input", "objects", "reconstruction"]
    assert isinstance(painted, Row)
    assert np.unique(painted.frames).tolist() == [64]
    assert isinstance(objects, SpriteRow)
    assert np.unique(objects.sprites).tolist() == [128]
    for row in (seen, objects, painted):
        assert row.colours == {4: IDENTITY_COLOURS[0], 7: IDENTITY_COLOURS[1]}
        assert row.dashed is not None
        assert row.dashed.sum(-1).tolist() == [2, 0, 0, 0]


def test_every_object_has_one_sprite_in_the_frame_of_its_colour() -> None:
    rows = trace_rows(FRAMES, _trace([[0, 1], [0, 1], [0, -1], [-1, -1]]), truth=TRUTH)
    shown = [_tile(rows[2], t) for t in range(T)]
    white = [_count(picture, (128, 128, 128)) for picture in shown]
    assert white[0] == white[1] == 2 * white[2] > 0
    assert white[3] == 0
    side = round(white[2] ** 0.5)
    line = STYLE.line_width
    assert _count(shown[1], IDENTITY_COLOURS[1]) == 4 * line * (side + line)
    assert 0 < _count(shown[0], IDENTITY_COLOURS[1]) < 4 * line * (side + line)  # dashed
    assert _count(shown[2], IDENTITY_COLOURS[1]) == 0


def _tile(row: Row | SpriteRow, t: int) -> Image.Image:
    part = tile((0, 0), row, t, (H, W), STYLE)
    return painted(part.size, part.colour, part.strokes)


def test_an_object_keeps_its_cell_until_it_is_gone() -> None:
    ids = np.array([[5, 0, -1], [-1, 0, 5], [8, 0, -1], [8, 0, 9]])
    assert sprite_cells(ids) == {0: 0, 5: 1, 8: 1, 9: 2}


def test_many_or_large_objects_fit_their_row() -> None:
    ids = np.arange(26)[None].repeat(T, 0)
    row = SpriteRow(
        label="objects",
        sprites=np.full((T, 26, 40, 40, 3), 255, np.uint8),
        ids=ids,
        colours={},
        dashed=np.zeros((T, 26), bool),
    )
    whole = _tile(row, 0)
    assert whole.width == W * 4 + 2 * STYLE.margin
    assert _count(whole, (255, 255, 255)) % 26 == 0
    assert _count(whole, (255, 255, 255)) > 26 * 4


def test_no_objects_at_all_can_be_drawn() -> None:
    nothing, some = _trace([[-1, -1]] * T), _trace([[0, 1]] * T)
    rows = trace_rows(FRAMES, nothing, truth=nothing.tracks)
    empty = strip(rows, scale=2)
    assert [row.label for row in rows] == ["truth", "input", "objects", "reconstruction"]
    assert empty.width == strip(trace_rows(FRAMES, some, truth=some.tracks), scale=2).width


def test_frames_hidden_from_the_tracker_are_dark_in_its_row_alone() -> None:
    true, found = track_rows(FRAMES, TRUTH, truth=TRUTH, n_seen=3)
    assert (true.frames == 100).all()
    assert (found.frames[:3] == 100).all()
    assert (found.frames[3] == 40).all()
    assert found.dashed is None


def test_seen_and_predicted_frames_stand_apart_under_their_names() -> None:
    rows = rows_of(FRAMES, truth=TRUTH)
    spans = [Span(label="seen", start=0, stop=3), Span(label="predicted", start=3, stop=4)]
    plain, spanned = strip(rows, scale=4), strip(rows, scale=4, spans=spans)
    line = STYLE.font_size + 2 * STYLE.gap
    assert spanned.width == plain.width + 3 * STYLE.gap
    assert spanned.height == plain.height + line
    first, last = animation(rows, scale=4, spans=spans)[::3]
    beneath = slice(first.height - line, None)
    assert not np.array_equal(np.asarray(first)[beneath], np.asarray(last)[beneath])


def test_a_legend_explains_dashes_where_there_are_some() -> None:
    (row,) = rows_of(FRAMES, truth=TRUTH)
    dashed = replace(row, dashed=np.zeros((T, 2), bool))
    assert strip([dashed], scale=4).height > strip([row], scale=4).height


def test_lines_and_letters_grow_with_the_picture() -> None:
    small, large = Style.of(2), Style.of(8)
    assert (small.line_width, large.line_width) == (1, 4)
    assert (small.font_size, large.font_size) == (14, 56)


def test_rows_of_different_numbers_of_frames_are_refused() -> None:
    rows = trace_rows(FRAMES, _trace([[0, 1]] * T), truth=TRUTH)
    objects = rows[2]
    assert isinstance(objects, SpriteRow)
    short = replace(objects, ids=objects.ids[:2])
    with pytest.raises(UsageError, match="row 'objects': 2 frames do not fit 4"):
        strip([rows[0], short], scale=2)
