"""What the objects of a group are like, from the stored truth alone."""

from dataclasses import dataclass

import numpy as np

from smot.videos.reading import VideoFile

_AT_ONCE = 4096  # videos whose truth is held in memory


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
