"""Read files of videos: slices of groups, through a handle that may cross processes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from smot.errors import DataError, UsageError, first_line
from smot.tracks import DataDescription
from smot.videos.content import FIELDS, MASKED_VERSION, OWNER, Metadata, Videos
from smot.videos.guards import Checked, check_content, check_file

_AT_ONCE = 4096  # videos whose truth is held in memory


class VideoFile:
    """A file of videos, open for reading.

    The HDF5 handle is never shared between processes: one that came by a fork or a pickle is
    opened anew when it is first needed, and must still be the same data.

    Attributes:
        path: the file.
        groups: number of videos of each group that the file holds.
        description: what trackers may know of the data.
        metadata: what the file says of itself.

    Raises:
        DataError: the file is not a whole and consistent file of videos of this format version;
            says what is wrong and where.
    """

    path: Path
    groups: Mapping[str, int]
    description: DataDescription
    metadata: Metadata
    _handle: h5py.File | None
    _owner: int

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._handle, checked = _open(self.path)
        self._arrays: dict[str, h5py.Dataset] = {}
        self._owner = os.getpid()
        self.metadata, self.groups = checked
        self.description = self.metadata.description

    def __repr__(self) -> str:
        groups = ", ".join(f"{name}: {n_videos:,}" for name, n_videos in self.groups.items())
        return f"<VideoFile {self.path}: {self.metadata.name}, {groups}>"

    @property
    def has_masks(self) -> bool:
        """Whether the file knows which object each pixel belongs to."""
        return self.metadata.format_version == MASKED_VERSION

    def read(self, group: str, start: int, stop: int, *, masks: bool = False) -> Videos:
        """Videos [start, stop) of a group; the content is checked.

        Args:
            group: "train", "val", "test/NN".
            start: first video.
            stop: one past the last video.
            masks: whether to read the owners of pixels too.

        Raises:
            UsageError: no such group, a range outside of it, or no masks in the file.
            DataError: the stored videos are damaged or inconsistent; names the first such video.
        """
        if masks and not self.has_masks:
            raise UsageError(f"{self.path} has no masks: smot generate --masks makes them")
        names = [*(field.name for field in FIELDS), *([OWNER] if masks else [])]
        videos = Videos(**{name: self.read_field(group, name, start, stop) for name in names})
        check_content(videos, f"{self.path}: {group}", start)
        return videos

    def read_field(self, group: str, name: str, start: int, stop: int) -> np.ndarray:
        """One array of videos [start, stop) of a group, unchecked, [stop - start, ...].

        Args:
            group: "train", "val", "test/NN".
            name: an array of the layout, such as "boxes", or "digest".
            start: first video.
            stop: one past the last video.

        Raises:
            UsageError: no such group, or a range outside of it.
            DataError: the stored array is damaged.
        """
        self.check_range(group, start, stop)
        try:
            array: np.ndarray = self._array(f"{group}/{name}")[start:stop]
        except MemoryError:
            shape = "x".join(map(str, self._array(f"{group}/{name}").shape[1:]))
            raise DataError(
                f"{self.path}: {group}: {stop - start} x {shape} {name} do not fit into memory"
            ) from None
        except (OSError, RuntimeError, KeyError, ValueError) as error:  # whatever HDF5 meets
            damaged = self._first_damaged(group, name, start, stop)
            raise DataError(
                f"{self.path}: {group}, video {damaged}: {name} is damaged (checksum or "
                "compressed data wrong)"
            ) from error
        return array

    def check_range(self, group: str, start: int, stop: int) -> None:
        """Whether videos [start, stop) of a group exist.

        Raises:
            UsageError: they do not.
        """
        if group not in self.groups:
            raise UsageError(
                f"{self.path} has no group {group!r}; it has: {', '.join(self.groups)}"
            )
        if not 0 <= start <= stop <= self.groups[group]:
            raise UsageError(
                f"{self.path}: {group} has videos 0 to {self.groups[group] - 1}, "
                f"not {start} to {stop - 1}"
            )

    def close(self) -> None:
        """Close this process's handle; the next read opens it again."""
        if self._handle is not None and self._owner == os.getpid():
            self._handle.close()
        self._handle, self._arrays = None, {}

    def _array(self, name: str) -> h5py.Dataset:
        """A stored array; looking it up takes longer than reading a video, hence kept."""
        if self._handle is None or self._owner != os.getpid():
            self._reopen()
        assert self._handle is not None
        if name not in self._arrays:
            self._arrays[name] = self._handle[name]
        return self._arrays[name]

    def _reopen(self) -> None:
        self._handle, (found, _) = _open(self.path)
        self._arrays, self._owner = {}, os.getpid()
        if found.content_fingerprint != self.metadata.content_fingerprint:
            self.close()
            raise DataError(f"{self.path} is not the file that it was when it was opened")

    def _first_damaged(self, group: str, name: str, start: int, stop: int) -> int:
        stored = self._array(f"{group}/{name}")
        for index in range(start, stop):
            try:
                stored[index]
            except (OSError, RuntimeError, ValueError):
                return index
        return start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None, "_arrays": {}, "_owner": 0}


