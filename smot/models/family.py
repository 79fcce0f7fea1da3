"""A family of learned trackers, all that training needs to know of it, and the table of families.

Importing this module does not import torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from smot.errors import UsageError, did_you_mean
from smot.files import from_plain

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from smot.tracks import DataDescription, Tracker

FAMILIES = {
    "silot": "smot.models.silot:FAMILY",
    "sqair": "smot.models.sqair:FAMILY",
}
"""Where each family is defined; `load_family` imports it."""

VARIANTS = {"silot-plus": "silot"}
"""What is trained by another recipe than the first of its family, and that family."""

Latents: TypeAlias = "Mapping[str, Tensor]"
"""What the objective of a `Stage` sees in place of frames, by name, each [B, ...]."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One evaluation of a model's training objective.

    Attributes:
        total: what is minimised, summed over frames and averaged over videos, [], nats. It
            carries the gradient; with surrogate terms in it, its value alone has no meaning.
        terms: named parts for the log, [] each, nats, detached.
        images: pictures for the log, [H, W, 3] float in [0, 1] each.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    images: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything about a run that a name can stand for.

    Attributes:
        model: the family's settings.
        train: fields of `smot.training.config.TrainConfig` that differ from its defaults.
        validation: the same for `smot.experiments.validation.ValidationConfig`.
        continued: settings of the model that change when training starts from the weights of
            another run, by name; all others are that run's.
        needs_weights: whether training has to start from such weights.
    """

    model: Any
    train: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    continued: Mapping[str, Any] = field(default_factory=dict)
    needs_weights: bool = False


PresetTable: TypeAlias = Mapping[str, Mapping[str, Preset]]
"""Presets by name and data set: `presets["fast"]["mnist-6"]`."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Training of a part of a model on what its frozen rest makes of videos.

    Attributes:
        latents: what the frozen part makes of frames uint8 [B, T, H, W, 3], without gradient:
            (module, frames, generator) -> latents.
        objective: what the trained part minimises: (module, latents, generator) -> objective.
        by_teacher: whether the latents are made by the model that the run starts from, as it is
            in its file, because what is trained makes them too.
    """

    latents: Callable[[nn.Module, Tensor, torch.Generator], Latents]
    objective: Callable[[nn.Module, Latents, torch.Generator], Objective]
    by_teacher: bool = False


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of learned tracker.

    Attributes:
        name: its key in `FAMILIES`.
        config_type: frozen dataclass with the model's settings; plain values only.
        build: makes the module, freshly initialised: (settings, seed) -> module. Its method
            `objective(frames, *, step, generator) -> Objective` is what training minimises, for
            frames uint8 RGB, [B, T, H, W, 3]; in evaluation mode nothing is dropped or cropped.
        tracker: a tracker around a module: (module, name) -> tracker.
        adapted: settings as the videos need them: (settings, description) -> settings.
        presets: named runs.
        default_preset: the preset of a run that names none.
        recipes: by what is trained (the family or one of `VARIANTS`): presets and hours, one after
            another, which a run that describes nothing does; without, the usual preset alone.
        stages: by the value of `train.objective` that selects them.
        renamed: settings that older checkpoints hold under another name: old -> new, or "" where
            the setting is gone.
    """

    name: str
    config_type: type[Any]
    build: Callable[[Any, int], nn.Module]
    tracker: Callable[[nn.Module, str], Tracker]
    adapted: Callable[[Any, DataDescription], Any] = lambda config, _: config
    presets: PresetTable = field(default_factory=dict)
    default_preset: str = ""
    recipes: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def settings(self, stored: Mapping[str, Any], *, what: str) -> Any:
        """The model's settings as a checkpoint holds them, under their names of today.

        Args:
            stored: plain values by name.
            what: where they come from, for messages.

        Raises:
            DataError: an unknown setting, or a value that cannot be.
        """
        names = {name: self.renamed.get(name, name) for name in stored}
        values = {new: stored[name] for name, new in names.items() if new != ""}
        return from_plain(self.config_type, values, what=what)

    def preset(self, name: str, dataset: str) -> Preset:
        """One preset.

        Args:
            name: "original", "fast", ...
            dataset: key of `smot.experiments.training_data.DATASETS`.

        Raises:
            UsageError: no such preset, or none for this data set; says what there is.
        """
        if name not in self.presets:
            known = did_you_mean(name, self.presets)
            raise UsageError(f"{self.name} has no preset {name!r}{known}")
        if dataset not in self.presets[name]:
            fitting = ", ".join(self.presets[name])
            raise UsageError(f"{self.name}'s preset {name!r} is for {fitting}, not {dataset!r}")
        return self.presets[name][dataset]


def load_family(name: str) -> Family:
    """Import one family.

    Args:
        name: a key of `FAMILIES`.

    Raises:
        UsageError: no such family.
    """
    if name not in FAMILIES:
        raise UsageError(f"no family of models {name!r}{did_you_mean(name, FAMILIES)}")
    module, _, attribute = FAMILIES[name].partition(":")
    family: Family = getattr(importlib.import_module(module), attribute)
    return family
