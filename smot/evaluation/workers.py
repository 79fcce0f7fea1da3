"""Do tasks in several processes, and give the results in the order of the tasks.

Every process builds its own worker (a tracker, say) once and lets each task use it. With one
process everything happens in the caller's, in the same order, with the same result.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Generic, Protocol, Self, TypeVar

from smot.errors import DataError
from smot.interruption import die_with_parent, terminal_signals_blocked

Worker_contra = TypeVar("Worker_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Worker = TypeVar("Worker")
Result = TypeVar("Result")

_AHEAD = 3  # tasks handed out per process; results that wait for an earlier one stay few


class Task(Protocol[Worker_contra, Result_co]):
    """A piece of work; it travels to another process by pickle, and so does its result."""

    def __call__(self, worker: Worker_contra, /) -> Result_co:
        """Do it."""
        ...


class Workers(Generic[Worker]):
    """Processes that stay for as long as the ``with`` block.

    Args:
        build: makes the worker of a process; travels by pickle if there are several processes.
        n_processes: 1 for no other process than this one.
    """

    def __init__(self, build: Callable[[], Worker], n_processes: int) -> None:
        self._build = build
        self._n_processes = n_processes
        self._own: Worker | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._others: set[multiprocessing.process.BaseProcess] = set()

    def __enter__(self) -> Self:
        if self._n_processes == 1:
            self._own = self._build()
            return self
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(
            self._n_processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._build,),
        )
        with _inherited():
            for _ in range(self._n_processes):  # a process is started where none is idle
                self._pool.submit(int)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(wait=True)

    def map(self, tasks: Sequence[Task[Worker, Result]]) -> Iterator[Result]:
        """Do the tasks; results come in their order.

        Raises:
            DataError: a process died.
        """
        if self._pool is None:
            assert self._own is not None
            for task in tasks:
                yield task(self._own)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                if len(waiting) >= _AHEAD * self._n_processes:
                    yield waiting.popleft().result()
                waiting.append(self._pool.submit(_run, task))
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                f"one of {self._n_processes} processes died (out of memory?); try fewer workers"
            ) from error


_worker: Any = None  # of this process, once `_start` has run in it


@contextmanager
def _inherited() -> Iterator[None]:
    """What new processes take over: no Ctrl-C, as the parent stops them, and one thread each."""
    threads = os.environ.get("OMP_NUM_THREADS")
    # Threads that wait for each other are slow on a machine that does other work too.
    os.environ["OMP_NUM_THREADS"] = threads or "1"
    try:
        with terminal_signals_blocked():
            yield
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]


def _start(build: Callable[[], Any]) -> None:
    """Make the worker of a new process, which dies with its parent."""
    die_with_parent()
    global _worker
    try:
        _worker = build()
    except Exception as error:  # told by every task; a pool would only say that it is broken
        _worker = error


def _run(task: Task[Any, Result]) -> Result:
    if isinstance(_worker, Exception):
        raise _worker
    return task(_worker)
