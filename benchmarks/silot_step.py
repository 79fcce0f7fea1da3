"""SILOT's training updates and inference, beside plain sprites or beside another checkout.

python benchmarks/silot_step.py [--against DIR] [--device cuda] [--frames 1 2 4 8] [--filters 64]

Without --against, the same model paints by the plain form (that of GPUs). With it, the second
model is that of the checkout in DIR, of another release for example. Both live in processes of
their own with one thread each, which take turns at single runs; what counts is CPU time, so that
other work on the machine matters little, and the ratio is that of the medians. With --device cuda
there is one model, on the GPU, and time is that of the clock.
"""

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

BATCH = 16
TRAINED = 100_000
"""A step at which all schedules have arrived."""


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--precision", nargs="+", default=["bf16", "float32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--against", type=Path, help="checkout of this repository")
    parser.add_argument("--n-runs", type=int, default=15)
    parser.add_argument("--n-videos", type=int, default=50)
    parser.add_argument("--worker", choices=["compiled", "plain"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments)
        return
    print(f"batch {BATCH}, {arguments.filters} filters, load {os.getloadavg()[0]:.1f}")
    sides = [Side(arguments, "compiled", None)]
    if arguments.device == "cpu":
        kind = "compiled" if arguments.against else "plain"
        sides.append(Side(arguments, kind, arguments.against))
    cases = [f"update {each} {n}" for each in arguments.precision for n in arguments.frames]
    for case in [*cases, f"inference - {arguments.n_videos}"]:
        print(compared(case, sides, arguments.n_runs), flush=True)
    for side in sides:
        side.close()


class Side:
    """A process that runs what it is asked to, once, and says how many seconds of CPU it took."""

    def __init__(self, arguments: argparse.Namespace, kind: str, checkout: Path | None) -> None:
        root = checkout or Path(__file__).resolve().parents[1]
        options = ["--worker", kind, "--filters", str(arguments.filters)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *options, "--device", arguments.device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        )

    def run(self, case: str) -> float:
        """Seconds of one run of a case."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(case, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compared(case: str, sides: list[Side], n_runs: int) -> str:
    """The sides in turn, after one run each that warms up."""
    for side in sides:
        side.run(case)
    seconds = [median(each) for each in zip(*turns(case, sides, n_runs), strict=True)]
    name, precision, size = case.split()
    text = f"{name:9} {precision:8} {size:>3}  {seconds[0] * 1e3:8.1f} ms"
    if len(seconds) == 1:
        return text
    return f"{text}  beside {seconds[1] * 1e3:8.1f} ms  ratio {seconds[0] / seconds[1]:.2f}"


def turns(case: str, sides: list[Side], n_runs: int) -> list[list[float]]:
    """Seconds of every run, [n_runs, sides]."""
    return [[side.run(case) for side in sides] for _ in range(n_runs)]


def serve(arguments: argparse.Namespace) -> None:
    """Run cases as they are named on standard input, one a line."""
    keep_freed_memory()
    torch.set_num_threads(1)
    if arguments.worker == "plain":
        use_plain_sprites()
    clock = time.process_time if arguments.device == "cpu" else time.perf_counter
    works: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        case = line.strip()
        if case not in works:
            works.clear()  # one case's memory at a time
            works[case] = work_of(case, arguments)
        start = clock()
        works[case]()
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        print(clock() - start, flush=True)


def keep_freed_memory() -> None:
    """As in training; older checkouts have it in another module."""
    for module in ("prefetch", "memory"):
        try:
            importlib.import_module(f"smot.training.{module}").keep_freed_memory()
        except (ImportError, AttributeError):
            continue
        return


def work_of(case: str, arguments: argparse.Namespace) -> Callable[[], object]:
    """What a case runs."""
    name, precision, size = case.split()
    if name == "inference":
        return inference(arguments, int(size))
    return update(arguments, int(size), bf16=precision == "bf16")


def update(arguments: argparse.Namespace, n_frames: int, *, bf16: bool) -> Callable[[], object]:
    """A whole update: objective, gradients, clipping, Adam."""
    from smot.models.silot import SilotConfig, build

    model = build(SilotConfig(n_channels=1, n_backbone_filters=arguments.filters), 0)
    # Boxes of about the size of digits, so that painting costs what it usually does.
    model.discovery.where.output_bias.data[2:4] = -1.4
    model.to(arguments.device)
    frames = torch.from_numpy(videos(BATCH)[:, :n_frames]).to(arguments.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator(device=arguments.device).manual_seed(0)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bf16):
            total = model.objective(frames, step=TRAINED, generator=generator).total
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()

    return step


def inference(arguments: argparse.Namespace, n_videos: int) -> Callable[[], object]:
    """Tracking 8 frames, and predicting 5 from 3."""
    from smot.models.silot import SilotConfig, SilotTracker, build

    model = build(SilotConfig(n_channels=1, n_backbone_filters=arguments.filters), 0)
    model.discovery.where.output_bias.data[2:4] = -1.4
    tracker, frames = SilotTracker(model=model.to(arguments.device).eval()), videos(n_videos)

    def both() -> None:
        tracker.track(frames)
        tracker.predict(frames[:, :3], 5)

    return both


def videos(n: int) -> np.ndarray:
    """Videos of 1 to 6 digits, uint8 [n, 8, 48, 48, 3]."""
    from smot.generators import MnistSettings, load_digits, render

    source = load_digits("mnist-5k", None)
    settings = MnistSettings(max_objects=6)
    frames: np.ndarray = render(
        settings, source, seed=0, split="train", indices=np.arange(n)
    ).frames
    return frames


def use_plain_sprites() -> None:
    """Paint by the form that runs on GPUs."""
    from smot.models.silot import rendering
    from smot.models.sprites.painting import paint_reference

    rendering.paint = paint_reference  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
