"""Videos as pictures: frames side by side, boxes coloured by identity, errors marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smot.arrays import BoolArray, FloatArray, UInt8Array
from smot.boxes import iou
from smot.errors import UsageError
from smot.tracks import Tracks

Colour = tuple[int, int, int]
MarkKind = Literal["miss", "false positive", "switch"]

# After Okabe and Ito, whose colours the colour-blind can tell apart: those that show on black,
# brown for vermilion because errors are red; then lighter ones for identities after the seventh.
IDENTITY_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 190, 130), (240, 228, 66), (176, 125, 72), (225, 125, 185),
    (60, 130, 230), (190, 235, 255), (255, 214, 140), (160, 240, 200), (255, 160, 120),
    (200, 170, 255), (170, 190, 60), (190, 190, 190),
)  # fmt: skip
_MARK_COLOUR: Colour = (255, 59, 48)
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (60, 60, 67)
_MOUNT: Colour = (36, 36, 40)
_MARGIN = 4  # pixels of mount around each frame: boxes at the edge stay visible
_GAP = 4
_FONT_SIZE = 12
_DASH = 3
_SYMBOLS = {"miss": "?", "false positive": "+", "switch": "S"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An error to be shown in its frame.

    Attributes:
        frame: 0 for the first.
        box: x0, y0, x1, y1, pixels of the video.
        kind: "miss", "false positive" or "switch".

    Raises:
        UsageError: another kind.
    """

    frame: int
    box: Sequence[float] | FloatArray
    kind: MarkKind

    def __post_init__(self) -> None:
        if self.kind not in get_args(MarkKind):
            allowed = ", ".join(get_args(MarkKind))
            raise UsageError(f"a mark's kind must be one of {allowed}, not {self.kind!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row of a picture: a video and what is drawn on it.

    Attributes:
        label: what stands at its left.
        frames: RGB, [T, H, W, 3], uint8.
        tracks: boxes to draw, B = 1, with T frames; None for none.
        colours: colour of each identity; others take theirs from `IDENTITY_COLOURS`.
        dashed: boxes to draw dashed instead of solid, [T, K]; None for none.
        marks: errors to point out.
    """

    label: str
    frames: UInt8Array
    tracks: Tracks | None = None
    colours: Mapping[int, Colour] = field(default_factory=dict)
    dashed: BoolArray | None = None
    marks: Sequence[Mark] = ()


def filmstrip(
    frames: UInt8Array,
    *,
    truth: Tracks | None = None,
    predicted: Tracks | None = None,
    marks: Sequence[Mark] = (),
    scale: int = 3,
) -> Image.Image:
    """A video as one picture: truth above, prediction below, frames from left to right.

    Args:
        frames: RGB, [T, H, W, 3], uint8.
        truth: boxes, B = 1.
        predicted: boxes, B = 1; an identity has the colour of the true one that it is on most.
        marks: errors, drawn on the lowest row.
        scale: pixels of the picture for one of the video.

    Raises:
        UsageError: tracks that do not fit the frames, or a scale below 1.
    """
    return strip(rows_of(frames, truth=truth, predicted=predicted, marks=marks), scale=scale)


def rows_of(
    frames: UInt8Array,
    *,
    truth: Tracks | None = None,
    predicted: Tracks | None = None,
    marks: Sequence[Mark] = (),
) -> list[Row]:
    """The rows of `filmstrip`, for `strip` or `animation`."""
    rows = []
    if truth is not None:
        rows.append(Row(label="truth", frames=frames, tracks=truth))
    if predicted is not None:
        colours = _matched_colours(truth, predicted) if truth is not None else {}
        rows.append(Row(label="tracker", frames=frames, tracks=predicted, colours=colours))
    if not rows:
        rows.append(Row(label="", frames=frames))
    last = rows.pop()
    marked = Row(
        label=last.label, frames=frames, tracks=last.tracks, colours=last.colours, marks=marks
    )
    return [*rows, marked]


def strip(rows: Sequence[Row], *, scale: int) -> Image.Image:
    """Rows of frames with a number above each column and a label before each row.

    Args:
        rows: at least one, all of one number of frames and frame size.
        scale: pixels of the picture for one of the video.

    Raises:
        UsageError: rows that do not fit each other, or a scale below 1.
    """
    T, width, height = _tile_size(rows, scale)
    font = ImageFont.load_default(_FONT_SIZE)
    left = max(int(font.getlength(row.label)) for row in rows)
    left += _GAP + 6 if left else _GAP
    top = _FONT_SIZE + 2 * _GAP
    kinds = list(dict.fromkeys(mark.kind for row in rows for mark in row.marks))
    bottom = top if kinds else _GAP
    size = (left + T * (width + _GAP), top + len(rows) * (height + _GAP) - _GAP + bottom)
    picture = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(picture)
    for t in range(T):
        x = left + t * (width + _GAP)
        wrong = any(mark.frame == t for row in rows for mark in row.marks)
        ink = _MARK_COLOUR if wrong else _INK
        pen.text((x + width / 2, top - _GAP), str(t + 1), ink, font, anchor="mb")
        for place, row in enumerate(rows):
            picture.paste(_tile(row, t, scale), (x, top + place * (height + _GAP)))
    for place, row in enumerate(rows):
        middle = top + place * (height + _GAP) + height / 2
        pen.text((left - _GAP - 3, middle), row.label, _INK, font, anchor="rm")
    legend = "   ".join(f"{_SYMBOLS[kind]} {kind}" for kind in kinds)
    pen.text((left, size[1] - _GAP), legend, _MARK_COLOUR, font, anchor="lb")
    return picture


def animation(rows: Sequence[Row], *, scale: int) -> list[Image.Image]:
    """One picture for each frame, rows side by side, for `save_gif`.

    Args:
        rows: at least one, all of one number of frames and frame size.
        scale: pixels of the picture for one of the video.

    Raises:
        UsageError: rows that do not fit each other, or a scale below 1.
    """
    T, width, height = _tile_size(rows, scale)
    pictures = []
    for t in range(T):
        size = (len(rows) * (width + _GAP) - _GAP, height)
        picture = Image.new("RGB", size, _PAPER)
        for place, row in enumerate(rows):
            picture.paste(_tile(row, t, scale), (place * (width + _GAP), 0))
        pictures.append(picture)
    return pictures


def save_gif(path: Path, pictures: Sequence[Image.Image], *, seconds: float = 0.3) -> None:
    """Write pictures as a GIF that runs for ever.

    Args:
        path: the file to write.
        pictures: at least one.
        seconds: for which each is shown.
    """
    first, *others = pictures
    first.save(
        path, save_all=True, append_images=others, duration=round(1000 * seconds), loop=0
    )  # fmt: skip


def _tile_size(rows: Sequence[Row], scale: int) -> tuple[int, int, int]:
    """Number of frames, and width and height of one frame in the picture."""
    if scale < 1:
        raise UsageError(f"scale must be at least 1, not {scale}")
    T, H, W, _ = rows[0].frames.shape
    for row in rows:
        shape = (1, T) if row.tracks is None else row.tracks.shape[:2]
        if row.frames.shape != rows[0].frames.shape or shape != (1, T):
            raise UsageError(
                f"row {row.label!r}: frames {list(row.frames.shape)} and tracks of {shape[0]} "
                f"videos and {shape[1]} frames do not fit {list(rows[0].frames.shape)}"
            )
    return T, W * scale + 2 * _MARGIN, H * scale + 2 * _MARGIN


def _tile(row: Row, t: int, scale: int) -> Image.Image:
    """One frame on its mount, with its boxes and marks."""
    _, H, W, _ = row.frames.shape
    picture = Image.new("RGB", (W * scale + 2 * _MARGIN, H * scale + 2 * _MARGIN), _MOUNT)
    frame = Image.fromarray(row.frames[t]).resize((W * scale, H * scale), Image.Resampling.NEAREST)
    picture.paste(frame, (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(picture)
    if row.tracks is not None:
        for k in np.flatnonzero(row.tracks.present[0, t]):
            identity = int(row.tracks.ids[0, t, k])
            colour = row.colours.get(identity, identity_colour(identity))
            dashed = row.dashed is not None and bool(row.dashed[t, k])
            _outline(pen, _corners(row.tracks.boxes[0, t, k], scale), colour, dashed=dashed)
    for mark in row.marks:
        if mark.frame == t:
            _draw_mark(pen, _corners(mark.box, scale), mark.kind)
    return picture


def identity_colour(identity: int) -> Colour:
    """The colour of an identity where nothing else is said."""
    return IDENTITY_COLOURS[identity % len(IDENTITY_COLOURS)]


def _corners(box: Sequence[float] | FloatArray, scale: int) -> tuple[int, int, int, int]:
    """The outline just around a box, in pixels of the tile."""
    x0, y0, x1, y1 = (round(float(side) * scale) + _MARGIN for side in box)
    return x0 - 1, y0 - 1, x1, y1


def _outline(
    pen: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], colour: Colour, *, dashed: bool
) -> None:
    if not dashed:
        pen.rectangle(corners, outline=colour)
        return
    x0, y0, x1, y1 = corners
    for x in range(x0, x1 + 1, 2 * _DASH):
        for y in (y0, y1):
            pen.line((x, y, min(x + _DASH - 1, x1), y), colour)
    for y in range(y0, y1 + 1, 2 * _DASH):
        for x in (x0, x1):
            pen.line((x, y, x, min(y + _DASH - 1, y1)), colour)


def _draw_mark(
    pen: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], kind: MarkKind
) -> None:
    """A red box around the box, dashed for what is missing, with the symbol of its kind."""
    x0, y0, x1, y1 = corners
    around = (x0 - 2, y0 - 2, x1 + 2, y1 + 2)
    _outline(pen, around, _MARK_COLOUR, dashed=kind == "miss")
    font = ImageFont.load_default(_FONT_SIZE)
    half = _FONT_SIZE / 2
    x, y = around[2] - half, max(around[1] - half, half)
    pen.ellipse((x - half, y - half, x + half, y + half), _MARK_COLOUR)
    pen.text((x, y), _SYMBOLS[kind], _PAPER, font, anchor="mm")


def _matched_colours(truth: Tracks, predicted: Tracks) -> dict[int, Colour]:
    """Colours for predicted identities: that of the true identity which each is on most."""
    overlap = iou(predicted.boxes[0], truth.boxes[0])
    both = predicted.present[0][:, :, None] & truth.present[0][:, None, :]
    shared: dict[tuple[int, int], float] = {}
    for t, p, g in zip(*np.nonzero(both & (overlap > 0)), strict=True):
        pair = int(predicted.ids[0, t, p]), int(truth.ids[0, t, g])
        shared[pair] = shared.get(pair, 0.0) + float(overlap[t, p, g])
    matched: dict[int, int] = {}
    for ours, theirs in sorted(shared, key=lambda pair: -shared[pair]):
        if ours not in matched and theirs not in matched.values():
            matched[ours] = theirs
    return _with_spares(matched, _identities(truth), _identities(predicted))


def _with_spares(
    matched: Mapping[int, int], true: Iterable[int], all_predicted: Iterable[int]
) -> dict[int, Colour]:
    """Identities on nothing true take the colours that no true one has, while there are any."""
    taken = {identity_colour(identity) for identity in true}
    spare = [colour for colour in IDENTITY_COLOURS if colour not in taken] or [(140, 140, 140)]
    left = [identity for identity in all_predicted if identity not in matched]
    colours = {ours: identity_colour(theirs) for ours, theirs in matched.items()}
    return {**colours, **{one: spare[n % len(spare)] for n, one in enumerate(left)}}


def _identities(tracks: Tracks) -> list[int]:
    return [int(identity) for identity in np.unique(tracks.ids[tracks.present])]
