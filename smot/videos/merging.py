"""Join the shards of a data set into one file, the same as if it had been made at once."""

from collections.abc import Sequence
from pathlib import Path

from smot.errors import DataError, UsageError
from smot.videos.content import Videos
from smot.videos.reading import VideoFile
from smot.videos.verification import origin_of, read_checked
from smot.videos.writing import Report, write_videos


def merge(
    paths: Sequence[Path],
    out: Path,
    *,
    workers: int,
    force: bool = False,
    report: Report = lambda n_videos: None,  # noqa: ARG005
) -> str:
    """Join shards; every video is checked on the way.

    Args:
        paths: all shards of one data set, in any order.
        out: the file to make.
        workers: threads.
        force: whether to replace an existing file.
        report: called with the number of videos written since the last call.

    Returns:
        The content fingerprint.

    Raises:
        UsageError: the files are not all the shards of one data set, or ``out`` exists.
        DataError: a shard is damaged, or the file cannot be written.
    """
    files = ordered_shards([VideoFile(path) for path in paths])
    totals = files[0].metadata.totals

    def produce(group: str, start: int, stop: int) -> Videos:
        parts = [read_checked(files[0], group, 0, 0)]
        for file in files:
            first, last = file.metadata.shard.span(totals[group])
            low, high = max(start, first), min(stop, last)
            if low < high:
                parts.append(read_checked(file, group, low - first, high - first))
        return Videos.stack(parts)

    try:
        return write_videos(
            out, origin_of(files[0]), totals, produce, workers=workers, force=force, report=report
        )
    finally:
        for file in files:
            file.close()


def ordered_shards(files: Sequence[VideoFile]) -> list[VideoFile]:
    """Put shards in order and check that they are all of one data set.

    Raises:
        UsageError: they are not; says which is missing, doubled or strange.
    """
    if not files:
        raise UsageError("no files to merge")
    first = files[0]
    total = first.metadata.shard.total
    for file in files[1:]:
        _check_alike(first, file)
    by_index = {file.metadata.shard.index: file for file in files}
    missing = [index for index in range(total) if index not in by_index]
    if missing:
        raise UsageError(f"shards of {total} missing: {', '.join(map(str, missing))}")
    if len(files) > total:
        raise UsageError(f"{len(files)} files for {total} shards: one is given twice")
    return [by_index[index] for index in range(total)]


def _check_alike(first: VideoFile, other: VideoFile) -> None:
    ours, theirs = first.metadata, other.metadata
    for name in ("name", "settings_fingerprint", "totals"):
        if getattr(ours, name) != getattr(theirs, name):
            raise UsageError(f"{first.path} and {other.path} differ in {name}")
    if ours.shard.total != theirs.shard.total:
        raise UsageError(
            f"{first.path} is one of {ours.shard.total} shards, "
            f"{other.path} one of {theirs.shard.total}"
        )
    if first.description != other.description:
        raise DataError(f"{first.path} and {other.path} describe their data differently")
