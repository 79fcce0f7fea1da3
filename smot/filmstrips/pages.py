"""What pictures are drawn on: pixels, or vectors for PDF and SVG, by the same few strokes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from smot.filmstrips.rows import Colour

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

Corners = tuple[float, float, float, float]
"""The first and last column and row of pixels inside: x0, y0, x1, y1."""

_PER_INCH = 200  # pixels of the picture for an inch of paper
_NARROWER = 0.86  # letters of the vectors are wider than those of the pixels at the same size
_ALIGNED: dict[str, str] = {
    **{"l": "left", "m": "center", "r": "right"},
    **{"b": "bottom", "s": "baseline"},
}


class Page:
    """A picture to draw on; everything in its pixels."""

    def __init__(self, size: tuple[int, int], colour: Colour) -> None:
        self.picture = Image.new("RGB", size, colour)
        self._pen = ImageDraw.Draw(self.picture)

    def image(self, picture: Image.Image, x: int, y: int) -> None:
        """Pixels, with their upper left corner at x, y."""
        self.picture.paste(picture, (x, y))

    def box(self, at: Corners, colour: Colour, line: int = 0) -> None:
        """A rectangle: filled, or a line of so many pixels along the inside of its edge."""
        look: dict[str, Any] = {"outline": colour, "width": line} if line else {"fill": colour}
        self._pen.rectangle(at, **look)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle."""
        self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def text(self, x: float, y: float, said: str, colour: Colour, size: int, anchor: str) -> None:
        """A line of letters; `anchor` as Pillow has it, "mm" for the middle."""
        self._pen.text((x, y), said, colour, ImageFont.load_default(size), anchor=anchor)

    @contextmanager
    def part(self, x: int, y: int, size: tuple[int, int], colour: Colour) -> Iterator["Page"]:
        """A filled part with its own origin; nothing is drawn beyond its edges."""
        part = Page(size, colour)
        yield part
        self.picture.paste(part.picture, (x, y))


class Vectors(Page):
    """A page whose boxes and letters stay lines and letters in a file."""

    def __init__(
        self, figure: "Figure", axes: "Axes", x: int, y: int, edge: "Rectangle | None"
    ) -> None:
        self._figure, self._axes, self._x, self._y, self._edge = figure, axes, x, y, edge
        self._axes.set_autoscale_on(False)

    @classmethod
    def of(cls, size: tuple[int, int]) -> "Vectors":
        """An empty page, white.

        Args:
            size: width, height, pixels of the picture.
        """
        from matplotlib.figure import Figure

        width, height = size
        figure = Figure(figsize=(width / _PER_INCH, height / _PER_INCH), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        return cls(figure, axes, 0, 0, None)

    def save(self, path: Path, kind: str) -> None:
        """Write the page as "pdf" or "svg"; the same page gives the same bytes."""
        from matplotlib import rc_context

        with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "smot"}):
            date = {"pdf": "CreationDate", "svg": "Date"}[kind]
            self._figure.savefig(path, format=kind, dpi=_PER_INCH, metadata={date: None})

    def image(self, picture: Image.Image, x: int, y: int) -> None:  # noqa: D102
        left, top = self._x + x, self._y + y
        extent = (left, left + picture.width, top + picture.height, top)
        drawn = self._axes.imshow(picture, extent=extent, interpolation="none", aspect="auto")
        self._put(drawn)

    def box(self, at: Corners, colour: Colour, line: int = 0) -> None:  # noqa: D102
        from matplotlib.patches import Rectangle

        x0, y0, x1, y1 = at
        half = line / 2
        corner = (self._x + x0 + half, self._y + y0 + half)
        look: dict[str, Any] = {"facecolor": _hexadecimal(colour), "linewidth": 0}
        if line:
            points = line * 72 / _PER_INCH
            look = {"fill": False, "edgecolor": _hexadecimal(colour), "linewidth": points}
        size = (x1 + 1 - x0 - line, y1 + 1 - y0 - line)
        self._put(self._axes.add_patch(Rectangle(corner, *size, joinstyle="miter", **look)))

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:  # noqa: D102
        from matplotlib.patches import Circle

        middle = (self._x + x, self._y + y)
        disc = Circle(middle, radius, facecolor=_hexadecimal(colour), linewidth=0)
        self._put(self._axes.add_patch(disc))

    def text(self, x: float, y: float, said: str, colour: Colour, size: int, anchor: str) -> None:  # noqa: D102
        level = "center_baseline" if anchor[1] == "m" else _ALIGNED[anchor[1]]
        drawn = self._axes.text(
            self._x + x,
            self._y + y,
            said,
            color=_hexadecimal(colour),
            fontsize=_NARROWER * size * 72 / _PER_INCH,
            ha=_ALIGNED[anchor[0]],
            va=level,
            parse_math=False,
        )
        self._put(drawn)

    @contextmanager
    def part(self, x: int, y: int, size: tuple[int, int], colour: Colour) -> Iterator[Page]:  # noqa: D102
        from matplotlib.patches import Rectangle

        place = (self._x + x, self._y + y)
        edge = Rectangle(place, *size, facecolor=_hexadecimal(colour), linewidth=0)
        self._put(self._axes.add_patch(edge))
        yield Vectors(self._figure, self._axes, *place, edge)

    def _put(self, drawn: "Artist") -> None:
        """What is drawn later lies above, whatever it is, and ends at the edge."""
        drawn.set_zorder(1 + len(self._axes.get_children()))
        if self._edge is not None:
            drawn.set_clip_path(self._edge)


def _hexadecimal(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
