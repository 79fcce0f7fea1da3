"""The state of objects, packed into one tensor so that choosing objects is one operation."""

from typing import NamedTuple

import torch
from torch import Tensor

AWAY = -10.0
"""A coordinate that no frame has, anchors."""
_CENTRE = slice(-7, -5)
"""Where the centre of ``Objects.box`` is in packed objects."""


class Objects(NamedTuple):
    """Objects of one frame (or of many), all with the same leading axes.

    Attributes:
        place: y, x of the centre in the whole frame, [..., 2], anchors; equals that of ``box``
            where the model sees whole frames.
        size: h, w, [..., 2], anchors.
        what: appearance, [..., A].
        depth: in (0, 1), larger is nearer, [..., 1].
        pres: presence in [0, 1], [..., 1].
        hidden: recurrent state of the posterior, [..., H].
        box: y, x, h, w in the frame that the model sees, [..., 4], anchors.
        size_logit: what ``size`` is the sigmoid of, [..., 2].
        depth_logit: what ``depth`` is the sigmoid of, [..., 1].
    """

    place: Tensor
    size: Tensor
    what: Tensor
    depth: Tensor
    pres: Tensor
    hidden: Tensor
    box: Tensor
    size_logit: Tensor
    depth_logit: Tensor

    def packed(self) -> Tensor:
        """All of it side by side, in the order of the attributes."""
        return torch.cat(tuple(self), dim=-1)

    @property
    def centre(self) -> Tensor:
        """y, x of the centre in the frame that the model sees, [..., 2], anchors."""
        return self.box[..., :2]


def described_width(what_size: int, hidden_size: int) -> int:
    """Numbers that describe an object to networks."""
    return 2 + 2 + what_size + 1 + 1 + hidden_size


def unpacked(packed: Tensor, what_size: int, hidden_size: int) -> Objects:
    """Views of a packed tensor."""
    return Objects(*packed.split([2, 2, what_size, 1, 1, hidden_size, 4, 2, 1], dim=-1))


def description(packed: Tensor, what_size: int, hidden_size: int) -> Tensor:
    """What networks are told of packed objects, [..., 6 + A + H]: all up to ``hidden``."""
    return packed[..., : described_width(what_size, hidden_size)]


def ended(packed: Tensor, ends: Tensor) -> Tensor:
    """Packed objects, those that end replaced by nothing, out of reach of every place.

    An object that has lost its presence, but stays where it was, keeps discovery from finding
    there what it no longer explains.

    Args:
        packed: with or without recurrent states, [..., S].
        ends: which end, bool, [..., 1].

    Source: ours; in the paper faint objects go on.
    """
    nothing = packed.new_zeros(packed.shape[-1])
    nothing[_CENTRE] = AWAY
    return torch.where(ends, nothing, packed)


def presence_column(what_size: int) -> int:
    """Where in a packed object its presence is."""
    return 2 + 2 + what_size + 1
