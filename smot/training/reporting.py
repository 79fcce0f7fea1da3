"""What a run shows and writes down: a live line, notices, the log, TensorBoard."""

import importlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from smot.errors import UsageError
from smot.models.family import Objective
from smot.training.distributed import Group
from smot.training.gradients import Signals
from smot.training.run_folder import RunFolder
from smot.training.schedules import Verdict, clip_frames, outlook
from smot.training.state import TrainingState

LIVE_SECONDS = 1.0
HEARTBEAT_SECONDS = 60.0
"""Between two lines of a log that is no terminal: enough to see that a run is alive."""
SHOWN_TERMS = 4


class Progress:
    """Lines on stderr: a live one, which stays once a minute if that is no terminal, and notices.

    Args:
        quiet: show warnings alone.
        leads: whether this process is the one that shows anything.
    """

    def __init__(self, *, quiet: bool, leads: bool = True) -> None:
        quiet = quiet or not leads
        self._quiet, self._leads = quiet, leads
        live = not quiet and sys.stderr.isatty()
        self._beats = not quiet and not live
        self._spoke_at = time.monotonic()
        # tqdm's own lock is a semaphore of the system, which a killed process leaves behind.
        tqdm.set_lock(threading.RLock())
        self._bar = tqdm(bar_format="{desc}", disable=not live, dynamic_ncols=True, leave=False)

    def live(self, line: str) -> None:
        """Replace the live line; without a terminal, print it if nothing was for a while."""
        self._bar.set_description_str(line)
        if self._beats and time.monotonic() - self._spoke_at >= HEARTBEAT_SECONDS:
            self.notice(line)

    def notice(self, line: str) -> None:
        """Print a line that stays."""
        if not self._quiet:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Print a line that nobody must miss, quiet or not."""
        if self._leads:
            self._bar.clear()
            print(line, file=sys.stderr, flush=True)
            self._spoke_at = time.monotonic()

    def close(self) -> None:
        """Remove the live line."""
        self._bar.close()


class Board:
    """TensorBoard's log; its file is made when there is something to write.

    Args:
        folder: where its event files go; None writes nothing.

    Raises:
        UsageError: the optional package is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None
        if folder is None:
            return
        try:
            self._package = importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            raise UsageError(
                "--tensorboard needs a package that is not installed: "
                "pip install 'smot[tensorboard]'"
            ) from None

    @property
    def is_open(self) -> bool:
        """Whether anything is written."""
        return self._folder is not None

    def add(
        self, step: int, numbers: Mapping[str, float], images: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write numbers and pictures [H, W, 3], float in [0, 1], by name."""
        if not self.is_open:
            return
        self._writer = self._writer or self._package.SummaryWriter(self._folder)
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        for name, image in (images or {}).items():
            pixels = image.detach().float().cpu()
            self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and end."""
        if self._writer is not None:
            self._writer.close()


@dataclass(kw_only=True)
class _Window:
    """Sums over the updates since the last line of the log."""

    began: float
    n_updates: int = 0
    n_videos: int = 0
    n_frames: int = 0
    waited: float = 0.0
    loss: float = 0.0
    norm: float = 0.0
    terms: dict[str, Tensor] = field(default_factory=dict)
    n_with: Counter[str] = field(default_factory=Counter)

    def add(
        self, objective: Objective, signals: Signals, n_videos: int, n_frames: int, waited: float
    ) -> None:
        self.n_updates += 1
        self.n_videos += n_videos
        self.n_frames += n_frames
        self.waited += waited
        self.loss += signals.loss
        self.norm += signals.norm
        self.n_with.update(objective.terms.keys())
        for name, value in objective.terms.items():
            # Sums stay on the device: reading a number out would wait for the whole update.
            self.terms[name] = self.terms[name] + value if name in self.terms else value

    def means(self) -> dict[str, float]:
        """Each term averaged over the updates that have it: single frames lack some."""
        if not self.terms:
            return {}
        sums = torch.stack([each.float() for each in self.terms.values()]).tolist()
        return {name: sum / self.n_with[name] for name, sum in zip(self.terms, sums, strict=True)}

    def seconds(self, now: float) -> float:
        return max(now - self.began, 1e-9)


class Reporter:
    """Averages measurements over `log_steps` updates, then writes a line.

    Args:
        state: the run to report on.
        folder: where the log is; None writes none.
        group: the processes over which terms are averaged.
        progress: what people see.
        board: TensorBoard's log.
    """

    def __init__(
        self,
        state: TrainingState,
        *,
        folder: RunFolder | None,
        group: Group,
        progress: Progress,
        board: Board,
    ) -> None:
        self.board = board
        self.notice = progress.notice
        self._state = state
        self._config = state.config
        self._folder = folder if group.leads else None
        self._progress = progress
        self._group = group
        self._window = _Window(began=time.monotonic())
        self._shown_at = time.monotonic()
        self._last_score = state.stopping.best_score

    def after_update(
        self, objective: Objective, signals: Signals, *, n_videos: int, rate: float, waited: float
    ) -> None:
        """Take one update into account.

        Args:
            objective: of this process.
            signals: of all processes.
            n_videos: in the batches of all processes.
            rate: learning rate.
            waited: how long this process waited for its batch, seconds.
        """
        window = self._window
        window.add(objective, signals, n_videos, n_videos * self._frames(), waited)
        now = time.monotonic()
        if self._state.step % self._config.log_steps == 0:
            terms = self._write_update(rate, now)
            self.board.add(self._state.step, {}, objective.images)
            self._show(terms, now)
            self._window = _Window(began=now)
        elif now - self._shown_at >= LIVE_SECONDS:
            self._show(window.means(), now)

    def after_evaluation(
        self, values: Mapping[str, float], verdict: Verdict, seconds: float
    ) -> None:
        """Take one evaluation into account, whose time does not count as training speed.

        Args:
            values: what the score function measured.
            verdict: what follows from it.
            seconds: how long it took.
        """
        self._last_score = values["score"]
        self._window.began += seconds
        record = {
            **self._position("eval"),
            "stage": self._state.stopping.stage,
            "verdict": verdict.value,
            "seconds": round(seconds, 3),
            **values,
        }
        self._log(record, {f"validation/{name}": value for name, value in values.items()})
        rest = {name: value for name, value in values.items() if name != "score"}
        shown = "  ".join(f"{name} {value:.3f}" for name, value in (rest or values).items())
        best = "  (best)" if verdict is Verdict.BEST else ""
        step, hours = self._state.step, self._state.hours
        self.notice(f"step {step}  T={self._frames()}  {hours:.2f} h  {shown}{best}")

    def close(self) -> None:
        """End the live line and TensorBoard's log."""
        self._progress.close()
        self.board.close()

    def _write_update(self, rate: float, now: float) -> dict[str, float]:
        """Write the window's averages; returns those of the terms, over all processes."""
        window = self._window
        parts = self._group.gathered(window.means())
        # Processes see equally many videos, so the average of their averages is right.
        terms = {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
        waited = max(self._group.gathered(window.waited / window.seconds(now)))
        loss = window.loss / window.n_updates
        record = {
            **self._position("train"),
            "lr": rate,
            "videos_per_second": round(window.n_videos / window.seconds(now), 3),
            "waited": round(waited, 4),
            "gradient_norm": window.norm / window.n_updates,
            "loss": loss,
            "terms": terms,
        }
        self._log(record, {**terms, "loss": loss, "lr": rate})
        return terms

    def _position(self, kind: str) -> dict[str, object]:
        hours = round(self._state.hours, 6)
        step = self._state.step
        return {"kind": kind, "step": step, "hours": hours, "frames": self._frames()}

    def _log(self, record: Mapping[str, object], scalars: Mapping[str, float]) -> None:
        if self._folder is not None:
            self._folder.log(record)
            self.board.add(self._state.step, scalars)

    def _show(self, terms: Mapping[str, float], now: float) -> None:
        """The live line: the time left, how far, how fast, the last score, the largest terms."""
        self._shown_at = now
        window = self._window
        rate = window.n_videos / window.seconds(now)
        parts = [self._left(window.seconds(now) / max(1, window.n_frames))]
        parts += [f"step {self._state.step}", f"T={self._frames()}", f"{rate:.0f} videos/s"]
        if self._last_score is not None:
            parts.append(f"score {self._last_score:.3f}")
        largest = sorted(terms, key=lambda name: -abs(terms[name]))[:SHOWN_TERMS]
        parts += [f"{name} {terms[name]:.4g}" for name in largest]
        self._progress.live("  ".join(parts))

    def _left(self, seconds_a_frame: float) -> str:
        """The time left; longer clips to come count by their frames."""
        config, state = self._config, self._state
        if not (config.max_hours or config.max_steps):
            return "left: until the score no longer rises"
        _, hours = outlook(
            config,
            state.step,
            state.hours,
            state.stopping.stage,
            lambda frames: config.batch_size * frames * seconds_a_frame,
        )
        minutes, seconds = divmod(int(hours * 3600), 60)
        return f"left {minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

    def _frames(self) -> int:
        """T of the last update."""
        step = max(0, self._state.step - 1)
        return clip_frames(self._config, step, self._state.stopping.stage)
