"""Videos with their ground truth in memory, and hashes that say whether two are the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import DataError
from smot.tracks import Tracks
from smot.videos.schema import FIELDS, FORMAT_VERSION, Field, Origin


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

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.present.ndim != 3:
            shapes = [list(self.frames.shape), list(self.present.shape)]
            raise DataError(f"frames must be [N, T, H, W, 3] and present [N, T, K], not {shapes}")
        N, T, H, W, _ = self.frames.shape
        axes = {"N": N, "T": T, "H": H, "W": W, "K": self.present.shape[2]}
        for field in FIELDS:
            _check_array(field, getattr(self, field.name), field.shape(axes))

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, key: slice) -> Self:
        """Some of the videos, `videos[4:8]`."""
        return type(self)(**{each.name: getattr(self, each.name)[key] for each in fields(self)})

    @property
    def truth(self) -> Tracks:
        """The ground truth as tracks whose identity is the slot."""
        return Tracks.from_slots(self.boxes, self.present)

    @classmethod
    def stack(cls, parts: Sequence["Videos"]) -> Self:
        """Join videos of one size and number of slots one after another.

        Args:
            parts: at least one.

        Raises:
            DataError: parts of different sizes.
        """
        if len({(part.frames.shape[1:], part.present.shape[2]) for part in parts}) != 1:
            raise DataError("videos to join must agree in frames, frame size and slots")
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
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
        "format_version": FORMAT_VERSION,
        "seed": origin.seed,
        "settings": dict(origin.settings),
        "digit_source": origin.description.digit_source,
        "digit_fingerprint": origin.digit_fingerprint,
    }
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digests(videos: Videos) -> UInt8Array:
    """Hash of each video's decoded content: all its arrays, in the order of the layout.

    Returns:
        SHA-256, [N, 32].
    """
    arrays = [np.ascontiguousarray(getattr(videos, field.name)) for field in FIELDS]
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
