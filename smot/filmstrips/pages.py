"""What pictures are made of, and two ways to draw it: as pixels, or as vectors for PDF and SVG."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from smot.filmstrips.rows import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

Corners = tuple[float, float, float, float]
"""The first and last column and row of pixels inside: x0, y0, x1, y1."""

_PER_INCH = 200  # pixels of the picture for an inch of paper
_NARROWER = 0.86  # letters of the vectors are wider than those of the pixels at the same size
_ALIGNED: dict[str, str] = {
    **{"l": "left", "m": "center", "r": "right"},
    **{"b": "bottom", "s": "baseline"},
}


@dataclass(frozen=True)
class Pixels:
    """A picture with its upper left corner at x, y."""

    picture: Image.Image
    x: int
    y: int


@dataclass(frozen=True)
class Box:
    """A rectangle: filled, or a line of so many pixels along the inside of its edge."""

    at: Corners
    colour: Colour
    line: int = 0


@dataclass(frozen=True)
class Disc:
    """A filled circle around x, y."""

    x: float
    y: float
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Letters:
    """A line of letters; `anchor` as Pillow has it, "mm" for the middle."""

    x: float
    y: float
    said: str
    colour: Colour
    size: int
    anchor: str


@dataclass(frozen=True)
class Part:
    """A filled part with its own origin at x, y; nothing is drawn beyond its edges."""

    x: int
    y: int
    size: tuple[int, int]
    colour: Colour
    strokes: "list[Stroke]"


Stroke: TypeAlias = Pixels | Box | Disc | Letters | Part
"""Everything in pixels of the picture."""


def painted(size: tuple[int, int], colour: Colour, strokes: Iterable[Stroke]) -> Image.Image:
    """Strokes, one over the other, as pixels.

    Args:
        size: width, height.
        colour: of what nothing is drawn on.
        strokes: the lowest first.
    """
    picture = Image.new("RGB", size, colour)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        match stroke:
            case Pixels(pixels, x, y):
                picture.paste(pixels, (x, y))
            case Box(at, ink, 0):
                pen.rectangle(at, fill=ink)
            case Box(at, ink, line):
                pen.rectangle(at, outline=ink, width=line)
            case Disc(x, y, radius, ink):
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
            case Letters(x, y, said, ink, letters, anchor):
                pen.text((x, y), said, ink, ImageFont.load_default(letters), anchor=anchor)
            case Part(x, y, inside, ink, parts):
                picture.paste(painted(inside, ink, parts), (x, y))
    return picture


def save_vectors(path: Path, kind: str, size: tuple[int, int], strokes: Iterable[Stroke]) -> None:
    """Write strokes on white as "pdf" or "svg"; the same strokes give the same bytes.

    Boxes and letters stay lines and letters.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=(width / _PER_INCH, height / _PER_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_autoscale_on(False)
    _add(axes, strokes, (0, 0), None)
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "smot"}):
        date = {"pdf": "CreationDate", "svg": "Date"}[kind]
        figure.savefig(path, format=kind, dpi=_PER_INCH, metadata={date: None})


def _add(
    axes: "Axes", strokes: Iterable[Stroke], origin: tuple[int, int], edge: "Rectangle | None"
) -> None:
    """Add strokes to a drawing; they end at the edge."""
    for stroke in strokes:
        drawn = _vector(axes, stroke, *origin)
        # What is drawn later lies above, whatever it is.
        drawn.set_zorder(1 + len(axes.get_children()))
        if edge is not None:
            drawn.set_clip_path(edge)
        if isinstance(stroke, Part):
            _add(axes, stroke.strokes, (origin[0] + stroke.x, origin[1] + stroke.y), drawn)


def _vector(axes: "Axes", stroke: Stroke, left: int, top: int) -> Any:
    """One stroke as matplotlib has it; of a part its ground."""
    from matplotlib.patches import Circle, Rectangle

    match stroke:
        case Pixels(picture, x, y):
            x, y = left + x, top + y
            extent = (x, x + picture.width, y + picture.height, y)
            return axes.imshow(picture, extent=extent, interpolation="none", aspect="auto")
        case Box((x0, y0, x1, y1), colour, line):
            look: dict[str, Any] = {"facecolor": _hexadecimal(colour), "linewidth": 0}
            if line:
                points = line * 72 / _PER_INCH
                look = {"fill": False, "edgecolor": _hexadecimal(colour), "linewidth": points}
            corner = (left + x0 + line / 2, top + y0 + line / 2)
            size = (x1 + 1 - x0 - line, y1 + 1 - y0 - line)
            return axes.add_patch(Rectangle(corner, *size, joinstyle="miter", **look))
        case Disc(x, y, radius, colour):
            middle = (left + x, top + y)
            disc = Circle(middle, radius, facecolor=_hexadecimal(colour), linewidth=0)
            return axes.add_patch(disc)
        case Letters(x, y, said, colour, across, anchor):
            return axes.text(
                left + x,
                top + y,
                said,
                color=_hexadecimal(colour),
                fontsize=_NARROWER * across * 72 / _PER_INCH,
                ha=_ALIGNED[anchor[0]],
                va="center_baseline" if anchor[1] == "m" else _ALIGNED[anchor[1]],
                parse_math=False,
            )
        case Part(x, y, across, colour):
            ground = Rectangle((left + x, top + y), *across, facecolor=_hexadecimal(colour))
            ground.set_linewidth(0)
            return axes.add_patch(ground)


def _hexadecimal(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
