"""Ctrl-C and kill -9 at random moments of `smot generate`, `train` and `eval`.

python tests/campaigns/signals.py [--command generate] [--signal INT] [--seed 0] [--n 50]
                                  [--seconds 600]

Each command runs in one process and in two. Each time it is started in a new folder that already
holds an older file (`generate`), older results (`eval`) or nothing (`train`). After a delay drawn
over the length of an undisturbed run, the signal goes to the command and all its processes, as a
terminal sends it, or in one case of three to the command's first process alone; in one case of
three it goes twice, within half a second. The outcomes:

    right     ended as it should: after SIGINT with code 130 and one line, without a traceback and
              without a file that an undisturbed run would not leave; after either signal what was
              written before is whole, and the same command then finishes
    finished  the run was over before the signal
    lost      the signal came in time and the command ended with code 0
    traceback more than its lines on stderr
    leftover  a file that should not be there (SIGINT only)
    damaged   what was written before cannot be read
    stuck     the run cannot be resumed, or made again
    hang      not over after `--patience` seconds

Prints a Markdown table, and one line for each that was not right or finished.
"""

import argparse
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smot.errors import SmotError
from smot.evaluation.results import read_results
from smot.interchange.columns import read_npz
from smot.models.checkpoints import load_checkpoint
from smot.videos import open_videos
from smot.videos.verification import verify

ROOT = Path(__file__).parents[2]
OUTCOMES = (
    "right",
    "finished",
    "lost",
    "traceback",
    "leftover",
    "damaged",
    "stuck",
    "hang",
)
RESUMED_EVERY = 5


