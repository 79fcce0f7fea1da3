"""Write files of videos: made and compressed in threads, whole or not at all.

Arrays become HDF5 chunks outside of HDF5, which would compress under one lock, on one core.
"""

import contextlib
import itertools
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from smot.arrays import UInt8Array
from smot.errors import DataError, UsageError, first_line
from smot.files import atomic_path, to_plain
from smot.videos.content import (
    DIGEST,
    FORMAT_VERSION,
    MASKED_VERSION,
    UNIT,
    Field,
    Origin,
    Shard,
    Videos,
    batch_length,
    content_fingerprint,
    digests,
    settings_fingerprint,
)

try:  # the same format, three times as fast; not to be had on every kind of machine
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress

COMPRESSION_LEVEL = 1

Produce = Callable[[str, int, int], Videos]
Report = Callable[[int], object]


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


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Some videos of a group as HDF5 chunks.

    Attributes:
        group: the group's name.
        place: of the first video in the file's group.
        chunks: array, where in the file's group it begins along each axis, bytes as HDF5 stores
            them.
        digests: of the videos' content, [n, 32].
    """

    group: str
    place: int
    chunks: list[tuple[Field, tuple[int, ...], bytes]]
    digests: UInt8Array


def write_videos(
    path: Path,
    origin: Origin,
    groups: Mapping[str, int],
    produce: Produce,
    *,
    workers: int,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    force: bool = False,
    report: Report = lambda n_videos: None,  # noqa: ARG005
) -> str:
    """Write a data set, or one shard of it, under a temporary name and rename it when whole.

    Args:
        path: the file to make; its folder is made too.
        origin: where the videos come from.
        groups: number of videos of each group of the whole data set.
        produce: makes videos [start, stop) of a group; called from several threads at once, and
            with start = stop to learn the shapes. It should release the GIL.
        workers: threads that make and compress videos.
        shard: the part to write.
        force: whether to replace an existing file.
        report: called with the number of videos written since the last call.

    Returns:
        The content fingerprint.

    Raises:
        UsageError: the file exists and `force` is not set, or `workers` is not positive.
        DataError: the disk is full, or the file cannot be written for another reason.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    try:
        with atomic_path(path, replace=force) as draft:
            spans = [span_of(name, groups[name], produce, shard) for name in sorted(groups)]
            with h5py.File(draft, "w", libver=("v110", "v110")) as file:
                fingerprint = _write_groups(file, spans, _units(spans, produce, workers), report)
                about = _attributes(origin, groups, shard, fingerprint)
                masks = any(span.sample.owner is not None for span in spans)
                about["format_version"] = MASKED_VERSION if masks else FORMAT_VERSION
                for name, value in about.items():
                    _write_attribute(file, name, value)
    except (OSError, RuntimeError) as error:  # h5py raises either where the disk is full
        raise DataError(f"{path} cannot be written: {_reason(error)}") from error
    return fingerprint


def span_of(group: str, total: int, produce: Produce, shard: Shard) -> Span:
    """The videos of a group that a shard holds; `total` is the group's in the whole data set."""
    start, stop = shard.span(total)
    return Span(group=group, start=start, stop=stop, sample=produce(group, start, start))


def _units(spans: Sequence[Span], produce: Produce, workers: int) -> Iterator[Unit]:
    """Make all units in order, a few ahead, so that memory stays bounded."""
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
    chunks: list[tuple[Field, tuple[int, ...], bytes]] = []
    large = [field for field in span.sample.layout if field.chunk == 1]
    small = [field for field in span.sample.layout if field.chunk > 1]
    truth: dict[str, list[np.ndarray]] = {field.name: [] for field in small}
    hashes = []
    step = batch_length(span.sample.frames.shape)
    for first in range(start, stop, step):
        videos = produce(span.group, first, min(first + step, stop))
        shift = place + first - start
        for field in large:
            array = getattr(videos, field.name)
            chunks += [
                (field, (shift + n, *at), chunk) for (n, *at), chunk in encode(field, array)
            ]
        hashes.append(digests(videos))
        for name, parts in truth.items():
            parts.append(getattr(videos, name))
    for field in small:
        array = np.concatenate(truth[field.name])
        chunks += [(field, (place + n, *at), chunk) for (n, *at), chunk in encode(field, array)]
    return Unit(group=span.group, place=place, chunks=chunks, digests=np.concatenate(hashes))


