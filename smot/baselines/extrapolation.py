"""Motion at constant velocity between elastic walls: what a learned prior must beat."""

import numpy as np

from smot.arrays import BoolArray, FloatArray
from smot.tracks import Tracks


def reflect(position: FloatArray, limit: FloatArray) -> FloatArray:
    """Fold free positions back into [0, limit] as elastic bounces would.

    Args:
        position: where the corner would be without walls, [..., 2], pixels.
        limit: largest legal corner (frame size less object size), [..., 2], pixels.

    Returns:
        The corner inside the frame, [..., 2], pixels.

    Source: supplement D.1 says only "bounce off the edges"; elastic reflection is our choice.
    """
    limit = np.maximum(limit, 1e-6)
    return limit - np.abs(np.mod(position, 2 * limit) - limit)


def extrapolate(seen: Tracks, frame_size: tuple[int, int], horizon: int) -> Tracks:
    """Move what is present in the last frame on at constant velocity, reflected at the edges.

    The velocity is the mean over the frames in which the identity was seen without a gap; where
    its direction along an axis turned in that time, it bounced, and the last step counts alone.
    An object seen once stands still. The size is that of the last box.

    Args:
        seen: tracks, [B, T, K].
        frame_size: H, W, pixels.
        horizon: number of frames to predict.

    Returns:
        Tracks of the following frames, [B, horizon, K].

    Source: ours; the paper has no such reference.
    """
    corners, known = _histories(seen)
    last = seen.boxes[:, -1].astype(np.float64)
    size = last[..., 2:] - last[..., :2]
    limit = np.array([frame_size[1], frame_size[0]]) - size
    velocity = _velocities(corners, known)
    ahead = np.arange(1, horizon + 1)[None, :, None, None]
    free = corners[:, -1, None] + velocity[:, None] * ahead
    corner = reflect(free, np.broadcast_to(limit[:, None], free.shape))
    boxes = np.concatenate([corner, corner + size[:, None]], axis=-1)
    shape = (seen.shape[0], horizon, seen.shape[2])
    return Tracks(
        boxes=boxes,
        ids=np.broadcast_to(seen.ids[:, -1:], shape),
        confidence=np.broadcast_to(seen.confidence[:, -1:], shape),
    )


def _histories(seen: Tracks) -> tuple[FloatArray, BoolArray]:
    """Corners through time of the identities of the last frame, [B, T, K, 2], and where known."""
    last = seen.ids[:, -1]
    same = (seen.ids[:, :, None, :] == last[:, None, :, None]) & (last >= 0)[:, None, :, None]
    known = same.any(-1)
    known = np.flip(np.cumprod(np.flip(known, 1), axis=1), 1).astype(bool)
    corners = np.take_along_axis(seen.boxes[..., :2], same.argmax(-1)[..., None], axis=2)
    return corners.astype(np.float64), known


def _velocities(corners: FloatArray, known: BoolArray) -> FloatArray:
    """Velocities, [B, K, 2], pixels per frame."""
    both = (known[:, 1:] & known[:, :-1])[..., None]
    steps = np.where(both, np.diff(corners, axis=1), 0)
    if steps.shape[1] == 0:
        return np.zeros_like(corners[:, 0])
    mean = steps.sum(1) / np.maximum(both.sum(1), 1)
    turned = (np.sign(steps).max(1) > 0) & (np.sign(steps).min(1) < 0)
    return np.where(turned, steps[:, -1], mean)