def open_videos(path: str | os.PathLike[str]) -> VideoFile:
    """Open a file of videos; see `VideoFile`."""
    return VideoFile(path)


@dataclass(frozen=True, kw_only=True)
class GroupStatistics:
    """Numbers about the objects of a group; means are over present objects in all frames.

    Attributes:
        n_videos: in the file.
        fewest: objects in a video.
        most: objects in a video.
        mean_count: objects in a video.
        mean_width: of boxes, pixels.
        mean_height: of boxes, pixels.
        mean_visibility: share of an object's pixels that can be seen.
        hidden: share of objects of which less than half can be seen.
        present: share of frames in which an object of the video is present.
    """

    n_videos: int
    fewest: int
    most: int
    mean_count: float
    mean_width: float
    mean_height: float
    mean_visibility: float
    hidden: float
    present: float


def group_statistics(file: VideoFile, group: str) -> GroupStatistics:
    """Read the truth of a group and describe its objects.

    Raises:
        UsageError: no such group.
        DataError: the file is damaged.
    """
    n_videos = file.groups[group]
    counts = file.read_field(group, "count", 0, n_videos).astype(np.int64)
    sums = np.zeros(6)
    for start in range(0, n_videos, _AT_ONCE):
        stop = min(start + _AT_ONCE, n_videos)
        boxes, present, visibility = (
            file.read_field(group, name, start, stop)
            for name in ("boxes", "present", "visibility")
        )
        boxes, visibility = boxes[present].astype(np.float64), visibility[present]
        sizes = (boxes[:, 2:] - boxes[:, :2]).sum(0)
        n_slots = counts[start:stop].sum() * present.shape[1]
        sums += [
            len(boxes),
            *sizes,
            visibility.sum(dtype=np.float64),
            (visibility < 0.5).sum(),
            n_slots,
        ]
    n_boxes, widths, heights, seen, n_hidden, n_slots = (float(value) for value in sums)
    return GroupStatistics(
        n_videos=n_videos,
        fewest=int(counts.min(initial=10**6)) if n_videos else 0,
        most=int(counts.max(initial=0)),
        mean_count=float(counts.sum()) / max(n_videos, 1),
        mean_width=widths / max(n_boxes, 1),
        mean_height=heights / max(n_boxes, 1),
        mean_visibility=seen / max(n_boxes, 1),
        hidden=n_hidden / max(n_boxes, 1),
        present=n_boxes / max(n_slots, 1),
    )


def _open(path: Path) -> tuple[h5py.File, Checked]:
    """The HDF5 file behind a path, checked; without locks, for the file is finished."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else first_line(error)
        raise DataError(f"{path} is not a whole HDF5 file: {reason}") from error
    try:
        return file, check_file(file, path)
    except BaseException:
        file.close()
        raise
