"""Settings of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smot.errors import UsageError
from smot.files import from_plain

CHOICES = {
    "optimiser": ("adam", "tf_rmsprop"),
    "schedule": ("constant", "cosine", "drops"),
    "precision": ("float32", "bf16", "auto"),
}
RENAMED = {"divergence_factor": "blowup_factor", "replay": ""}
"""Settings by the names that older checkpoints have them under; "" for those that are gone."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained; nothing here depends on what the model is.

    Attributes:
        seed: of initial weights, videos and noise.
        batch_size: videos per update, over all processes together.
        objective: the model's method that is minimised.
        only_parameters: train the parameters whose names begin so; () trains all.
        init_from: checkpoint whose weights the run starts from; "" starts afresh.
        optimiser: "adam" (0.9, 0.999, 1e-8) or "tf_rmsprop" (decay 0.9, momentum 0.9, 1e-10).
        lr: learning rate.
        warmup_steps: updates over which the learning rate rises linearly from 0; 0 is none.
        schedule: "constant"; "cosine": constant until the share `decay_from` of the budget,
            then a half cosine to `decay_to` of it; "drops": divided by 3 at each of `drops`.
        decay_from: share of the budget, in [0, 1).
        decay_to: share of `lr`, in [0, 1].
        drops: shares of the budget, rising, in (0, 1).
        clip_norm: largest norm of the whole gradient; 0 does not clip.
        ema_decay: of the running average of the weights, which validation then uses; 0 is off.
        curriculum: (step, frames): from that step on clips have so many frames; starts at step 0.
        short_every: every so many updates one sees shorter clips; 0 is never.
        short_frames: the length of those, where the curriculum's are longer.
        precision: "float32"; "bf16" for autocast around the objective; "auto" for the latter where
            the hardware has it, decided (and stored) when the run starts.
        device: "cpu", "cuda", "cuda:1".
        max_steps: budget in updates; 0 is no limit.
        max_hours: budget in hours of training, evaluation included; 0 is no limit.
        eval_steps: updates between evaluations.
        patience_start: no stage ends before this step.
        patience_steps: updates without a better score that end a stage; 0 never does.
        n_stages: stages of early stopping; each later one starts from the best weights so far
            with the learning rate divided by 3.
        blowup_factor: a loss that stays above about so many times its best ends the run, as
            `smot.training.blowup` says in full; 0 never does.
        checkpoint_minutes: most time between two saved states.
        log_steps: updates averaged in one line of the log.

    Raises:
        UsageError: a value outside what is said above.

    Source: SILOT supplement, section E (defaults, patience, stages).
    """

    seed: int = 0
    batch_size: int = 16
    objective: str = "objective"
    only_parameters: tuple[str, ...] = ()
    init_from: str = ""
    optimiser: str = "adam"
    lr: float = 1e-4
    warmup_steps: int = 0
    schedule: str = "constant"
    decay_from: float = 0.2
    decay_to: float = 0.03
    drops: tuple[float, ...] = ()
    clip_norm: float = 10.0
    ema_decay: float = 0.0
    curriculum: tuple[tuple[int, int], ...] = ((0, 8),)
    short_every: int = 0
    short_frames: int = 1
    precision: str = "float32"
    device: str = "cpu"
    max_steps: int = 0
    max_hours: float = 0.0
    eval_steps: int = 5000
    patience_start: int = 0
    patience_steps: int = 0
    n_stages: int = 3
    blowup_factor: float = 10.0
    checkpoint_minutes: float = 5.0
    log_steps: int = 50

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            self._check(name, getattr(self, name) in allowed, f"one of {', '.join(allowed)}")
        for name in ("batch_size", "eval_steps", "log_steps", "n_stages", "short_frames"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("seed", "warmup_steps", "clip_norm", "max_steps", "max_hours"):
            self._check(name, getattr(self, name) >= 0, "not negative")
        for name in ("short_every", "patience_start", "patience_steps"):
            self._check(name, getattr(self, name) >= 0, "not negative")
        for name in ("lr", "checkpoint_minutes"):
            self._check(name, getattr(self, name) > 0, "above 0")
        for name in ("ema_decay", "decay_from"):
            self._check(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        factor = self.blowup_factor
        self._check("blowup_factor", factor == 0 or factor > 1, "above 1, or 0 for never")
        self._check("decay_to", 0 <= self.decay_to <= 1, "in [0, 1]")
        self._check("drops", all(0 < share < 1 for share in self.drops), "shares in (0, 1)")
        self._check_curriculum()

    @property
    def n_frames(self) -> int:
        """The length of clips at the end of the curriculum."""
        return self.curriculum[-1][1]

    def _check_curriculum(self) -> None:
        steps = [step for step, _ in self.curriculum]
        rising = bool(steps) and steps[0] == 0 and steps == sorted(set(steps))
        self._check("curriculum", rising, "(step, frames) with rising steps, the first 0")
        positive = all(frames >= 1 for _, frames in self.curriculum)
        self._check("curriculum", positive, "clips of at least 1 frame")

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:
            raise UsageError(f"train.{name} must be {allowed}, not {getattr(self, name)!r}")


def stored_config(values: Mapping[str, Any], *, what: str) -> TrainConfig:
    """The settings that a checkpoint holds, under today's names or older ones.

    Args:
        values: plain values by name.
        what: what is being read, for messages.

    Raises:
        DataError: an unknown name, or a value that cannot be.
    """
    current = {RENAMED.get(name, name): value for name, value in values.items()}
    current.pop("", None)
    return from_plain(TrainConfig, current, what=what)
