"""What the model made of a clip, frame by frame and as a whole."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from smot.models.silot.config import SilotConfig
from smot.models.silot.discovery import Discovered
from smot.models.silot.heads import Change
from smot.models.silot.objects import unpacked


class Step(NamedTuple):
    """What the posterior made of one frame.

    Attributes:
        state: selected objects, packed, [B, K, S].
        is_new: which of them were discovered in this frame, [B, K].
        discovered: all proposals.
        change: propagation into this frame; None in the first.
    """

    state: Tensor
    is_new: Tensor
    discovered: Discovered
    change: Change | None


class Clip(NamedTuple):
    """What the posterior made of a clip.

    Attributes:
        states: selected objects, packed, [T, B, K, S].
        is_new: which of them were discovered in their frame, [T, B, K].
        discovered: one entry a frame.
        changes: one propagation step a frame, from the second frame on.
    """

    states: Tensor
    is_new: Tensor
    discovered: list[Discovered]
    changes: list[Change]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> "Clip":
        """Join steps of consecutive frames."""
        return cls(
            states=torch.stack([step.state for step in steps]),
            is_new=torch.stack([step.is_new for step in steps]),
            discovered=[step.discovered for step in steps],
            changes=[step.change for step in steps if step.change],
        )


class Gaussians(NamedTuple):
    """Gaussians of objects, side by side: position (2), size (2), appearance (A), depth (1).

    Attributes:
        mean: [T, B, N, 5 + A].
        scale: standard deviations, the same.
    """

    mean: Tensor
    scale: Tensor


class Trajectories(NamedTuple):
    """All that the learned prior needs to know of what the posterior made of clips.

    Attributes:
        states: selected objects, packed, without recurrent states, [T, B, K, S - H].
        is_new: [T, B, K].
        mean: posterior Gaussians of propagation, [T - 1, B, K, 5 + A].
        scale: their standard deviations.
        logit: of presences, [T - 1, B, K, 1].
        sample: logits of their relaxed samples, [T - 1, B, K, 1].
        summary: all samples of propagation, [T - 1, B, K, 8 + A]; the last is the presence.
    """

    states: Tensor
    is_new: Tensor
    mean: Tensor
    scale: Tensor
    logit: Tensor
    sample: Tensor
    summary: Tensor


def trajectories(clip: Clip, config: SilotConfig) -> Trajectories:
    """What the learned prior needs of a clip."""
    parts = unpacked(clip.states, config.what_size, config.hidden_size)
    states = torch.cat([*parts[:5], *parts[6:]], -1)
    if not clip.changes:
        nothing = states.new_empty(0)
        return Trajectories(states, clip.is_new, nothing, nothing, nothing, nothing, nothing)
    samples = zip(*(change.samples for change in clip.changes), strict=True)
    return Trajectories(
        states,
        clip.is_new,
        *gaussians(clip.changes),
        torch.stack([change.presence.logit for change in clip.changes]),
        torch.stack([change.presence.sample for change in clip.changes]),
        torch.cat([torch.stack(part) for part in samples], -1),
    )


def gaussians(steps: Sequence[Change] | Sequence[Discovered]) -> Gaussians:
    """The Gaussians of consecutive steps of propagation, or of discovery."""
    parts = [
        (step.movement if isinstance(step, Change) else step.where, step.what, step.depth)
        for step in steps
    ]
    by_part = list(zip(*parts, strict=True))
    return Gaussians(
        torch.cat([torch.stack([part.mean for part in each]) for each in by_part], -1),
        torch.cat([torch.stack([part.scale for part in each]) for each in by_part], -1),
    )
