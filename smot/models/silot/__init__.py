"""SILOT, which discovers objects on a grid and propagates them through time."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from smot.errors import UsageError
from smot.models.family import Family, Latents, Objective, Stage
from smot.models.silot.config import SilotConfig
from smot.models.silot.model import Silot, Trajectories
from smot.models.silot.presets import PRESETS
from smot.models.silot.tracker import SilotTracker
from smot.tracks import DataDescription

__all__ = ["FAMILY", "Silot", "SilotConfig", "SilotTracker", "adapted", "build", "load_tracker"]


def load_tracker(
    checkpoint: str | None = None,
    device: str = "cpu",
    n_slots: int | None = None,
    data: DataDescription | None = None,
) -> SilotTracker:
    """SILOT with trained weights: discovers objects on a grid and propagates them through time.

    Args:
        checkpoint: file of weights, or a run's folder; None for the packaged ones that fit the
            data.
        device: "cpu", "cuda", ...
        n_slots: objects carried at most; None for the larger of the model's own number and the
            number of grid cells of a frame.
        data: what the videos are like.

    Raises:
        DataError: a checkpoint that cannot be loaded.
        UsageError: one of another family, no packaged weights that fit, ``n_slots`` below 1, no
            such device.
    """
    from smot.models.packaged import load_fitting

    if n_slots is not None and n_slots < 1:
        raise UsageError(f"silot: n_slots is {n_slots}, must be at least 1")
    module = load_fitting("silot", checkpoint, device, data)
    assert isinstance(module, Silot)
    return SilotTracker(model=module, n_slots=n_slots)


def build(config: SilotConfig, seed: int) -> Silot:
    """A freshly initialised model; the same one from the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Silot(config)


def adapted(config: SilotConfig, data: DataDescription) -> SilotConfig:
    """The settings for such videos: their background, and all channels where there is colour."""
    grey = all(len(set(colour)) == 1 for colour in (*data.palette, data.background))
    red, green, blue = (level / 255 for level in data.background)
    n_channels = config.n_channels if grey else 3
    return replace(config, background=(red, green, blue), n_channels=n_channels)


def _tracker(module: nn.Module, name: str) -> SilotTracker:
    assert isinstance(module, Silot)
    return SilotTracker(model=module, name=name)


def _posterior_tracks(model: nn.Module, frames: Tensor, generator: torch.Generator) -> Latents:
    """The fields of `Trajectories` with videos in front, [B, T or T - 1, K, ...]."""
    assert isinstance(model, Silot)
    paths = model.observe(frames, generator=generator)
    return {name: each.transpose(0, 1) for name, each in paths._asdict().items()}


def _prior_objective(model: nn.Module, latents: Latents, generator: torch.Generator) -> Objective:
    assert isinstance(model, Silot)
    paths = Trajectories(**{name: each.transpose(0, 1) for name, each in latents.items()})
    return model.prior_objective(paths, generator=generator)


FAMILY = Family(
    name="silot",
    config_type=SilotConfig,
    build=build,
    tracker=_tracker,
    adapted=adapted,
    presets=PRESETS,
    default_preset="fast",
    # The learned prior alone, on tracks of the frozen posterior.
    stages={"prior_objective": Stage(latents=_posterior_tracks, objective=_prior_objective)},
)
