"""Discovery: every cell of a grid may propose an object that propagation has not explained."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smot.models.distributions import clipped_sigmoid, draw_gaussian, positive_scale
from smot.models.layers import Mlp, initialise
from smot.models.silot import latents
from smot.models.silot.attention import SpatialAttention
from smot.models.silot.backbone import CELL, cell_centres, grid_shape
from smot.models.silot.config import SilotConfig
from smot.models.silot.latents import Gaussian, Presence
from smot.models.silot.objects import Objects, visible_width
from smot.models.sprites import glimpse

FUSER_WIDTH = 128


class DiscoveryNoise(NamedTuple):
    """Noise of one frame's discovery.

    Attributes:
        where: standard normal, [B, J, 4].
        what: standard normal, [B, J, A].
        depth: standard normal, [B, J, 1].
        pres: logistic, [B, J, 1].
    """

    where: Tensor
    what: Tensor
    depth: Tensor
    pres: Tensor


class Discovered(NamedTuple):
    """Proposals of J cells.

    Attributes:
        objects: [B, J, ...].
        latent: Gaussians of position, size, appearance and depth, [B, J, 5 + A].
        presence: of an object in the cell.
    """

    objects: Objects
    latent: Gaussian
    presence: Presence


class Discovery(nn.Module):
    """From the backbone's cells and the propagated objects to proposals.

    Source: supplement (discovery); where the original code overrides it, as it does: the fuser
    is two 3x3 convolutions, hidden layers are as wide as their input.
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.unit, self.glimpse_size = config.anchor, config.glimpse_size
        n, A = config.n_features, config.what_size
        n_object = visible_width(A) + config.hidden_size
        self.attention = SpatialAttention(n_object, 0, n, config.sigma)
        self.fuse_first = nn.Conv2d(2 * n, FUSER_WIDTH, 3, padding=1)
        self.fuse_second = nn.Conv2d(FUSER_WIDTH, n, 3, padding=1)
        for layer in (self.fuse_first, self.fuse_second):
            initialise(layer)
        self.where = Mlp(n, (n,), 8 + n)
        self.encode = Mlp(config.glimpse_size**2 * config.n_channels, (256, 128), n)
        self.what = Mlp(3 * n + 4, (3 * n + 4,), 2 * A + n)
        self.depth = Mlp(2 * n + 4 + A, (2 * n + 4 + A,), 2 + n)
        self.pres = Mlp(2 * n + 5 + A, (2 * n + 5 + A,), 1)
        self.initial_hidden = nn.Parameter(torch.zeros(config.hidden_size))
        self.sizes = (n, A)
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        image: Tensor,
        cells: Tensor,
        propagated: Objects | None,
        noise: DiscoveryNoise | None,
        offset: Tensor | None,
        *,
        wheels: bool,
    ) -> Discovered:
        """Proposals for one frame.

        Args:
            image: [B, C, H, W].
            cells: the backbone's features, [B, grid height, grid width, F].
            propagated: objects already explained, [B, K, ...]; None in the first frame.
            noise: None for means.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors, or None.
            wheels: whether the networks of boxes, depths and presences get no gradient.
        """
        n, A = self.sizes
        B, height, width, _ = cells.shape
        H, W = image.shape[-2:]
        features = self._fused(cells, propagated, (H, W))
        outputs, told = self.where(features).split([8, n], -1)
        outputs = outputs.detach() if wheels else outputs
        where = Gaussian(outputs[..., :4], positive_scale(outputs[..., 4:]))
        sample = draw_gaussian(*where, noise.where if noise else None)
        local, size, centre = self._box(sample, (H, W))
        box = torch.cat([centre, size], -1)
        seen = glimpse(image, box, unit=self.unit, size=self.glimpse_size).flatten(2)
        evidence = self.encode(seen)
        what_mean, what_raw, told = self.what(
            torch.cat([features, told, evidence, local], -1)
        ).split([A, A, n], -1)
        appearance = Gaussian(what_mean, positive_scale(what_raw))
        what = draw_gaussian(*appearance, noise.what if noise else None)
        outputs, told = self.depth(torch.cat([features, told, local, what], -1)).split([2, n], -1)
        outputs = outputs.detach() if wheels else outputs
        nearness, depth_logit = latents.draw_depth(outputs, None, noise.depth if noise else None)
        depth = clipped_sigmoid(depth_logit)
        outputs = self.pres(torch.cat([features, told, local, what, depth], -1))
        outputs = outputs.detach() if wheels else outputs
        presence = latents.draw_presence(outputs, noise.pres if noise else None)
        objects = Objects(
            place=centre if offset is None else centre + offset[:, None],
            size=size,
            what=what,
            depth=depth,
            pres=presence.value,
            hidden=self.initial_hidden.expand(B, height * width, -1),
            centre=centre,
            size_logit=sample[..., 2:],
            depth_logit=depth_logit,
        )
        latent = Gaussian(
            torch.cat([where.mean, appearance.mean, nearness.mean], -1),
            torch.cat([where.scale, appearance.scale, nearness.scale], -1),
        )
        return Discovered(objects, latent, presence)

    def _fused(
        self, cells: Tensor, propagated: Objects | None, frame_size: tuple[int, int]
    ) -> Tensor:
        """What cells know of the image and of the objects around, [B, J, F], float32."""
        B, height, width, n = cells.shape
        if propagated is None:
            heard = cells.new_zeros(cells.shape)
        else:
            centres = cell_centres(*frame_size, self.unit, cells.device)
            described = torch.cat(propagated[:6], -1)
            heard = self.attention(described, propagated.centre, None, centres[None])
            heard = heard.view(B, height, width, n).to(cells.dtype)
        joined = torch.cat([heard, cells], -1).permute(0, 3, 1, 2)
        fused: Tensor = self.fuse_second(torch.relu(self.fuse_first(joined)))
        return fused.permute(0, 2, 3, 1).reshape(B, height * width, n).float()

    def _box(self, sample: Tensor, frame_size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """From logits to place within the cell and size (4 together), size, and centre.

        Centres lie up to half a cell outside their cell.
        """
        logits, size_logit = sample.split(2, -1)
        within = 2 * clipped_sigmoid(logits) - 0.5
        centres = cell_centres(*frame_size, self.unit, sample.device)
        centre = centres + (within - 0.5) * (CELL / self.unit)
        size = clipped_sigmoid(size_logit)
        return torch.cat([within, size], -1), size, centre


def n_cells(height: int, width: int) -> int:
    """Discovery units for a frame of that many pixels."""
    rows, columns = grid_shape(height, width)
    return rows * columns
