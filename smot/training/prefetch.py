"""Batches made in a background thread while the model works, and the memory they pass through."""

import ctypes
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from torch import Tensor

Batch: TypeAlias = Tensor | Mapping[str, Tensor]
"""Frames uint8 [B, T, H, W, 3], or whatever else the objective takes, by name."""

Batches: TypeAlias = Callable[[int, int], Batch]
"""The batch of a step: (step, T) -> this process's share. Depends on its arguments alone."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from glibc's malloc.h
_LARGEST_FROM_HEAP = 1 << 30
_NEVER = 2**31 - 1


class Prefetch:
    """Calls `batches` for one step after another, a few ahead.

    Args:
        batches: what makes the batch of a step.
        n_frames: the length of clips at a step.
        first_step: where to begin.
        depth: batches made ahead.
    """

    def __init__(
        self, batches: Batches, n_frames: Callable[[int], int], *, first_step: int, depth: int = 2
    ) -> None:
        self._batches = batches
        self._n_frames = n_frames
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(first_step,), daemon=True)
        self._thread.start()

    def next(self) -> tuple[Batch, float]:
        """The next step's batch, and how long it was waited for, seconds.

        Whatever went wrong while making the batch is raised here.
        """
        began = time.monotonic()
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item, time.monotonic() - began

    def close(self) -> None:
        """End the thread; what it made ahead is dropped."""
        self._closing.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _work(self, step: int) -> None:
        while not self._closing.is_set():
            try:
                item: Batch | BaseException = self._batches(step, self._n_frames(step))
            except BaseException as error:  # handed to the thread that asks for the batch
                item = error
            self._put(item)
            if isinstance(item, BaseException):
                return
            step += 1

    def _put(self, item: Batch | BaseException) -> None:
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return


def keep_freed_memory() -> bool:
    """Keep what is freed for the next step in place of handing it back to the kernel.

    An update makes and frees the same large arrays over and over. By default glibc returns each
    of them, and touching its pages anew costs about a tenth of an update of SILOT with eight
    frames. The process then keeps the most memory that it ever used.

    Returns:
        Whether it could be done: on Linux with glibc.

    Source: mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
    return bool(kept and libc.mallopt(_TRIM_THRESHOLD, _NEVER))
