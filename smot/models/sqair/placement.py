"""What the four numbers that place an object mean, in pixels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALLEST_SCALE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How ``where`` (sx, sy, tx, ty before the squashing) places a patch in a frame.

    Coordinates run from -1 to 1 between the centres of the first and the last pixel: a point g of
    the patch lies at scale * g + shift of the frame.

    Attributes:
        frame_size: H, W, pixels.
        glimpse_size: G, samples along a side of the patch.
        scale_bounds: smallest and largest scale, shares of the frame.

    Source: original code (corners aligned; sigmoid and tanh); the bounds are an option of the
    code behind the SILOT comparison.
    """

    frame_size: tuple[int, int]
    glimpse_size: int
    scale_bounds: tuple[float, float]

    def transform(self, where: Tensor) -> Tensor:
        """Scale and shift.

        Args:
            where: [..., 4].

        Returns:
            The first two between the bounds by a sigmoid, tanh of the last two, [..., 4]; scales
            below 1e-4 count as 1e-4, with the gradient passed on as if they did not.
        """
        low, high = self.scale_bounds
        scale = low + (high - low) * where[..., :2].sigmoid()
        scale = scale + (scale.detach().clamp(min=SMALLEST_SCALE) - scale.detach())
        return torch.cat([scale, where[..., 2:].tanh()], dim=-1)

    def samples(self, where: Tensor) -> Tensor:
        """Centre and distance of the patch's samples, y, x, dy, dx, [..., 4], pixel indices."""
        placed, spaces = self.transform(where), self._spaces(where)
        centre = (placed[..., 2:] + 1) / 2 * spaces
        step = placed[..., :2] * spaces / (self.glimpse_size - 1)
        return torch.cat([centre.flip(-1), step.flip(-1)], dim=-1)

    def object_boxes(self, where: Tensor) -> Tensor:
        """What a tracker reports: the outer edges of the first and last sampled pixel.

        Args:
            where: [..., 4].

        Returns:
            x0, y0, x1, y1, [..., 4], pixels; may stick out of the frame.

        Source: the geometric extent, (W - 1) * sx + 1 wide around 0.5 * (W - 1) * (tx + 1). The
        SILOT comparison took (W + 1) * sx around 0.5 * W * (tx + 1) - 0.5, up to a pixel off.
        """
        placed, spaces = self.transform(where), self._spaces(where)
        centre = (placed[..., 2:] + 1) / 2 * spaces + 0.5
        half = (placed[..., :2] * spaces + 1) / 2
        return torch.cat([centre - half, centre + half], dim=-1)

    def window(self) -> Tensor:
        """What `sprite_boxes` needs, [3, 4].

        With the scale's sigmoid written as a tanh, one tanh serves all four numbers: the box is
        window[2] + window[1] * tanh(window[0] * where), read backwards. A sprite of G samples
        spans G sample distances, the transformer's patch G - 1.
        """
        H, W = self.frame_size
        low, high = self.scale_bounds
        spread = self.glimpse_size / (self.glimpse_size - 1)
        w, h = (W - 1) * spread / 2, (H - 1) * spread / 2
        factors = [(high - low) * w, (high - low) * h, (W - 1) / 2, (H - 1) / 2]
        offsets = [(high + low) * w, (high + low) * h, W / 2, H / 2]
        return torch.tensor([[0.5, 0.5, 1.0, 1.0], factors, offsets])

    def _spaces(self, like: Tensor) -> Tensor:
        """Pixel distances across the frame, along x and y."""
        H, W = self.frame_size
        return like.new_tensor([W - 1, H - 1])


def sprite_boxes(where: Tensor, window: Tensor) -> Tensor:
    """Boxes, in the convention of `smot.models.sprites`, with the samples of a `Geometry`.

    Args:
        where: sx, sy, tx, ty before the squashing, [..., 4].
        window: from `Geometry.window`.

    Returns:
        Centre and size y, x, h, w, [..., 4], pixels, where pixel i covers [i, i + 1).
    """
    boxes: Tensor = _SpriteBoxes.apply(where, window)
    return boxes


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
