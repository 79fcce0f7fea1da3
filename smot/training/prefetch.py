"""Batches made in a background thread while the model works, and the memory they pass through."""

import ctypes
import platform
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from torch import Tensor

Batch: TypeAlias = Tensor | Mapping[str, Tensor]
"""Frames uint8 [B, T, H, W, 3], or whatever else the objective takes, by name."""

Batches: TypeAlias = Callable[[int, int], Batch]
"""The batch of a step: (step, T) -> this process's share. Depends on its arguments alone."""

_DEPTH = 3  # batches that are made, or being made, ahead
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from glibc's malloc.h
_LARGEST_FROM_HEAP = 1 << 30
_NEVER = 2**31 - 1


class Prefetch:
    """Calls `batches` for one step after another, a few ahead.

    Args:
        batches: what makes the batch of a step.
        n_frames: the length of clips at a step.
        first_step: where to begin.
    """

    def __init__(
        self, batches: Batches, n_frames: Callable[[int], int], *, first_step: int
    ) -> None:
        self._batches = batches
        self._n_frames = n_frames
        self._step = first_step
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smot-batches")
        self._ahead = deque(self._begun() for _ in range(_DEPTH))

    def _begun(self) -> Future[Batch]:
        step = self._step
        self._step += 1
        return self._thread.submit(lambda: self._batches(step, self._n_frames(step)))

    def next(self) -> tuple[Batch, float]:
        """The next step's batch, and how long it was waited for, seconds.

        Whatever went wrong while making the batch is raised here.
        """
        began = time.monotonic()
        batch = self._ahead.popleft().result()
        self._ahead.append(self._begun())
        return batch, time.monotonic() - began

    def close(self) -> None:
        """End the thread; what it made ahead is dropped."""
        self._thread.shutdown(cancel_futures=True)


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
