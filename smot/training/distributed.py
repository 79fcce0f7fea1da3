"""One training run in several processes: who takes part, what they exchange, how they start."""

import math
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from smot.errors import DataError, UsageError, first_line
from smot.interruption import (
    Interruption,
    catch_signals,
    die_with_parent,
    terminal_signals_blocked,
)

if TYPE_CHECKING:
    from torch import Tensor

Result = TypeVar("Result")

COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""Process 0 may validate or save for long while the others wait."""
POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
"""For processes to end after one of them has failed, and their connection to it is lost."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The processes of a run; alone, every method does nothing.

    Attributes:
        rank: which process this is, from 0; process 0 writes.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def average_(self, flat: "Tensor") -> None:
        """Replace a tensor by its average over the processes, in place."""
        if self.size > 1:
            from torch import distributed as dist

            dist.all_reduce(flat)
            flat /= self.size

    def gathered(self, value: Any) -> list[Any]:
        """The plain values of all processes, by rank."""
        if self.size == 1:
            return [value]
        from torch import distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_first(self, value: Any) -> Any:
        """The plain value of process 0."""
        return self.gathered(value if self.leads else None)[0]


@contextmanager
def joined_group(device: str) -> Iterator[Group]:
    """Join the processes that `torchrun` or `run_in_processes` started, if any.

    Args:
        device: decides the transport: nccl for "cuda...", gloo otherwise.

    Raises:
        UsageError: the environment names a group that cannot be joined.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    from torch import distributed as dist

    backend = "nccl" if device.startswith("cuda") else "gloo"
    try:
        dist.init_process_group(backend, timeout=COLLECTIVE_TIMEOUT)
    except (ValueError, RuntimeError) as error:
        said = first_line(error)
        raise UsageError(f"cannot join the {size} processes of the run: {said}") from None
    try:
        yield Group(rank=dist.get_rank(), size=size)
    finally:
        dist.destroy_process_group()


def run_in_processes(work: Callable[[], Result], n_processes: int) -> Result:
    """Do the same work in new processes of this machine, which `joined_group` brings together.

    The calling process only watches over them, so that it answers signals at any time. It passes
    on the first signal as SIGTERM, and kills all processes at the second.

    Args:
        work: what each process does; travels by pickle.
        n_processes: how many.

    Returns:
        The result of process 0.

    Raises:
        KeyboardInterrupt: a signal came; the processes have ended.
        Exception: whatever the work raised in one of them.
        DataError: a process died without a word.
    """
    context = multiprocessing.get_context("spawn")
    rendezvous = _rendezvous(n_processes)
    workers: list[_Worker[Result]] = []
    with catch_signals(deferred=True) as interruption:
        try:
            with terminal_signals_blocked():
                for rank in range(n_processes):
                    receiver, sender = context.Pipe(duplex=False)
                    environment = {**rendezvous, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                    process = context.Process(target=_work, args=(work, environment, sender))
                    process.start()
                    sender.close()
                    workers.append(_Worker(process=process, receiver=receiver))
            return _watch(workers, interruption)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()


@dataclass(frozen=True, kw_only=True)
class _Reply(Generic[Result]):
    """What the work returned or raised."""

    result: Result
    error: Exception | None = None


@dataclass(kw_only=True)
class _Worker(Generic[Result]):
    """A process as its parent sees it."""

    process: SpawnProcess
    receiver: "Connection[Any, _Reply[Result]]"
    reply: "_Reply[Result] | None" = None

    def receive(self) -> bool:
        """Take what the process sent; false if it has ended."""
        try:
            self.reply = self.receiver.recv()
        except (EOFError, OSError):
            self.process.join()
            return False
        return True


def _watch(workers: list[_Worker[Result]], interruption: Interruption) -> Result:
    """Wait for all processes to end, and give the first one's result or anyone's error."""
    running = {worker.receiver: worker for worker in workers}
    passed_on = False
    deadline = math.inf
    while running and time.monotonic() < deadline:
        if interruption.requested and not passed_on:
            for worker in running.values():
                worker.process.terminate()
            passed_on = True
        for receiver in wait(list(running), timeout=POLL_SECONDS):
            assert isinstance(receiver, Connection)
            if not running[receiver].receive():
                del running[receiver]
        # The others notice the lost connection to a process that failed, unless they hang.
        if deadline == math.inf and any(worker.process.exitcode for worker in workers):
            deadline = time.monotonic() + GRACE_SECONDS
    errors = [worker.reply.error for worker in workers if worker.reply and worker.reply.error]
    for error in errors:
        if not _is_lost_connection(error):
            raise error
    if errors and all(worker.reply for worker in workers):
        raise errors[0]  # they never met
    first = workers[0].reply
    if first is not None and not errors:
        return first.result
    interruption.check()
    codes = [worker.process.exitcode for worker in workers]
    raise DataError(f"a process of the run ended (exit codes {codes}); --resume goes on")


def _work(
    work: Callable[[], Result],
    environment: dict[str, str],
    sender: "Connection[_Reply[Result | None], Any]",
) -> None:
    """Do the work in a new process, and send what it returns or raises."""
    # Ctrl-C in a terminal reaches every process; only the parent's SIGTERM counts here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    os.environ.update(environment)
    try:
        sender.send(_Reply(result=work()))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        error.add_note(f"in process {environment['RANK']}:\n{traceback.format_exc()}")
        sender.send(_Reply(result=None, error=_portable(error)))
        sys.exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself if it survives pickling, which not every class does."""
    try:
        copied = pickle.loads(pickle.dumps(error))
    except Exception:
        copied = None
    return error if isinstance(copied, Exception) else RuntimeError(f"{error!r}")


def _is_lost_connection(error: Exception) -> bool:
    """Whether an error only says that another process has gone."""
    text = str(error).lower()
    signs = ("connection", "gloo", "nccl", "timed out")
    # A process that fails at once may be gone before the others have joined it.
    return isinstance(error, RuntimeError | UsageError) and any(sign in text for sign in signs)


def _rendezvous(n_processes: int) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(n_processes),
    }
