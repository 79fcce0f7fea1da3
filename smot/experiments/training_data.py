"""What a run learns from: videos of a file, videos made as they are needed, or kept latents."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from smot.arrays import IntArray, UInt8Array
from smot.errors import UsageError
from smot.evaluation.testsets import RenderedVideos, VideoSource
from smot.generators.settings import CANONICAL, MnistSettings, Settings
from smot.models.checkpoints import load_model
from smot.models.family import Latents, Stage
from smot.tracks import DataDescription
from smot.training.config import TrainConfig
from smot.training.distributed import Group
from smot.training.gradients import autocast
from smot.training.reporting import Progress
from smot.training.state import TrainingState, noise_seed

DATASETS: dict[str, Settings] = {
    "mnist-6": CANONICAL["scattered-mnist-6"],
    "mnist-12": CANONICAL["scattered-mnist-12"],
    "shapes-48": CANONICAL["scattered-shapes-48"],
    "shapes-96-crops": CANONICAL["scattered-shapes-96"],
    "shapes-96-crops-21-30": CANONICAL["scattered-shapes-96-21-30"],
    "shapes-96-whole": CANONICAL["scattered-shapes-96"],
    "shapes-96-whole-21-30": CANONICAL["scattered-shapes-96-21-30"],
    "mnist-original": MnistSettings(
        frame_size=(50, 50),
        n_frames=10,
        min_objects=0,
        max_objects=2,
        object_size=28,
        speed=10,
        acceleration=3,
        overlap=0.0,
    ),
}
"""What can be trained on by name. "mnist-original" is the task of the SQAIR paper; crops and whole
frames are of the same videos, and differ in the model's `crop`."""
LATENTS_CHUNK = 64  # videos whose latents are computed at once

