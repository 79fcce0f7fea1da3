"""From objects to pixels, and how likely the pixels are."""

import torch
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.layers import Mlp
from smot.models.sqair.painting import paint
from smot.models.sqair.samples import LOG_2PI

COVER_BIAS, COVER_SCALE = -10.0, 20.0


class Decoder(nn.Module):
    """Paints objects, adds them up, and puts the mean image under them.

    Args:
        config: sizes, scale of the patches, deviation of the pixels.
        generator: source of the initial weights.

    Source: sqair.md 4.1 (linear patches; the mean image shows only where something was painted).
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        C, G = config.channels, config.glimpse_size
        self.patch_shape, self.geometry = (C, G, G), config.geometry
        sizes = (config.n_what, config.n_hidden, config.n_hidden, C * G * G)
        self.mlp = Mlp(sizes, generator)
        self.output_scale = nn.Parameter(torch.tensor(config.output_scale))
        shape = (C, *config.frame_size)
        self.mean_image = nn.Parameter(torch.full(shape, config.mean_image))
        self.output_std = config.output_std

    def patches(self, what: Tensor) -> Tensor:
        """Appearances as patches, [M, A] to [M, C, G, G]."""
        painted: Tensor = self.mlp(what) * self.output_scale
        return painted.view(-1, *self.patch_shape)

    def forward(self, what: Tensor, where: Tensor, present: Tensor) -> Tensor:
        """Frames expected of the objects in them; only objects that are there are painted.

        Args:
            what: appearances, [n, N, A].
            where: places, [n, N, 4].
            present: [n, N], 1 or 0.

        Returns:
            [n, C, H, W].
        """
        canvas, slot = torch.nonzero(present > 0.5, as_tuple=True)
        chosen = canvas * present.shape[1] + slot
        canvases, covers = paint(
            self.patches(what.flatten(0, 1).index_select(0, chosen)),
            self.geometry.samples(where.flatten(0, 1).index_select(0, chosen)),
            canvas,
            n_canvases=len(present),
            frame_size=self.geometry.frame_size,
        )
        shown = (COVER_SCALE * covers + COVER_BIAS).sigmoid()
        return torch.addcmul(canvases, shown[:, None], self.mean_image)

    def log_likelihood(self, pixels: Tensor, expected: Tensor) -> Tensor:
        """Log density of pixels, summed over pixels and channels.

        Args:
            pixels: frames, [n, C, H, W].
            expected: from `forward`, [n * K, C, H, W], particles of a frame side by side.

        Returns:
            [n * K].
        """
        n = len(pixels)
        errors = (expected.view(n, -1, *pixels.shape[1:]) - pixels[:, None]).flatten(2)
        squares = errors.square().sum(-1).flatten() / self.output_std**2
        return -0.5 * (squares + errors.shape[-1] * log_scale(self.output_std))


def log_scale(std: float) -> float:
    """log(2 pi std^2): what a pixel costs before its error counts, nats, twice."""
    return LOG_2PI + 2 * float(torch.tensor(std, dtype=torch.float64).log())
