"""Where everything stands in a picture, and how large it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import ImageFont

from smot.arrays import IntArray
from smot.errors import UsageError
from smot.filmstrips.rows import SYMBOLS, AnyRow, Row

LINES = {"dashed": "discovered in this frame", "solid": "propagated from the last"}
"""What the lines around objects mean, where there are dashed ones."""
_FEWEST_COLUMNS = 3  # of sprites: a few objects are not drawn larger than in the frame


@dataclass(frozen=True, kw_only=True)
class Style:
    """Sizes, all in pixels of the picture; lines and letters grow with it, as they must on paper.

    Attributes:
        scale: side of a pixel of the video.
        line_width: of boxes.
        gap: between the parts of a picture.
        margin: of mount around each frame: boxes at the edge stay visible.
        dash: length of a dash, and of the gap after it.
        font_size: of labels and numbers.
        font: for labels and numbers.
    """

    scale: int
    line_width: int
    gap: int
    margin: int
    dash: int
    font_size: int
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont

    @classmethod
    def of(cls, scale: int, frame_width: int = 48) -> Self:
        """The sizes of a picture.

        Args:
            scale: side of a pixel of the video.
            frame_width: of the video, pixels; lines and letters in the picture of a large one are
                not finer than in that of a small one as large.

        Raises:
            UsageError: the scale is below 1.
        """
        if scale < 1:
            raise UsageError(f"scale must be at least 1, not {scale}")
        # The scale, or that of a frame of 48 pixels that is drawn as large, up to 4.
        unit = max(scale, min(scale * frame_width / 48, 4))
        line = max(1, round(unit / 2))
        size = max(12, round(7 * unit))  # 6 points, if 8 frames of 48 pixels fill 14 cm of paper
        return cls(
            scale=scale,
            line_width=line,
            gap=4 * line,
            margin=4 * line,
            dash=3 * line,
            font_size=size,
            font=ImageFont.load_default(size),
        )


@dataclass(frozen=True, kw_only=True)
class Span:
    """Frames that belong together; there is a wider gap between spans.

    Attributes:
        label: stands above them.
        start: first frame.
        stop: one after the last frame.
    """

    label: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Where everything stands in a strip, pixels of the picture.

    Attributes:
        style: sizes.
        frame_size: H, W, pixels of the video.
        width: of a tile.
        top: above the first row.
        lefts: of the columns.
        tops: of the rows.
        size: width, height of the picture.
        legend: symbols and what they mean, for whatever is in the rows.
    """

    style: Style
    frame_size: tuple[int, int]
    width: int
    top: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    size: tuple[int, int]
    legend: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rows: Sequence[AnyRow], scale: int, spans: Sequence[Span]) -> "Sheet":
        """Lay out rows that fit each other; raises `UsageError` if they do not."""
        T, frame_size = _common_shape(rows)
        style = Style.of(scale, frame_size[1])
        gap, line = style.gap, style.font_size + 2 * style.gap
        left = max(int(style.font.getlength(row.label)) for row in rows)
        left += gap + 6 * style.line_width if left else gap
        width = tile_width(frame_size, style)
        starts = [span.start for span in spans[1:]]
        # Each later span begins after a wider gap.
        apart = [sum(start <= t for start in starts) for t in range(T)]
        lefts = [left + t * (width + gap) + 3 * gap * apart[t] for t in range(T)]
        top, tops = line * (2 if spans else 1), []
        y = top
        for row in rows:
            tops.append(y)
            y += tile_height(row, frame_size, style) + gap
        legend = _legend(rows)
        bottom = line - gap if legend else 0
        return cls(
            style=style,
            frame_size=frame_size,
            width=width,
            top=top,
            lefts=tuple(lefts),
            tops=tuple(tops),
            size=(lefts[-1] + width + gap, y + bottom),
            legend=legend,
        )


def _common_shape(rows: Sequence[AnyRow]) -> tuple[int, tuple[int, int]]:
    """Number of frames, and height and width of one, in pixels of the video."""
    frames = next(row.frames for row in rows if isinstance(row, Row))
    T, H, W, _ = frames.shape
    for row in rows:
        if not isinstance(row, Row):
            if len(row.ids) != T:
                raise UsageError(f"row {row.label!r}: {len(row.ids)} frames do not fit {T}")
            continue
        shape = (1, T) if row.tracks is None else row.tracks.shape[:2]
        if row.frames.shape != frames.shape or shape != (1, T):
            raise UsageError(
                f"row {row.label!r}: frames {list(row.frames.shape)} and tracks of {shape[0]} "
                f"videos and {shape[1]} frames do not fit {list(frames.shape)}"
            )
    return T, (H, W)


def _legend(rows: Sequence[AnyRow]) -> tuple[tuple[str, str], ...]:
    kinds = dict.fromkeys(mark.kind for row in rows if isinstance(row, Row) for mark in row.marks)
    lines = LINES if any(row.dashed is not None for row in rows) else {}
    return (*((SYMBOLS[kind], str(kind)) for kind in kinds), *lines.items())


def tile_height(row: AnyRow, frame_size: tuple[int, int], style: Style) -> int:
    """Height of a row's tiles in the picture, for frames of H, W pixels."""
    if isinstance(row, Row):
        return frame_size[0] * style.scale + 2 * style.margin
    cells = sprite_cells(row.ids)
    n_columns, n_rows = grid(cells)
    return n_rows * (tile_width(frame_size, style) // n_columns)


def tile_width(frame_size: tuple[int, int], style: Style) -> int:
    """Width of every tile in the picture, for frames of H, W pixels."""
    return frame_size[1] * style.scale + 2 * style.margin


def sprite_cells(ids: IntArray) -> dict[int, int]:
    """A cell for each identity, the same in all frames; free again after its last frame.

    Args:
        ids: [T, K]; -1 where there is no object.
    """
    frames = {int(one): np.flatnonzero((ids == one).any(-1)) for one in np.unique(ids[ids >= 0])}
    free_from: list[int] = []
    cells = {}
    for identity, present in sorted(frames.items(), key=lambda entry: (entry[1][0], entry[0])):
        # The lowest free cell: pictures stay small, and objects keep their place.
        free = [cell for cell, since in enumerate(free_from) if since <= present[0]]
        cell = free[0] if free else len(free_from)
        free_from[cell : cell + 1] = [int(present[-1]) + 1]
        cells[identity] = cell
    return cells


def grid(cells: dict[int, int]) -> tuple[int, int]:
    """Columns and rows of cells."""
    n_cells = 1 + max(cells.values(), default=0)
    n_columns = max(_FEWEST_COLUMNS, math.ceil(math.sqrt(n_cells)))
    return n_columns, math.ceil(n_cells / n_columns)