_FIRST_STREAMED = 1 << 40  # streamed videos are numbered from far beyond those of any file


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which videos a run sees.

    Attributes:
        dataset: key of `DATASETS`: what to make, and which preset fits.
        file: videos to read; "" makes them as they are needed, without end.
        digits: "auto", "mnist" or "mnist-5k"; for videos that are made.
        mnist_root: folder of the full MNIST; "" is the default one.
        seed: of the validation videos that are made; the same whatever the run's seed, so that
            scores of runs can be compared.
        n_cached: videos whose latents are kept, for objectives that work on latents.
    """

    dataset: str
    file: str = ""
    digits: str = "auto"
    mnist_root: str = ""
    seed: int = 0
    n_cached: int = 4_000


Frames: TypeAlias = Callable[[IntArray, int], UInt8Array]
"""Training videos by place in an endless sequence, and T: frames [B, T, H, W, 3]."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened source of videos.

    Attributes:
        frames: training videos.
        videos: the data set; its group "val" is for validation.
    """

    frames: Frames
    videos: VideoSource


def open_source(config: DataConfig, seed: int) -> Source:
    """The videos that the settings name.

    Args:
        config: which.
        seed: of the training videos that are made, or the order in which a file's are taken.

    Raises:
        UsageError: no such data set, or a file without training videos.
        DataError: the file cannot be used.
    """
    if config.file:
        return _file_source(config.file, seed)
    return _endless_source(config, seed)


def looks_of(config: DataConfig) -> DataDescription:
    """What the videos look like; which digits they are made from is left open.

    Raises:
        UsageError: no such data set.
        DataError: the file cannot be used.
    """
    from smot.videos import open_videos

    if not config.file:
        return _settings(config.dataset).describe("")
    with open_videos(config.file) as file:
        return file.description


def dataset_of(path: str) -> str:
    """The key of `DATASETS` that comes nearest to a file.

    Raises:
        UsageError: none has its kind and frame size; `--dataset` then has to say.
    """
    from smot.videos import open_videos

    with open_videos(path) as file:
        found = file.description
    alike = [
        (abs(settings.max_objects - found.max_objects), name)
        for name, settings in DATASETS.items()
        if settings.dataset == found.dataset and settings.frame_size == found.frame_size
    ]
    if not alike:
        size = "x".join(map(str, found.frame_size))
        raise UsageError(
            f"{path}: no preset for {found.dataset} of {size} pixels; name one with --dataset"
        )
    return min(alike)[1]


def training_batches(
    source: Source, config: TrainConfig, group: Group
) -> Callable[[int, int], Tensor]:
    """Batches for `smot.training`: which videos follows from (step, process) alone.

    Args:
        source: the videos.
        config: the size of a batch.
        group: the processes that divide each batch.

    Raises:
        UsageError: the batch cannot be divided evenly.
    """
    if config.batch_size % group.size:
        raise UsageError(
            f"train.batch_size must be a multiple of the {group.size} processes, "
            f"not {config.batch_size}"
        )
    share = config.batch_size // group.size

    def batches(step: int, n_frames: int) -> Tensor:
        first = step * config.batch_size + group.rank * share
        frames = source.frames(np.arange(first, first + share), n_frames)
        return torch.from_numpy(np.ascontiguousarray(frames))

    return batches


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
    state: TrainingState,
    source: Source,
    *,
    n_videos: int,
    group: Group,
    progress: Progress,
) -> Callable[[int, int], Latents]:
    """Compute the latents of many videos and serve batches of them, over and over.

    Args:
        stage: makes the latents.
        state: the model, whose weights stay frozen but for the stage's own, and its settings.
        source: has the videos; the first `n_videos` training videos are taken.
        n_videos: over all processes; each computes and keeps its own share.
        group: the processes that divide videos and batches.
        progress: shows how far the computation is.

    Raises:
        UsageError: fewer videos than one batch.
    """
    config = state.config
    share, n_kept = config.batch_size // group.size, n_videos // group.size
    if n_kept < share:
        raise UsageError(
            f"data.n_cached must be at least train.batch_size {config.batch_size}, not {n_videos}"
        )
    places = group.rank * n_kept + np.arange(n_kept)
    kept = _latents(stage, state, source, places, progress)

    def batches(step: int, n_frames: int) -> Latents:  # noqa: ARG001
        generator = np.random.default_rng((config.seed, step, group.rank))
        chosen = torch.from_numpy(generator.choice(n_kept, share, replace=False))
        return {name: each[chosen] for name, each in kept.items()}

    return batches


def _latents(
    stage: Stage, state: TrainingState, source: Source, places: IntArray, progress: Progress
) -> dict[str, Tensor]:
    """The latents of training videos [N, ...] by name, on the CPU."""
    config, model = state.config, state.model
    device = next(model.parameters()).device
    if stage.by_teacher:
        model = load_model(config.init_from, str(device))[0]
    generator = torch.Generator(device=device)
    parts = []
    for start in range(0, len(places), LATENTS_CHUNK):
        some = places[start : start + LATENTS_CHUNK]
        frames = torch.from_numpy(source.frames(some, config.n_frames)).to(device)
        # The noise of a video depends on its place, not on the number of processes.
        generator.manual_seed(noise_seed(config, int(some[0]), 0))
        with torch.no_grad(), autocast(config.precision, device):
            made = stage.latents(model, frames, generator)
        parts.append({name: each.cpu() for name, each in made.items()})
        progress.live(f"latents of {start + len(some)} of {len(places)} videos")
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _file_source(path: str, seed: int) -> Source:
    from smot.videos import open_videos

    file = open_videos(path)
    if not (file.groups.get("train") and file.groups.get("val")):
        held = ", ".join(f"{name} ({n})" for name, n in file.groups.items())
        raise UsageError(f"{path}: training needs groups train and val; it holds {held}")
    n_videos = file.groups["train"]

    @lru_cache(maxsize=2)  # a batch may reach across two epochs
    def order(epoch: int) -> IntArray:
        return np.random.default_rng((seed, epoch)).permutation(n_videos)

    def training(places: IntArray, n_frames: int) -> UInt8Array:
        """The file's videos over and over, each time in another order."""
        chosen = [order(int(place // n_videos))[place % n_videos] for place in places]
        rows = [file.read_field("train", "frames", i, i + 1)[:, :n_frames] for i in chosen]
        return np.concatenate(rows)

    return Source(frames=training, videos=file)


def _endless_source(config: DataConfig, seed: int) -> Source:
    from smot.generators import load_digits, render

    settings = _settings(config.dataset)
    digits = None
    if isinstance(settings, MnistSettings):
        digits = load_digits(config.digits, config.mnist_root or None)

    def training(places: IntArray, n_frames: int) -> UInt8Array:
        clips = replace(settings, n_frames=n_frames)
        places = _FIRST_STREAMED + places
        return render(clips, digits, seed=seed, split="train", indices=places).frames

    return Source(
        frames=training,
        videos=RenderedVideos(
            settings=settings, digits=digits, groups={"val": 2**31}, seed=config.seed
        ),
    )


def _settings(dataset: str) -> Settings:
    if dataset not in DATASETS:
        raise UsageError(f"no data set {dataset!r}: there are {', '.join(DATASETS)}")
    return DATASETS[dataset]


def plain_data(config: DataConfig) -> dict[str, Any]:
    """The settings as plain values, a file's path made absolute."""
    file = str(Path(config.file).resolve()) if config.file else ""
    return {**asdict(config), "file": file}
