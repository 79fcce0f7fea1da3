"""The colour of each identity."""

from collections.abc import Iterable, Mapping

import numpy as np

from smot.boxes import iou
from smot.tracks import Tracks

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
