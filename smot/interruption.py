"""Ctrl-C, SIGTERM and SIGHUP: raised at once, or kept as a flag for work that must not be cut.

An exception that a signal handler raises while Python is inside a weakref or ctypes callback is
printed and dropped, and the process runs on; inside the import of a compiled module it may abort
the process. So signals are counted, and where raising would do harm it is done a moment later.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN_AFTER = 0.01  # seconds; long enough to be out of the callback that dropped the exception


class Interruption:
    """The signals that have come.

    Args:
        deferred: whether the first one only sets the flag.
    """

    def __init__(self, *, deferred: bool) -> None:
        self._deferred = deferred
        self.n_signals = 0
        self.repeats = False  # a signal that has been counted is about to be raised again

    @property
    def requested(self) -> bool:
        """Whether there was a signal."""
        return self.n_signals > 0

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if there was a signal; to be called between units of work."""
        if self.requested:
            raise KeyboardInterrupt

    def handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Count a signal, and raise unless it is the first one and deferred."""
        if self.repeats:
            self.repeats = False  # counted when it came
        else:
            self.n_signals += 1
        if self.n_signals == 1:
            if self._deferred:
                return
            if _is_importing(frame):
                self._repeat()
                return
        raise KeyboardInterrupt

    def take_over(self, other: "Interruption") -> None:
        """Go on with the signals that another one has counted, or is about to raise again."""
        self.n_signals = other.n_signals
        self.repeats = other.repeats

    def see_dropped(self, dropped: Any) -> None:
        """Stand in for `sys.unraisablehook`: raise a dropped `KeyboardInterrupt` again."""
        if dropped.exc_type is KeyboardInterrupt:
            self._repeat()
        else:
            sys.__unraisablehook__(dropped)

    def _repeat(self) -> None:
        self.repeats = True
        # Not a `threading.Thread`: starting one takes locks that the main thread may hold.
        _thread.start_new_thread(_interrupt_later, ())


@contextmanager
def catch_signals(*, deferred: bool) -> Iterator[Interruption]:
    """Catch SIGINT, SIGTERM and SIGHUP inside the block.

    Blocks may be nested; a signal that came in an outer block counts in the inner one, and the
    other way round. Outside the main thread, where signals cannot be caught, nothing is counted.

    Args:
        deferred: the first signal sets a flag only, which `Interruption.check` looks at between
            units of work; a second one raises at once. If false, the first one raises too.

    Yields:
        The signals that have come.
    """
    interruption = Interruption(deferred=deferred)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {each: signal.getsignal(each) for each in _signals()}
    outer = getattr(before[signal.SIGINT], "__self__", None)
    outer = outer if isinstance(outer, Interruption) else Interruption(deferred=False)
    interruption.take_over(outer)
    hook, sys.unraisablehook = sys.unraisablehook, interruption.see_dropped
    for each in before:
        signal.signal(each, interruption.handle)
    try:
        yield interruption
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) == interruption.handle:  # else it was changed on purpose
                signal.signal(each, handler)
        sys.unraisablehook = hook
        outer.take_over(interruption)


def _signals() -> list[signal.Signals]:
    """Those to catch: Windows has no SIGHUP, and under nohup it stays ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGINT, signal.SIGTERM]
    return [signal.SIGINT, signal.SIGTERM, hangup]


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _interrupt_later() -> None:
    time.sleep(_AGAIN_AFTER)
    _thread.interrupt_main()


@contextmanager
def terminal_signals_blocked() -> Iterator[None]:
    """Start processes inside the block: the signals of a terminal do not reach them.

    Ctrl-C in a terminal is sent to every process, but it is the parent that has to stop the
    others. A signal that comes meanwhile reaches the parent at the end of the block. Where the
    system cannot block signals, on Windows, nothing happens.
    """
    from multiprocessing import resource_tracker  # late, see `die_with_parent`

    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:
        yield
        return
    # Python starts this process with the first other one, and unblocks SIGINT when it does.
    resource_tracker.ensure_running()
    before = mask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


def die_with_parent() -> None:
    """End this process, started by `multiprocessing`, at once when its parent ends."""
    import multiprocessing  # late: the command line loads this module before all others

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
