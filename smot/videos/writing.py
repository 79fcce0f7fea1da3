"""Write files of videos: made and compressed in threads, whole or not at all."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from smot.arrays import UInt8Array
from smot.errors import DataError, UsageError
from smot.files import atomic_path, to_plain
from smot.videos.content import content_fingerprint, settings_fingerprint
from smot.videos.schema import DIGEST, FIELDS, FORMAT_VERSION, Origin, Shard
from smot.videos.units import COMPRESSION_LEVEL, Produce, Span, Unit, units

Report = Callable[[int], object]


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
                fingerprint = _write_groups(file, spans, units(spans, produce, workers), report)
                about = _attributes(origin, groups, shard, fingerprint)
                for name, value in about.items():
                    _write_attribute(file, name, value)
    except (OSError, RuntimeError) as error:  # h5py raises either where the disk is full
        raise DataError(f"{path} cannot be written: {_reason(error)}") from error
    return fingerprint


def span_of(group: str, total: int, produce: Produce, shard: Shard) -> Span:
    """The videos of a group that a shard holds; `total` is the group's in the whole data set."""
    start, stop = shard.span(total)
    return Span(group=group, start=start, stop=stop, sample=produce(group, start, start))


def _write_groups(
    file: h5py.File, spans: Sequence[Span], made: Iterable[Unit], report: Report
) -> str:
    found: dict[str, UInt8Array] = {}
    for span in spans:
        _create_group(file, span)
        found[span.group] = np.zeros((span.stop - span.start, 32), np.uint8)
    for unit in made:
        _write_unit(file, unit)
        found[unit.group][unit.place : unit.place + unit.n_videos] = unit.digests
        report(unit.n_videos)
    for name, group_digests in found.items():
        file[name][DIGEST.name][...] = group_digests
    return content_fingerprint(found)


def _create_group(file: h5py.File, span: Span) -> None:
    group, n_videos = file.create_group(span.group), span.stop - span.start
    _, T, H, W, _ = span.sample.frames.shape
    axes = {"N": n_videos, "T": T, "H": H, "W": W, "K": span.sample.present.shape[2]}
    for field in (*FIELDS, DIGEST):
        shape = field.shape(axes)
        group.create_dataset(
            field.name,
            shape=shape,
            dtype=field.dtype,
            chunks=(field.chunk, *shape[1:]),
            # HDF5 stores a chunk that is larger than the array only if the array may grow.
            maxshape=(max(n_videos, field.chunk), *shape[1:]),
            compression=COMPRESSION_LEVEL,
            fletcher32=True,
        )


def _write_unit(file: h5py.File, unit: Unit) -> None:
    group = file[unit.group]
    handles = {field.name: group[field.name].id for field in FIELDS}
    for field, place, chunk in unit.chunks:
        offset = (place,) + (0,) * (len(field.axes.split()) - 1)
        handles[field.name].write_direct_chunk(offset, chunk)


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
        "format_version": FORMAT_VERSION,
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
    return os.strerror(number) if number else str(error).splitlines()[0]
