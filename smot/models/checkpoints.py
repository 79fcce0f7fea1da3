"""Checkpoints: plain tensors and plain values in one file, written whole or not at all."""

import io
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smot.errors import DataError, UsageError, first_line
from smot.files import atomic_path, from_plain
from smot.models.compact import compacted, restored
from smot.models.family import load_family
from smot.tracks import DataDescription

FORMAT = "smot-checkpoint"
VERSION = 1
_DOS_FOLDER = 0x10  # APPNOTE 4.4.15, and MS-DOS's attributes
BEST = "best.pt"
"""The best state in a run's folder."""
LARGEST_SEED = 2**63 - 1
ALIKE = 0.9
"""Least cosine of the weights of which a mean is made. Runs that went on from the same weights
have 0.97 and more, runs from nothing 0.1 to 0.2, or 0.6 to 0.7 if their seed is the same."""
# What `load_state_dict` turns into a model's own types without loss of meaning.
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool)


@dataclass(frozen=True, kw_only=True)
class About:
    """What a checkpoint says of where its weights come from.

    Attributes:
        family: key of `smot.models.family.FAMILIES`.
        step: number of updates made.
        hours: time spent training, evaluation included.
        score: best validation score so far; None before the first evaluation.
        score_name: what was scored ("mota", "mota+prior", "objective").
        seed: of the training run.
        data: what the videos were like; None if nobody said.
        data_fingerprint: of the settings that made the videos.
        recipe: name of the preset, for people.

    Raises:
        UsageError: a seed that torch cannot take.
    """

    family: str
    step: int = 0
    hours: float = 0.0
    score: float | None = None
    score_name: str = ""
    seed: int = 0
    data: DataDescription | None = None
    data_fingerprint: str = ""
    recipe: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed must be between 0 and 2^63 - 1, not {self.seed}")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that a checkpoint file holds.

    Attributes:
        about: where it comes from.
        model: the model's settings as plain values.
        weights: state of the module by name.
        averages: running averages of the weights; empty if there are none.
        training: whatever else training needs to continue (settings, optimiser, early stopping),
            tensors and plain values; empty in a file of weights only.
    """

    about: About
    model: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    averages: Mapping[str, Tensor] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best_weights(self) -> dict[str, Tensor]:
        """The weights to run: averaged where there are averages."""
        return {**self.weights, **self.averages}


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, *, compact: bool = False) -> None:
    """Write a checkpoint; whenever the process dies, `path` holds the old one or the new one.

    Args:
        path: file to write.
        checkpoint: what it holds.
        compact: store weights in 8 and 16 bits; see `smot.models.compact`.

    Raises:
        UsageError: `path` is no regular file.
        OSError: the disk is full, or the folder cannot be written.
    """
    weights, scales = compacted(checkpoint.weights) if compact else (checkpoint.weights, {})
    content = {
        "format": FORMAT,
        "version": VERSION,
        "about": _plain(asdict(checkpoint.about)),
        "model": _plain(checkpoint.model),
        "weights": _plain(weights),
        "scales": _plain(scales),
        "averages": _plain(checkpoint.averages),
        "training": _plain(checkpoint.training),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as draft:
        draft.write_bytes(buffer.getbuffer())


def checkpoint_file(path: str | Path) -> Path:
    """The file itself, or of a run's folder its best state."""
    path = Path(path)
    return path / BEST if path.is_dir() else path


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Never runs code from the file (`weights_only=True`).

    Args:
        path: a file, or a run's folder, whose best state is taken.

    Raises:
        DataError: no such file, a truncated or foreign file, one that asks for more than tensors
            and plain values, or one of another format version.
    """
    path = checkpoint_file(path)
    content = _read(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path}: not a checkpoint of this package")
    if content.get("version") != VERSION:
        found = content.get("version")
        raise DataError(f"{path}: checkpoint of format version {found!r}, not {VERSION}")
    parts: dict[str, Any] = {
        key: content.get(key) for key in ("model", "weights", "averages", "training")
    }
    parts["scales"] = content.get("scales", {})  # older files have none
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise DataError(f"{path}: damaged checkpoint, its {key} are not a table")
    scales = parts.pop("scales")
    _check_tensors(path, parts["weights"], (*_DTYPES, torch.int8))
    _check_tensors(path, parts["averages"])
    _check_tensors(path, scales, (torch.float32,))
    try:
        parts["weights"] = restored(parts["weights"], scales)
    except DataError as error:
        raise DataError(f"{path}: damaged checkpoint, {error}") from None
    about = from_plain(About, content.get("about", {}), what=f"{path}: description")
    return Checkpoint(about=about, **parts)


def load_model(path: str | Path, device: str = "cpu") -> tuple[nn.Module, About]:
    """The model of a checkpoint, full or weights only, ready to run.

    Args:
        path: a file that `save_checkpoint` or `export_weights` wrote, or a run's folder.
        device: where to put it: "cpu", "cuda", "cuda:1".

    Returns:
        The module in evaluation mode, with averaged weights where there are some, and where the
        weights come from.

    Raises:
        DataError: see `load_checkpoint`; weights that do not fit the stored settings.
        UsageError: no such device on this machine.
    """
    place = process_device(device)
    checkpoint = load_checkpoint(path)
    module = build_model(checkpoint, path)
    load_weights(module, checkpoint.best_weights, path)
    return module.to(place).eval(), checkpoint.about


def process_device(device: str) -> torch.device:
    """The device of this process: under torchrun, `cuda` is the GPU of the local rank.

    Args:
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        UsageError: no such device on this machine.
    """
    named = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not named:
        raise UsageError(f"device must be cpu, cuda or cuda:N, not {device!r}")
    if device == "cpu":
        return torch.device(device)
    if not torch.cuda.is_available():
        raise UsageError(f"device {device!r}: no GPU that PyTorch can use")
    index = int(named[1] or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise UsageError(f"device {device!r}: there are {torch.cuda.device_count()} GPUs")
    chosen = torch.device("cuda", index)
    torch.cuda.set_device(chosen)
    return chosen


def build_model(checkpoint: Checkpoint, path: str | Path) -> nn.Module:
    """A freshly initialised module of a checkpoint's family and settings.

    Raises:
        DataError: an unknown family, settings that the family refuses, or weights that do not
            fit them.
    """
    try:
        family = load_family(checkpoint.about.family)
    except UsageError as error:
        raise DataError(f"{path}: {error}") from None
    config = family.settings(checkpoint.model, what=f"{path}: model settings")
    # Without memory at first: what the file says of sizes may be more than any machine has.
    try:
        with torch.device("meta"):
            skeleton = family.build(config, checkpoint.about.seed)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError):
        raise DataError(f"{path}: no model can be made of its model settings") from None
    _check_fit(skeleton, checkpoint.best_weights, path)
    return family.build(config, checkpoint.about.seed)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Put stored weights into a module, whatever floating-point type they were stored in.

    Raises:
        DataError: a name or shape that does not fit, or a weight that is not finite.
    """
    _check_fit(module, weights, path)
    for name, weight in weights.items():
        if not torch.isfinite(weight.float()).all():
            raise DataError(f"{path}: weight {name!r} is not finite")
    module.load_state_dict(dict(weights))


