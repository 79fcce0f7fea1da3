"""Ctrl-C and SIGTERM as a wish that is granted between two updates."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Wish:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def stop_wishes() -> Iterator[Wish]:
    """Catch the first SIGINT or SIGTERM inside the block; a second one interrupts at once.

    Outside the main thread, where signals cannot be caught, no wish is ever made.
    """
    wish = Wish()

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if wish.made:
            raise KeyboardInterrupt
        wish.made = True

    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
