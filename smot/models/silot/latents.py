"""How network outputs become latents of objects: boxes, appearances, depths, presences.

Gaussians of an object are kept side by side in the order of ``GAUSSIANS``: position (2), size
logits (2), appearance (A), depth logit (1).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smot.models.distributions import clipped_sigmoid, draw_gaussian, positive_scale
from smot.models.silot.objects import Objects

GATE_LIMIT = 0.9999
LOGIT_LIMIT = 10.0


class Gaussian(NamedTuple):
    """Mean and standard deviation, [..., n] each."""

    mean: Tensor
    scale: Tensor


class Movement(NamedTuple):
    """Where an object goes.

    Attributes:
        latent: of the position logits and size logits, [..., 4].
        place: new position in the whole frame, [..., 2].
        centre: new position in the frame seen, [..., 2].
        size: new size, [..., 2].
        size_logit: its logits, [..., 2].
        summary: what the other networks are told: place, position logits, size logits, [..., 6].
    """

    latent: Gaussian
    place: Tensor
    centre: Tensor
    size: Tensor
    size_logit: Tensor
    summary: Tensor


def move(outputs: Tensor, objects: Objects, noise: Tensor | None, reach: float) -> Movement:
    """Propagate boxes.

    Args:
        outputs: means, then scales before squashing, of y, x, h, w, [..., 8].
        objects: the frame before.
        noise: standard normal, [..., 4], or None for means.
        reach: how far an object can move, anchors.

    Source: supplement (propagation of where): y' = y + reach * tanh(l), size logits are summed.
    """
    shift_mean, growth_mean, raw = outputs.split([2, 2, 4], -1)
    mean = torch.cat([shift_mean, objects.size_logit + growth_mean], -1)
    scale = positive_scale(raw)
    sample = draw_gaussian(mean, scale, noise)
    logits, size_logit = sample.split(2, -1)
    shift = reach * torch.tanh(logits)
    place = objects.place + shift
    return Movement(
        latent=Gaussian(mean, scale),
        place=place,
        centre=objects.centre + shift,
        size=clipped_sigmoid(size_logit),
        size_logit=size_logit,
        summary=torch.cat([place, sample], -1),
    )


def change_what(
    evidence: Tensor, temporal: Tensor, what: Tensor, noise: Tensor | None
) -> tuple[Gaussian, Tensor]:
    """Propagate appearances through forget, input and time gates.

    Args:
        evidence: mean and raw scale that the glimpse suggests, [..., 2A].
        temporal: mean and raw scale that the past suggests, and three gates, [..., 5A].
        what: the frame before, [..., A].
        noise: standard normal, [..., A], or None for the mean.

    Returns:
        The distribution of the increment, and the new appearance, [..., A].

    Source: supplement (propagation of what), after SQAIR; gates reach 0.9999 at most. The
    gates' "+ 1" is in the initial biases of the network that makes ``temporal``.
    """
    seen_mean, seen_scale = evidence.chunk(2, -1)
    time_mean, time_scale, gates = temporal.split([what.shape[-1]] * 2 + [3 * what.shape[-1]], -1)
    forget, closed, still = (GATE_LIMIT * torch.sigmoid(gates)).chunk(3, -1)
    mean = forget * what + (1 - closed) * seen_mean + (1 - still) * time_mean
    scale = (1 - closed) * positive_scale(seen_scale) + (1 - still) * positive_scale(time_scale)
    return Gaussian(mean - what, scale), draw_gaussian(mean, scale, noise)


def draw_depth(
    outputs: Tensor, before: Tensor | None, noise: Tensor | None
) -> tuple[Gaussian, Tensor]:
    """Depth logits: a Gaussian step from ``before`` [..., 1], or a Gaussian where that is None.

    Returns:
        The distribution (of the step) and the new logit, [..., 1].
    """
    mean, raw = outputs.chunk(2, -1)
    latent = Gaussian(mean, positive_scale(raw))
    sample = draw_gaussian(*latent, noise)
    return latent, sample if before is None else before + sample


class Presence(NamedTuple):
    """A relaxed Bernoulli variable of temperature 1.

    Attributes:
        logit: of the probability, within 10 of 0, [..., 1].
        sample: logit of the relaxed sample, [..., 1].
    """

    logit: Tensor
    sample: Tensor

    @property
    def value(self) -> Tensor:
        """The relaxed sample in (0, 1), [..., 1]."""
        return torch.sigmoid(self.sample)


def draw_presence(outputs: Tensor, noise: Tensor | None) -> Presence:
    """Presence from logits [..., 1] and logistic noise (None for the probability itself)."""
    logit = outputs.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    return Presence(logit, logit if noise is None else logit + noise)
