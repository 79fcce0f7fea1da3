"""Do tasks in several processes, and give the results in the order of the tasks.

Every process makes its own `Scorer` once and lets each task use it. With one process everything
happens in the caller's, in the same order, with the same result.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from smot.errors import DataError, UsageError
from smot.evaluation.protocols import Job, Scorer
from smot.interruption import die_with_parent, terminal_signals_blocked

Task: TypeAlias = Callable[[Scorer], Any]
"""A piece of work; it travels to another process by pickle, and so does its result."""

DoTasks: TypeAlias = Callable[[Sequence[Task]], Iterator[Any]]
"""Does tasks and gives their results, in their order."""

Work: TypeAlias = Callable[[], Any]

# Tasks handed out per process. Results that wait for an earlier one stay few.
_AHEAD = 3


@contextmanager
def processes(own: Scorer) -> Iterator[DoTasks]:
    """Processes that stay for as long as the `with` block, as many as the job wants.

    Args:
        own: the scorer of this process, which does the tasks if there is no other; of its job,
            which travels by pickle, other processes make theirs.

    Yields:
        What does tasks in them; raises `DataError` where a process died.

    Raises:
        UsageError: no workers.
    """
    n_processes = own.job.workers
    if n_processes < 1:
        raise UsageError(f"workers={n_processes} must be at least 1")
    if n_processes == 1:
        yield lambda tasks: (task(own) for task in tasks)
        return
    with process_pool(n_processes, _start, own.job) as do_all:
        yield lambda tasks: do_all(partial(_run, task) for task in tasks)


@contextmanager
def process_pool(
    n_processes: int, start: Callable[..., None], *given: object
) -> Iterator[Callable[[Iterable[Work]], Iterator[Any]]]:
    """Processes that are gone after the `with` block, however it ends.

    Args:
        n_processes: at least 2.
        start: called in each of them first.
        given: its arguments.

    Yields:
        What does pieces of work in them, and gives what they give, in order; raises `DataError`
        where a process died.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start,
        initargs=given,
    )
    try:
        with _inherited():
            # A process is started where none is idle.
            first = [pool.submit(int) for _ in range(n_processes)]
        yield lambda work: _results(pool, work, first)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def each_in_processes(
    do: Callable[[Any], Any], given: Sequence[Any], n_processes: int
) -> Iterator[Any]:
    """What `do` gives for each, in order; in this process if it is the only one.

    Args:
        do: travels to other processes by pickle, as what it is given and what it gives.
        given: what to do it with.
        n_processes: at least 1.

    Raises:
        DataError: a process died.
    """
    if n_processes == 1:
        yield from map(do, given)
        return
    with process_pool(n_processes, die_with_parent) as do_all:
        yield from do_all(partial(do, each) for each in given)


def _results(
    pool: ProcessPoolExecutor, work: Iterable[Work], first: Sequence[Future[int]]
) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    try:
        for piece in work:
            if len(waiting) >= _AHEAD * len(first):
                yield waiting.popleft().result()
            waiting.append(pool.submit(piece))
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        began = any(each.done() and each.exception() is None for each in first)
        hint = (
            "(out of memory?); try fewer workers"
            if began
            else "while it started: in a script, call smot under `if __name__ == '__main__':`"
        )
        raise DataError(f"one of {len(first)} processes died {hint}") from error


# Of this process, once `_start` has run in it.
_scorer: Scorer | Exception | None = None


@contextmanager
def _inherited() -> Iterator[None]:
    """Block Ctrl-C in new processes (the parent stops them) and give them one thread each."""
    threads = os.environ.get("OMP_NUM_THREADS")
    # Threads that wait for each other are slow on a machine that does other work too.
    os.environ["OMP_NUM_THREADS"] = threads or "1"
    try:
        with terminal_signals_blocked():
            yield
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]


def _start(job: Job) -> None:
    """Make the scorer of a new process, which dies with its parent."""
    die_with_parent()
    global _scorer
    try:
        _scorer = Scorer(job)
    except Exception as error:  # raised by every task; the pool would only say that it is broken
        _scorer = error


def _run(task: Task) -> Any:
    if isinstance(_scorer, Exception):
        raise _scorer
    assert _scorer is not None
    return task(_scorer)
