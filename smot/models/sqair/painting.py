"""Adding patches to canvases: the inverse spatial transformer, with gradients."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smot.models.sprites.threads import over_images
from smot.models.sqair import paint_kernel


def paint(
    patches: Tensor,
    places: Tensor,
    canvas: Tensor,
    *,
    n_canvases: int,
    frame_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Sum patches onto empty canvases; what overlaps adds up and nothing is clipped.

    Every pixel shows the point of the patch that lies there, bilinearly, with zeros outside. On a
    CPU a compiled kernel does the work, elsewhere `paint_reference`; values and gradients are the
    same.

    Args:
        patches: [M, C, G, G].
        places: centre and distance of the patch's samples, y, x, dy, dx, [M, 4], pixel indices.
        canvas: which canvas each patch belongs to, [M], int64, ascending.
        n_canvases: n.
        frame_size: H, W, pixels.

    Returns:
        Canvases, [n, C, H, W], and covers, the same sum with patches of ones, [n, H, W].

    Source: original code (spatial transformer with inverted coordinates, corners aligned).
    """
    if patches.device.type != "cpu":
        return paint_reference(
            patches, places, canvas, n_canvases=n_canvases, frame_size=frame_size
        )
    firsts = torch.searchsorted(canvas, torch.arange(n_canvases + 1))
    painted: tuple[Tensor, Tensor] = _Painted.apply(
        patches.float(), places.float(), firsts, frame_size
    )
    return painted


def paint_reference(
    patches: Tensor,
    places: Tensor,
    canvas: Tensor,
    *,
    n_canvases: int,
    frame_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """What `paint` computes, in plain PyTorch, for any device and for tests; same arguments.

    For boxes along the axes bilinear sampling factors into one matrix for rows and one for
    columns, whose entries are relu(1 - distance).
    """
    (H, W), G = frame_size, patches.shape[-1]
    y, x, dy, dx = places.unbind(-1)
    rows = _sampling_matrix(y, dy, H, G)
    columns = _sampling_matrix(x, dx, W, G)
    pictures = rows[:, None] @ patches @ columns[:, None].transpose(-1, -2)
    outlines = rows.sum(-1)[:, :, None] * columns.sum(-1)[:, None, :]
    canvases = patches.new_zeros(n_canvases, *pictures.shape[1:])
    covers = patches.new_zeros(n_canvases, H, W)
    return canvases.index_add(0, canvas, pictures), covers.index_add(0, canvas, outlines)


def _sampling_matrix(centre: Tensor, step: Tensor, n_pixels: int, n_texels: int) -> Tensor:
    """Share of every texel in every pixel of one axis, [M, n_pixels, n_texels]."""
    pixels = torch.arange(n_pixels, device=centre.device)
    place = (n_texels - 1) / 2 + (pixels - centre[:, None]) / step[:, None]
    texels = torch.arange(n_texels, device=centre.device)
    return (1 - (place[..., None] - texels).abs()).clamp(min=0)


class _Painted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, places: Tensor, firsts: Tensor, frame_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        n, C = len(firsts) - 1, patches.shape[1]
        patches, places = patches.contiguous(), places.contiguous()
        canvases = patches.new_zeros(n, C, *frame_size)
        covers = patches.new_zeros(n, *frame_size)
        over_images(
            paint_kernel.paint, n, patches.numpy(), places.numpy(), firsts.numpy(),
            canvases.numpy(), covers.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(patches, places, firsts)
        return canvases, covers

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, canvas_slopes: Tensor, cover_slopes: Tensor
    ) -> tuple[Tensor | None, ...]:
        patches, places, firsts = ctx.saved_tensors
        patch_slopes, place_slopes = torch.empty_like(patches), torch.empty_like(places)
        over_images(
            paint_kernel.paint_backward, len(firsts) - 1, patches.numpy(), places.numpy(),
            firsts.numpy(), canvas_slopes.contiguous().numpy(), cover_slopes.contiguous().numpy(),
            patch_slopes.numpy(), place_slopes.numpy(),
        )  # fmt: skip
        return patch_slopes, place_slopes, None, None
