"""The layout of a file of videos: its arrays, their chunks, and what the root says of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smot.tracks import DataDescription

FORMAT_VERSION = 1
GROUP_NAME = re.compile(r"train|val|test/\d{2,4}")
UNIT = 256  # videos that are made, compressed and written together; every chunk divides it


@dataclass(frozen=True, kw_only=True)
class Field:
    """One array of a group.

    Attributes:
        name: the data set's name in the group.
        dtype: what it holds.
        axes: its axes, by name (N videos, T frames, H W pixels, K objects) or length.
        chunk: videos in one chunk.
    """

    name: str
    dtype: np.dtype[Any]
    axes: str
    chunk: int

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape where the axes have these sizes."""
        return tuple(sizes[axis] if axis in sizes else int(axis) for axis in self.axes.split())


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
DIGEST = Field(name="digest", dtype=np.dtype(np.uint8), axes="N 32", chunk=UNIT)


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
class Metadata:
    """What a file says of itself.

    Attributes:
        format_version: of the layout.
        name: what tables call the data set.
        seed: the data set's seed.
        settings: the generator's settings as plain values.
        digit_source: "mnist", "mnist-5k" or "".
        digit_fingerprint: hash of the digits that were used; "" for shapes.
        settings_fingerprint: hash over format version, seed, settings and digits.
        content_fingerprint: hash over the decoded content of every video.
        versions: of smot and of the libraries that wrote the file.
        shard: which part of the data set this is.
        totals: videos per group of the whole data set (of all shards together).
    """

    format_version: int
    name: str
    seed: int
    settings: Mapping[str, Any]
    digit_source: str
    digit_fingerprint: str
    settings_fingerprint: str
    content_fingerprint: str
    versions: Mapping[str, str]
    shard: Shard
    totals: Mapping[str, int]