def encode(field: Field, array: np.ndarray) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Compress an array of videos chunk by chunk, as HDF5's deflate and fletcher32 would.

    Args:
        field: the array's place in the layout.
        array: [N, ...], beginning at a multiple of the field's chunk; the last chunks are filled
            up with zeros, as HDF5 stores them.

    Yields:
        Where the chunk begins along each axis, and the chunk as HDF5 stores it.
    """
    shape = field.chunks(array.shape)
    starts = (range(0, size, step) for size, step in zip(array.shape, shape, strict=True))
    for at in itertools.product(*starts):
        inside = tuple(slice(start, start + step) for start, step in zip(at, shape, strict=True))
        part = np.ascontiguousarray(array[inside])
        if part.shape != shape:
            room = [(0, step - size) for step, size in zip(shape, part.shape, strict=True)]
            part = np.pad(part, room)
        packed = compress(part.reshape(-1).view(np.uint8).data, COMPRESSION_LEVEL)
        yield at, packed + fletcher32(packed).to_bytes(4, "little")


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


def _write_groups(
    file: h5py.File, spans: Sequence[Span], made: Iterable[Unit], report: Report
) -> str:
    found: dict[str, UInt8Array] = {}
    for span in spans:
        _create_group(file, span)
        found[span.group] = np.zeros((span.stop - span.start, 32), np.uint8)
    for unit in made:
        handles = {name: array.id for name, array in file[unit.group].items()}
        for field, at, chunk in unit.chunks:
            handles[field.name].write_direct_chunk(at, chunk)
        n_videos = len(unit.digests)
        found[unit.group][unit.place : unit.place + n_videos] = unit.digests
        report(n_videos)
    for name, group_digests in found.items():
        file[name][DIGEST.name][...] = group_digests
    return content_fingerprint(found)


def _create_group(file: h5py.File, span: Span) -> None:
    group, n_videos = file.create_group(span.group), span.stop - span.start
    _, T, H, W, _ = span.sample.frames.shape
    axes = {"N": n_videos, "T": T, "H": H, "W": W, "K": span.sample.present.shape[2]}
    for field in (*span.sample.layout, DIGEST):
        shape = field.shape(axes)
        group.create_dataset(
            field.name,
            shape=shape,
            dtype=field.dtype,
            chunks=field.chunks(shape),
            # HDF5 stores a chunk that is larger than the array only if the array may grow.
            maxshape=(max(n_videos, field.chunk), *shape[1:]),
            compression=COMPRESSION_LEVEL,
            fletcher32=True,
        )


def _write_attribute(file: h5py.File, name: str, value: str | int) -> None:
    """Write a number, or a text of fixed length: HDF5 cannot read those of variable length safely.

    Readers of smot 0.1 refuse texts of fixed length in one line.
    """
    if isinstance(value, str):
        content = value.encode()
        # HDF5 has no empty texts; a single zero byte reads back as one.
        kind = h5py.string_dtype("utf-8", max(len(content), 1))
        file.attrs.create(name, content, dtype=kind)
    else:
        file.attrs[name] = value


def _attributes(
    origin: Origin, groups: Mapping[str, int], shard: Shard, fingerprint: str
) -> dict[str, Any]:
    """What the file says of itself, as attributes of its root; tables as JSON."""
    return {
        "format": "smot videos",
        "name": origin.name,
        "seed": origin.seed,
        "settings": json.dumps(dict(origin.settings), sort_keys=True),
        "description": json.dumps(to_plain(origin.description), sort_keys=True),
        "digit_source": origin.description.digit_source,
        "digit_fingerprint": origin.digit_fingerprint,
        "versions": json.dumps(library_versions(), sort_keys=True),
        "shard": json.dumps([shard.index, shard.total]),
        "totals": json.dumps(dict(groups), sort_keys=True),
        "settings_fingerprint": settings_fingerprint(origin),
        "content_fingerprint": fingerprint,
    }


def library_versions() -> dict[str, str]:
    """Versions of smot and of the libraries that decide what a file looks like."""
    found = {"hdf5": h5py.version.hdf5_version}
    for name in ("smot", "numpy", "numba", "h5py", "isal"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _reason(error: OSError | RuntimeError) -> str:
    """What the operating system said, also where HDF5 has wrapped it into a text."""
    said = re.search(r"errno = (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(said[1]) if said else 0)
    return os.strerror(number) if number else first_line(error)
