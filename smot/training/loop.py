"""The training loop: updates, evaluations, saved states, and every way in which a run can end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from smot.errors import DataError, UsageError
from smot.interruption import Interruption, catch_signals
from smot.models.checkpoints import load_checkpoint
from smot.models.family import Objective
from smot.training.blowup import watched_loss
from smot.training.distributed import Group
from smot.training.gradients import GradientBuffer, Signals, autocast
from smot.training.prefetch import Batch, Batches, Prefetch
from smot.training.reporting import Reporter
from smot.training.run_folder import RunFolder
from smot.training.schedules import Verdict, clip_frames, learning_rate
from smot.training.state import Identity, TrainingState, noise_seed

Score: TypeAlias = Callable[[nn.Module], Mapping[str, float]]
"""Scores a model: what is maximised under "score", and whatever else is worth logging.

It is called in every process at the same step and must return the same in all of them.
"""

Pictures: TypeAlias = Callable[[nn.Module], Mapping[str, Tensor]]
"""Pictures of a model by name, [H, W, 3], float in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a run learns from, and what it is judged by.

    Attributes:
        identity: what the checkpoints say about the run.
        batches: this process's share of the batch of a step; see `smot.training.prefetch`.
        objective: what is minimised: (batch, step=, generator=) -> Objective; None for the
            model's method that the settings name.
        score: validation; None trains without.
        pictures: draws a model at work for TensorBoard, at each evaluation; None draws nothing.
    """

    identity: Identity
    batches: Batches
    objective: Callable[..., Objective] | None = None
    score: Score | None = None
    pictures: Pictures | None = None


class StoppedBySignal(KeyboardInterrupt):
    """A signal stopped the run, and its state has been saved."""


class TrainingLoop:
    """Trains one model in one process (of perhaps several).

    Args:
        state: the model and how far it has come.
        task: what it learns.
        folder: where process 0 writes; None writes nothing.
        group: the processes that share the work.
        reporter: writes down what is measured.

    Raises:
        UsageError: the model has no objective of the name that the settings give.
    """

    def __init__(
        self,
        state: TrainingState,
        task: Task,
        *,
        folder: RunFolder | None,
        group: Group,
        reporter: Reporter,
    ) -> None:
        self._state = state
        self._config = state.config
        self._task = task
        self._folder = folder if group.leads else None
        self._group = group
        self._reporter = reporter
        self._objective = task.objective or named_objective(state.model, state.config.objective)
        self._device = next(state.model.parameters()).device
        self._noise = torch.Generator(device=self._device)
        self._buffer = GradientBuffer(state.parameters, group)
        self._began = time.monotonic() - state.hours * 3600
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Train until the budget is used up or early stopping ends the run.

        Raises:
            StoppedBySignal: a signal came; the state has been saved.
            DataError: the objective or its gradient is no longer finite, or the loss has stayed
                far above its best; the saved states are left as they are.
        """
        self._state.model.train()
        self._feed = self._prefetch()
        try:
            with catch_signals(deferred=True) as interruption:
                self._run(interruption)
        finally:
            self._feed.close()
            self._reporter.close()

    def _run(self, interruption: Interruption) -> None:
        going_on = self._evaluate_if_pending()  # of a run that was stopped just before one
        while going_on and not self._finished():
            stop = self._update(interruption)
            self._state.evaluation_pending = self._evaluation_due()
            if stop:
                self._save_last()
                raise StoppedBySignal
            going_on = self._evaluate_if_pending()
            self._save_if_due()
        self._save_last()

    def _prefetch(self) -> Prefetch:
        stage = self._state.stopping.stage
        return Prefetch(
            self._task.batches,
            lambda step: clip_frames(self._config, step, stage),
            first_step=self._state.step,
        )

    def _update(self, interruption: Interruption) -> bool:
        """Make one update of the weights; true if any process got a signal to stop."""
        state, config = self._state, self._config
        batch, waited = self._feed.next()
        batch, n_videos = on_device(batch, self._device)
        self._noise.manual_seed(noise_seed(config, state.step, self._group.rank))
        state.optimiser.zero_grad(set_to_none=True)
        with autocast(config.precision, self._device):
            objective = self._objective(batch, step=state.step, generator=self._noise)
        torch.autograd.backward(objective.total)
        signals = self._buffer.reduce(
            loss=objective.total,
            level=watched_loss(objective),
            stop=interruption.requested,
            hours=self._clock(),
            clip_norm=config.clip_norm,
        )
        self._check(objective, signals)
        rate = learning_rate(config, state.step, signals.hours, state.stopping.stage)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.optimiser.step()
        state.averages.update()
        state.step += 1
        state.hours = signals.hours
        n_videos *= self._group.size
        self._reporter.after_update(
            objective, signals, n_videos=n_videos, rate=rate, waited=waited
        )
        return signals.stop

    def _check(self, objective: Objective, signals: Signals) -> None:
        """Refuse an update that would spoil the weights, or that shows that they are spoilt.

        Raises:
            DataError: says at which step which part of the objective broke.
        """
        state = self._state
        if signals.norm < float("inf"):  # false for not-a-number too
            n_frames = clip_frames(self._config, state.step, state.stopping.stage)
            fault = state.watch.add(
                state.step, n_frames, loss=signals.level, terms=objective.terms
            )
        else:
            fault = self._not_finite(objective)
        if fault is not None:
            kept = f"; the last good state is kept in {self._folder.path}" if self._folder else ""
            raise DataError(f"training broke at step {state.step}: {fault}{kept}")

    def _not_finite(self, objective: Objective) -> str:
        """Which part of the objective, or whose gradient, is not finite."""
        faulty = [
            name for name, value in objective.terms.items() if not bool(torch.isfinite(value))
        ]
        if not faulty and not bool(torch.isfinite(objective.total)):
            faulty = ["the total, though all of its terms are finite"]
        everywhere = [name for part in self._group.gathered(faulty) for name in part]
        if everywhere:
            return f"objective not finite: {', '.join(dict.fromkeys(everywhere))}"
        names = self._buffer.broken()
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"gradient not finite: {', '.join(names[:3])}{more}"

    def _evaluation_due(self) -> bool:
        due = self._state.step % self._config.eval_steps == 0 or self._finished()
        return self._task.score is not None and due

    def _evaluate_if_pending(self) -> bool:
        """Score the model and act on it where that is due; false if training is to end."""
        if not self._state.evaluation_pending:
            return True
        # Cleared first: the states saved below are those after the evaluation.
        self._state.evaluation_pending = False
        return self._evaluate() is not Verdict.STOP

    def _evaluate(self) -> Verdict:
        """Score the model and act on what follows."""
        state, board = self._state, self._reporter.board
        began = time.monotonic()
        state.model.eval()
        with state.averages.in_use(), torch.no_grad():
            assert self._task.score is not None
            values = self._group.from_first(dict(self._task.score(state.model)))
            if self._task.pictures is not None and board.is_open:
                board.add(state.step, {}, self._task.pictures(state.model))
        state.model.train()
        state.stopping, verdict = state.stopping.judge(self._config, state.step, values["score"])
        state.hours = self._group.from_first(self._clock())
        self._reporter.after_evaluation(values, verdict, time.monotonic() - began)
        if verdict is Verdict.BEST:
            self._save_best()
        if verdict is Verdict.NEXT_STAGE:
            self._next_stage()
        return verdict

    def _next_stage(self) -> None:
        """Restart from the best weights, which process 0 has written and sends to all."""
        own = None if self._folder is None else load_checkpoint(self._folder.best)
        best = self._group.from_first(own)
        if best is None:
            raise UsageError("early stopping in stages needs a folder to restart from")
        self._state.restart(best, "the best state")
        # Clips have another length from here on: what was made ahead does not fit.
        self._feed.close()
        self._feed = self._prefetch()
        self._reporter.notice(
            f"step {self._state.step}: no better score in {self._config.patience_steps} steps; "
            f"restarting from step {self._state.stopping.best_step} at a third of the rate"
        )
        self._save_last()

    def _save_if_due(self) -> None:
        due = time.monotonic() - self._saved_at >= self._config.checkpoint_minutes * 60
        if due and not self._state.watch.is_doubtful:
            self._save_last()

    def _save_last(self) -> None:
        """Replace the newest state, unless lost weights would take the place of good ones."""
        if self._folder is not None:
            if self._state.watch.is_doubtful and self._folder.last.exists():
                self._reporter.notice(
                    f"step {self._state.step}: the loss is far above its best; the state that "
                    "was saved before is kept"
                )
                return
            self._folder.save_last(self._state.checkpoint(self._task.identity))
        self._saved_at = time.monotonic()

    def _save_best(self) -> None:
        if self._folder is not None:
            checkpoint = self._state.checkpoint(self._task.identity)
            self._folder.save_best(checkpoint)
            self._folder.save_last(checkpoint)
        self._saved_at = time.monotonic()

    def _finished(self) -> bool:
        config, state = self._config, self._state
        steps_over = bool(config.max_steps) and state.step >= config.max_steps
        return steps_over or (bool(config.max_hours) and state.hours >= config.max_hours)

    def _clock(self) -> float:
        """Hours of training, over all resumptions."""
        return (time.monotonic() - self._began) / 3600


def named_objective(model: nn.Module, name: str) -> Callable[..., Objective]:
    """The method of a model that is to be minimised.

    Raises:
        UsageError: it has no such method; says which it has.
    """
    method = getattr(model, name, None)
    if "objective" in name and callable(method):
        return method  # type: ignore[no-any-return]
    found = [each for each in dir(type(model)) if "objective" in each and each[0] != "_"]
    raise UsageError(
        f"train.objective: {type(model).__name__} has no {name!r}; there are {', '.join(found)}"
    )


def on_device(batch: Batch, device: torch.device) -> tuple[Batch, int]:
    """The batch on the model's device, and its number of videos."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True), len(batch)
    moved = {name: each.to(device, non_blocking=True) for name, each in batch.items()}
    return moved, len(next(iter(moved.values())))
