"""What the four numbers that place an object mean, in pixels."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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


def sprite_boxes(where: Tensor, window: Tensor) -> Tensor:
    """Boxes, in the convention of `smot.models.sprites`, whose samples are those of `transform`.

    There, a patch of G samples spans G sample distances; between the first and the last of the
    transformer's samples there are G - 1 of them.

    Args:
        where: sx, sy, tx, ty before the squashing, [..., 4].
        window: from `window_of`.

    Returns:
        Centre and size y, x, h, w, [..., 4], pixels, where pixel i covers [i, i + 1).
    """
    boxes: Tensor = _SpriteBoxes.apply(where, window)
    return boxes


def window_of(frame_size: tuple[int, int], glimpse_size: int) -> Tensor:
    """What `sprite_boxes` needs to know of frames (H, W) and patches of G samples, [3, 4].

    With the scale's sigmoid written as a tanh, one tanh serves all four numbers: the box is
    window[2] + window[1] * tanh(window[0] * where), read backwards.
    """
    H, W = frame_size
    w, h = ((side - 1) * glimpse_size / (glimpse_size - 1) for side in (W, H))
    rows = [
        [0.5, 0.5, 1, 1],
        [w / 2, h / 2, (W - 1) / 2, (H - 1) / 2],
        [w / 2, h / 2, W / 2, H / 2],
    ]
    return torch.tensor(rows)


class _SpriteBoxes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, where: Tensor, window: Tensor) -> Tensor:
        squashed = (where * window[0]).tanh_()
        ctx.save_for_backward(squashed, window)
        return torch.addcmul(window[2], squashed, window[1]).flip(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        squashed, window = ctx.saved_tensors
        slope = slope.flip(-1) * (window[0] * window[1])
        return slope.sub_(slope * squashed.square()), None


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
