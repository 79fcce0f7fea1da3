"""How much SILOT's training and inference lose on a busy machine.

python benchmarks/busy.py [--against DIR] [--busy 4] [--seconds 20]

Updates of 16 clips of 8 frames run in one process per core, with the package's default number of
threads, first alone and then beside as many busy processes per core as --busy says. A process
that gets 1 / (1 + busy) of a core cannot be faster than that, so the loss beyond this share is
what counts: threads that wait for each other at barriers lose far more. With --against, the
checkout in DIR (an older release, say) does the same.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

TRAINING = """
import sys, time
import numpy as np, torch
from smot.models.silot import SilotConfig, SilotTracker, build
try:
    from smot.files import limit_threads
    limit_threads(1)  # the default of `smot train` and of evaluation's processes
except ImportError:
    pass
model = build(SilotConfig(n_channels=1, n_backbone_filters=64), 0)
frames = np.random.default_rng(0).integers(0, 256, (16, 8, 48, 48, 3), np.uint8)
optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
generator = torch.Generator().manual_seed(0)
def update():
    optimiser.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        total = model.objective(torch.from_numpy(frames), step=10**5, generator=generator).total
    total.backward()
    optimiser.step()
def inference():
    SilotTracker(model=model.eval()).track(frames)
    model.train()
for work in (update, inference):
    work()
    print("ready", flush=True)
    sys.stdin.readline()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < float(sys.argv[1]):
        work()
        n += 1
    print(16 * n / (time.perf_counter() - start), flush=True)
"""
BUSY = "while True: pass"


def main() -> None:
    """Print videos per second alone and beside other work, and the loss beyond the fair share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="checkout of this repository")
    parser.add_argument("--busy", type=int, default=4, help="busy processes per core")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    arguments = parser.parse_args()
    n_cores = len(os.sched_getaffinity(0))
    here = Path(__file__).resolve().parents[1]
    for root in [here, *([arguments.against] if arguments.against else [])]:
        alone = rates(root, n_cores, arguments.seconds)
        n_busy = n_cores * arguments.busy
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n_busy)]
        try:
            beside = rates(root, n_cores, arguments.seconds)
        finally:
            for other in others:
                other.kill()
                other.wait()
        for name, fast, slow in zip(("updates", "inference"), alone, beside, strict=True):
            loss = fast / slow / (1 + arguments.busy)
            print(
                f"{root}: {name} {fast:.1f} videos/s alone, {slow:.1f} beside {arguments.busy} "
                f"busy processes per core: {loss:.2f} times the loss of a fair share",
                flush=True,
            )


def rates(root: Path, n_processes: int, seconds: float) -> list[float]:
    """Videos per second of updates and of inference, over all processes together."""
    # No OMP_NUM_THREADS: what the package does by itself is what is measured.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": str(root)},
        )
        for _ in range(n_processes)
    ]
    totals = []
    for _ in range(2):
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            print(file=worker.stdin, flush=True)
        lines = [worker.stdout.readline() for worker in workers if worker.stdout]
        totals.append(sum(map(float, lines)))
    for worker in workers:
        worker.communicate()
    return totals


if __name__ == "__main__":
    main()