def _check_fit(module: nn.Module, weights: Mapping[str, Tensor], path: str | Path) -> None:
    own = module.state_dict()
    for name in [*own, *weights]:
        if name not in weights or name not in own:
            where = "has no" if name not in weights else "has an unknown"
            raise DataError(f"{path}: {where} weight {name!r}")
        if own[name].shape != weights[name].shape:
            expected, found = list(own[name].shape), list(weights[name].shape)
            raise DataError(f"{path}: weight {name!r} must be {expected}, not {found}")


def export_weights(
    sources: str | Path | Sequence[str | Path], path: str | Path, *, compact: bool = True
) -> About:
    """Write the weights of a checkpoint alone, or the mean of several: what ships.

    The mean of runs that went on from the same weights is often better than each of them; of runs
    from nothing it is worth nothing, and refused. Settings and description are those of the first.

    Args:
        sources: full checkpoints, or runs' folders.
        path: file to write.
        compact: store weights in 8 and 16 bits, a third of the size; see `smot.models.compact`.

    Returns:
        The description that the file carries; a mean has no score.

    Raises:
        DataError: see `load_checkpoint`; weights of other models, or one that is not finite.
        UsageError: no source, or runs that did not begin with the same weights.

    Source: means of weights: Wortsman et al., Model soups, https://arxiv.org/abs/2203.05482.
    """
    sources = [sources] if isinstance(sources, str | Path) else sources
    if not sources:
        raise UsageError("there are no weights to export")
    checkpoints = [load_checkpoint(source) for source in sources]
    first, about = checkpoints[0], checkpoints[0].about
    module = build_model(first, sources[0])
    for source, each in zip(sources, checkpoints, strict=True):
        if each.about.family != about.family:
            raise DataError(f"{source}: {each.about.family}, where {sources[0]} is {about.family}")
        load_weights(module, each.best_weights, source)
    weights = first.best_weights
    if len(checkpoints) > 1:
        every = [each.best_weights for each in checkpoints]
        for source, other in zip(sources[1:], every[1:], strict=True):
            if (cosine := _cosine(weights, other)) < ALIKE:
                raise UsageError(
                    f"{source} did not go on from the same weights as {sources[0]} (their cosine "
                    f"is {cosine:.2f}): a mean of the two would be worth nothing"
                )
        weights = {name: _mean([each[name] for each in every]) for name in weights}
        about = replace(about, score=None, score_name="")
    slim = replace(first, about=about, weights=weights, averages={}, training={})
    save_checkpoint(path, slim, compact=compact)
    return about


