"""From objects to pictures."""

import torch
from torch import Tensor, nn

from smot.models.layers import Mlp
from smot.models.silot.config import SilotConfig
from smot.models.silot.objects import Objects
from smot.models.sprites import Paint, activated, owners, paint


class Renderer(nn.Module):
    """One decoder for all objects, and soft painting by depth.

    Args:
        config: sizes, scales and the background.

    Source: SILOT A.2; docs/models/silot.md 4.5.
    """

    background: Tensor

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.unit = config.anchor
        self.n_planes, self.side = config.n_channels + 1, config.glimpse_size
        self.decode = Mlp(config.what_size, (128, 256), self.n_planes * self.side**2)
        self.style = Paint(
            colour_scale=config.colour_scale,
            alpha_scale=config.alpha_scale,
            alpha_bias=config.alpha_bias,
            temperature=config.importance_temperature,
            floor=config.importance_floor,
            exponential=config.exponential_importance,
        )
        colour = torch.tensor(config.background[: config.n_channels])
        self.register_buffer("background", colour, persistent=False)

    def forward(self, objects: Objects, frame_size: tuple[int, int]) -> Tensor:
        """Frames of objects [..., K, ...] -> [..., C, H, W], in [0, 1]."""
        *leading, K, _ = objects.what.shape
        images = paint(
            self.sprites(objects.what).flatten(0, -5),
            objects.box.reshape(-1, K, 4),
            objects.pres.reshape(-1, K),
            objects.depth.reshape(-1, K),
            self.background,
            unit=self.unit,
            frame_size=frame_size,
            style=self.style,
        )
        return images.view(*leading, *images.shape[1:])

    def owners(
        self, objects: Objects, counts: Tensor, frame_size: tuple[int, int], *, ink: float
    ) -> Tensor:
        """1 + the object that each pixel belongs to, 0 for none: [N, K, ...] -> [N, H, W].

        Args:
            objects: of N frames.
            counts: which of them count, bool, [N, K].
            frame_size: H, W, pixels.
            ink: least difference to the background.
        """

        def alone(places: Tensor) -> Tensor:
            some = (each.take_along_dim(places[..., None], 1)[:, :, None] for each in objects)
            pictures: Tensor = self(Objects(*some), frame_size)
            return pictures - self.background[:, None, None]

        return owners(alone, objects.depth[..., 0] * counts, ink)

    def sprites(self, what: Tensor) -> Tensor:
        """Logits of colours and transparency, [..., A] -> [..., C + 1, G, G]."""
        logits: Tensor = self.decode(what)
        return logits.view(*what.shape[:-1], self.n_planes, self.side, self.side)

    def appearances(self, what: Tensor) -> Tensor:
        """Colours and transparency in [0, 1], [..., A] -> [..., C + 1, G, G]."""
        return activated(self.sprites(what), self.style)
