"""Discovery: every cell of a grid may propose an object that propagation has not explained."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smot.models.layers import Mlp, initialise
from smot.models.silot import latents
from smot.models.silot.attention import SpatialAttention
from smot.models.silot.backbone import CELL, cell_centres, grid_shape
from smot.models.silot.config import SilotConfig
from smot.models.silot.heads import StepNoise
from smot.models.silot.latents import Depth, Drawn, Presence, Proposal
from smot.models.silot.objects import Objects, described_width
from smot.models.sprites import glimpse

FUSER_WIDTH = 128


class Discovered(NamedTuple):
    """Proposals of J cells.

    Attributes:
        objects: [B, J, ...].
        where: their boxes.
        what: their appearances.
        depth: their depths.
        presence: of an object in the cell.
    """

    objects: Objects
    where: Proposal
    what: Drawn
    depth: Depth
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
        n_object = described_width(A, config.hidden_size)
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
        explained: tuple[Tensor, Tensor] | None,
        noise: StepNoise,
        *,
        discovers: Tensor | None = None,
        offset: Tensor | None = None,
        wheels: bool = False,
    ) -> Discovered:
        """Proposals for one frame.

        Args:
            image: [B, C, H, W].
            cells: the backbone's features, [B, grid height, grid width, F].
            explained: descriptions [B, K, 6 + A + H] of the propagated objects and their centres
                y, x [B, K, 2], anchors; None in the first frame.
            noise: of the step.
            discovers: whether a video's objects are taken at all, [B, 1, 1], 0 or 1; None for all.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors, or None.
            wheels: whether the networks of boxes, depths and presences get no gradient.
        """
        H, W = image.shape[-2:]
        centres = cell_centres(H, W, self.unit, image.device)
        features = self._fused(cells, explained, centres)
        where, told = self._boxes(features, centres, noise, wheels)
        what, told = self._appearances(image, features, told, where, noise)
        depth, told = self._depths((features, told, where.local, what.sample), noise, wheels)
        evidence = (features, told, where.local, what.sample, depth.value)
        presence = self._presences(evidence, discovers, noise, wheels)
        hidden = self.initial_hidden.expand(*features.shape[:2], -1)
        objects = _objects(where, what, depth, presence, hidden, offset)
        return Discovered(objects, where, what, depth, presence)

    def _boxes(
        self, features: Tensor, centres: Tensor, noise: StepNoise, wheels: bool
    ) -> tuple[Proposal, Tensor]:
        """Boxes, and what the network of appearances is told besides, [B, J, F]."""
        outputs, told = self.where(features).split([8, self.sizes[0]], -1)
        outputs = _spared(outputs, wheels)
        return latents.propose_box(outputs, noise.where, centres, CELL / self.unit), told

    def _appearances(
        self, image: Tensor, features: Tensor, told: Tensor, where: Proposal, noise: StepNoise
    ) -> tuple[Drawn, Tensor]:
        """Appearances from glimpses of the boxes, and what the network of depths is told."""
        n, A = self.sizes
        seen = glimpse(image, where.box, unit=self.unit, size=self.glimpse_size).flatten(2)
        outputs = self.what(features, told, self.encode(seen), where.local)
        outputs, told = outputs.split([2 * A, n], -1)
        return latents.draw(outputs, noise.what), told

    def _depths(
        self, evidence: tuple[Tensor, ...], noise: StepNoise, wheels: bool
    ) -> tuple[Depth, Tensor]:
        """Depths from parts of the evidence [B, J, n_i], and what the last network is told."""
        outputs, told = self.depth(*evidence).split([2, self.sizes[0]], -1)
        nothing = outputs.new_zeros(*outputs.shape[:-1], 1)
        return latents.draw_depth(_spared(outputs, wheels), nothing, noise.depth), told

    def _presences(
        self,
        evidence: tuple[Tensor, ...],
        discovers: Tensor | None,
        noise: StepNoise,
        wheels: bool,
    ) -> Presence:
        """Presences from parts of the evidence [B, J, n_i]; ``discovers`` as in ``forward``."""
        outputs = _spared(self.pres(*evidence), wheels)
        possible = torch.ones_like(outputs) if discovers is None else discovers.expand_as(outputs)
        return latents.draw_presence(outputs, possible, noise.pres)

    def _fused(
        self, cells: Tensor, explained: tuple[Tensor, Tensor] | None, centres: Tensor
    ) -> Tensor:
        """What cells know of the image and of the objects around, [B, J, F], float32."""
        B, height, width, n = cells.shape
        if explained is None:
            heard = cells.new_zeros(cells.shape)
        else:
            heard = self.attention(*explained, None, centres[None])
            heard = heard.view(B, height, width, n).to(cells.dtype)
        joined = torch.cat([heard, cells], -1).permute(0, 3, 1, 2)
        fused: Tensor = self.fuse_second(torch.relu_(self.fuse_first(joined)))
        return fused.permute(0, 2, 3, 1).reshape(B, height * width, n).float()


def _objects(
    where: Proposal,
    what: Drawn,
    depth: Depth,
    presence: Presence,
    hidden: Tensor,
    offset: Tensor | None,
) -> Objects:
    """Proposals as objects; ``hidden`` [B, J, H], ``offset`` as in ``Discovery.forward``."""
    centre, size = where.box.split(2, -1)
    return Objects(
        place=centre if offset is None else centre + offset[:, None],
        size=size,
        what=what.sample,
        depth=depth.value,
        pres=presence.pres,
        hidden=hidden,
        box=where.box,
        size_logit=where.sample[..., 2:],
        depth_logit=depth.logit,
    )


def n_cells(height: int, width: int) -> int:
    """Discovery units for a frame of that many pixels."""
    rows, columns = grid_shape(height, width)
    return rows * columns


def _spared(outputs: Tensor, wheels: bool) -> Tensor:
    return outputs.detach() if wheels else outputs
