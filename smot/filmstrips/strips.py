"""Rows of frames as one picture, or as one picture after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from PIL import Image

from smot.errors import UsageError
from smot.files import atomic_path, check_suffix
from smot.filmstrips.pages import Page, Vectors
from smot.filmstrips.rows import AnyRow, Mark, Row
from smot.filmstrips.tiles import (
    INK,
    MARK_COLOUR,
    PAPER,
    SYMBOLS,
    Style,
    draw_tile,
    outline,
    tile_height,
    tile_width,
)

_LINES = {"dashed": "discovered in this frame", "solid": "propagated from the last"}
_RULE_COLOUR = (150, 150, 158)


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


def strip(
    rows: Sequence[AnyRow],
    *,
    scale: int,
    spans: Sequence[Span] = (),
    numbers: Sequence[int] = (),
) -> Image.Image:
    """Rows of frames with a number above each column and a label before each row.

    Args:
        rows: at least one `Row`; all of one number of frames, and frames of one size.
        scale: pixels of the picture for one of the video.
        spans: what to write above groups of columns, from left to right.
        numbers: of the frames; 1, 2, ... if not given.

    Raises:
        UsageError: rows that do not fit each other, or a scale below 1.
    """
    sheet = _Sheet.of(rows, _style(rows, scale), spans)
    page = Page(sheet.size, PAPER)
    _draw(page, rows, sheet, spans, numbers)
    return page.picture


def save_strip(
    path: Path,
    rows: Sequence[AnyRow],
    *,
    scale: int,
    spans: Sequence[Span] = (),
    numbers: Sequence[int] = (),
) -> None:
    """Write the picture of `strip` to a file whose suffix says how.

    In PDF and SVG, boxes and letters are vectors; the frames are embedded.

    Raises:
        UsageError: as `strip`, or another suffix than .png, .pdf and .svg.
    """
    kind = check_suffix(path, (".png", ".pdf", ".svg")).suffix[1:].lower()
    with atomic_path(path) as draft:
        if kind == "png":
            strip(rows, scale=scale, spans=spans, numbers=numbers).save(draft, "png")
            return
        sheet = _Sheet.of(rows, _style(rows, scale), spans)
        page = Vectors.of(sheet.size)
        _draw(page, rows, sheet, spans, numbers)
        page.save(draft, kind)


def _draw(
    page: Page,
    rows: Sequence[AnyRow],
    sheet: "_Sheet",
    spans: Sequence[Span],
    numbers: Sequence[int],
) -> None:
    style = sheet.style
    numbers = numbers or range(1, len(sheet.lefts) + 1)
    for span in spans:
        _draw_span(page, span, sheet)
    wrong = {mark.frame for mark in _marks(rows)}
    for t, x in enumerate(sheet.lefts):
        ink = MARK_COLOUR if t in wrong else INK
        above = (x + sheet.width / 2, sheet.top - style.gap)
        page.text(*above, str(numbers[t]), ink, style.font_size, "mb")
        for row, y in zip(rows, sheet.tops, strict=True):
            draw_tile(page, (x, y), row, t, sheet.frame_size, style)
    for row, y in zip(rows, sheet.tops, strict=True):
        middle = y + tile_height(row, sheet.frame_size, style) / 2
        place = sheet.lefts[0] - style.gap - 3 * style.line_width, middle
        page.text(*place, row.label, INK, style.font_size, "rm")
    _draw_legend(page, rows, sheet)


def animation(
    rows: Sequence[AnyRow],
    *,
    scale: int,
    spans: Sequence[Span] = (),
) -> list[Image.Image]:
    """One picture for each frame, rows side by side, for `save_gif`.

    Args:
        rows: at least one `Row`; all of one number of frames, and frames of one size. Where they
            have labels, these stand above, and the number of the frame beneath.
        scale: pixels of the picture for one of the video.
        spans: what to write beside the number of each of their frames.

    Raises:
        UsageError: rows that do not fit each other, or a scale below 1.
    """
    style = _style(rows, scale)
    sheet = _Sheet.of(rows, style, spans)
    heights = [tile_height(row, sheet.frame_size, style) for row in rows]
    band = style.font_size + 2 * style.gap if any(row.label for row in rows) else 0
    size = (len(rows) * (sheet.width + style.gap) - style.gap, max(heights) + 2 * band)
    pictures = []
    for t in range(len(sheet.lefts)):
        page = Page(size, PAPER)
        for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
            x = place * (sheet.width + style.gap)
            y = band + (max(heights) - height) // 2
            draw_tile(page, (x, y), row, t, sheet.frame_size, style)
            middle = x + sheet.width / 2, band / 2
            page.text(*middle, row.label, INK, style.font_size, "mm")
        if band:
            within = [span.label for span in spans if span.start <= t < span.stop]
            said = ", ".join([f"frame {t + 1}", *within])
            page.text(style.gap, size[1] - band / 2, said, INK, style.font_size, "lm")
        pictures.append(page.picture)
    return pictures


def save_video(path: Path, pictures: Iterable[Image.Image], *, seconds: float = 0.3) -> None:
    """Write pictures as an MP4 that every browser plays (H.264).

    Args:
        path: the file to write.
        pictures: at least one, all of one size; no more than one is held at a time.
        seconds: for which each is shown.

    Raises:
        UsageError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise UsageError(f"{path}: MP4 needs PyAV: pip install 'smot[video]'") from None
    others = iter(pictures)
    first = next(others)
    with atomic_path(path) as draft, av.open(str(draft), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=Fraction(1 / seconds).limit_denominator(1000))
        # The format stores colours for two by two pixels: sizes are even.
        stream.width, stream.height = (side + side % 2 for side in first.size)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12"}
        for picture in chain([first], others):
            even = Image.new("RGB", (stream.width, stream.height), PAPER)
            even.paste(picture)
            file.mux(stream.encode(av.VideoFrame.from_image(even)))
        file.mux(stream.encode())


