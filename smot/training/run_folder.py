"""A run's folder: checkpoints, settings, environment, the log of measurements and its curves."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from smot.errors import DataError, UsageError
from smot.files import write_text
from smot.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint

MOST_TERMS = 6
"""Terms of the objective that have a curve: the largest ones at the end."""


class RunFolder:
    """The files of one training run.

    `last.pt` and `best.pt` are complete checkpoints; `config.json` and `env.json` say what ran
    where; `metrics.jsonl` has one line per logged measurement; `train.png` shows its curves.

    Args:
        path: the folder; made by `start`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.last = self.path / "last.pt"
        self.best = self.path / "best.pt"
        self.metrics = self.path / "metrics.jsonl"
        self.curves = self.path / "train.png"

    @property
    def holds_run(self) -> bool:
        """Whether there is a state to resume from."""
        return self.last.exists() or self.best.exists()

    @property
    def is_over(self) -> bool:
        """Whether the run came to its end, and has not gone on since."""
        return [row.get("kind") for row in self.records()[-1:]] == ["end"]

    def check_new(self, *, force: bool) -> None:
        """Refuse a folder that already holds a run.

        Raises:
            UsageError: it does, and `force` is off.
        """
        if not force and self.holds_run:
            raise UsageError(f"{self.path} holds a run: --resume goes on, --force restarts")

    def start(self, config: Mapping[str, Any], *, resumed_at: int | None) -> None:
        """Make the folder and write settings and environment; no other run may be at work in it.

        Args:
            config: the resolved settings, plain values.
            resumed_at: step at which an earlier run goes on; None starts over, which removes
                what an earlier run left.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for draft in self.path.glob(".*.tmp"):  # of a process that died while it wrote
            draft.unlink()
        if resumed_at is None:
            for old in (self.last, self.best, self.metrics, self.curves):
                old.unlink(missing_ok=True)
        else:
            # Updates that are about to be made again are not to be there twice.
            kept = [
                json.dumps(row)
                for row in self.records()
                if row.get("step", 0) <= resumed_at and row.get("kind") != "end"
            ]
            write_text(self.metrics, "".join(f"{line}\n" for line in kept))
        for name, values in (("config", config), ("env", environment())):
            write_text(self.path / f"{name}.json", json.dumps(values, indent=2) + "\n")

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Replace the newest state."""
        save_checkpoint(self.last, checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Replace the best state."""
        save_checkpoint(self.best, checkpoint)

    def latest(self, notice: Callable[[str], None]) -> tuple[Checkpoint, Path]:
        """The newest state that can be read.

        Args:
            notice: called with a line when `last.pt` is damaged and `best.pt` takes its place.

        Raises:
            DataError: neither can be read; says why the newer one cannot.
        """
        try:
            return load_checkpoint(self.last), self.last
        except DataError as fault:
            if not self.best.exists():
                raise
            notice(f"{fault}; going on from {self.best.name}")
            return load_checkpoint(self.best), self.best

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """The lines of the log; what is none, as the end of one that a crash cut, is left out."""
        if not self.metrics.exists():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows

    def draw_curves(self, title: str, *, clips: bool = True) -> None:
        """Draw the log as `train.png`: score, loss, terms of the objective and speed, by hours.

        Args:
            title: above the curves.
            clips: whether the run learned from clips; otherwise from latents that were kept, of
                which frames and their number mean nothing.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        records = self.records()
        updates = [row for row in records if row.get("kind") == "train"]
        scores = [row for row in records if row.get("kind") == "eval"]
        measures = _measures(scores)
        # Shares have an axis in common; what exceeds 1 is none, and has one of its own.
        larger = [name for name in measures if max(_series(scores, name)[1], default=0) > 1]
        shares = [name for name in measures if name not in larger]
        drawers: list[Callable[[Any], None]] = [
            partial(_draw_scores, scores=scores, names=shares, title="validation"),
            *(partial(_draw_scores, scores=scores, names=[name], title=name) for name in larger),
            partial(_draw_loss, updates=updates),
            partial(_draw_terms, updates=updates),
            partial(_draw_speed, updates=updates, clips=clips),
            *([partial(_draw_clips, updates=updates)] if clips else []),
        ]
        n_rows = -(-len(drawers) // 2)
        figure = Figure(figsize=(11, 3.4 * n_rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(n_rows, 2).flat
        figure.suptitle(title)
        for axes in panels[len(drawers) :]:
            axes.remove()
        for axes, draw in zip(panels, drawers, strict=False):
            draw(axes)
            axes.set_xlabel("hours")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(self.curves, dpi=120)


def environment() -> dict[str, Any]:
    """What the run depends on besides its settings: versions, machine, command, git commit."""
    names = ("smot", "torch", "numpy", "numba")
    return {
        "versions": {name: version(name) for name in names},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "git": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the source tree, "+changes" if it has been edited; None outside git."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _measures(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was measured on validation; the score only where it is none of the others."""
    known = {"kind", "step", "hours", "frames", "stage", "verdict", "seconds", "score"}
    names = [name for name in (scores[0] if scores else {}) if name not in known]
    repeated = any(_is_score(scores, name) for name in names)
    return names if repeated or not scores else ["score", *names]


def _is_score(scores: Sequence[Mapping[str, Any]], name: str) -> bool:
    return all(row.get(name) == row["score"] for row in scores)


def _draw_scores(
    axes: Any, scores: Sequence[Mapping[str, Any]], names: Sequence[str], title: str
) -> None:
    axes.set_title(title)
    for name in names:
        width = 2.0 if _is_score(scores, name) else 1.0
        axes.plot(*_series(scores, name), label=name, linewidth=width, marker=".")
    values = [row[name] for row in scores for name in names if row.get(name) is not None]
    axes.set_ylim(bottom=-1.0 if min(values, default=0.0) < -1.0 else None)
    if len(names) > 1:
        axes.legend(fontsize="small")


def _draw_loss(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("objective per frame, nats")
    hours = [row["hours"] for row in updates]
    values = [row["loss"] / row["frames"] for row in updates]
    axes.plot(hours, values, linewidth=1)
    _stretch(axes, values)


def _draw_terms(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("its largest terms per frame, nats")
    last = updates[-1]["terms"] if updates else {}
    drawn: list[float] = []
    for name in sorted(last, key=lambda each: -abs(last[each]))[:MOST_TERMS]:
        rows = [row for row in updates if name in row["terms"]]
        values = [row["terms"][name] / row["frames"] for row in rows]
        axes.plot([row["hours"] for row in rows], values, label=name, linewidth=1)
        drawn += values
    _stretch(axes, drawn)
    if last:
        axes.legend(fontsize="small")


def _draw_speed(axes: Any, updates: Sequence[Mapping[str, Any]], *, clips: bool) -> None:
    axes.set_title("frames a second" if clips else "videos a second, latents kept")
    hours = [row["hours"] for row in updates]
    speed = [row["videos_per_second"] * (row["frames"] if clips else 1) for row in updates]
    axes.plot(hours, speed, linewidth=1)
    axes.set_ylim(0, 1.15 * max(speed, default=1.0))


def _draw_clips(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("frames of a clip")
    frames = [row["frames"] for row in updates]
    axes.step([row["hours"] for row in updates], frames, where="post")
    axes.set_ylim(0, 1.15 * max(frames, default=1))


def _stretch(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis where values span more than a decade, all above zero."""
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")


def _series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    known = [row for row in rows if row.get(name) is not None]
    return [row["hours"] for row in known], [row[name] for row in known]
