"""Glimpses: the content of boxes, resampled to squares of fixed size."""

import torch
import torch.nn.functional as F
from torch import Tensor


def glimpse(
    images: Tensor, boxes: Tensor, *, unit: float, size: int, mask_logits: Tensor | None = None
) -> Tensor:
    """Resample boxes of images to `size` x `size`; pixels outside the image count as 0.

    Sample (u, v) is read at row `unit * (y + h * ((u + 0.5) / size - 0.5)) - 0.5` in pixel
    indices, likewise for columns, bilinearly.

    Args:
        images: float32, [N, C, H, W]; gets no gradient.
        boxes: centre and size y, x, h, w, [N, K, 4].
        unit: pixels per unit of the boxes.
        size: side G of a glimpse, pixels.
        mask_logits: glimpses are multiplied by their sigmoid, [N, K, G * G]; None for no mask.

    Returns:
        [N, K, C, G, G], float32.

    Source: docs/models/silot.md 1.1. Half-pixel sampling, so that a glimpse has exactly the
    geometry of a painted sprite; corners are aligned in the authors' code.
    """
    N, C, H, W = images.shape
    K = boxes.shape[1]
    y, x, h, w = boxes.float().unbind(-1)
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size - 0.5
    rows = 2 * unit * (y[..., None] + h[..., None] * steps) / H - 1
    columns = 2 * unit * (x[..., None] + w[..., None] * steps) / W - 1
    grid = torch.stack(
        torch.broadcast_tensors(columns[:, :, None, :], rows[:, :, :, None]), dim=-1
    )
    values = F.grid_sample(
        images.detach(), grid.reshape(N, K * size, size, 2), align_corners=False
    )
    values = values.view(N, C, K, size, size).transpose(1, 2)
    if mask_logits is None:
        return values
    return values * torch.sigmoid(mask_logits.float()).view(N, K, 1, size, size)
