"""All that a training run carries from one update to the next, to and from a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from smot.errors import DataError, first_line
from smot.files import from_plain, to_plain
from smot.models.checkpoints import About, Checkpoint, load_checkpoint, load_weights
from smot.training.blowup import BlowupWatch
from smot.training.config import TrainConfig
from smot.training.optimisers import WeightAverages, build_optimiser, trained_parameters
from smot.training.schedules import EarlyStopping


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The part of a run's checkpoints that stays the same.

    Attributes:
        about: family, data and recipe; step, hours and score are filled in at each save.
        model: the model's settings as plain values.
        extra: further settings of the run to keep, plain values.
    """

    about: About
    model: Mapping[str, Any]
    extra: Mapping[str, Any]


class TrainingState:
    """A model being trained, its optimiser, averages, and how far it has come.

    There is no state of random generators: the noise and videos of an update follow from
    (seed, step, process).

    Args:
        model: on its device.
        config: how it is trained.

    Raises:
        UsageError: `config.only_parameters` names no parameter.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.model = model
        self.config = config
        self.parameters = trained_parameters(model, config.only_parameters)
        self.optimiser = build_optimiser(config, list(self.parameters.values()))
        self.averages = WeightAverages(self.parameters, config.ema_decay)
        self.stopping = EarlyStopping()
        self.watch = BlowupWatch(config.blowup_factor)
        self.step = 0
        self.hours = 0.0
        # An evaluation is due after the last update and not made yet.
        self.evaluation_pending = False

    def checkpoint(self, identity: Identity) -> Checkpoint:
        """The whole state; its tensors are shared with the running model."""
        about = replace(
            identity.about,
            step=self.step,
            hours=self.hours,
            score=self.stopping.best_score,
            seed=self.config.seed,
        )
        training = {
            "config": to_plain(self.config),
            "optimiser": self.optimiser.state_dict(),
            "averages_updates": self.averages.n_updates,
            "stopping": asdict(self.stopping),
            "levels": self.watch.plain(),
            "evaluation_pending": self.evaluation_pending,
            "extra": dict(identity.extra),
        }
        return Checkpoint(
            about=about,
            model=identity.model,
            weights=self.model.state_dict(),
            averages=self.averages.tensors,
            training=training,
        )

    def restore(self, checkpoint: Checkpoint, path: str) -> None:
        """Go on where a checkpoint left off.

        Raises:
            DataError: weights only, or a state that does not fit the model.
        """
        training = checkpoint.training
        if not training:
            raise DataError(f"{path}: holds weights only; a run cannot be resumed from it")
        load_weights(self.model, checkpoint.weights, path)
        self._load_optimiser(training.get("optimiser"), path)
        self._load_averages(checkpoint)
        self.stopping = from_plain(
            EarlyStopping, training["stopping"], what=f"{path}: early stopping"
        )
        self.watch.restore(training.get("levels", []), what=f"{path}: levels of the loss")
        self.evaluation_pending = bool(training.get("evaluation_pending", False))
        self.step = checkpoint.about.step
        self.hours = checkpoint.about.hours

    def restart(self, checkpoint: Checkpoint, path: str) -> None:
        """Take the weights and averages of a checkpoint, with a fresh optimiser; step goes on.

        Source: SILOT supplement, section E; that the optimiser starts afresh is our choice.
        """
        load_weights(self.model, checkpoint.weights, path)
        self._load_averages(checkpoint)
        self.optimiser = build_optimiser(self.config, list(self.parameters.values()))
        self.watch.forget()

    def _load_averages(self, checkpoint: Checkpoint) -> None:
        n_updates = int(checkpoint.training.get("averages_updates", 0))
        values = {name: each.detach() for name, each in self.parameters.items()}
        self.averages.restore({**values, **checkpoint.averages}, n_updates)

    def _load_optimiser(self, stored: Any, path: str) -> None:
        try:
            self.optimiser.load_state_dict(stored)
        except (ValueError, KeyError, TypeError) as error:
            said = first_line(error)
            raise DataError(f"{path}: its optimiser state does not fit: {said}") from None


def start_from(model: nn.Module, path: str, trained: tuple[str, ...] = ()) -> list[str]:
    """Take the weights of another run, as far as the two models share them.

    Args:
        model: the freshly built model; its parameters are overwritten.
        path: a checkpoint; averaged weights are preferred.
        trained: beginnings of names; such weights may have another shape, and are then new.

    Returns:
        Names of the model's weights that are not taken from the checkpoint; they stay as they are.

    Raises:
        DataError: nothing in common, or another weight of another shape.
    """
    stored = load_checkpoint(path).best_weights
    own = model.state_dict()
    shared = {
        name: tensor
        for name, tensor in stored.items()
        if name in own and (tensor.shape == own[name].shape or not name.startswith(trained))
    }
    if not shared:
        raise DataError(f"{path}: has no weight that the model knows")
    load_weights(model, {**own, **shared}, path)
    return [name for name in own if name not in shared]


def noise_seed(config: TrainConfig, step: int, rank: int) -> int:
    """The seed of all noise of one update in one process.

    Source: ours; numpy's seed sequence over (seed, step, rank), so that streams are independent.
    """
    sequence = np.random.SeedSequence(config.seed, spawn_key=(step, rank))
    return int(sequence.generate_state(1)[0])
