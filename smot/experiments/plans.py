"""A run as a value: everything that decides what it does, to and from its checkpoints."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from smot.errors import DataError, UsageError
from smot.experiments.data import DataConfig, plain_data
from smot.experiments.validation import ValidationConfig
from smot.files import from_plain, to_plain, with_setting
from smot.models.checkpoints import Checkpoint
from smot.models.family import load_family
from smot.training.config import TrainConfig

PARTS = ("train", "model", "validation", "data")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does.

    Attributes:
        family: key of `smot.models.family.FAMILIES`.
        preset: where the settings began.
        model: the family's settings.
        train: how the model is trained.
        validation: how it is scored.
        data: on which videos.
    """

    family: str
    preset: str
    model: Any
    train: TrainConfig
    validation: ValidationConfig
    data: DataConfig

    def plain(self) -> dict[str, Any]:
        """Plain values, as ``config.json`` and checkpoints hold them."""
        return {
            "family": self.family,
            "preset": self.preset,
            "model": to_plain(self.model),
            "train": to_plain(self.train),
            "validation": to_plain(self.validation),
            "data": plain_data(self.data),
        }

    def with_settings(self, assignments: Iterable[str]) -> "Plan":
        """The same plan with fields changed.

        Args:
            assignments: "train.lr=1e-3", "model.where_scale=.2", "validation.n_videos=100".

        Raises:
            UsageError: not of that form, no such field, or a value that cannot be.
        """
        plan = self
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            part, _, name = key.partition(".")
            if not equals or not name or part not in PARTS:
                parts = ", ".join(f"{each}.KEY" for each in PARTS)
                raise UsageError(
                    f"--set takes KEY=VALUE with KEY one of {parts}; not {assignment!r}"
                )
            try:
                changed = with_setting(getattr(plan, part), name, text)
            except UsageError as error:
                raise UsageError(f"--set {assignment}: {error}") from None
            plan = replace(plan, **{part: changed})
        return plan

    def differences(self, other: "Plan") -> list[str]:
        """Fields that ``other`` has changed: "train.lr 0.0008 -> 0.0004"."""
        mine, theirs = self.plain(), other.plain()
        return [
            f"{part}.{name} {value} -> {theirs[part][name]}"
            for part in PARTS
            for name, value in mine[part].items()
            if theirs[part][name] != value
        ]


def preset_plan(family: str, preset: str, data: DataConfig) -> Plan:
    """The plan that a preset stands for.

    Raises:
        UsageError: no such family or preset, or not for this data set.
    """
    found = load_family(family).preset(preset, data.dataset)
    return Plan(
        family=family,
        preset=preset,
        model=found.model,
        train=TrainConfig(**found.train),
        validation=ValidationConfig(**found.validation),
        data=data,
    )


def stored_plan(checkpoint: Checkpoint, where: str) -> Plan:
    """The plan of the run that wrote a checkpoint.

    Raises:
        DataError: weights only, or settings that this version does not know.
    """
    training = checkpoint.training
    if not training:
        raise DataError(f"{where}: holds weights only; a run cannot be resumed from it")
    extra = training.get("extra", {})
    family = load_family(checkpoint.about.family)
    return Plan(
        family=checkpoint.about.family,
        preset=str(extra.get("preset", "")),
        model=from_plain(family.config_type, checkpoint.model, what=f"{where}: model"),
        train=from_plain(TrainConfig, training.get("config", {}), what=f"{where}: train"),
        validation=from_plain(
            ValidationConfig, extra.get("validation", {}), what=f"{where}: validation"
        ),
        data=from_plain(DataConfig, extra.get("data", {}), what=f"{where}: data"),
    )
