"""Files of videos with ground truth: the layout, writing, reading, checking, and torch."""

import importlib
from typing import TYPE_CHECKING, Any

from smot.videos.content import Metadata, Origin, Shard, Videos
from smot.videos.reading import VideoFile, open_videos

if TYPE_CHECKING:
    from smot.videos.dataset import VideoDataset
    from smot.videos.writing import write_videos

__all__ = [
    "Metadata",
    "Origin",
    "Shard",
    "VideoDataset",
    "VideoFile",
    "Videos",
    "open_videos",
    "write_videos",
]

_ON_DEMAND = {
    "VideoDataset": "smot.videos.dataset",  # needs torch
    "write_videos": "smot.videos.writing",  # needs numba
}


def __getattr__(name: str) -> Any:
    """Import what takes long when it is first needed."""
    if name in _ON_DEMAND:
        return getattr(importlib.import_module(_ON_DEMAND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
