"""A tracker in forty lines, to show what plugging into smot takes."""

import numpy as np
from scipy import ndimage

from smot.tracks import Tracks


class CentroidTracker:
    """Bright blobs, each joined to the nearest blob of the frame before.

    Args:
        brightness: least mean over channels for a pixel to count, 0..255.
        reach: how far a blob's centre may step between frames, pixels.
    """

    name = "centroid"

    def __init__(self, *, brightness: int = 60, reach: float = 8.0) -> None:
        self.brightness, self.reach = brightness, reach

    def track(self, videos: np.ndarray) -> Tracks:
        """Track the objects of videos, uint8 RGB, [B, T, H, W, 3]."""
        B, T = videos.shape[:2]
        found = [[self._blobs(frame) for frame in video] for video in videos]
        K = max((len(boxes) for video in found for boxes in video), default=0)
        boxes, ids = np.zeros((B, T, K, 4)), np.full((B, T, K), -1)
        for b, video in enumerate(found):
            for t, blobs in enumerate(video):
                boxes[b, t, : len(blobs)] = blobs
                before = (video[t - 1], ids[b, t - 1]) if t else None
                ids[b, t, : len(blobs)] = self._joined(before, blobs, int(ids[b].max(initial=-1)))
        return Tracks(boxes=boxes, ids=ids, confidence=(ids >= 0) * 1.0)

    def _blobs(self, frame: np.ndarray) -> np.ndarray:
        labels, _ = ndimage.label(frame.mean(-1) >= self.brightness)
        found = ndimage.find_objects(labels)
        return np.array([[x.start, y.start, x.stop, y.stop] for y, x in found]).reshape(-1, 4)

    def _joined(
        self, before: tuple[np.ndarray, np.ndarray] | None, now: np.ndarray, last_id: int
    ) -> list[int]:
        ids: list[int] = []
        for box in now:
            near = -1
            if before is not None and len(before[0]):
                step = np.hypot(*(before[0] - box).reshape(-1, 2, 2).mean(1).T)
                step[[i for i in range(len(step)) if before[1][i] in ids]] = np.inf
                near = int(step.argmin()) if step.min() <= self.reach else -1
            if near < 0:
                last_id += 1
            ids.append(last_id if near < 0 or before is None else int(before[1][near]))
        return ids
