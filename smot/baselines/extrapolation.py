"""Motion at constant velocity between elastic walls: what a learned prior must beat."""

import numpy as np

from smot.arrays import BoolArray, FloatArray
from smot.boxes import reflect
from smot.tracks import Tracks

N_VELOCITIES = 41
"""Velocities tried between plus and minus the largest step seen; odd, so that 0 is one."""


def extrapolate(seen: Tracks, frame_size: tuple[int, int], horizon: int) -> Tracks:
    """Move what is present in the last frame on at constant velocity, reflected at the edges.

    The velocity is the one whose reflected path, ending in the last corner, fits the corners of
    the frames before best, over the frames in which the identity was seen without a gap. An
    object seen once stands still. The size is that of the last box.

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
    velocity = _velocities(corners, known, limit)
    ahead = np.arange(1, horizon + 1)[None, :, None, None]
    corner = reflect(corners[:, -1:] + velocity[:, None] * ahead, limit[:, None])
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
    # Back from the last frame up to the first gap.
    known = np.flip(np.cumprod(np.flip(known, 1), axis=1), 1).astype(bool)
    if not seen.shape[2]:
        return seen.boxes[..., :2].astype(np.float64), known
    corners = np.take_along_axis(seen.boxes[..., :2], same.argmax(-1)[..., None], axis=2)
    return corners.astype(np.float64), known


def _velocities(corners: FloatArray, known: BoolArray, limit: FloatArray) -> FloatArray:
    """Velocities of the best reflected paths, [B, K, 2], pixels per frame.

    Args:
        corners: [B, T, K, 2], pixels.
        known: which of them are of the object, [B, T, K]; the last ones.
        limit: largest legal corner, [B, K, 2], pixels.
    """
    both = (known[:, 1:] & known[:, :-1])[..., None]
    steps = np.where(both, np.diff(corners, axis=1), 0)
    if steps.shape[1] == 0:
        return np.zeros_like(limit)
    # A bounce shortens a step: the true speed is at least the longest one seen.
    fastest = np.abs(steps).max(1)
    velocity: FloatArray = steps.sum(1) / np.maximum(both.sum(1), 1)
    fit = _misfit(velocity, corners, known, limit)
    for share in np.linspace(-1, 1, N_VELOCITIES):
        other = share * fastest
        other_fit = _misfit(other, corners, known, limit)
        better = other_fit < fit - 1e-9  # ties, up to rounding, go to the mean step
        velocity, fit = np.where(better, other, velocity), np.where(better, other_fit, fit)
    return velocity


def _misfit(
    velocity: FloatArray, corners: FloatArray, known: BoolArray, limit: FloatArray
) -> FloatArray:
    """Squared distances of a path that ends in the last corner to those before, [B, K, 2]."""
    ago = np.arange(corners.shape[1])[::-1].reshape(1, -1, 1, 1)
    path = reflect(corners[:, -1:] - velocity[:, None] * ago, limit[:, None])
    misfit: FloatArray = (np.where(known[..., None], path - corners, 0) ** 2).sum(1)
    return misfit
