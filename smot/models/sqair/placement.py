"""What the four numbers that place an object mean, in pixels."""

import torch
from torch import Tensor

SMALLEST_SCALE = 1e-4


def transform(where: Tensor) -> Tensor:
    """Scale and shift from unbounded numbers.

    Coordinates run from -1 to 1 between the centres of the first and the last pixel: a point g of
    the patch lies at scale * g + shift of the frame.

    Args:
        where: sx, sy, tx, ty before the squashing, [..., 4].

    Returns:
        sigmoid of the first two, tanh of the last two, [..., 4]; scales below 1e-4 count as
        1e-4, with the gradient passed on as if they did not.

    Source: original code; the gradient past the lower bound follows it too.
    """
    scale, shift = where[..., :2].sigmoid(), where[..., 2:].tanh()
    scale = scale + (scale.detach().clamp(min=SMALLEST_SCALE) - scale.detach())
    return torch.cat([scale, shift], dim=-1)


def sprite_boxes(where: Tensor, frame_size: tuple[int, int], glimpse_size: int) -> Tensor:
    """Boxes, in the convention of `smot.models.sprites`, whose samples are those of `transform`.

    There, a patch of G samples spans G sample distances; between the first and the last of the
    transformer's samples there are G - 1 of them. With the scale's sigmoid written as a tanh, one
    tanh serves all four numbers.

    Args:
        where: sx, sy, tx, ty before the squashing, [..., 4].
        frame_size: H, W, pixels.
        glimpse_size: G, pixels.

    Returns:
        Centre and size y, x, h, w, [..., 4], pixels, where pixel i covers [i, i + 1).
    """
    H, W = frame_size
    spread = glimpse_size / (glimpse_size - 1)
    half = where.new_tensor([0.5, 0.5, 1.0, 1.0])
    factor = where.new_tensor([H - 1, W - 1, (H - 1) * spread, (W - 1) * spread]) / 2
    offset = where.new_tensor([H, W, (H - 1) * spread, (W - 1) * spread]) / 2
    return torch.addcmul(offset, (where * half).tanh().flip(-1), factor)


def object_boxes(where: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """What a tracker reports: the outer edges of the first and last sampled pixel.

    Args:
        where: sx, sy, tx, ty before the squashing, [..., 4].
        frame_size: H, W, pixels.

    Returns:
        x0, y0, x1, y1, [..., 4], pixels; may stick out of the frame.

    Source: the geometric extent, (W - 1) * sx + 1 wide around 0.5 * (W - 1) * (tx + 1). The SILOT
    comparison took (W + 1) * sx around 0.5 * W * (tx + 1) - 0.5, half a pixel off at the edges.
    """
    H, W = frame_size
    spaces = where.new_tensor([W - 1, H - 1])
    placed = transform(where)
    centre = (placed[..., 2:] + 1) / 2 * spaces + 0.5
    half = (placed[..., :2] * spaces + 1) / 2
    return torch.cat([centre - half, centre + half], dim=-1)
