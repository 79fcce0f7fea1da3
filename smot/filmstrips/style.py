"""How large things are in a picture, and the colours of what is not the video."""

from dataclasses import dataclass

from PIL import ImageFont

from smot.errors import UsageError
from smot.filmstrips.colours import Colour

MARK_COLOUR: Colour = (255, 59, 48)
PAPER: Colour = (255, 255, 255)
INK: Colour = (60, 60, 67)
MOUNT: Colour = (36, 36, 40)


@dataclass(frozen=True, kw_only=True)
class Style:
    """Sizes, all in pixels of the picture.

    Attributes:
        scale: side of a pixel of the video.
        line_width: of boxes.
        font_size: of labels and numbers.

    Raises:
        UsageError: one of them is below 1.
    """

    scale: int
    line_width: int = 1
    font_size: int = 12

    def __post_init__(self) -> None:
        for name in ("scale", "line_width", "font_size"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")

    @classmethod
    def printed(cls, scale: int) -> "Style":
        """For paper: lines and letters that grow with the picture.

        Eight frames of 48 pixels across a text 14 cm wide have letters of 6 points.
        """
        return cls(scale=scale, line_width=max(1, round(scale / 2)), font_size=max(12, 7 * scale))

    @property
    def gap(self) -> int:
        """Between the parts of a picture."""
        return 4 * self.line_width

    @property
    def margin(self) -> int:
        """Of mount around each frame: boxes at the edge stay visible."""
        return 4 * self.line_width

    @property
    def dash(self) -> int:
        """Length of a dash, and of the gap after it."""
        return 3 * self.line_width

    @property
    def font(self) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """For labels and numbers."""
        return ImageFont.load_default(self.font_size)