def _cosine(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> float:
    """Of the angle between two models, all weights of each as one vector."""
    a, b = (
        torch.cat([each[name].detach().flatten().double() for name in weights])
        for each in (weights, others)
    )
    return float(torch.cosine_similarity(a, b, dim=0))


def _mean(tensors: list[Tensor]) -> Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([tensor.float() for tensor in tensors]).mean(0)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: truncated, or not a checkpoint")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores as is; what is compressed may unfold to more than any memory.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise DataError(f"{path}: has compressed parts, not those of a checkpoint")
            # Of a part that it cannot read, torch may take what happens to lie in memory.
            if archive.testzip() or any(_is_elsewhere(entry) for entry in entries):
                raise DataError(f"{path}: damaged, a part does not fit its checksum or directory")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not of a kind that is saved is refused later
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(f"{path}: holds more than tensors and plain values; not loaded") from None
    except DataError:
        raise
    except Exception as error:  # reading damaged content can fail in any way
        raise DataError(f"{path}: cannot be read as a checkpoint ({first_line(error)})") from None


def _is_elsewhere(entry: zipfile.ZipInfo) -> bool:
    """Whether an archive says of a part that it is on another disk, or a folder."""
    return entry.volume != 0 or bool(entry.external_attr & _DOS_FOLDER)


def _check_tensors(path: Path, part: Any, kinds: Container[torch.dtype] = _DTYPES) -> None:
    for name, value in part.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f"{path}: damaged checkpoint, weight {name!r} is not a tensor")
        found = _odd_kind(value, kinds)
        if found:
            raise DataError(
                f"{path}: weight {name!r} must be a dense tensor of real numbers in memory, "
                f"not {found}"
            )


def _odd_kind(tensor: Tensor, kinds: Container[torch.dtype]) -> str:
    """What a tensor is that is not of the kind that is saved, in words; "" if it is."""
    if tensor.is_nested:
        return "nested"
    if tensor.device.type != "cpu":
        return str(tensor.device)
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.dtype not in kinds:
        return str(tensor.dtype).removeprefix("torch.")
    whole = tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    return "" if whole else "one number repeated"


def _plain(value: Any) -> Any:
    """Tensors on the CPU and values of Python's own types, so that any reader can load them."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")
