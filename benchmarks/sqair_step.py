"""One training step of SQAIR beside the straightforward port and the machine's matmul, in one run.

python benchmarks/sqair_step.py [--threads 1] [--slots 6 12] [--frames 2 4 8] [--n-runs 5]
                                [--cpu-time]

Both compute the same log weights and gradients from the same weights and noise. "new" is an
untrained model, whose slots are all on in every frame: the most work there is. "trained" is given
1..N objects per video, uniformly, as a trained model finds them; the port always does all the
work, so its time is the same. GFLOP are counted while the step runs, and the floor is what they
would take at the rate of a float32 product of 2048 x 2048.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from sqair_port import Port
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from smot.generators import MnistSettings, load_digits, render
from smot.models.sqair import Sqair, SqairConfig, build
from smot.models.sqair.objective import loss
from smot.models.sqair.objects import Noise

BATCH, PARTICLES = 16, 2


class Watch:
    """Times work.

    Args:
        n_runs: of which the fastest counts.
        cpu_time: take the CPU time of the process, for busy machines; with one thread only.
    """

    def __init__(self, n_runs: int, *, cpu_time: bool) -> None:
        self.n_runs = n_runs
        self.clock = time.process_time if cpu_time else time.perf_counter

    def best(self, work: Callable[[], object]) -> float:
        """Seconds of the fastest of several runs, after one that warms up."""
        work()
        seconds = []
        for _ in range(self.n_runs):
            start = self.clock()
            work()
            seconds.append(self.clock() - start)
        return min(seconds)

    def matmul_rate(self) -> float:
        """GFLOP/s of a large float32 product."""
        matrix = torch.randn(2048, 2048)
        return 2 * 2048**3 / self.best(lambda: matrix @ matrix) / 1e9


def step(model: Sqair, log_weight: Tensor, score: Tensor) -> None:
    """The loss and its gradient, as in `Sqair.objective`."""
    weights, scores = log_weight.view(BATCH, -1), score.view(BATCH, -1)
    loss(weights, scores, estimator="code", clip=0.0, weight=1.0).mean().backward()
    model.zero_grad()


def measure(n_slots: int, n_frames: int, frames: Tensor, watch: Watch, rate: float) -> str:
    """One line of the table."""
    config = SqairConfig(channels=1, output_std=0.173, n_slots=n_slots)
    model = build(config, 0)
    port, pixels = Port(model), model.pixels(frames[:, :n_frames])
    n_rows = BATCH * PARTICLES
    noise = Noise.draw(n_frames, n_slots, n_rows, config.n_what, torch.Generator().manual_seed(0))
    counts = torch.arange(n_rows) // PARTICLES % n_slots + 1.0

    def new() -> None:
        evidence = model.generative.evidence(pixels, model.infer(pixels, noise))
        step(model, evidence.log_weights, evidence.score)

    def trained() -> None:
        evidence = model.generative.evidence(pixels, model.infer(pixels, noise, counts=counts))
        step(model, evidence.log_weights, evidence.score)

    def straightforward() -> None:
        outcome = port(pixels, noise)
        step(model, outcome.log_weight, outcome.score)

    with FlopCounterMode(display=False) as counter:
        new()
    work = counter.get_total_flops() / 1e9
    times = [watch.best(each) for each in (new, trained, straightforward)]
    return (
        f"{n_slots:3d} {n_frames:3d} {times[0] * 1e3:8.0f} {times[1] * 1e3:8.0f} "
        f"{times[2] * 1e3:8.0f} {times[2] / times[0]:7.1f} {times[2] / times[1]:7.1f} "
        f"{work:7.1f} {work / rate * 1e3:8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--frames", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--n-runs", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = MnistSettings(max_objects=6, n_frames=max(arguments.frames))
    videos = render(
        settings, load_digits("mnist-5k", None), seed=0, split="train", indices=np.arange(BATCH)
    )
    frames = torch.from_numpy(videos.frames)
    watch = Watch(arguments.n_runs, cpu_time=arguments.cpu_time)
    rate = watch.matmul_rate()
    print(
        f"{arguments.threads} threads, batch {BATCH}, K = {PARTICLES}, matmul {rate:.0f} GFLOP/s"
    )
    print("  N   T   new ms  trained  port ms   port/new /trained  GFLOP  floor ms")
    for n_slots in arguments.slots:
        for n_frames in arguments.frames:
            print(measure(n_slots, n_frames, frames, watch, rate), flush=True)


if __name__ == "__main__":
    main()
