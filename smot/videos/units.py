"""Videos made and compressed in threads, a unit at a time, ready to be written in order.

Arrays become HDF5 chunks outside of HDF5, which would compress under one lock, on one core.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smot.arrays import UInt8Array
from smot.videos.content import Videos, digests
from smot.videos.schema import FIELDS, UNIT, Field, batch_length

try:  # the same format, three times as fast; not to be had on every kind of machine
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress

COMPRESSION_LEVEL = 1

Produce = Callable[[str, int, int], Videos]

_FRAMES, *_TRUTH = FIELDS


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Some videos of a group as HDF5 chunks.

    Attributes:
        group: the group's name.
        place: of the first video in the file's group.
        n_videos: how many.
        chunks: array, place of its first video in the file's group, bytes as HDF5 stores them.
        digests: of the videos' content, [n_videos, 32].
    """

    group: str
    place: int
    n_videos: int
    chunks: list[tuple[Field, int, bytes]]
    digests: UInt8Array


@dataclass(frozen=True, kw_only=True)
class Span:
    """The videos of a group that a file holds.

    Attributes:
        group: the group's name.
        start: first video, in the whole data set's group.
        stop: one past the last.
        sample: no videos, but of the group's shapes.
    """

    group: str
    start: int
    stop: int
    sample: Videos


def units(spans: Sequence[Span], produce: Produce, workers: int) -> Iterator[Unit]:
    """Make all units in order, a few ahead, so that memory stays bounded.

    Args:
        spans: what to make.
        produce: makes videos [start, stop) of a group; called in several threads at once.
        workers: threads.
    """
    jobs = (
        (span, start, min(start + UNIT, span.stop))
        for span in spans
        for start in range(span.start, span.stop, UNIT)
    )
    waiting: deque[Future[Unit]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="smot-writer") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(make_unit, produce, *job))
                # Enough to keep every thread busy while HDF5 writes, and no more memory.
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def make_unit(produce: Produce, span: Span, start: int, stop: int) -> Unit:
    """Make and compress videos [start, stop), at most `UNIT`, frames a few at a time.

    Args:
        produce: makes videos.
        span: the group.
        start: first video; a multiple of `UNIT` after the span's start.
        stop: one past the last.
    """
    place = start - span.start
    chunks: list[tuple[Field, int, bytes]] = []
    truth: dict[str, list[NDArray[Any]]] = {field.name: [] for field in _TRUTH}
    hashes = []
    step = batch_length(span.sample.frames.shape)
    for first in range(start, stop, step):
        videos = produce(span.group, first, min(first + step, stop))
        shift = place + first - start
        chunks += [(_FRAMES, shift + n, chunk) for n, chunk in encode(_FRAMES, videos.frames)]
        hashes.append(digests(videos))
        for name, parts in truth.items():
            parts.append(getattr(videos, name))
    for field in _TRUTH:
        array = np.concatenate(truth[field.name])
        chunks += [(field, place + n, chunk) for n, chunk in encode(field, array)]
    return Unit(
        group=span.group,
        place=place,
        n_videos=stop - start,
        chunks=chunks,
        digests=np.concatenate(hashes),
    )


def encode(field: Field, array: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Compress an array of videos chunk by chunk, as HDF5's deflate and fletcher32 would.

    Args:
        field: the array's place in the layout.
        array: [N, ...], beginning at a multiple of the field's chunk; the last chunk is filled
            up with zeros, as HDF5 stores it.

    Yields:
        Place of the chunk's first video in the array, and the chunk as HDF5 stores it.
    """
    for start in range(0, len(array), field.chunk):
        part = np.ascontiguousarray(array[start : start + field.chunk])
        missing = field.chunk - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
        packed = compress(part.reshape(-1).view(np.uint8).data, COMPRESSION_LEVEL)
        yield start, packed + fletcher32(packed).to_bytes(4, "little")


def fletcher32(content: bytes) -> int:
    """HDF5's checksum of bytes: Fletcher's, over big-endian 16-bit words, 32 bits.

    Source: H5_checksum_fletcher32 of the HDF5 library, whose sums are those of ones' complement:
    a sum that is not 0 stays above 0.
    """
    words = np.frombuffer(content + b"\0" * (len(content) % 2), ">u2").astype(np.int64)
    # Word i is added to the first sum once, and to the sum of all first sums n - i times.
    times = np.arange(len(words), 0, -1) % 0xFFFF
    first, second = int(words.sum()), int((words * times).sum())
    first, second = (value and (value - 1) % 0xFFFF + 1 for value in (first, second))
    return (second << 16) | first
