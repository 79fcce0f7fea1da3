"""What the rows of a picture show, and the colour of each identity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.boxes import iou
from smot.errors import UsageError
from smot.tracks import ABSENT, Trace, Tracks

Colour = tuple[int, int, int]

# After Okabe and Ito, whose colours the colour-blind can tell apart: those that show on black,
# violet and brown for vermilion because errors are red; then others, for more identities.
IDENTITY_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 190, 130),
    (240, 228, 66),
    (225, 125, 185),
    (150, 110, 255),
    (176, 125, 72),
    (60, 130, 230),
    (190, 235, 255),
    (255, 214, 140),
    (160, 240, 200),
    (255, 160, 120),
    (200, 170, 255),
    (170, 190, 60),
    (190, 190, 190),
)

MarkKind = Literal["miss", "false positive", "switch"]
SYMBOLS: Mapping[str, str] = {"miss": "?", "false positive": "+", "switch": "S"}
"""What stands beside an error of each kind."""
_HIDDEN = 0.4  # brightness of frames that the tracker was not shown
_SEEN_THROUGH = 0.4  # share of the frame in the colour of a mask


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


@dataclass(frozen=True, kw_only=True, eq=False)
class SpriteRow:
    """One row of a picture: in every frame the objects, each in a small frame of its own.

    Attributes:
        label: what stands at its left.
        sprites: RGB, [T, K, G, G, 3], uint8.
        ids: identities, [T, K]; -1 where there is no object.
        colours: colour of each identity; others take theirs from `IDENTITY_COLOURS`.
        dashed: sprites to frame dashed instead of solid, [T, K].
    """

    label: str
    sprites: UInt8Array
    ids: IntArray
    colours: Mapping[int, Colour]
    dashed: BoolArray


AnyRow = Row | SpriteRow


def rows_of(
    frames: UInt8Array,
    *,
    truth: Tracks | None = None,
    predicted: Tracks | None = None,
    marks: Sequence[Mark] = (),
) -> list[Row]:
    """Rows for `strip` or `animation`: truth above, prediction below.

    Args:
        frames: RGB, [T, H, W, 3], uint8.
        truth: boxes, B = 1.
        predicted: boxes, B = 1; an identity has the colour of the true one that it is on most.
        marks: errors, drawn on the lowest row.
    """
    rows = []
    if truth is not None:
        rows.append(Row(label="truth", frames=frames, tracks=truth))
    if predicted is not None:
        colours = matched_colours(truth, predicted) if truth is not None else {}
        rows.append(Row(label="tracker", frames=frames, tracks=predicted, colours=colours))
    if not rows:
        rows.append(Row(label="", frames=frames))
    last = rows.pop()
    marked = Row(
        label=last.label, frames=frames, tracks=last.tracks, colours=last.colours, marks=marks
    )
    return [*rows, marked]


def trace_rows(
    frames: UInt8Array, trace: Trace, *, truth: Tracks, n_seen: int | None = None
) -> list[AnyRow]:
    """A tracker at work: truth, its input, the objects that it sees, and what it makes of them.

    Dashed is what was discovered in its frame, solid what was carried on from the last.

    Args:
        frames: RGB, [T, H, W, 3], uint8.
        trace: of these frames, B = 1.
        truth: boxes, B = 1; the tracker's identities take the colours of those they are on most.
        n_seen: frames that the tracker was shown; the others, which it predicted, are darkened
            in its row. None for all.

    Source: figures 1 and 2 of the paper.
    """
    dashed = trace.is_new[0]
    true, seen = track_rows(frames, trace.tracks, truth=truth, n_seen=n_seen)
    objects = SpriteRow(
        label="objects",
        sprites=_on_black(trace.appearances[0]),
        ids=trace.tracks.ids[0],
        colours=seen.colours,
        dashed=dashed,
    )
    painted = np.round(255 * trace.reconstruction[0].clip(0, 1)).astype(np.uint8)
    seen = replace(seen, label="input", dashed=dashed)
    return [true, seen, objects, replace(seen, label="reconstruction", frames=painted)]


def track_rows(
    frames: UInt8Array, tracks: Tracks, *, truth: Tracks, n_seen: int | None = None
) -> list[Row]:
    """Truth, and the tracks on the frames; the arguments of `trace_rows`."""
    true, found = rows_of(frames, truth=truth, predicted=tracks)
    return [true, replace(found, frames=_darkened(frames, n_seen))]


def masked(row: Row) -> Row:
    """The same row with the pixels of its tracks' masks in the colours of their identities."""
    if row.tracks is None or row.tracks.masks is None:
        return row
    owner = row.tracks.masks[0]
    # The identity of each pixel: background, as an entry of its own, is before the others.
    names = np.pad(row.tracks.ids[0], ((0, 0), (1, 0)), constant_values=ABSENT)
    identity = np.take_along_axis(names, owner.reshape(len(owner), -1), axis=1)
    identity = identity.reshape(owner.shape)
    frames = row.frames.copy()
    for one in _identities(row.tracks):
        colour = np.array(row.colours.get(one, identity_colour(one)))
        own = identity == one
        frames[own] = np.round(_SEEN_THROUGH * frames[own] + (1 - _SEEN_THROUGH) * colour)
    return replace(row, frames=frames)


def _darkened(frames: UInt8Array, n_seen: int | None) -> UInt8Array:
    """Frames [T, H, W, 3] of which those after the first `n_seen` are dark; None for none."""
    if n_seen is None:
        return frames
    dark = np.round(_HIDDEN * frames[n_seen:]).astype(np.uint8)
    return np.concatenate([frames[:n_seen], dark])


def _on_black(appearances: FloatArray) -> UInt8Array:
    """RGB with opacity [T, K, 4, G, G], in [0, 1], as it looks on black: [T, K, G, G, 3]."""
    seen = (appearances[:, :, :3] * appearances[:, :, 3:]).clip(0, 1)
    return np.round(255 * np.moveaxis(seen, 2, -1)).astype(np.uint8)


def identity_colour(identity: int) -> Colour:
    """The colour of an identity where nothing else is said."""
    return IDENTITY_COLOURS[identity % len(IDENTITY_COLOURS)]


def matched_colours(truth: Tracks, predicted: Tracks) -> dict[int, Colour]:
    """Colours for predicted identities: that of the true identity which each is on most.

    Args:
        truth: boxes, B = 1.
        predicted: boxes of the same frames, B = 1.
    """
    overlap = iou(predicted.boxes[0], truth.boxes[0])
    both = predicted.present[0][:, :, None] & truth.present[0][:, None, :]
    shared: dict[tuple[int, int], float] = {}
    for t, p, g in zip(*np.nonzero(both & (overlap > 0)), strict=True):
        pair = int(predicted.ids[0, t, p]), int(truth.ids[0, t, g])
        shared[pair] = shared.get(pair, 0.0) + float(overlap[t, p, g])
    matched: dict[int, int] = {}
    given: set[int] = set()
    # The largest overlap over all frames first; each true identity gives its colour once.
    for ours, theirs in sorted(shared, key=lambda pair: -shared[pair]):
        if ours not in matched and theirs not in given:
            matched[ours] = theirs
            given.add(theirs)
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
