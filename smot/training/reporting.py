"""What a run writes down and shows: the log, the live line, TensorBoard."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smot.models.family import Objective
from smot.training.gradients import Signals
from smot.training.processes import Group
from smot.training.progress import Board, Progress, describe
from smot.training.runs import RunFolder
from smot.training.schedules import clip_frames
from smot.training.state import TrainingState
from smot.training.stopping import Verdict

LIVE_SECONDS = 1.0


@dataclass(kw_only=True)
class _Window:
    """What has been measured since the last line of the log."""

    began: float
    n_updates: int = 0
    n_videos: int = 0
    waited: float = 0.0
    loss: float = 0.0
    norm: float = 0.0
    terms: dict[str, Tensor] = field(default_factory=dict)
    n_with: Counter[str] = field(default_factory=Counter)

    def add(self, objective: Objective, signals: Signals, n_videos: int, waited: float) -> None:
        self.n_updates += 1
        self.n_videos += n_videos
        self.waited += waited
        self.loss += signals.loss
        self.norm += signals.norm
        self.n_with.update(objective.terms.keys())
        for name, value in objective.terms.items():
            self.terms[name] = self.terms[name] + value if name in self.terms else value

    def means(self) -> dict[str, float]:
        """Each term averaged over the updates that have it: single frames lack some."""
        names = list(self.terms)
        if not names:
            return {}
        values = torch.stack([self.terms[name].float() for name in names]).tolist()
        return {name: value / self.n_with[name] for name, value in zip(names, values, strict=True)}

    def videos_per_second(self, now: float) -> float:
        return self.n_videos / self._seconds(now)

    def waited_share(self, now: float) -> float:
        return self.waited / self._seconds(now)

    def _seconds(self, now: float) -> float:
        return max(now - self.began, 1e-9)


class Reporter:
    """Averages what updates measure over ``log_steps`` of them, then writes a line.

    Args:
        state: the run that is reported on.
        folder: where the log is; None writes none.
        progress: what people see.
        board: TensorBoard's log.
        group: the processes over which terms are averaged.
    """

    def __init__(
        self,
        state: TrainingState,
        *,
        folder: RunFolder | None,
        progress: Progress,
        board: Board,
        group: Group,
    ) -> None:
        self._state = state
        self._config = state.config
        self._folder = folder
        self._progress = progress
        self._board = board
        self._group = group
        self._window = _Window(began=time.monotonic())
        self._shown_at = time.monotonic()
        self._last_score = state.stopping.best_score

    def after_update(
        self,
        objective: Objective,
        signals: Signals,
        *,
        n_videos: int,
        rate: float,
        waited: float,
    ) -> None:
        """Take in one update.

        Args:
            objective: of this process.
            signals: of all processes.
            n_videos: in the batches of all processes.
            rate: learning rate.
            waited: how long this process had nothing to learn from, seconds.
        """
        window, state = self._window, self._state
        window.add(objective, signals, n_videos, waited)
        now = time.monotonic()
        if state.step % self._config.log_steps == 0:
            terms = _averaged(self._group.gathered(window.means()))
            waited = max(self._group.gathered(window.waited_share(now)))
            self._write_update(window, terms, rate, waited, now)
            self._board.images(objective.images, state.step)
            self._show(window, terms, now)
            self._window = _Window(began=now)
        elif now - self._shown_at >= LIVE_SECONDS:
            self._show(window, window.means(), now)

    def after_evaluation(
        self, values: Mapping[str, float], verdict: Verdict, seconds: float
    ) -> None:
        """Take in one evaluation, whose time does not count as training speed.

        Args:
            values: what the score function measured.
            verdict: what follows from it.
            seconds: how long it took.
        """
        state = self._state
        self._last_score = values["score"]
        self._window.began += seconds
        record = {
            "kind": "eval",
            "step": state.step,
            "hours": round(state.hours, 6),
            "frames": self._frames(),
            "stage": state.stopping.stage,
            "verdict": verdict.value,
            "seconds": round(seconds, 3),
            **values,
        }
        self._log(record, {f"validation/{name}": value for name, value in values.items()})
        rest = {name: value for name, value in values.items() if name != "score"}
        shown = "  ".join(f"{name} {value:.3f}" for name, value in (rest or values).items())
        best = "  (best)" if verdict is Verdict.BEST else ""
        self._progress.notice(
            f"step {state.step}  T={self._frames()}  {state.hours:.2f} h  {shown}{best}"
        )

    def close(self) -> None:
        """End the live line and TensorBoard's log."""
        self._progress.close()
        self._board.close()

    def _write_update(
        self,
        window: _Window,
        terms: Mapping[str, float],
        rate: float,
        waited: float,
        now: float,
    ) -> None:
        loss = window.loss / window.n_updates
        record = {
            "kind": "train",
            "step": self._state.step,
            "hours": round(self._state.hours, 6),
            "frames": self._frames(),
            "lr": rate,
            "videos_per_second": round(window.videos_per_second(now), 3),
            "waited": round(waited, 4),
            "gradient_norm": window.norm / window.n_updates,
            "loss": loss,
            "terms": terms,
        }
        self._log(record, {**terms, "loss": loss, "lr": rate})

    def _log(self, record: Mapping[str, object], scalars: Mapping[str, float]) -> None:
        if self._folder is not None:
            self._folder.log(record)
            self._board.scalars(scalars, self._state.step)

    def _show(self, window: _Window, terms: Mapping[str, float], now: float) -> None:
        self._shown_at = now
        rate = window.videos_per_second(now)
        line = describe(
            step=self._state.step,
            n_frames=self._frames(),
            rate=rate,
            terms=terms,
            score=self._last_score,
            seconds_left=self._seconds_left(rate),
        )
        self._progress.live(line)

    def _seconds_left(self, rate: float) -> float | None:
        config, state = self._config, self._state
        left = []
        if config.max_hours:
            left.append((config.max_hours - state.hours) * 3600)
        if config.max_steps and rate:
            left.append((config.max_steps - state.step) * config.batch_size / rate)
        return max(0.0, min(left)) if left else None

    def _frames(self) -> int:
        """T of the last update."""
        step = max(0, self._state.step - 1)
        return clip_frames(self._config, step, self._state.stopping.stage)


def _averaged(parts: list[dict[str, float]]) -> dict[str, float]:
    """Terms averaged over the processes, which see equally many videos."""
    return {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
