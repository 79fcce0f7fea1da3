"""Start a run in as many processes as asked for."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from smot.errors import DataError, SmotError, UsageError
from smot.experiments.plans import Plan
from smot.experiments.runs import Outcome, RunOptions, carry_out
from smot.files import available_cores
from smot.training.processes import joined_group

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from multiprocessing.queues import SimpleQueue


def launch(plan: Plan, options: RunOptions, n_processes: int) -> Outcome:
    """Train in ``n_processes`` processes of this machine, or as ``torchrun`` has arranged.

    On a CPU the processes divide the cores among them, one thread for each core. The first is
    the calling process itself, which speaks and writes.

    Args:
        plan: what to do.
        options: where, and whether to go on.
        n_processes: at least 1; ignored under torchrun.

    Raises:
        UsageError, DataError, KeyboardInterrupt: as `smot.experiments.runs.carry_out`.
    """
    if n_processes < 1:
        raise UsageError(f"--processes must be at least 1, not {n_processes}")
    if "WORLD_SIZE" in os.environ or n_processes == 1:
        return _take_part(plan, options)
    if plan.train.batch_size % n_processes:
        raise UsageError(
            f"train.batch_size must be a multiple of the {n_processes} processes, "
            f"not {plan.train.batch_size}"
        )
    return _lead(plan, options, n_processes)


def _lead(plan: Plan, options: RunOptions, n_processes: int) -> Outcome:
    """Start the other processes, be the first one, and see that all of them end."""
    shared = _rendezvous(n_processes)
    context = multiprocessing.get_context("spawn")
    faults = context.SimpleQueue()
    others = [
        context.Process(target=_other, args=(plan, options, shared, rank, faults), daemon=True)
        for rank in range(1, n_processes)
    ]
    for process in others:
        process.start()
    try:
        with _environment({**shared, "RANK": "0", "LOCAL_RANK": "0"}):
            _divide_cores(n_processes)
            return _take_part(plan, options)
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        raise _reason_of_loss(others, faults) from error
    finally:
        for process in others:
            process.join(timeout=10)
            process.terminate()


def usual_processes(plan: Plan) -> int:
    """How many processes to train in if nobody says: on a CPU two, where there are two cores.

    Source: ours. Most operations of these models are too small to share among threads, while
    processes with a part of the batch each meet once an update. What several processes reach side
    by side is the last column of benchmarks/silot_step.py.
    """
    on_cpu = plan.train.device == "cpu"
    return 2 if on_cpu and available_cores() >= 2 and plan.train.batch_size % 2 == 0 else 1


def _take_part(plan: Plan, options: RunOptions) -> Outcome:
    with joined_group(plan.train.device) as group:
        try:
            return carry_out(plan, options, group)
        except torch.OutOfMemoryError:
            raise DataError(
                f"{plan.train.device} is out of memory with train.batch_size "
                f"{plan.train.batch_size}: set a smaller one, or a smaller model"
            ) from None


def _other(
    plan: Plan,
    options: RunOptions,
    shared: dict[str, str],
    rank: int,
    faults: "SimpleQueue[SmotError]",
) -> None:
    """One of the further processes: it leaves speaking to the first one.

    Ctrl-C in a terminal reaches all processes. Before and after training it is the first one's
    business; while training, whoever hears it passes the wish on (see `smot.training.gradients`).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    _divide_cores(int(shared["WORLD_SIZE"]))
    try:
        _take_part(plan, options)
    except KeyboardInterrupt:
        return  # the run was stopped on request, and the first process says so
    except SmotError as error:
        faults.put(error)
        sys.exit(1)
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        sys.exit(1)


def _reason_of_loss(others: "list[SpawnProcess]", faults: "SimpleQueue[SmotError]") -> SmotError:
    """What cut the connection to another process."""
    for process in others:
        process.join(timeout=10)
    if not faults.empty():
        return faults.get()
    codes = [process.exitcode for process in others]
    return DataError(f"a process of the run ended (exit codes {codes}); --resume goes on")


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in ("connection", "gloo", "nccl", "timed out"))


def _divide_cores(n_processes: int) -> None:
    torch.set_num_threads(max(1, available_cores() // n_processes))


def _rendezvous(n_processes: int) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n_processes),
    }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
