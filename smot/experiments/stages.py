"""Training a part of a model on what its frozen rest makes of videos, computed once and kept."""

import numpy as np
import torch
from torch import Tensor, nn

from smot.arrays import IntArray
from smot.errors import UsageError
from smot.experiments.data import Source
from smot.models.family import Latents, Stage
from smot.training.config import TrainConfig
from smot.training.precision import autocast
from smot.training.prefetch import Batches
from smot.training.processes import Group
from smot.training.progress import Progress
from smot.training.state import noise_seed

CHUNK = 64


def check_stage(config: TrainConfig) -> None:
    """Refuse a stage whose latents would go stale or would mean nothing.

    Raises:
        UsageError: nothing is frozen, or there are no trained weights to start from.
    """
    if not config.only_parameters:
        raise UsageError(
            f"train.objective {config.objective!r} works on latents of a frozen model: say what "
            "is trained with train.only_parameters"
        )
    if not config.init_from:
        raise UsageError(
            f"train.objective {config.objective!r} needs a trained model: --init-from RUN"
        )


def cached_batches(
    stage: Stage,
    model: nn.Module,
    source: Source,
    config: TrainConfig,
    n_videos: int,
    group: Group,
    progress: Progress,
) -> Batches:
    """Compute the latents of many videos and serve batches of them, over and over.

    Args:
        stage: makes the latents.
        model: holds the weights that stay frozen.
        source: has the videos; the first ``n_videos`` training videos are taken.
        config: batch size, number of frames, precision and seed.
        n_videos: over all processes; each computes and keeps its own share.
        group: the processes that divide videos and batches.
        progress: told how far the computation is.

    Raises:
        UsageError: fewer videos than one batch.
    """
    share, n_kept = config.batch_size // group.size, n_videos // group.size
    if n_kept < share:
        raise UsageError(
            f"data.n_cached must be at least train.batch_size {config.batch_size}, not {n_videos}"
        )
    places = group.rank * n_kept + np.arange(n_kept)
    kept = _latents(stage, model, source, config, places, progress)

    def batches(step: int, n_frames: int) -> Latents:  # noqa: ARG001
        chosen = np.random.default_rng((config.seed, step, group.rank)).choice(
            n_kept, share, replace=False
        )
        return {name: each[torch.from_numpy(chosen)] for name, each in kept.items()}

    return batches


def _latents(
    stage: Stage,
    model: nn.Module,
    source: Source,
    config: TrainConfig,
    places: IntArray,
    progress: Progress,
) -> dict[str, Tensor]:
    """The latents of training videos [N, ...] by name, on the CPU."""
    device = next(model.parameters()).device
    generator = torch.Generator(device=device)
    parts = []
    for start in range(0, len(places), CHUNK):
        some = places[start : start + CHUNK]
        frames = torch.from_numpy(source.frames(some, config.n_frames)).to(device)
        generator.manual_seed(noise_seed(config, int(some[0]), 0))
        with torch.no_grad(), autocast(config.precision, device):
            made = stage.latents(model, frames, generator)
        parts.append({name: each.cpu() for name, each in made.items()})
        progress.live(f"latents of {start + len(some)} of {len(places)} videos")
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
