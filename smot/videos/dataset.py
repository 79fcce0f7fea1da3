"""A group of a file of videos as a torch data set, in torchvision's manner."""

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smot.errors import UsageError
from smot.videos.content import OWNER
from smot.videos.reading import VideoFile

Target = dict[str, Tensor]
TargetKind = Literal["boxes", "masks", "none"]


class VideoDataset(Dataset[Any]):
    """Videos and their truth as tensors, for `torch.utils.data.DataLoader`.

    Works with any number of workers, however they are started: each opens the file for itself.

    Args:
        path: the file.
        group: "train", "val" or "test/NN".
        target: "boxes" for items (video, truth); "masks" for the same with `owner` in the truth;
            "none" for videos alone.
        as_floats: whether videos are float32 in [0, 1], [T, 3, H, W], and not uint8 RGB,
            [T, H, W, 3].
        transform: applied to the video.
        target_transform: applied to the truth: boxes [T, K, 4], present and visibility [T, K],
            velocity [K, 2], label and source_index [K], count []; owner [T, H, W], int16: 0
            for background, 1 + the slot of the object that a pixel belongs to.

    Raises:
        UsageError: the file has no such group, or no masks, or `target` is none of these.
        DataError: the file cannot be used.
    """

    def __init__(
        self,
        path: Path | str,
        group: str,
        *,
        target: TargetKind = "boxes",
        as_floats: bool = False,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Target], Any] | None = None,
    ) -> None:
        self.file = VideoFile(path)
        if target not in get_args(TargetKind):
            raise UsageError(f"target must be boxes, masks or none, not {target!r}")
        self.file.read(group, 0, 0, masks=target == "masks")
        self.group, self.target, self.as_floats = group, target, as_floats
        self.transform = transform
        self.target_transform = target_transform

    def __repr__(self) -> str:
        return f"<VideoDataset {self.file.path}, {self.group}: {len(self):,} videos>"

    def __len__(self) -> int:
        return self.file.groups[self.group]

    def __getitem__(self, index: SupportsIndex) -> Any:
        """The video and its truth, or the video alone; the last one is also at -1."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Several videos at once; neighbours are read together."""
        places = [self._place(index) for index in indices]
        items: dict[int, Any] = {}
        for start, stop in _runs(sorted(set(places))):
            arrays = self._arrays(start, stop)
            for place in range(stop - start):
                parts = {name: torch.as_tensor(array[place]) for name, array in arrays.items()}
                items[start + place] = self._item(parts.pop("frames"), parts)
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

    def _arrays(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """What items [start, stop) are made of, by name."""
        if self.target == "none":
            return {"frames": self.file.read_field(self.group, "frames", start, stop)}
        videos = self.file.read(self.group, start, stop, masks=self.target == "masks")
        arrays = {field.name: getattr(videos, field.name) for field in videos.layout}
        if OWNER in arrays:  # of many slots uint16, which torch hardly knows
            arrays[OWNER] = arrays[OWNER].astype(np.int16)
        return arrays

    def _item(self, video: Tensor, target: Target) -> Any:
        if self.as_floats:
            video = video.permute(0, 3, 1, 2).float() / 255
        shown = self.transform(video) if self.transform else video
        if self.target == "none":
            return shown
        return shown, self.target_transform(target) if self.target_transform else target


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbours in sorted indices, as (start, stop)."""
    places = np.asarray(indices)
    cuts = np.flatnonzero(np.diff(places) > 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(places, cuts) if len(run)]
