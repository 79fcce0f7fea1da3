"""One frame of one row: its pixels on a mount, with boxes, marks or sprites."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from smot.arrays import FloatArray, UInt8Array
from smot.filmstrips.layout import Style, grid, sprite_cells, tile_height, tile_width
from smot.filmstrips.pages import Box, Corners, Disc, Letters, Part, Pixels, Stroke
from smot.filmstrips.rows import SYMBOLS, AnyRow, Colour, Mark, Row, SpriteRow, identity_colour

MARK_COLOUR: Colour = (255, 59, 48)
PAPER: Colour = (255, 255, 255)
INK: Colour = (60, 60, 67)
MOUNT: Colour = (36, 36, 40)
MOST_DRAWN = 64
"""Boxes, and marks, that are drawn in one frame: more would hide it, and take minutes to draw."""
_DISC = 0.38  # radius of the disc beside an error, in heights of letters


def tile(
    at: tuple[int, int], row: AnyRow, t: int, frame_size: tuple[int, int], style: Style
) -> Part:
    """One frame of a row.

    Args:
        at: upper left corner of the tile.
        row: what to show.
        t: the frame, 0 for the first.
        frame_size: H, W, pixels of the video.
        style: sizes.
    """
    size = tile_width(frame_size, style), tile_height(row, frame_size, style)
    strokes = _frame(row, t, style) if isinstance(row, Row) else _sprites(row, t, size[0], style)
    return Part(*at, size, MOUNT, list(strokes))


def outline(inside: Corners, colour: Colour, style: Style, *, dashed: bool) -> Iterator[Box]:
    """A line just around a rectangle.

    Args:
        inside: the first and last column and row of pixels inside: x0, y0, x1, y1.
        colour: of the line.
        style: width of the line, length of dashes.
        dashed: with gaps.
    """
    width = style.line_width
    x0, y0, x1, y1 = inside[0] - width, inside[1] - width, inside[2] + 1, inside[3] + 1
    if not dashed:
        yield Box((x0, y0, x1 + width - 1, y1 + width - 1), colour, width)
        return
    for x, stop in _dashes(x0, x1 + width, style.dash):
        for y in (y0, y1):
            yield Box((x, y, stop - 1, y + width - 1), colour)
    for y, stop in _dashes(y0, y1 + width, style.dash):
        for x in (x0, x1):
            yield Box((x, y, x + width - 1, stop - 1), colour)


def _dashes(start: float, stop: float, length: int) -> list[tuple[float, float]]:
    """Starts and stops of dashes between two corners, with a dash at both."""
    n_dashes = max(2, round((stop - start + length) / (2 * length)))
    last = max(stop - length, start)
    # The gaps give way, so that both corners are drawn.
    starts = [round(each) for each in np.linspace(start, last, n_dashes)]
    return [(each, min(each + length, stop)) for each in starts]


def _frame(row: Row, t: int, style: Style) -> Iterator[Stroke]:
    yield Pixels(_enlarged(row.frames[t], style.scale), style.margin, style.margin)
    drawn: list[Corners] = []
    if row.tracks is not None:
        for k in np.flatnonzero(row.tracks.present[0, t])[:MOST_DRAWN]:
            identity = int(row.tracks.ids[0, t, k])
            colour = row.colours.get(identity, identity_colour(identity))
            dashed = row.dashed is not None and bool(row.dashed[t, k])
            inside = _inside(row.tracks.boxes[0, t, k], row.frames.shape[1:3], style)
            yield from outline(inside, colour, style, dashed=dashed)
            drawn.append(inside)
    marks = [mark for mark in row.marks if mark.frame == t][:MOST_DRAWN]
    yield from _marks(marks, drawn, row.frames.shape[1:3], style)


def _sprites(row: SpriteRow, t: int, width: int, style: Style) -> Iterator[Stroke]:
    cells = sprite_cells(row.ids)
    n_columns, _ = grid(cells)
    side = width // n_columns
    left = (width - n_columns * side) // 2
    room = side - 2 * (style.line_width + max(1, style.margin // 3))
    for k in np.flatnonzero(row.ids[t] >= 0):
        identity = int(row.ids[t, k])
        line, column = divmod(cells[identity], n_columns)
        sprite = _fitted(row.sprites[t, k], room)
        x = left + column * side + (side - sprite.width) // 2
        y = line * side + (side - sprite.height) // 2
        yield Pixels(sprite, x, y)
        inside = (x, y, x + sprite.width - 1, y + sprite.height - 1)
        colour = row.colours.get(identity, identity_colour(identity))
        yield from outline(inside, colour, style, dashed=bool(row.dashed[t, k]))


def _enlarged(pixels: UInt8Array, factor: int) -> Image.Image:
    H, W, _ = pixels.shape
    return Image.fromarray(pixels).resize((W * factor, H * factor), Image.Resampling.NEAREST)


def _fitted(sprite: UInt8Array, room: int) -> Image.Image:
    """A sprite [G, G, 3] as large as whole pixels allow; smaller than it is only if it must be."""
    factor = room // len(sprite)
    if factor:
        return _enlarged(sprite, factor)
    side = max(room, 1)
    return Image.fromarray(sprite).resize((side, side), Image.Resampling.BOX)


def _inside(
    box: Sequence[float] | FloatArray, frame_size: tuple[int, ...], style: Style
) -> Corners:
    """A box's first and last column and row of pixels of the tile.

    What lies far outside the frame is drawn at half a frame's distance, where it is not seen
    either: the drawing library takes 32-bit coordinates only.
    """
    H, W = frame_size
    far = np.array([W, H, W, H]) / 2
    near = np.clip(np.asarray(box, np.float64), -far, 3 * far)
    x0, y0, x1, y1 = (round(float(side) * style.scale) + style.margin for side in near)
    return x0, y0, x1 - 1, y1 - 1


def _marks(
    marks: Sequence[Mark],
    boxes: Sequence[Corners],
    frame_size: tuple[int, ...],
    style: Style,
) -> Iterator[Stroke]:
    """A red box around each error, dashed for what is missing, and beside it a disc with its kind.

    Args:
        marks: of this frame.
        boxes: the corners of what is drawn already, which discs keep off where they can.
        frame_size: H, W, pixels of the video.
        style: sizes.
    """
    radius, apart = _DISC * style.font_size, 2 * style.line_width
    inside = [_inside(mark.box, frame_size, style) for mark in marks]
    discs: list[tuple[float, float]] = []
    for mark, (x0, y0, x1, y1) in zip(marks, inside, strict=True):
        around = (x0 - apart, y0 - apart, x1 + apart, y1 + apart)
        yield from outline(around, MARK_COLOUR, style, dashed=mark.kind == "miss")
    ends = [side * style.scale + 2 * style.margin - radius for side in frame_size[::-1]]
    for mark, box in zip(marks, inside, strict=True):
        places = _around(box, radius + apart + style.line_width, radius, ends)
        x, y = min(places, key=lambda at: _hidden(at, radius, [*boxes, *inside], discs))
        discs.append((x, y))
        yield Disc(x, y, radius, MARK_COLOUR)
        yield Letters(x, y, SYMBOLS[mark.kind], PAPER, round(1.7 * radius), "mm")


def _around(
    box: Corners, reach: float, low: float, high: Sequence[float]
) -> list[tuple[float, float]]:
    """Middles for a disc at the corners and sides of a box, within the tile."""
    x0, y0, x1, y1 = box
    xs, ys = (x0 - reach, (x0 + x1) / 2, x1 + reach), (y0 - reach, (y0 + y1) / 2, y1 + reach)
    # Upper right first: of places that hide as little, the first is taken.
    order = ((2, 0), (2, 1), (2, 2), (1, 0), (1, 2), (0, 0), (0, 1), (0, 2))
    return [(min(max(xs[i], low), high[0]), min(max(ys[j], low), high[1])) for i, j in order]


def _hidden(
    at: tuple[float, float],
    radius: float,
    boxes: Sequence[Corners],
    discs: Sequence[tuple[float, float]],
) -> float:
    """How much a disc would hide: its overlap with boxes, and, worse, with other discs."""
    x, y = at
    wide, area = 2 * radius, 0.0
    for x0, y0, x1, y1 in boxes:
        width = min(x + radius, x1) - max(x - radius, x0)
        area += max(width, 0.0) * max(min(y + radius, y1) - max(y - radius, y0), 0.0)
    for other_x, other_y in discs:
        area += 4 * max(wide - abs(x - other_x), 0.0) * max(wide - abs(y - other_y), 0.0)
    return area