def save_gif(path: Path, pictures: Iterable[Image.Image], *, seconds: float = 0.3) -> None:
    """Write pictures as a GIF that runs for ever.

    Args:
        path: the file to write.
        pictures: at least one.
        seconds: for which each is shown.
    """
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=round(1000 * seconds), loop=0)


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """Where everything stands in a strip, pixels of the picture.

    Attributes:
        style: sizes.
        frame_size: H, W, pixels of the video.
        width: of a tile.
        top: above the first row.
        lefts: of the columns.
        tops: of the rows.
        size: width, height of the picture.
    """

    style: Style
    frame_size: tuple[int, int]
    width: int
    top: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    size: tuple[int, int]

    @classmethod
    def of(cls, rows: Sequence[AnyRow], style: Style, spans: Sequence[Span]) -> "_Sheet":
        """Lay out rows that fit each other."""
        T, frame_size = _common_shape(rows)
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
        bottom = line - gap if _legend(rows) else 0
        return cls(
            style=style,
            frame_size=frame_size,
            width=width,
            top=top,
            lefts=tuple(lefts),
            tops=tuple(tops),
            size=(lefts[-1] + width + gap, y + bottom),
        )


def _style(rows: Sequence[AnyRow], scale: int) -> Style:
    return Style(scale=scale, frame_width=_common_shape(rows)[1][1])


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


def _marks(rows: Sequence[AnyRow]) -> list[Mark]:
    return [mark for row in rows if isinstance(row, Row) for mark in row.marks]


def _draw_span(page: Page, span: Span, sheet: _Sheet) -> None:
    """A label in the middle of a line above the columns."""
    style = sheet.style
    x0, x1 = sheet.lefts[span.start], sheet.lefts[span.stop - 1] + sheet.width
    y = style.gap + style.font_size // 2
    half = style.font.getlength(span.label) / 2 + 2 * style.gap
    middle = (x0 + x1) / 2
    for start, stop in ((x0, middle - half), (middle + half, x1)):
        if start < stop:
            upper = y - style.line_width // 2
            page.box((start, upper, stop, upper + style.line_width - 1), _RULE_COLOUR)
    page.text(middle, y, span.label, INK, style.font_size, "mm")


def _legend(rows: Sequence[AnyRow]) -> list[tuple[str, str]]:
    """Symbols and what they mean, for whatever is in the rows."""
    kinds = dict.fromkeys(mark.kind for mark in _marks(rows))
    lines = _LINES if any(row.dashed is not None for row in rows) else {}
    return [*((SYMBOLS[kind], str(kind)) for kind in kinds), *lines.items()]


def _draw_legend(page: Page, rows: Sequence[AnyRow], sheet: _Sheet) -> None:
    style = sheet.style
    x: float = sheet.lefts[0]
    base = sheet.size[1] - style.gap - style.font_size // 4
    side = round(0.75 * style.font_size)
    for symbol, meaning in _legend(rows):
        ink, said = MARK_COLOUR, f"{symbol} {meaning}"
        if symbol in _LINES:
            ink, said = INK, meaning
            left = round(x) + style.line_width
            inside = (left, base - side, left + side, base - style.line_width)
            outline(page, inside, INK, style, dashed=symbol == "dashed")
            x += side + 2 * style.gap
        page.text(x, base, said, ink, style.font_size, "ls")
        x += style.font.getlength(said) + style.font_size
