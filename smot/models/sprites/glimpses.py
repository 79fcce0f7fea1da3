"""Glimpses: the content of boxes, resampled to squares of fixed size."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sprites import glimpse_kernel


def glimpse(
    images: Tensor, boxes: Tensor, *, unit: float, size: int, mask_logits: Tensor | None = None
) -> Tensor:
    """Resample boxes of images to `size` x `size`; pixels outside the image count as 0.

    Sample (u, v) is read at row `unit * (y + h * ((u + 0.5) / size - 0.5)) - 0.5` in pixel
    indices, likewise for columns, bilinearly. On a CPU a compiled kernel does the work, elsewhere
    `glimpse_reference`; values and gradients are the same.

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
    if images.device.type != "cpu":
        return glimpse_reference(images, boxes, unit=unit, size=size, mask_logits=mask_logits)
    if mask_logits is None:
        mask_logits = boxes.new_empty(0)
    values: Tensor = _Glimpse.apply(images, boxes, mask_logits, unit, size)
    return values


def glimpse_reference(
    images: Tensor, boxes: Tensor, *, unit: float, size: int, mask_logits: Tensor | None = None
) -> Tensor:
    """What `glimpse` computes, in plain PyTorch for any device; same arguments."""
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


class _Glimpse(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, boxes: Tensor, mask_logits: Tensor, unit: float, size: int
    ) -> Tensor:
        N, C, _, _ = images.shape
        K = boxes.shape[1]
        boxes = boxes.float().contiguous()
        images = images.contiguous()
        n_weighted = N if mask_logits.numel() else 0
        weights = torch.sigmoid(mask_logits.float()).view(n_weighted, K, size, size)
        values = boxes.new_empty(N, K, C, size, size)
        glimpse_kernel.read(images.numpy(), boxes.numpy(), weights.numpy(), unit, values.numpy())
        ctx.save_for_backward(images, boxes, weights)
        ctx.unit, ctx.mask_shape = unit, mask_logits.shape
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, boxes, weights = ctx.saved_tensors
        gradient = gradients[0].float().contiguous()
        box_gradient = torch.empty_like(boxes)
        weight_gradient = torch.zeros_like(weights)
        glimpse_kernel.read_backward(
            images.numpy(),
            boxes.numpy(),
            weights.numpy(),
            ctx.unit,
            gradient.numpy(),
            box_gradient.numpy(),
            weight_gradient.numpy(),
        )
        mask_gradient = None
        if weights.numel():
            mask_gradient = weight_gradient.mul_(weights * (1 - weights)).view(ctx.mask_shape)
        return None, box_gradient, mask_gradient, None, None
