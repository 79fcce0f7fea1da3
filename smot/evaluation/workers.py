"""Do tasks in several processes, and give the results in the order of the tasks.

Every process makes its own `Scorer`, a tracker and a source of videos, once and lets each task use
it. With one process everything happens in the caller's, in the same order, with the same result.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

from smot.errors import DataError, described
from smot.evaluation.protocols import EvaluationSettings
from smot.evaluation.testsets import VideoSource
from smot.interruption import die_with_parent, terminal_signals_blocked
from smot.trackers import Recipe, build_tracker
from smot.tracks import Contestant, Tunable

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

# Tasks handed out per process. Results that wait for an earlier one stay few.
_AHEAD = 3


class Scorer:
    """What a process holds: its own tracker, and where the videos are.

    Args:
        tracker: what is evaluated, or how to make it.
        source: where its videos come from.
        settings: how it is scored.

    Raises:
        UsageError: see `smot.trackers.build_tracker`.
    """

    def __init__(
        self, tracker: Contestant | Recipe, source: VideoSource, settings: EvaluationSettings
    ) -> None:
        if isinstance(tracker, Recipe):
            tracker = build_tracker(tracker.target, tracker.options, tracker.data)
        self.tracker = tracker
        self.source = source
        self.settings = settings
        try:
            self.candidates = list(tracker.candidates()) if isinstance(tracker, Tunable) else []
        except (Exception, SystemExit) as error:  # a tracker's own code
            raise DataError(
                f"tracker {tracker.name!r} failed in candidates(): {described(error)}"
            ) from error

    def chosen(self, candidate: int | None) -> Contestant:
        """The tracker as it is, or one of its candidates."""
        return self.tracker if candidate is None else self.candidates[candidate]


class Task(Protocol[Result_co]):
    """A piece of work; it travels to another process by pickle, and so does its result."""

    def __call__(self, scorer: Scorer, /) -> Result_co:
        """Do it."""
        ...


class Workers:
    """Processes that stay for as long as the `with` block.

    Args:
        own: the scorer of this process, which does the tasks if there is no other.
        tracker: of which other processes make their scorer; travels by pickle.
        n_processes: 1 for no other process than this one.
    """

    def __init__(self, own: Scorer, tracker: Contestant | Recipe, n_processes: int) -> None:
        self.own = own
        self._tracker = tracker
        self._n_processes = n_processes
        self._pool: ProcessPoolExecutor | None = None
        self._first: list[Future[int]] = []
        self._others: set[multiprocessing.process.BaseProcess] = set()

    def __enter__(self) -> Self:
        if self._n_processes == 1:
            return self
        self._others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(
            self._n_processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._tracker, self.own.source, self.own.settings),
        )
        with _inherited():
            # A process is started where none is idle.
            self._first = [self._pool.submit(int) for _ in range(self._n_processes)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(wait=True)

    def map(self, tasks: Sequence[Task[Result]]) -> Iterator[Result]:
        """Do the tasks; results come in their order.

        Raises:
            DataError: a process died.
        """
        if self._pool is None:
            for task in tasks:
                yield task(self.own)
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
            began = any(each.done() and each.exception() is None for each in self._first)
            hint = (
                "(out of memory?); try fewer workers"
                if began
                else "while it started: in a script, call smot under `if __name__ == '__main__':`"
            )
            raise DataError(f"one of {self._n_processes} processes died {hint}") from error


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


def _start(
    tracker: Contestant | Recipe, source: VideoSource, settings: EvaluationSettings
) -> None:
    """Make the scorer of a new process, which dies with its parent."""
    die_with_parent()
    global _scorer
    try:
        _scorer = Scorer(tracker, source, settings)
    except Exception as error:  # raised by every task; the pool would only say that it is broken
        _scorer = error


def _run(task: Task[Result]) -> Result:
    if isinstance(_scorer, Exception):
        raise _scorer
    assert _scorer is not None
    return task(_scorer)
