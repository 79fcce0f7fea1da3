"""A run's folder: checkpoints, settings, environment, and the log of what was measured."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from smot.errors import DataError, UsageError
from smot.models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint


class RunFolder:
    """The files of one training run.

    ``last.pt`` and ``best.pt`` are complete checkpoints; ``config.json`` and ``env.json`` say
    what ran where; ``metrics.jsonl`` has one line per logged measurement.

    Args:
        path: the folder; made on ``start``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.last = self.path / "last.pt"
        self.best = self.path / "best.pt"
        self.metrics = self.path / "metrics.jsonl"
        self.curves = self.path / "train.png"

    def check_new(self, *, force: bool) -> None:
        """Refuse a folder that already holds a run.

        Raises:
            UsageError: it does, and ``force`` is off.
        """
        if not force and (self.last.exists() or self.best.exists()):
            raise UsageError(f"{self.path} holds a run: --resume goes on, --force restarts")

    def start(self, config: Mapping[str, Any], *, resumed_at: int | None) -> None:
        """Make the folder and write settings and environment; no other run may be at work in it.

        Args:
            config: the resolved settings, plain values.
            resumed_at: step at which an earlier run goes on; None starts over, which removes
                what an earlier run left.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()
        if resumed_at is None:
            for old in (self.last, self.best, self.metrics, self.curves):
                old.unlink(missing_ok=True)
        else:
            self._forget_after(resumed_at)
        _write_json(self.path / "config.json", config)
        _write_json(self.path / "env.json", environment())

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Replace the newest state."""
        save_checkpoint(self.last, checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Replace the best state."""
        save_checkpoint(self.best, checkpoint)

    def latest(self, notice: Callable[[str], None]) -> tuple[Checkpoint, Path]:
        """The newest state that can be read.

        Args:
            notice: told when ``last.pt`` is damaged and ``best.pt`` takes its place.

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
        """The lines of the log; a last line cut short by a crash is left out."""
        if not self.metrics.exists():
            return []
        rows = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows

    def _remove_unfinished(self) -> None:
        """Remove the temporary files of a process that died while it saved a state."""
        for name in (self.last.name, self.best.name):
            for left in self.path.glob(f".{name}.*.tmp"):
                left.unlink()

    def _forget_after(self, step: int) -> None:
        """Drop the lines of updates that are about to be made again."""
        kept = [json.dumps(row) for row in self.records() if row.get("step", 0) <= step]
        temporary = self.metrics.with_suffix(".tmp")
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        temporary.replace(self.metrics)


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


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
