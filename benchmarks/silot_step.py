"""Training steps and inference of SILOT, beside the same model run eagerly with grid_sample.

python benchmarks/silot_step.py [--frames 2 4 8] [--filters 128] [--n-runs 5] [--processes 2]

"eager" is the same model with the same weights and noise, but every compiled kernel replaced by
the plain PyTorch that it equals (glimpses and sprites through grid_sample) and every layer an
operation of its own. GFLOP are counted while a step runs; the rate of the machine is that of a
product of 2048 x 2048 in the same precision. Each process has one thread and keeps its freed
memory, as in training. Times of one process are those of its fastest run; the last column of the
first table is the throughput of several processes side by side, each with its own batch of 16:
they begin together once all of them are warm, and the median of each one's runs counts.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from threading import Barrier
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from smot.arrays import UInt8Array
from smot.generators import MnistSettings, load_digits, render
from smot.models import chains, gru
from smot.models.chains import Chain
from smot.models.silot import (
    Silot,
    SilotConfig,
    SilotTracker,
    attention,
    build,
    discovery,
    divergences,
    latents,
    propagation,
    rendering,
)
from smot.models.sprites.glimpses import glimpse_reference
from smot.models.sprites.painting import paint_reference
from smot.training.prefetch import keep_freed_memory

BATCH = 16
TRAINED = 100_000
"""A step at which all schedules have arrived."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--filters", type=int, default=128)
    parser.add_argument("--n-runs", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--n-videos", type=int, default=100)
    arguments = parser.parse_args()
    # Inherited by the other processes: waiting threads must not spin on a core that works.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    prepare()
    print(f"batch {BATCH}, {arguments.filters} filters, load {os.getloadavg()[0]:.1f}")
    print("precision  T  step ms  eager ms  ratio  GFLOP  GFLOP/s  matmul  videos/s: 1", end="")
    print(f"  {arguments.processes} processes")
    for bf16 in (False, True):
        for n_frames in arguments.frames:
            print(training_line(arguments, n_frames, bf16=bf16), flush=True)
    print(inference_line(arguments))


def prepare() -> None:
    """What every process does first: memory as in training (also for "eager"), one thread."""
    keep_freed_memory()
    torch.set_num_threads(1)


def training_line(arguments: argparse.Namespace, n_frames: int, *, bf16: bool) -> str:
    """One line of the table of training steps."""
    step = training_step(arguments.filters, n_frames, bf16=bf16)
    seconds = best(step, arguments.n_runs)
    with FlopCounterMode(display=False) as counter:
        step()
    work = counter.get_total_flops() / 1e9
    with eager():
        slow = best(training_step(arguments.filters, n_frames, bf16=bf16), arguments.n_runs)
    rate = matmul_rate(torch.bfloat16 if bf16 else torch.float32)
    settings = (arguments.filters, n_frames, bf16, arguments.n_runs)
    together = side_by_side(measure_training, settings, arguments.processes)
    return (
        f"{'bf16' if bf16 else 'float32':9s} {n_frames:2d} {seconds * 1e3:8.0f} "
        f"{slow * 1e3:9.0f} {slow / seconds:6.2f} {work:6.1f} {work / seconds:8.0f} "
        f"{rate:7.0f} {BATCH / seconds:12.0f} {sum(together):11.0f}"
    )


def inference_line(arguments: argparse.Namespace) -> str:
    """How long tracking and predicting the full sweep of 12 x 1,000 videos takes."""
    settings = (arguments.filters, arguments.n_videos, arguments.n_runs)
    rate = sum(side_by_side(measure_inference, settings, arguments.processes))
    return (
        f"tracking 8 frames and predicting 5 more from 3: {rate:.0f} videos/s in "
        f"{arguments.processes} processes; the sweep of 12,000 in {12_000 / rate:.0f} s"
    )


def training_step(n_filters: int, n_frames: int, *, bf16: bool) -> Callable[[], object]:
    """A whole update: objective, gradients, clipping, Adam."""
    model = fresh(n_filters)
    frames = torch.from_numpy(videos(BATCH)[:, :n_frames])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            total = model.objective(frames, step=TRAINED, generator=generator).total
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()

    return step


def measure_training(
    n_filters: int, n_frames: int, bf16: bool, n_runs: int, together: Barrier
) -> float:
    """Videos per second of updates, beside other processes."""
    step = training_step(n_filters, n_frames, bf16=bf16)
    return BATCH / median(timed(step, n_runs, ready=together.wait))


def measure_inference(n_filters: int, n_videos: int, n_runs: int, together: Barrier) -> float:
    """Videos per second of tracking 8 frames, and predicting 5 from 3, beside other processes."""
    tracker, frames = SilotTracker(model=fresh(n_filters).eval()), videos(n_videos)

    def both() -> None:
        tracker.track(frames)
        tracker.predict(frames[:, :3], 5)

    return n_videos / median(timed(both, n_runs, ready=together.wait))


def fresh(n_filters: int) -> Silot:
    """An untrained model whose boxes have the size of digits, so that painting costs as usual."""
    model = build(SilotConfig(n_channels=1, n_backbone_filters=n_filters), 0)
    model.discovery.where.output_bias.data[2:4] = -1.4
    return model


def videos(n: int) -> UInt8Array:
    """Videos of 1 to 6 digits, [n, 8, 48, 48, 3]."""
    source = load_digits("mnist-5k", None)
    settings = MnistSettings(max_objects=6)
    return render(settings, source, seed=0, split="train", indices=np.arange(n)).frames


def best(work: Callable[[], object], n_runs: int) -> float:
    """Seconds of the fastest of several runs, after one that warms up."""
    return min(timed(work, n_runs))


def timed(
    work: Callable[[], object], n_runs: int, *, ready: Callable[[], object] = lambda: None
) -> list[float]:
    """Seconds of each of several runs, after one that warms up; in between, ``ready`` may wait."""
    work()
    ready()
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def matmul_rate(dtype: torch.dtype) -> float:
    """GFLOP/s of a large product."""
    matrix = torch.randn(2048, 2048).to(dtype)
    return 2 * 2048**3 / best(lambda: matrix @ matrix, 5) / 1e9


def side_by_side(
    measure: Callable[..., float], settings: tuple[object, ...], n_processes: int
) -> list[float]:
    """The same measurement in several processes at once."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(n_processes, initializer=prepare) as pool:
        together = manager.Barrier(n_processes)
        return pool.starmap(measure, [(*settings, together)] * n_processes, chunksize=1)


@contextmanager
def eager() -> Iterator[None]:
    """Every kernel replaced by plain PyTorch, every layer an operation of its own."""

    def plain(chain: Chain, *inputs: Tensor) -> Tensor:
        values = torch.relu(sum(inputs[1:], inputs[0])) if chain.adds else torch.cat(inputs, -1)
        for layer in chain.layers[:-1]:
            values = torch.relu(layer(values))
        outputs: Tensor = chain.layers[-1](values)
        return outputs.float()

    with ExitStack() as stack:
        for module in (chains, gru, latents, divergences, attention):
            stack.enter_context(patch.object(module, "runs_fused", lambda _: False))
        for module in (propagation, discovery):
            stack.enter_context(patch.object(module, "glimpse", glimpse_reference))
        stack.enter_context(patch.object(rendering, "paint", paint_reference))
        stack.enter_context(patch.object(Chain, "__call__", plain))
        yield


if __name__ == "__main__":
    main()
