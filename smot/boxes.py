"""The one box convention and what is computed from boxes alone.

A box is `x0, y0, x1, y1` in pixels; pixel i covers [i, i + 1), so the width is `x1 - x0`.
"""

import numpy as np

from smot.arrays import FloatArray


def areas(boxes: FloatArray) -> FloatArray:
    """Areas of boxes.

    Args:
        boxes: x0, y0, x1, y1, [..., 4], pixels.

    Returns:
        Width times height, [...], float64, square pixels.
    """
    boxes = boxes.astype(np.float64, copy=False)
    sizes: FloatArray = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return sizes


def centres(boxes: FloatArray) -> FloatArray:
    """Centres of boxes.

    Args:
        boxes: x0, y0, x1, y1, [..., 4], pixels.

    Returns:
        x, y of the centres, [..., 2], float64, pixels.
    """
    boxes = boxes.astype(np.float64, copy=False)
    middles: FloatArray = (boxes[..., :2] + boxes[..., 2:]) / 2
    return middles


def intersections(first: FloatArray, second: FloatArray) -> FloatArray:
    """Areas of intersection of every box of one set with every box of the other.

    Args:
        first: boxes, [..., N, 4], pixels.
        second: boxes, [..., M, 4], pixels; leading axes broadcast with those of `first`.

    Returns:
        Areas, [..., N, M], float64, square pixels.
    """
    first, second = first.astype(np.float64, copy=False), second.astype(np.float64, copy=False)
    low = np.maximum(first[..., :, None, :2], second[..., None, :, :2])
    high = np.minimum(first[..., :, None, 2:], second[..., None, :, 2:])
    sides = np.maximum(high - low, 0)  # negative where boxes do not meet
    shared: FloatArray = sides[..., 0] * sides[..., 1]
    return shared


def iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Intersection over union of every box of one set with every box of the other.

    Args:
        first: boxes, [..., N, 4], pixels.
        second: boxes, [..., M, 4], pixels; leading axes broadcast with those of `first`.

    Returns:
        IoU in [0, 1], [..., N, M], float64; 0 where both boxes are empty.
    """
    shared = intersections(first, second)
    union = areas(first)[..., :, None] + areas(second)[..., None, :] - shared
    ratio: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def reflect(position: FloatArray, limit: FloatArray) -> FloatArray:
    """Fold free positions back into [0, limit] as elastic bounces would.

    Args:
        position: where the corner would be without walls, [..., 2], pixels.
        limit: largest legal corner (frame size less object size), [..., 2], pixels.

    Returns:
        The corner inside the frame, [..., 2], pixels; 0 where an object fills the frame.

    Source: supplement D.1 says only "bounce off the edges"; elastic reflection is our choice.
    """
    limit = np.asarray(limit, np.float64)
    # There and back again is one period; an object that fills the frame has none.
    period = np.where(limit > 0, 2 * limit, 1.0)
    phase = np.mod(position, period)
    folded: FloatArray = np.where(limit > 0, np.minimum(phase, 2 * limit - phase), 0.0)
    return folded
