"""Files of videos with ground truth: the layout, writing, reading, checking, and torch."""

from typing import TYPE_CHECKING, Any

from smot.videos.content import Videos
from smot.videos.reading import VideoFile, open_videos
from smot.videos.schema import Metadata, Origin, Shard
from smot.videos.writing import write_videos

if TYPE_CHECKING:
    from smot.videos.dataset import VideoDataset

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


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for."""
    if name == "VideoDataset":
        from smot.videos.dataset import VideoDataset

        return VideoDataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