class Command(ABC):
    """A command to interrupt.

    Args:
        n_processes: that share its work.
    """

    def __init__(self, n_processes: int) -> None:
        self.n_processes = n_processes

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Put into a folder what was written before."""

    @abstractmethod
    def words(self, folder: Path, *, again: bool = False) -> list[str]:
        """The command; with `again` the one that goes on after it was cut."""

    @abstractmethod
    def check(self, folder: Path) -> None:
        """Read what is there; raises if it is not whole."""


class Generate(Command):
    """`smot generate` over an older file."""

    def prepare(self, folder: Path) -> None:
        """Write the older file."""
        subprocess.run([*self.words(folder), "--seed", "7"], check=True, capture_output=True)

    def words(self, folder: Path, *, again: bool = False) -> list[str]:
        """A thousand small videos."""
        sizes = "--n-train 1000 --n-val 2 --n-test 2 --counts 1-2 --max-shapes 2 --frame-size 24"
        out = ["--out", str(folder / "a.h5"), "--force", "--quiet"]
        out += ["--workers", str(self.n_processes)]
        return [sys.executable, "-m", "smot", "generate", "shapes", *out, *sizes.split()]

    def check(self, folder: Path) -> None:
        """The file is there, and sound: the older one or the new one."""
        with open_videos(folder / "a.h5") as file:
            verify(file, lambda _: None)


class Train(Command):
    """`smot train` of a toy that saves its state after every update."""

    def prepare(self, folder: Path) -> None:
        """Nothing."""

    def words(self, folder: Path, *, again: bool = False) -> list[str]:
        """A few dozen updates."""
        words = [sys.executable, "-m", "tests.training.with_toy", "train", "toy", "--quiet"]
        words += ["--dataset", "toy", "--preset", "small", "--out", str(folder / "run")]
        words += ["--processes", str(self.n_processes)]
        if again and (folder / "run" / "last.pt").exists():
            return [*words, "--resume"]
        words += ["--set", "train.max_steps=20", "--set", "train.checkpoint_minutes=1e-6"]
        return [*words, "--force"] if again else words

    def check(self, folder: Path) -> None:
        """Every state that is there can be read."""
        for name in ("last.pt", "best.pt"):
            if (folder / "run" / name).exists():
                load_checkpoint(folder / "run" / name)


class Evaluate(Command):
    """`smot eval` over older results."""

    def prepare(self, folder: Path) -> None:
        """Write a file of videos, and results on it."""
        sizes = "--n-train 2 --n-val 40 --n-test 80 --counts 1-2 --max-shapes 2 --frame-size 24"
        words = [sys.executable, "-m", "smot", "generate", "shapes", "--quiet", *sizes.split()]
        subprocess.run([*words, "--out", str(folder / "a.h5")], check=True, capture_output=True)
        subprocess.run(self.words(folder), check=True, capture_output=True)

    def words(self, folder: Path, *, again: bool = False) -> list[str]:
        """Two hundred videos, with everything that can be written."""
        words = [sys.executable, "-m", "smot", "eval", "conncomp", "--quiet", "--save-tracks"]
        words += ["--events", "--data", str(folder / "a.h5"), "--out", str(folder / "results")]
        return [*words, "--workers", str(self.n_processes)]

    def check(self, folder: Path) -> None:
        """The results are whole: the older ones or the new ones."""
        read_results(folder / "results" / "results.json")
        read_npz(folder / "results" / "tracks.npz")


COMMANDS: dict[str, Command] = {
    "generate": Generate(1),
    "generate-2": Generate(2),
    "train": Train(1),
    "train-2": Train(2),
    "eval": Evaluate(1),
    "eval-2": Evaluate(2),
}


def start(words: list[str]) -> subprocess.Popen[str]:
    """A command in a group of processes of its own."""
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder: Path) -> set[str]:
    """Names of all files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A signal.

    Args:
        number: of the signal.
        delay: from the start of the command, seconds.
        send: sends it to a process or to its group.
        gap: seconds to a second one; None for no second one.
    """

    number: int
    delay: float
    send: Callable[[int, int], None]
    gap: float | None

    def __str__(self) -> str:
        to = "all" if self.send is os.killpg else "first process"
        again = "" if self.gap is None else f" and {self.gap:.2f} s later"
        return f"after {self.delay:.2f} s{again}, to {to}"


def drawn(random: np.random.Generator, number: int, length: float) -> Shot:
    """A signal at a moment of a run that takes `length` seconds."""
    return Shot(
        number=number,
        delay=random.random() * length,
        send=os.kill if random.random() < 1 / 3 else os.killpg,
        gap=random.random() / 2 if random.random() < 1 / 3 else None,
    )


def judge(
    command: Command, folder: Path, shot: Shot, expected: set[str], patience: float
) -> tuple[str, str]:
    """Start a command, send it a signal after a delay, and say what came of it."""
    process = start(command.words(folder))
    try:
        process.wait(shot.delay)
        process.communicate()
        return "finished", ""
    except subprocess.TimeoutExpired:
        pass
    assert process.stdout is not None
    # The outcome is printed when all is done: Python itself is ending.
    over = bool(select.select([process.stdout], [], [], 0)[0])
    began = time.monotonic()
    shot.send(process.pid, shot.number)
    if shot.gap is not None:
        time.sleep(shot.gap)  # the process stays a zombie until it is waited for
        shot.send(process.pid, shot.number)
    try:
        _, said = process.communicate(timeout=patience)  # until every process has ended
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "hang", str(shot)
    took = time.monotonic() - began
    about = f"{shot}, ended {took:.1f} s later with {process.returncode}: {said[-300:]!r}"
    if shot.number == signal.SIGINT:
        if process.returncode == 0 and over:
            return "finished", ""
        if process.returncode == 0:
            return "lost", about
        lines = [line for line in said.splitlines() if line.strip()]
        if process.returncode != 130 or len(lines) > 2 or "Traceback" in said or not lines:
            return "traceback", about
        if extra := files(folder) - expected:
            return "leftover", f"{sorted(extra)} {about}"
    try:
        command.check(folder)
    except (SmotError, OSError) as error:
        return "damaged", f"{error} {about}"
    return "right", about


def goes_on(command: Command, folder: Path, patience: float) -> str:
    """Why a command that was cut cannot go on; empty if it can."""
    process = start(command.words(folder, again=True))
    try:
        _, said = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "not over in time"
    try:
        command.check(folder)
    except (SmotError, OSError) as error:
        return str(error)
    return "" if process.returncode == 0 else f"ended with {process.returncode}: {said[-300:]!r}"


def run(name: str, number: signal.Signals, arguments: argparse.Namespace) -> Counter[str]:
    """Interrupt one command many times."""
    command, counts = COMMANDS[name], Counter[str]()
    random = np.random.default_rng([arguments.seed, number])
    with tempfile.TemporaryDirectory() as home:
        prepared, folder = Path(home, "prepared"), Path(home, "run")
        prepared.mkdir()
        command.prepare(prepared)
        shutil.copytree(prepared, folder)
        began = time.monotonic()
        start(command.words(folder)).communicate()
        length, expected = time.monotonic() - began, files(folder)
        end = time.monotonic() + arguments.seconds
        for i in range(arguments.n):
            if time.monotonic() > end:
                break
            shutil.rmtree(folder)
            shutil.copytree(prepared, folder)
            shot = drawn(random, number, length)
            found, about = judge(command, folder, shot, expected, arguments.patience)
            if found == "right" and i % RESUMED_EVERY == 0:
                reason = goes_on(command, folder, arguments.patience)
                found, about = ("stuck", f"{reason} {about}") if reason else (found, about)
            counts[found] += 1
            if found not in ("right", "finished"):
                print(f"{name} {number.name} {i}: {found}: {about}", flush=True)
    said = f"{name} {number.name}, {length:.1f} s long: {dict(counts)}"
    print(said, file=sys.stderr, flush=True)
    return counts


def main() -> None:
    """Print the table; exit 1 if anything was neither right nor finished."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--command", choices=COMMANDS, action="append", help="[all]")
    parser.add_argument("--signal", choices=("INT", "KILL"), action="append", help="[both]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=50, help="of each command and signal [50]")
    parser.add_argument("--seconds", type=float, default=600.0, help="at most, for each [600]")
    parser.add_argument("--patience", type=float, default=120.0, help="before a hang [120 s]")
    arguments = parser.parse_args()
    # In the background of a script SIGINT is ignored, and would be in the commands too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    table = {
        (name, each): run(name, signal.Signals[f"SIG{each}"], arguments)
        for name in arguments.command or COMMANDS
        for each in arguments.signal or ("INT", "KILL")
    }
    print(f"\n| command | signal | runs | {' | '.join(OUTCOMES)} |")
    print("|---" * (len(OUTCOMES) + 3) + "|")
    for (name, each), counts in table.items():
        cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
        print(f"| {name} | SIG{each} | {counts.total()} | {cells} |")
    sys.exit(any(counts[each] for counts in table.values() for each in OUTCOMES[2:]))


if __name__ == "__main__":
    main()
