"""Videos with their ground truth, the layout that stores them, and hashes of both."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import DataError
from smot.tracks import DataDescription, Tracks

FORMAT_VERSION = 1  # of files without masks, which every release reads
MASKED_VERSION = 2  # of files with them
# Test videos with NN objects, or those of a group that has another name.
GROUP_NAME = re.compile(r"train|val|test/(\d{2,4}|[\w.-]{0,64}[A-Za-z_][\w.-]{0,64})", re.ASCII)
UNIT = 256  # videos that are made, compressed and written together; every chunk divides it
LARGEST_CHUNK = 1 << 30  # bytes that are decoded at once: the frames of a longer video are divided


@dataclass(frozen=True, kw_only=True)
class Field:
    """One array of a group.

    Attributes:
        name: the data set's name in the group.
        dtype: what it holds.
        axes: its axes, by name (N videos, T frames, H W pixels, K objects) or length.
        chunk: videos in one chunk, whole ones unless they are too large for it.
    """

    name: str
    dtype: np.dtype[Any]
    axes: str
    chunk: int

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape where the axes have these sizes."""
        return tuple(sizes[axis] if axis in sizes else int(axis) for axis in self.axes.split())

    def chunks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of its chunks where it has this shape."""
        whole = (self.chunk, *shape[1:])
        if "T" not in self.axes:
            return whole
        n_bytes = self.dtype.itemsize * math.prod((self.chunk, *shape[2:]))
        return (self.chunk, min(shape[1], max(1, LARGEST_CHUNK // max(n_bytes, 1))), *shape[2:])


FIELDS = (
    Field(name="frames", dtype=np.dtype(np.uint8), axes="N T H W 3", chunk=1),
    Field(name="boxes", dtype=np.dtype(np.float32), axes="N T K 4", chunk=16),
    Field(name="present", dtype=np.dtype(np.bool_), axes="N T K", chunk=16),
    Field(name="visibility", dtype=np.dtype(np.float32), axes="N T K", chunk=16),
    Field(name="velocity", dtype=np.dtype(np.float32), axes="N K 2", chunk=UNIT),
    Field(name="label", dtype=np.dtype(np.int16), axes="N K", chunk=UNIT),
    Field(name="source_index", dtype=np.dtype(np.int32), axes="N K", chunk=UNIT),
    Field(name="count", dtype=np.dtype(np.int16), axes="N", chunk=UNIT),
)
OWNER = "owner"
DIGEST = Field(name="digest", dtype=np.dtype(np.uint8), axes="N 32", chunk=UNIT)


def layout(n_slots: int, *, masks: bool) -> tuple[Field, ...]:
    """The arrays of videos with room for so many objects, in the order of their hash."""
    if not masks:
        return FIELDS
    dtype = np.dtype(np.uint8 if n_slots <= np.iinfo(np.uint8).max else np.uint16)
    return (*FIELDS, Field(name=OWNER, dtype=dtype, axes="N T H W", chunk=1))


def batch_length(frames: tuple[int, ...]) -> int:
    """How many videos to hold in memory at once: some 4 MiB of frames, 1 to 64 of them.

    Args:
        frames: the shape of an array of frames, [N, T, H, W, 3].
    """
    return max(1, min(64, (4 << 20) // max(1, math.prod(frames[1:]))))


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which part of a data set a file holds.

    Attributes:
        index: 0 .. total - 1.
        total: number of parts; 1 for a whole data set.

    Raises:
        ValueError: an index outside its range.
    """

    index: int = 0
    total: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.total:
            raise ValueError(f"shard {self.index} of {self.total}")

    def span(self, n_videos: int) -> tuple[int, int]:
        """First and one past the last video of a group of `n_videos` in this shard."""
        return (
            self.index * n_videos // self.total,
            (self.index + 1) * n_videos // self.total,
        )


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where videos come from: all that decides their content, and how to call them.

    Attributes:
        name: what tables and file names call the data set.
        seed: the data set's seed.
        settings: the generator's settings as plain values.
        description: what trackers may know of the data.
        digit_fingerprint: hash of the digits that were used; "" for shapes.
    """

    name: str
    seed: int
    settings: Mapping[str, Any]
    description: DataDescription
    digit_fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class Metadata(Origin):
    """What a file says of itself: where its videos come from, and what it holds of them.

    Attributes:
        format_version: of the layout.
        settings_fingerprint: hash over format version, seed, settings and digits.
        content_fingerprint: hash over the decoded content of every video.
        versions: of smot and of the libraries that wrote the file.
        shard: which part of the data set this is.
        totals: videos per group of the whole data set (of all shards together).
    """

    format_version: int
    settings_fingerprint: str
    content_fingerprint: str
    versions: Mapping[str, str]
    shard: Shard
    totals: Mapping[str, int]

    @property
    def digit_source(self) -> str:
        """Where digits came from: "mnist", "mnist-5k" or ""."""
        return self.description.digit_source


@dataclass(frozen=True, kw_only=True, eq=False)
class Videos:
    """N videos of T frames with at most K objects each.

    An object's identity is its slot k, constant through the video. Slots from `count` on are
    padding: never present, boxes and velocity 0, label and source index -1.

    Attributes:
        frames: RGB, [N, T, H, W, 3], uint8.
        boxes: x0, y0, x1, y1, [N, T, K, 4], float32, pixels; 0 where not present.
        present: whether the object is in the frame, [N, T, K], bool.
        visibility: share of the object's pixels that no later object covers, [N, T, K], float32.
        velocity: x, y, [N, K, 2], float32, pixels per frame, in the first frame.
        label: class of the object, [N, K], int16.
        source_index: which digit of the digit source, [N, K], int32; -1 for shapes.
        count: number of objects of the video, [N], int16.
        owner: 1 + the slot of the object that was drawn last at each pixel, 0 where none was,
            [N, T, H, W], uint8, or uint16 where there are more than 255 slots; None where masks
            are not known.

    Raises:
        DataError: an array whose type or shape does not fit the others.
    """

    frames: UInt8Array
    boxes: FloatArray
    present: BoolArray
    visibility: FloatArray
    velocity: FloatArray
    label: IntArray
    source_index: IntArray
    count: IntArray
    owner: IntArray | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.present.ndim != 3:
            shapes = [list(self.frames.shape), list(self.present.shape)]
            raise DataError(f"frames must be [N, T, H, W, 3] and present [N, T, K], not {shapes}")
        N, T, H, W, _ = self.frames.shape
        axes = {"N": N, "T": T, "H": H, "W": W, "K": self.present.shape[2]}
        for field in self.layout:
            _check_array(field, getattr(self, field.name), field.shape(axes))

    def __len__(self) -> int:
        return len(self.count)

    def __repr__(self) -> str:
        N, T, H, W, _ = self.frames.shape
        masks = "" if self.owner is None else ", masks"
        most = self.count.max(initial=0)
        return f"<Videos: {N:,} of {T:,} frames of {H} x {W} pixels, up to {most} objects{masks}>"

    def _repr_html_(self) -> str:
        """The first videos with their truth: what Jupyter shows."""
        from smot.filmstrips.notebooks import videos_as_html

        return videos_as_html(repr(self), self.frames, self.truth)

    def __getitem__(self, key: slice | IntArray) -> Self:
        """Some of the videos, `videos[4:8]`."""
        return type(self)(**{each.name: getattr(self, each.name)[key] for each in self.layout})

    @property
    def layout(self) -> tuple[Field, ...]:
        """The arrays that there are."""
        return layout(self.present.shape[2], masks=self.owner is not None)

    @property
    def truth(self) -> Tracks:
        """The ground truth as tracks whose identity is the slot; with masks if there are any."""
        return Tracks.from_slots(self.boxes, self.present, self.owner)

    @classmethod
    def stack(cls, parts: Sequence["Videos"]) -> Self:
        """Join videos of one size and number of slots one after another.

        Args:
            parts: at least one.

        Raises:
            DataError: parts of different sizes.
        """
        if (
            len({(part.frames.shape[1:], part.layout, part.present.shape[2]) for part in parts})
            != 1
        ):
            raise DataError("videos to join must agree in frames, frame size, slots and masks")
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in parts[0].layout
            }
        )


def settings_fingerprint(origin: Origin) -> str:
    """Hash of everything that decides what video i of a split looks like.

    Neither the name nor how many videos were made is part of it: two files with one settings
    fingerprint hold the same video i.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    decisive = {
        "format_version": 1,  # masks are another view of the same videos
        "seed": origin.seed,
        "settings": dict(origin.settings),
        "digit_source": origin.description.digit_source,
        "digit_fingerprint": origin.digit_fingerprint,
    }
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digests(videos: Videos) -> UInt8Array:
    """Hash of each video's decoded content: all its arrays, in the order of the layout.

    With masks it is another than without.

    Returns:
        SHA-256, [N, 32].
    """
    arrays = [np.ascontiguousarray(getattr(videos, field.name)) for field in videos.layout]
    found = np.empty((len(videos), 32), np.uint8)
    for index in range(len(videos)):
        content = hashlib.sha256()
        for array in arrays:
            content.update(array[index].data)
        found[index] = np.frombuffer(content.digest(), np.uint8)
    return found


def content_fingerprint(groups: Mapping[str, UInt8Array]) -> str:
    """Hash of a data set's content: of the digests of all videos, group by group in name order.

    It depends on neither compression, nor how the work was divided into shards and batches.

    Args:
        groups: digests of each group's videos, [N, 32], by group name.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    content = hashlib.sha256()
    # Names and lengths too, or moving a video to the next group would go unseen.
    for name in sorted(groups):
        content.update(f"{name} {len(groups[name])}\n".encode())
        content.update(np.ascontiguousarray(groups[name]).data)
    return content.hexdigest()


def _check_array(field: Field, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if array.dtype != field.dtype or array.shape != expected:
        found = f"{array.dtype} {list(array.shape)}"
        raise DataError(f"{field.name} must be {field.dtype} {list(expected)}, not {found}")
