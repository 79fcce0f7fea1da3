"""A group of a file of videos as a torch data set, in torchvision's manner."""

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smot.videos.content import FIELDS
from smot.videos.reading import VideoFile

Target = dict[str, Tensor]


class VideoDataset(Dataset[tuple[Any, Any]]):
    """Videos and their truth as tensors, for `torch.utils.data.DataLoader`.

    Works with any number of workers, however they are started: each opens the file for itself.

    Args:
        path: the file.
        group: "train", "val" or "test/NN".
        transform: applied to the video, uint8 RGB, [T, H, W, 3].
        target_transform: applied to the truth: boxes [T, K, 4], present and visibility [T, K],
            velocity [K, 2], label and source_index [K], count [].

    Raises:
        UsageError: the file has no such group.
        DataError: the file cannot be used.
    """

    def __init__(
        self,
        path: Path | str,
        group: str,
        *,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Target], Any] | None = None,
    ) -> None:
        self.file = VideoFile(path)
        self.file.check_range(group, 0, 0)
        self.group = group
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self) -> int:
        return self.file.groups[self.group]

    def __getitem__(self, index: SupportsIndex) -> tuple[Any, Any]:
        """The video and its truth; the last one is also at -1."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[tuple[Any, Any]]:
        """Several videos at once; neighbours are read together."""
        places = [self._place(index) for index in indices]
        items: dict[int, tuple[Any, Any]] = {}
        for start, stop in _runs(sorted(set(places))):
            videos = self.file.read(self.group, start, stop)
            arrays = {field.name: getattr(videos, field.name) for field in FIELDS}
            for place in range(stop - start):
                parts = {name: torch.as_tensor(array[place]) for name, array in arrays.items()}
                items[start + place] = self._transformed(parts.pop("frames"), parts)
        return [items[place] for place in places]

    def read(self, start: int, stop: int) -> Tensor:
        """The frames of videos [start, stop), uint8 RGB, [N, T, H, W, 3]: the fast path."""
        return torch.from_numpy(self.file.read_field(self.group, "frames", start, stop))

    def _place(self, index: SupportsIndex) -> int:
        """A place from 0, of an index of any integer type: numpy's, or a tensor of one."""
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"video {place} of {len(self)}")
        return place % len(self)

    def _transformed(self, video: Tensor, target: Target) -> tuple[Any, Any]:
        return (
            self.transform(video) if self.transform else video,
            self.target_transform(target) if self.target_transform else target,
        )


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbours in sorted indices, as (start, stop)."""
    places = np.asarray(indices)
    cuts = np.flatnonzero(np.diff(places) > 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(places, cuts) if len(run)]
