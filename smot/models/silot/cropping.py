"""Random squares of frames, so that training on large frames stays cheap."""

import torch
from torch import Tensor


def random_squares(images: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One square of each video, the same in all its frames.

    Args:
        images: [T, B, C, H, W].
        side: of the squares, pixels; frames smaller than that stay whole along that axis.
        generator: source of the corners, on the images' device.

    Returns:
        The squares, [T, B, C, min(H, side), min(W, side)], and y, x of their corners, [B, 2],
        pixels.

    Source: supplement D.2 (random crops of the frame in training).
    """
    B, H, W = images.shape[1], *images.shape[-2:]
    device = images.device
    room = torch.tensor([max(H - side, 0) + 1, max(W - side, 0) + 1], device=device)
    corner = (torch.rand(B, 2, generator=generator, device=device) * room).long()
    rows = corner[:, :1] + torch.arange(min(H, side), device=device)
    columns = corner[:, 1:] + torch.arange(min(W, side), device=device)
    video = torch.arange(B, device=device)[:, None, None]
    # Indexed axes come first: [B, rows, columns, T, C].
    squares = images.transpose(0, 1)[video, :, :, rows[:, :, None], columns[:, None]]
    return squares.permute(3, 0, 4, 1, 2).contiguous(), corner
