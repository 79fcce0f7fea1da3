"""Ctrl-C, SIGTERM and SIGHUP: raised at once, or kept as a flag for work that must not be cut.

An exception that a signal handler raises while Python is inside a weakref or ctypes callback is
printed and dropped, and the process runs on. So a signal is also counted, and a dropped
`KeyboardInterrupt` is raised again a moment later.
"""

import _thread
import signal
import sys
import threading
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
        self.n_signals += 1
        if self.n_signals > 1 or not self._deferred:
            raise KeyboardInterrupt


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
    interruption.n_signals = outer.n_signals
    hook, sys.unraisablehook = sys.unraisablehook, _raise_again
    for each in before:
        signal.signal(each, interruption.handle)
    try:
        yield interruption
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        sys.unraisablehook = hook
        outer.n_signals = interruption.n_signals


def _signals() -> list[signal.Signals]:
    """Those to catch: Windows has no SIGHUP, and under nohup it stays ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGINT, signal.SIGTERM]
    return [signal.SIGINT, signal.SIGTERM, hangup]


def _raise_again(dropped: Any) -> None:
    """Replace `sys.unraisablehook`: see that a dropped `KeyboardInterrupt` is not lost."""
    if dropped.exc_type is KeyboardInterrupt:
        threading.Timer(_AGAIN_AFTER, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(dropped)
