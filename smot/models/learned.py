"""What every learned tracker offers to training: an objective to minimise, a tracker to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smot.tracks import DataDescription, Tracker


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One evaluation of a model's training objective.

    Attributes:
        total: what is minimised, summed over frames and averaged over videos, [], nats; carries
            the gradient (and whatever surrogate terms it needs, so its value may mean nothing).
        terms: named parts for the log, [] each, nats, detached.
        images: pictures for the log, [H, W, 3] float in [0, 1] each; empty unless asked for.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    images: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class LearnedModel(Protocol):
    """A module (subclass of ``torch.nn.Module``) that can be trained on videos without labels."""

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        """The objective on a batch of clips.

        In evaluation mode it is free of what only helps to learn: dropout, crops.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3], on the module's device.
            step: number of updates made so far; schedules are functions of it.
            generator: source of all noise, on the module's device.
        """
        ...


def as_they_are(config: Any, data: DataDescription) -> Any:  # noqa: ARG001
    """The settings of a family that fits all videos alike."""
    return config


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of learned tracker, as `smot.models.families` lists it.

    Attributes:
        name: "silot", "sqair".
        config_type: frozen dataclass with the model's settings; plain values only.
        build: the module from its settings, freshly initialised from a seed.
        tracker: a tracker around a module: (module, name) -> Tracker.
        suited: settings as videos of a kind need them: (settings, description) -> settings.
    """

    name: str
    config_type: type[Any]
    build: Callable[[Any, int], nn.Module]
    tracker: Callable[[nn.Module, str], Tracker]
    suited: Callable[[Any, DataDescription], Any] = as_they_are
