"""How network outputs become latents of objects: boxes, appearances, depths, presences.

Each function has a compiled form for CPUs (``latent_kernels``) and the plain one that it equals,
``..._reference``, which runs anywhere. Noise of None stands for zeros: the mean is taken.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smot.models.distributions import LOGIT_LIMIT, clipped_sigmoid, positive_scale
from smot.models.fused import Fused, runs_fused
from smot.models.silot import latent_kernels

GATE_LIMIT = float(latent_kernels.GATE_LIMIT)

_MOVE = Fused(forward=latent_kernels.move, backward=latent_kernels.move_backward)
_CHANGE_WHAT = Fused(
    forward=latent_kernels.change_what, backward=latent_kernels.change_what_backward
)
_DRAW = Fused(forward=latent_kernels.draw, backward=latent_kernels.draw_backward)
_DRAW_DEPTH = Fused(forward=latent_kernels.draw_depth, backward=latent_kernels.draw_depth_backward)
_DRAW_PRESENCE = Fused(
    forward=latent_kernels.draw_presence, backward=latent_kernels.draw_presence_backward
)
_PROPOSE_BOX = Fused(
    forward=latent_kernels.propose_box, backward=latent_kernels.propose_box_backward
)


class Drawn(NamedTuple):
    """A Gaussian and a sample of it, [..., n] each.

    Attributes:
        mean: of the Gaussian (for appearances: of the increment).
        scale: its standard deviation.
        sample: what was drawn (for appearances: the new value).
    """

    mean: Tensor
    scale: Tensor
    sample: Tensor


class Movement(NamedTuple):
    """Where an object goes.

    Attributes:
        mean: of the Gaussians of position logits and size logits, [..., 4].
        scale: their standard deviations, [..., 4].
        summary: what the other networks are told: place in the whole frame, position logits,
            size logits, [..., 6].
        box: y, x, h, w in the frame that the model sees, [..., 4], anchors.
    """

    mean: Tensor
    scale: Tensor
    summary: Tensor
    box: Tensor


class Depth(NamedTuple):
    """A step of depth logits (or a first depth logit), [..., 1] each.

    Attributes:
        mean: of the Gaussian.
        scale: its standard deviation.
        logit: the new logit.
        value: its sigmoid.
    """

    mean: Tensor
    scale: Tensor
    logit: Tensor
    value: Tensor


class Presence(NamedTuple):
    """A relaxed Bernoulli variable of temperature 1, [..., 1] each.

    Attributes:
        logit: of the probability, within 10 of 0.
        sample: logit of the relaxed sample.
        pres: the relaxed sample times the presence before.
    """

    logit: Tensor
    sample: Tensor
    pres: Tensor


class Proposal(NamedTuple):
    """The box that a cell proposes.

    Attributes:
        mean: of position logits and size logits, [..., 4].
        scale: their standard deviations, [..., 4].
        sample: the logits, [..., 4].
        local: centre in units of the cell, from its low corner, and size in anchors, [..., 4].
        box: y, x, h, w, [..., 4], anchors.
    """

    mean: Tensor
    scale: Tensor
    sample: Tensor
    local: Tensor
    box: Tensor


def move(
    outputs: Tensor, place: Tensor, centre: Tensor, size_logit: Tensor, noise: Tensor | None,
    reach: float,
) -> Movement:  # fmt: skip
    """Propagate boxes.

    Args:
        outputs: means, then scales before squashing, of y, x, h, w, [..., 8].
        place: y, x in the whole frame, [..., 2], anchors.
        centre: y, x in the frame that the model sees, [..., 2], anchors.
        size_logit: logits of h, w, [..., 2].
        noise: standard normal, [..., 4].
        reach: how far an object can move, anchors.

    Source: supplement (propagation of where): y' = y + reach * tanh(l), size logits are summed.
    """
    noise = _noise(noise, size_logit, 4)
    if not runs_fused(outputs):
        return move_reference(outputs, place, centre, size_logit, noise, reach)
    inputs = (outputs, place, centre, size_logit)
    return Movement(*_MOVE(inputs, (noise,), (reach,), (4, 4, 6, 4)))


def move_reference(
    outputs: Tensor, place: Tensor, centre: Tensor, size_logit: Tensor, noise: Tensor,
    reach: float,
) -> Movement:  # fmt: skip
    """What ``move`` computes, in plain PyTorch; same arguments."""
    shift_mean, growth_mean, raw = outputs.split([2, 2, 4], -1)
    mean = torch.cat([shift_mean, size_logit + growth_mean], -1)
    scale = positive_scale(raw)
    sample = torch.addcmul(mean, scale, noise)
    shift = reach * torch.tanh(sample[..., :2])
    box = torch.cat([centre + shift, clipped_sigmoid(sample[..., 2:])], -1)
    return Movement(mean, scale, torch.cat([place + shift, sample], -1), box)


def change_what(evidence: Tensor, temporal: Tensor, what: Tensor, noise: Tensor | None) -> Drawn:
    """Propagate appearances through forget, input and time gates.

    Args:
        evidence: mean and raw scale that the glimpse suggests, [..., 2A].
        temporal: mean and raw scale that the past suggests, and three gates, [..., 5A].
        what: the frame before, [..., A].
        noise: standard normal, [..., A].

    Returns:
        The Gaussian of the increment, and the new appearance.

    Source: supplement (propagation of what), after SQAIR; gates reach 0.9999 at most. The
    gates' "+ 1" is in the initial biases of the network that makes ``temporal``.
    """
    A = what.shape[-1]
    noise = _noise(noise, what, A)
    if not runs_fused(what):
        return change_what_reference(evidence, temporal, what, noise)
    return Drawn(*_CHANGE_WHAT((evidence, temporal, what), (noise,), (), (A, A, A)))


def change_what_reference(
    evidence: Tensor, temporal: Tensor, what: Tensor, noise: Tensor
) -> Drawn:
    """What ``change_what`` computes, in plain PyTorch; same arguments."""
    A = what.shape[-1]
    seen_mean, seen_scale = evidence.chunk(2, -1)
    time_mean, time_scale, gates = temporal.split([A, A, 3 * A], -1)
    forget, closed, still = (GATE_LIMIT * torch.sigmoid(gates)).chunk(3, -1)
    mean = forget * what + (1 - closed) * seen_mean + (1 - still) * time_mean
    scale = (1 - closed) * positive_scale(seen_scale) + (1 - still) * positive_scale(time_scale)
    return Drawn(mean - what, scale, torch.addcmul(mean, scale, noise))


def draw(outputs: Tensor, noise: Tensor | None) -> Drawn:
    """Gaussians from means and raw scales [..., 2n] and standard normal noise [..., n]."""
    n = outputs.shape[-1] // 2
    noise = _noise(noise, outputs, n)
    if not runs_fused(outputs):
        return draw_reference(outputs, noise)
    return Drawn(*_DRAW((outputs,), (noise,), (), (n, n, n)))


def draw_reference(outputs: Tensor, noise: Tensor) -> Drawn:
    """What ``draw`` computes, in plain PyTorch; same arguments."""
    mean, raw = outputs.chunk(2, -1)
    scale = positive_scale(raw)
    return Drawn(mean, scale, torch.addcmul(mean, scale, noise))


def draw_depth(outputs: Tensor, before: Tensor, noise: Tensor | None) -> Depth:
    """A Gaussian step of depth logits.

    Args:
        outputs: mean and raw scale, [..., 2].
        before: the logit before, [..., 1].
        noise: standard normal, [..., 1].
    """
    noise = _noise(noise, before, 1)
    if not runs_fused(outputs):
        return draw_depth_reference(outputs, before, noise)
    return Depth(*_DRAW_DEPTH((outputs, before), (noise,), (), (1, 1, 1, 1)))


def draw_depth_reference(outputs: Tensor, before: Tensor, noise: Tensor) -> Depth:
    """What ``draw_depth`` computes, in plain PyTorch; same arguments."""
    mean, scale, step = draw_reference(outputs, noise)
    logit = before + step
    return Depth(mean, scale, logit, clipped_sigmoid(logit))


def draw_presence(outputs: Tensor, before: Tensor, noise: Tensor | None) -> Presence:
    """Presences.

    Args:
        outputs: logits, [..., 1].
        before: presence before (or whether there may be any), [..., 1].
        noise: standard logistic, [..., 1]; with None the sample is the probability.
    """
    noise = _noise(noise, before, 1)
    if not runs_fused(outputs):
        return draw_presence_reference(outputs, before, noise)
    return Presence(*_DRAW_PRESENCE((outputs, before), (noise,), (), (1, 1, 1)))


def draw_presence_reference(outputs: Tensor, before: Tensor, noise: Tensor) -> Presence:
    """What ``draw_presence`` computes, in plain PyTorch; same arguments."""
    logit = outputs.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    sample = logit + noise
    return Presence(logit, sample, before * torch.sigmoid(sample))


def propose_box(outputs: Tensor, noise: Tensor | None, cells: Tensor, cell: float) -> Proposal:
    """Boxes of discovered objects; centres lie up to half a cell outside their cell.

    Args:
        outputs: means, then raw scales, of y, x, h, w, [B, J, 8].
        noise: standard normal, [B, J, 4].
        cells: y, x of the cells' centres, [J, 2], anchors.
        cell: side of a cell, anchors.

    Source: supplement (discovery of where), after SPAIR.
    """
    noise = _noise(noise, outputs, 4)
    if not runs_fused(outputs):
        return propose_box_reference(outputs, noise, cells, cell)
    return Proposal(*_PROPOSE_BOX((outputs,), (noise, cells), (cell,), (4, 4, 4, 4, 4)))


def propose_box_reference(outputs: Tensor, noise: Tensor, cells: Tensor, cell: float) -> Proposal:
    """What ``propose_box`` computes, in plain PyTorch; same arguments."""
    mean, scale, sample = draw_reference(outputs, noise)
    value = clipped_sigmoid(sample)
    within, size = 2 * value[..., :2] - 0.5, value[..., 2:]
    centre = cells + (within - 0.5) * cell
    return Proposal(
        mean, scale, sample, torch.cat([within, size], -1), torch.cat([centre, size], -1)
    )


def _noise(noise: Tensor | None, like: Tensor, width: int) -> Tensor:
    return like.new_zeros(*like.shape[:-1], width) if noise is None else noise
