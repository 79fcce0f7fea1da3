"""Rows of frames as one picture, or as one picture after another."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

from PIL import Image

from smot.errors import UsageError
from smot.files import atomic_path, check_suffix
from smot.filmstrips.layout import LINES, Sheet, Span, tile_height
from smot.filmstrips.pages import Box, Letters, Stroke, painted, save_vectors
from smot.filmstrips.rows import AnyRow, Row
from smot.filmstrips.tiles import INK, MARK_COLOUR, PAPER, outline, tile

_RULE_COLOUR = (150, 150, 158)


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
    sheet = Sheet.of(rows, scale, spans)
    return painted(sheet.size, PAPER, _strokes(rows, sheet, spans, numbers))


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
        sheet = Sheet.of(rows, scale, spans)
        save_vectors(draft, kind, sheet.size, _strokes(rows, sheet, spans, numbers))


def _strokes(
    rows: Sequence[AnyRow], sheet: Sheet, spans: Sequence[Span], numbers: Sequence[int]
) -> list[Stroke]:
    """All of a strip: spans, numbers, labels and legend, then the tiles."""
    style = sheet.style
    numbers = numbers or range(1, len(sheet.lefts) + 1)
    strokes: list[Stroke] = [stroke for span in spans for stroke in _span(span, sheet)]
    wrong = {mark.frame for row in rows if isinstance(row, Row) for mark in row.marks}
    for t, x in enumerate(sheet.lefts):
        ink = MARK_COLOUR if t in wrong else INK
        above = (x + sheet.width / 2, sheet.top - style.gap)
        strokes.append(Letters(*above, str(numbers[t]), ink, style.font_size, "mb"))
    for row, y in zip(rows, sheet.tops, strict=True):
        middle = y + tile_height(row, sheet.frame_size, style) / 2
        place = sheet.lefts[0] - style.gap - 3 * style.line_width, middle
        strokes.append(Letters(*place, row.label, INK, style.font_size, "rm"))
    strokes += _legend(sheet)
    strokes += [
        tile((x, y), row, t, sheet.frame_size, style)
        for t, x in enumerate(sheet.lefts)
        for row, y in zip(rows, sheet.tops, strict=True)
    ]
    return strokes


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
    sheet = Sheet.of(rows, scale, spans)
    style = sheet.style
    heights = [tile_height(row, sheet.frame_size, style) for row in rows]
    band = style.font_size + 2 * style.gap if any(row.label for row in rows) else 0
    size = (len(rows) * (sheet.width + style.gap) - style.gap, max(heights) + 2 * band)
    pictures = []
    for t in range(len(sheet.lefts)):
        strokes: list[Stroke] = []
        for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
            x = place * (sheet.width + style.gap)
            y = band + (max(heights) - height) // 2
            strokes.append(tile((x, y), row, t, sheet.frame_size, style))
            middle = x + sheet.width / 2, band / 2
            strokes.append(Letters(*middle, row.label, INK, style.font_size, "mm"))
        if band:
            within = [span.label for span in spans if span.start <= t < span.stop]
            said = ", ".join([f"frame {t + 1}", *within])
            below = style.gap, size[1] - band / 2
            strokes.append(Letters(*below, said, INK, style.font_size, "lm"))
        pictures.append(painted(size, PAPER, strokes))
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


def _span(span: Span, sheet: Sheet) -> Iterator[Stroke]:
    """A label in the middle of a line above the columns."""
    style = sheet.style
    x0, x1 = sheet.lefts[span.start], sheet.lefts[span.stop - 1] + sheet.width
    y = style.gap + style.font_size // 2
    half = style.font.getlength(span.label) / 2 + 2 * style.gap
    middle = (x0 + x1) / 2
    for start, stop in ((x0, middle - half), (middle + half, x1)):
        if start < stop:
            upper = y - style.line_width // 2
            yield Box((start, upper, stop, upper + style.line_width - 1), _RULE_COLOUR)
    yield Letters(middle, y, span.label, INK, style.font_size, "mm")


def _legend(sheet: Sheet) -> Iterator[Stroke]:
    style = sheet.style
    x: float = sheet.lefts[0]
    base = sheet.size[1] - style.gap - style.font_size // 4
    side = round(0.75 * style.font_size)
    for symbol, meaning in sheet.legend:
        ink, said = MARK_COLOUR, f"{symbol} {meaning}"
        if symbol in LINES:
            ink, said = INK, meaning
            left = round(x) + style.line_width
            inside = (left, base - side, left + side, base - style.line_width)
            yield from outline(inside, INK, style, dashed=symbol == "dashed")
            x += side + 2 * style.gap
        yield Letters(x, base, said, ink, style.font_size, "ls")
        x += style.font.getlength(said) + style.font_size
