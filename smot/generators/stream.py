"""An endless stream of training videos, made while the model learns."""

import queue
import threading
from dataclasses import replace
from typing import Self

import numpy as np

from smot.arrays import IntArray, UInt8Array
from smot.errors import UsageError
from smot.generators.digits import DigitSource
from smot.generators.rendering import render
from smot.generators.settings import Settings
from smot.seeding import mixed, video_keys

FIRST_VIDEO = 1 << 40  # far beyond the training videos of any file
_AHEAD = 4  # batches made in advance


class VideoStream:
    """Batches of training videos, one after another without end, made in a thread.

    Batch k holds videos k * batch_size to (k + 1) * batch_size of the split "train", counted
    from beyond those of any file, so a stream goes on exactly where another stopped.

    Args:
        settings: what the videos look like.
        source: digits; None for shapes.
        seed: the data set's seed.
        batch_size: B, videos in a batch.
        n_frames: T; the first frames of the same videos if it changes.
        start: the first batch's number.
        stride: from one batch's number to the next; W workers take start = rank, stride = W.
        crop: side of a square cut out of every frame of a video at one random place, pixels;
            None for the whole frame.

    Raises:
        UsageError: a number out of range, or objects that do not fit the frame.
    """

    def __init__(
        self,
        settings: Settings,
        source: DigitSource | None,
        *,
        seed: int,
        batch_size: int,
        n_frames: int,
        start: int = 0,
        stride: int = 1,
        crop: int | None = None,
    ) -> None:
        if batch_size < 1 or start < 0 or stride < 1:
            raise UsageError(
                f"batch_size and stride must be at least 1 and start at least 0, "
                f"not {batch_size}, {stride} and {start}"
            )
        if crop is not None and not 1 <= crop <= min(settings.frame_size):
            raise UsageError(f"crop must be from 1 to {min(settings.frame_size)}, not {crop}")
        self.settings = replace(settings, n_frames=n_frames)
        self.source = source
        self.seed = seed
        self.batch_size = batch_size
        self.stride = stride
        self.crop = crop
        self.next_batch = start
        self._ready: queue.Queue[UInt8Array | Exception] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make, args=(start,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> UInt8Array:
        """The next batch, RGB, [B, T, H, W, 3], uint8."""
        if self._stopped.is_set():
            raise StopIteration
        batch = self._ready.get()
        if isinstance(batch, Exception):
            self.close()
            raise batch
        self.next_batch += self.stride
        return batch

    def batch(self, number: int) -> UInt8Array:
        """Any batch by its number, made on the spot, RGB, [B, T, H, W, 3]."""
        indices = FIRST_VIDEO + number * self.batch_size + np.arange(self.batch_size)
        frames = render(
            self.settings, self.source, seed=self.seed, split="train", indices=indices
        ).frames
        return frames if self.crop is None else self._cut(frames, indices)

    def close(self) -> None:
        """Stop the thread; there are no more batches."""
        self._stopped.set()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _make(self, number: int) -> None:
        while not self._stopped.is_set():
            try:
                made: UInt8Array | Exception = self.batch(number)
            except Exception as error:  # raised again where the batch is asked for
                made = error
            number += self.stride
            while not self._stopped.is_set():
                try:
                    self._ready.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue

    def _cut(self, frames: UInt8Array, indices: IntArray) -> UInt8Array:
        H, W = self.settings.frame_size
        assert self.crop is not None
        words = mixed(video_keys(self.seed, "train", indices))
        tops = (words >> np.uint64(32)) % np.uint64(H - self.crop + 1)
        lefts = (words & np.uint64(0xFFFFFFFF)) % np.uint64(W - self.crop + 1)
        return np.stack(
            [
                video[:, top : top + self.crop, left : left + self.crop]
                for video, top, left in zip(frames, tops.tolist(), lefts.tolist(), strict=True)
            ]
        )
