"""The objective's terms from what the model made of a clip; see ``divergences`` for formulas."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from smot.models.silot import divergences, schedules
from smot.models.silot.clips import Clip, Gaussians, Trajectories, gaussians
from smot.models.silot.config import SilotConfig
from smot.models.silot.count_prior import CountPrior
from smot.models.silot.heads import Change


def reconstruction_terms(
    config: SilotConfig, images: Tensor, painted: Tensor, step: int
) -> dict[str, Tensor]:
    """The cross entropy of pixels.

    Args:
        config: settings of the model.
        images: what was seen, [T, B, C, H, W].
        painted: what was made of it, same shape.
        step: number of updates made.
    """
    value = divergences.cross_entropy(images, painted, schedules.log_floor(config, step))
    return {"reconstruction": config.reconstruction_weight * value}


def discovery_terms(config: SilotConfig, clip: Clip, step: int) -> dict[str, Tensor]:
    """KLs of discovered boxes, appearances and depths from their fixed priors, by name."""
    pres = torch.stack([each.objects.pres for each in clip.discovered])
    size_std = schedules.size_prior_std(config, step)
    prior = divergences.prior_of_discovery(config, size_std, pres)
    parts = divergences.gaussian_divergences(gaussians(clip.discovered), prior, pres)
    parts["what"] = parts["what"] * schedules.what_weight(config, step)
    return {f"discovery_{name}": value for name, value in parts.items()}


def propagation_terms(config: SilotConfig, paths: Trajectories, step: int) -> dict[str, Tensor]:
    """KLs of propagated boxes, appearances and depths from their fixed priors, by name."""
    posterior, pres = Gaussians(paths.mean, paths.scale), paths.summary[..., -1:]
    size_std = schedules.size_prior_std(config, step)
    prior = divergences.prior_of_propagation(config, size_std, pres)
    parts = divergences.gaussian_divergences(posterior, prior, pres)
    parts["what"] = parts["what"] * schedules.what_weight(config, step)
    return {f"propagation_{name}": value for name, value in parts.items()}


def learned_prior_terms(paths: Trajectories, changes: Sequence[Change]) -> dict[str, Tensor]:
    """KLs of propagation from the learned prior, by name.

    Args:
        paths: what the posterior made.
        changes: the prior's own steps beside it, from the second frame on.
    """
    posterior, pres = Gaussians(paths.mean, paths.scale), paths.summary[..., -1:]
    parts = divergences.gaussian_divergences(posterior, gaussians(changes), pres)
    logit = torch.stack([each.presence.logit for each in changes])
    parts["presence"] = divergences.presence_divergence(paths.sample, paths.logit, logit)
    return {f"prior_{name}": value for name, value in parts.items()}


def presence_terms(config: SilotConfig, clip: Clip, step: int) -> dict[str, Tensor]:
    """KL of all presences from the count prior; frame 0 has discovery units only."""
    found = torch.stack([each.presence.logit for each in clip.discovered])[..., 0]
    found_on = torch.stack([each.objects.pres for each in clip.discovered])[..., 0] > 0.5
    K, J = clip.states.shape[2], found.shape[2]
    tables = _count_prior(K + J, found.device)(schedules.count_log_odds(config, step))
    term = divergences.count_divergence(found[:1], found_on[:1], tables, K)
    if clip.changes:
        kept = torch.stack([each.presence.logit for each in clip.changes])[..., 0]
        kept_on = torch.stack([each.presence.pres for each in clip.changes])[..., 0] > 0.5
        logits = torch.cat([kept, found[1:]], -1)
        on = torch.cat([kept_on, found_on[1:]], -1)
        term = term + divergences.count_divergence(logits, on, tables, 0)
    return {"presence": term}


@cache
def _count_prior(n_units: int, device: torch.device) -> CountPrior:
    return CountPrior(n_units).to(device)
