"""What a preset is, and how to find one. Each family's presets are a table in its own file."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smot.errors import UsageError
from smot.training.config import TrainConfig

SCORES = ("mota", "mota+prior", "objective")

TABLES = {
    "silot": "smot.experiments.silot:PRESETS",
    "sqair": "smot.experiments.sqair:PRESETS",
}


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """How a model is scored while it trains.

    Attributes:
        score: "mota" (tracking), "mota+prior" (tracking plus prediction of the frames after the
            third), or "objective" (needs no labels; higher is better).
        n_videos: the first so many validation videos.
        batch_size: videos handed to the tracker at once.

    Raises:
        UsageError: a value outside what is said above.
    """

    score: str = "mota"
    n_videos: int = 200
    batch_size: int = 50

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            allowed = ", ".join(SCORES)
            raise UsageError(f"validation.score must be one of {allowed}, not {self.score!r}")
        for name in ("n_videos", "batch_size"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise UsageError(f"validation.{name} must be at least 1, not {value}")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything about a run that a name can stand for.

    Attributes:
        model: the family's settings.
        train: how it is trained.
        validation: how it is scored.
        going_on: settings of the model that change where weights of another run are the start,
            by name; the others are that run's.
        needs_weights: whether there have to be such weights.
    """

    model: Any
    train: TrainConfig
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    going_on: Mapping[str, Any] = field(default_factory=dict)
    needs_weights: bool = False


PresetTable = Mapping[str, Mapping[str, Preset]]
"""Presets of a family by name and data set: ``PRESETS["fast"]["mnist-6"]``."""


def preset_table(family: str) -> PresetTable:
    """All presets of a family.

    Raises:
        UsageError: no such family.
    """
    if family not in TABLES:
        raise UsageError(f"no family of models {family!r}: there are {', '.join(TABLES)}")
    module, _, attribute = TABLES[family].partition(":")
    table: PresetTable = getattr(importlib.import_module(module), attribute)
    return table


def find_preset(family: str, name: str, dataset: str) -> Preset:
    """One preset.

    Args:
        family: "silot", "sqair".
        name: "paper", "fast", ...
        dataset: key of `smot.experiments.data.DATASETS`.

    Raises:
        UsageError: no such preset, or not for this data set; says what there is.
    """
    table = preset_table(family)
    if name not in table:
        raise UsageError(f"{family} has no preset {name!r}: there are {', '.join(table)}")
    if dataset not in table[name]:
        fitting = ", ".join(table[name])
        raise UsageError(f"{family}'s preset {name!r} is for {fitting}, not {dataset!r}")
    return table[name][dataset]
