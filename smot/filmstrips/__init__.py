"""Videos as pictures: frames side by side, boxes coloured by identity, errors marked."""

from smot.filmstrips.layout import Span
from smot.filmstrips.rows import (
    IDENTITY_COLOURS,
    AnyRow,
    Colour,
    Mark,
    MarkKind,
    Row,
    SpriteRow,
    identity_colour,
    masked,
    rows_of,
    trace_rows,
    track_rows,
)
from smot.filmstrips.strips import animation, save_gif, save_strip, save_video, strip
from smot.filmstrips.tiles import MOST_DRAWN

__all__ = [
    "IDENTITY_COLOURS",
    "MOST_DRAWN",
    "AnyRow",
    "Colour",
    "Mark",
    "MarkKind",
    "Row",
    "Span",
    "SpriteRow",
    "animation",
    "identity_colour",
    "masked",
    "rows_of",
    "save_gif",
    "save_strip",
    "save_video",
    "strip",
    "trace_rows",
    "track_rows",
]
