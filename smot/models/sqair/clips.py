"""What inference leaves behind: frame by frame while it runs, and stacked for a whole clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sqair.priors import Expected
from smot.models.sqair.samples import Chosen
from smot.models.sqair.slots import Slots


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a model knows between two frames.

    Attributes:
        slots: the objects, in S rows.
        n_used: identities given so far, [S], int64.
        n_seen: frames seen so far.
    """

    slots: Slots
    n_used: Tensor
    n_seen: int

    def rows(self, rows: Tensor) -> "Memory":
        """The memory of some rows, by index [S'], in that order; rows may repeat."""
        return Memory(slots=self.slots.rows(rows), n_used=self.n_used[rows], n_seen=self.n_seen)


@dataclass(frozen=True, kw_only=True)
class FrameSample:
    """One frame as inferred: N slots (whatever number was in use), S rows.

    Attributes:
        propagated: samples of the objects of the last frame, slots as they were.
        expected: the propagation prior's distributions of the same slots.
        discovered: samples of new objects.
        condition: summary of what was propagated, [S, h].
        staying: share of the slots that the prior expects to stay, less a half, [S].
        slots: what the frame ends with, packed.
    """

    propagated: Chosen
    expected: Expected
    discovered: Chosen
    condition: Tensor
    staying: Tensor
    slots: Slots


@dataclass(frozen=True, kw_only=True)
class Clip:
    """All frames of a clip, stacked; slots added so that every frame has as many.

    Attributes:
        propagated: [T, N, S, ...].
        expected: [T, N, S, ...].
        discovered: [T, M, S, ...].
        condition: [T, S, h].
        staying: [T, S].
        what: of the objects that each frame ends with, [T, L, S, A].
        where: of the same, [T, L, S, 4].
        present: of the same, 1 or 0, [T, L, S].
        logit: of the same, [T, L, S].
        ids: of the same, [T, L, S], int64; -1 where absent.
        n_most: most discoveries in a frame.
        n_seen: frames of the video before the clip.
        told: whether the number of objects was given, not inferred.
    """

    propagated: Chosen
    expected: Expected
    discovered: Chosen
    condition: Tensor
    staying: Tensor
    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    ids: Tensor
    n_most: int
    n_seen: int
    told: bool

    @classmethod
    def of(
        cls, frames: Sequence[FrameSample], *, n_most: int, n_seen: int = 0, told: bool = False
    ) -> "Clip":
        """Stack the frames of a clip, at least one; for the rest see the attributes."""
        n_kept = max(max(frame.slots.n_slots for frame in frames), 1)
        packed = {
            name: torch.stack([_grown(getattr(frame.slots, name), n_kept) for frame in frames])
            for name in ("what", "where", "present", "logit")
        }
        ids = torch.stack([_grown(frame.slots.ids, n_kept, -1) for frame in frames])
        n_propagated = max(len(frame.expected.logit) for frame in frames)
        return cls(
            propagated=_stacked_samples([frame.propagated for frame in frames]),
            expected=Expected(**_stacked([f.expected.padded(n_propagated) for f in frames])),
            discovered=_stacked_samples([frame.discovered for frame in frames]),
            condition=torch.stack([frame.condition for frame in frames]),
            staying=torch.stack([frame.staying for frame in frames]),
            ids=ids,
            n_most=n_most,
            n_seen=n_seen,
            told=told,
            **packed,
        )


def _stacked_samples(samples: Sequence[Chosen]) -> Chosen:
    n_slots = max(len(each.present) for each in samples)
    return Chosen(**_stacked([each.padded(n_slots) for each in samples]))


def _stacked(parts: Sequence[Chosen] | Sequence[Expected]) -> dict[str, Tensor]:
    return {name: torch.stack([vars(part)[name] for part in parts]) for name in vars(parts[0])}


def _grown(part: Tensor, n_slots: int, value: float = 0.0) -> Tensor:
    extra = n_slots - len(part)
    return F.pad(part, (0, 0) * (part.dim() - 1) + (0, extra), value=value) if extra else part
