"""Prediction: the propagation prior goes on by itself, without looking at any frame."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from smot.models.sqair.noise import Noise
from smot.models.sqair.priors import PropagationPrior
from smot.models.sqair.slots import Slots


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Objects in frames to come.

    Attributes:
        what: appearance, [T, N, S, A].
        where: sx, sy, tx, ty before the squashing, [T, N, S, 4].
        present: 1 or 0, [T, N, S].
        logit: of the presence, [T, N, S].
    """

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor

    def frames(self, last: Slots) -> list[Slots]:
        """The objects frame by frame, with the identities of the last frame seen."""
        parts = zip(self.what, self.where, self.present, self.logit, strict=True)
        return [
            replace(
                last,
                what=what,
                where=where,
                present=present,
                logit=logit,
                ids=torch.where(present > 0.5, last.ids, -1),
            )
            for what, where, present, logit in parts
        ]


def roll_out(prior: PropagationPrior, slots: Slots, noise: Noise, *, stays: bool) -> Rollout:
    """Sample objects frame by frame from what the prior expects of its own samples.

    Args:
        prior: how objects go on.
        slots: after the last frame seen.
        noise: for T frames and at least as many slots; its propagation part is used.
        stays: True where no object may leave.

    Source: sqair.md 9.3: discovery is off, and nothing depends on the frames predicted.
    """
    what, where, present = slots.what, slots.where, slots.present
    logit, state, n = slots.logit, slots.prior, slots.n_slots
    frames = []
    for t in range(len(noise.presence)):
        expected, state = prior(what, where, present, logit, state)
        where_noise, what_noise, chance = (part[:n] for part in noise.at(t).propagation)
        what = torch.addcmul(expected.what, expected.what_std, what_noise)
        where = torch.addcmul(expected.where, expected.where_std, where_noise)
        logit = expected.logit
        present = present if stays else (chance < logit.sigmoid()).float() * present
        frames.append((what, where, present, logit))
    parts = [torch.stack(each) for each in zip(*frames, strict=True)]
    return Rollout(what=parts[0], where=parts[1], present=parts[2], logit=parts[3])
