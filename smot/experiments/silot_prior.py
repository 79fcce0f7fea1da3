"""The learned prior of SILOT alone, trained on tracks that the frozen posterior made."""

import torch
from torch import Tensor, nn

from smot.experiments.stages import CachedStage, Latents
from smot.models.learned import Objective
from smot.models.silot.discovery import n_cells
from smot.models.silot.model import Silot, Trajectories, trajectories
from smot.models.silot.noise import draw_noise


def posterior_tracks(model: nn.Module, frames: Tensor, generator: torch.Generator) -> Latents:
    """What the posterior samples for clips, frame after frame.

    Args:
        model: a ``Silot``.
        frames: uint8 RGB, [B, T, H, W, 3].
        generator: of the posterior's noise.

    Returns:
        The fields of ``Trajectories`` with videos in front, [B, T or T - 1, K, ...].
    """
    assert isinstance(model, Silot)
    images = model.images(frames)
    T, B, _, H, W = images.shape
    shape = (B, T, model.config.n_slots, n_cells(H, W))
    noise = draw_noise(model.config, shape, generator, drops=True)
    clip = model.sweep(images, noise=noise)
    paths = trajectories(clip, model.config)
    return {name: each.transpose(0, 1) for name, each in paths._asdict().items()}


def prior_objective(model: nn.Module, latents: Latents, generator: torch.Generator) -> Objective:
    """The learned prior's part of the objective on kept tracks [B, ...]."""
    assert isinstance(model, Silot)
    paths = Trajectories(**{name: each.transpose(0, 1) for name, each in latents.items()})
    return model.prior_objective(paths, generator=generator)


STAGE = CachedStage(latents=posterior_tracks, objective=prior_objective)
