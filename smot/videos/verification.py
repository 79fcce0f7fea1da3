"""Check whole files, and join the shards of a data set into one, checking every video.

A check reads everything, hashes it again, and compares the boxes with the pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smot.arrays import FloatArray, IntArray, UInt8Array
from smot.errors import DataError, UsageError
from smot.videos.content import (
    DIGEST,
    Videos,
    batch_length,
    content_fingerprint,
    digests,
    settings_fingerprint,
)
from smot.videos.reading import VideoFile
from smot.videos.writing import Report, write_videos

NOISE_SETTINGS = ("background_noise", "pixel_noise")


def verify(file: VideoFile, report: Report) -> int:
    """Check a file's checksums, content, fingerprints, boxes against pixels, and masks.

    Its schema was checked when it was opened. Boxes are held against pixels unless the videos are
    not generated ones, or the settings say that there is noise: every pixel that is not background
    must lie in a box, and a box that nothing covers must touch such pixels with all four sides.
    Masks must lie in their boxes, fill those that nothing covers, and be there where an object is
    visible.

    Args:
        file: open.
        report: called with the number of videos checked since the last call.

    Returns:
        Number of videos.

    Raises:
        DataError: the first thing that is wrong: what, and in which video.
    """
    found: dict[str, UInt8Array] = {}
    for group, n_videos in file.groups.items():
        parts = [np.zeros((0, 32), np.uint8)]
        H, W = file.description.frame_size
        step = batch_length((n_videos, file.description.n_frames, H, W, 3))
        for start in range(0, n_videos, step):
            stop = min(start + step, n_videos)
            parts.append(_verify_batch(file, group, start, stop))
            report(stop - start)
        found[group] = np.concatenate(parts)
    if content_fingerprint(found) != file.metadata.content_fingerprint:
        raise DataError(f"{file.path}: the content fingerprint is not that of the content")
    if settings_fingerprint(file.metadata) != file.metadata.settings_fingerprint:
        raise DataError(f"{file.path}: the settings fingerprint is not that of the settings")
    return sum(file.groups.values())


def read_checked(file: VideoFile, group: str, start: int, stop: int) -> Videos:
    """Videos [start, stop) of a group, whose content must have the stored digests.

    Raises:
        DataError: a video is damaged or is not the one that was written.
    """
    videos = file.read(group, start, stop, masks=file.has_masks)
    wrong = (digests(videos) != file.read_field(group, DIGEST.name, start, stop)).any(1)
    if wrong.any():
        index = start + int(np.argmax(wrong))
        raise DataError(
            f"{file.path}: {group}, video {index}: its content is not what was written"
        )
    return videos


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
        UsageError: the files are not all the shards of one data set, or `out` exists.
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
            out, files[0].metadata, totals, produce, workers=workers, force=force, report=report
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
    for name in ("name", "format_version", "settings_fingerprint", "totals"):
        if getattr(ours, name) != getattr(theirs, name):
            raise UsageError(f"{first.path} and {other.path} differ in {name}")
    if ours.shard.total != theirs.shard.total:
        raise UsageError(
            f"{first.path} is one of {ours.shard.total} shards, "
            f"{other.path} one of {theirs.shard.total}"
        )
    if first.description != other.description:
        raise DataError(f"{first.path} and {other.path} describe their data differently")


def _verify_batch(file: VideoFile, group: str, start: int, stop: int) -> UInt8Array:
    videos = read_checked(file, group, start, stop)
    noisy = any(file.metadata.settings.get(name) for name in NOISE_SETTINGS)
    if not noisy and file.description.dataset != "video":
        _check_pixels(file, videos, f"{file.path}: {group}", start)
    if videos.owner is not None:
        _check_masks(videos.owner, videos, f"{file.path}: {group}", start)
    return digests(videos)


def _check_masks(owner: IntArray, videos: Videos, where: str, first: int) -> None:
    """Hold masks against boxes and visibility."""
    K = videos.present.shape[2]
    for n in range(len(videos)):
        place = f"{where}, video {first + n}"
        mask = owner[n, :, None] == np.arange(1, K + 1)[:, None, None]  # [T, K, H, W]
        rows, columns = mask.any(3), mask.any(2)
        seen = rows.any(2)
        extent = np.stack(
            [
                columns.argmax(2),
                rows.argmax(2),
                columns.shape[2] - columns[..., ::-1].argmax(2),
                rows.shape[2] - rows[..., ::-1].argmax(2),
            ],
            axis=-1,
        )
        boxes, visibility = videos.boxes[n], videos.visibility[n]
        outside = (extent[..., :2] < boxes[..., :2]).any(-1)
        outside |= (extent[..., 2:] > boxes[..., 2:]).any(-1)
        faults = {
            "the mask of object {} leaves its box": seen & outside,
            "object {} is visible without a mask, or has one unseen": seen != (visibility > 0),
            "the box of object {} is not that of its mask": (visibility == 1)
            & (extent != boxes).any(-1),
        }
        for fault, wrong in faults.items():
            if wrong.any():
                t, k = np.argwhere(wrong)[0]
                raise DataError(f"{place}, frame {t}: {fault.format(k)}")


def _check_pixels(file: VideoFile, videos: Videos, where: str, first: int) -> None:
    background = np.array(file.description.background, np.uint8)
    for n in range(len(videos)):
        place = f"{where}, video {first + n}"
        drawn = (videos.frames[n] != background).any(-1)
        x0, y0, x1, y1 = np.moveaxis(videos.boxes[n].astype(np.int64), -1, 0)
        _, H, W = drawn.shape
        rows, columns = _between(y0, y1, H), _between(x0, x1, W)
        inside = np.einsum("tkh,tkw->thw", rows, columns, optimize=True).astype(bool)
        stray = (drawn & ~inside).any((1, 2))
        if stray.any():
            raise DataError(f"{place}, frame {stray.argmax()}: pixels outside all boxes")
        if background.any():
            continue  # on other grounds than black a faint pixel may round to the background
        exact = videos.present[n] & (videos.visibility[n] == 1)
        for t, k in np.argwhere(exact):
            part = drawn[t, y0[t, k] : y1[t, k], x0[t, k] : x1[t, k]]
            if not (part[[0, -1]].any(1).all() and part[:, [0, -1]].any(0).all()):
                raise DataError(f"{place}, frame {t}: the box of object {k} is not tight")


def _between(low: IntArray, high: IntArray, size: int) -> FloatArray:
    """1 for the pixels of an axis that lie in [low, high), else 0, [T, K, size]."""
    line = np.arange(size)
    return ((line >= low[..., None]) & (line < high[..., None])).astype(np.float32)
