"""The terms of the objective, each summed over frames and averaged over videos."""

import torch
from torch import Tensor

from smot.models.distributions import (
    bernoulli_kl,
    gaussian_kl,
    relaxed_bernoulli_log_density,
)
from smot.models.fused import Fused, runs_fused
from smot.models.silot import divergence_kernel
from smot.models.silot.clips import Gaussians
from smot.models.silot.config import SilotConfig

PARTS = ("where", "size", "what", "depth")

_FIXED = Fused(forward=divergence_kernel.diverge, backward=divergence_kernel.diverge_backward)
_LEARNED = Fused(
    forward=divergence_kernel.diverge_learned,
    backward=divergence_kernel.diverge_learned_backward,
)


def cross_entropy(images: Tensor, painted: Tensor, floor: float) -> Tensor:
    """Bernoulli cross entropy of pixels in [0, 1], per video, nats.

    Args:
        images: truth, [T, B, C, H, W].
        painted: reconstruction, same shape, in [0, 1] as the renderer's always are.
        floor: added inside the logarithms.
    """
    # Not (1 + floor) - painted: in float32 1 + 1e-9 is 1, and a painted 1 would leave log(0).
    on, off = torch.log(painted + floor), torch.log((1 - painted) + floor)
    return -torch.lerp(off, on, images).sum() / images.shape[1]


def gaussian_divergences(
    posterior: Gaussians, prior: Gaussians, pres: Tensor
) -> dict[str, Tensor]:
    """KLs of objects' Gaussians, each object's weighted with its presence, by part.

    Args:
        posterior: [T, B, N, 5 + A].
        prior: the same; or [5 + A], and then it gets no gradient.
        pres: [T, B, N, 1].
    """
    if not runs_fused(pres):
        sums = divergences_reference(posterior, prior, pres)
    elif prior.mean.dim() == 1:
        (sums,) = _FIXED((*posterior, pres), prior, (), (4,))
    else:
        (sums,) = _LEARNED((*posterior, pres, *prior), (), (), (4,))
    total = sums.flatten(0, -2).sum(0) / pres.shape[1]
    return dict(zip(PARTS, total.unbind(), strict=True))


def divergences_reference(posterior: Gaussians, prior: Gaussians, pres: Tensor) -> Tensor:
    """The sums over each part's columns, [T, B, N, 4], in plain PyTorch; same arguments."""
    divergence = pres * gaussian_kl(*posterior, *prior)
    parts = divergence.split([2, 2, divergence.shape[-1] - 5, 1], -1)
    return torch.stack([part.sum(-1) for part in parts], -1)


def prior_of_discovery(config: SilotConfig, size_std: float, like: Tensor) -> Gaussians:
    """The fixed prior of discovered latents, [5 + A].

    Source: supplement (priors): N(0, 1) but for the size logits.
    """
    mean, scale = like.new_zeros(5 + config.what_size), like.new_ones(5 + config.what_size)
    mean[2:4] = config.size_prior_mean
    scale[2:4] = size_std
    return Gaussians(mean, scale)


def prior_of_propagation(config: SilotConfig, size_std: float, like: Tensor) -> Gaussians:
    """The fixed prior of propagated latents, [5 + A].

    Source: the original code, which compares the size logits themselves with the discovery prior
    (the supplement: their increments).
    """
    mean, scale = prior_of_discovery(config, size_std, like)
    scale[:2] = config.where_prior_std
    scale[4:-1] = config.what_prior_std
    return Gaussians(mean, scale)


def count_divergence(
    logits: Tensor, on: Tensor, tables: tuple[Tensor, Tensor], first_unit: int
) -> Tensor:
    """KL of presences from the count prior, nats per video.

    Args:
        logits: of the units in the prior's order, [T, B, n].
        on: whether each is on, [T, B, n].
        tables: of ``CountPrior``.
        first_unit: number of units before the first of these, all off.
    """
    n = logits.shape[-1]
    before = on.long().cumsum(-1) - on.long()
    units = torch.arange(first_unit, first_unit + n, device=logits.device)
    log_on, log_off = (table[units, before] for table in tables)
    return bernoulli_kl(torch.sigmoid(logits), log_on, log_off).sum() / logits.shape[1]


def presence_divergence(sample: Tensor, logits: Tensor, prior_logits: Tensor) -> Tensor:
    """One-sample estimate of the KL between relaxed presences, nats per video.

    Args:
        sample: logits of the samples, [T, B, K, 1].
        logits: posterior.
        prior_logits: learned prior.
    """
    posterior = relaxed_bernoulli_log_density(sample, logits)
    prior = relaxed_bernoulli_log_density(sample, prior_logits)
    return (posterior - prior).sum() / sample.shape[1]
