"""Discovery: every cell of a grid may propose an object that propagation has not explained."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.distributions import Gaussian, Presence, clipped_sigmoid
from smot.models.layers import Mlp, frozen, initialise
from smot.models.silot.config import SilotConfig
from smot.models.silot.objects import Drawn, FrameNoise, Objects
from smot.models.silot.propagation import SpatialAttention
from smot.models.sprites import glimpse

CELL = 12
"""Side of the paper's grid cells, pixels: the product of the backbone's strides."""
FINE_CELL = 6
"""Side of the finer backbone's."""
FUSER_WIDTH = 128
FULLY_CONNECTED = (100, 100)
"""Hidden layers of the supplement's networks of discovery."""
UNSEEN = 2
"""How many outputs of the first convolution, at each end of an axis, see padding alone."""
PADDING_BEFORE, PADDING_AFTER = 3, 4


class Backbone(nn.Module):
    """A frame becomes one feature vector for each cell, which sees a square of 31 pixels.

    Convolutions 4x4/3, 4x4/2, 4x4/2 and 1x1 twice, with ReLU, then a linear 1x1. The frame is
    padded with zeros, 9 pixels before and what is missing after (10 for 48 pixels), so that every
    cell's field is whole. Of that padding, the outer 6 pixels are seen by `UNSEEN` outputs of the
    first convolution alone, and are left out; see `_second`.

    Args:
        n_channels: of images.
        n_filters: width of the hidden layers.
        n_features: width of the features of a cell.
        kaiming: begin the hidden layers with He's uniform weights, which keep the size of what
            passes through, in place of Xavier's; ours.

    Source: SILOT supplement, tables of networks; docs/models/silot.md 2.
    """

    def __init__(
        self, n_channels: int, n_filters: int, n_features: int, *, kaiming: bool = False
    ) -> None:
        super().__init__()
        sides = [(4, 3), (4, 2), (4, 2), (1, 1), (1, 1)]
        widths = [n_channels] + [n_filters] * len(sides)
        convolutions = [
            nn.Conv2d(widths[i], widths[i + 1], side, stride)
            for i, (side, stride) in enumerate(sides)
        ]
        self.convolutions = nn.ModuleList([*convolutions, nn.Conv2d(n_filters, n_features, 1)])
        for layer in self.convolutions:
            initialise(layer)
        if kaiming:
            for layer in convolutions:
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Features of the cells, [N, C, H, W] -> [N, grid height, grid width, n_features]."""
        H, W = images.shape[-2:]
        rows, columns = grid_shape(H, W)
        after_y = CELL * rows + PADDING_AFTER - H
        after_x = CELL * columns + PADDING_AFTER - W
        padded = F.pad(images, (PADDING_BEFORE, after_x, PADDING_BEFORE, after_y))
        values = torch.relu_(self._second(self._first(padded)))
        for layer in self.convolutions[2:-1]:
            values = torch.relu_(layer(values))
        features: Tensor = self.convolutions[-1](values)
        return features.permute(0, 2, 3, 1)

    def _first(self, images: Tensor) -> Tensor:
        """The first convolution and its ReLU, [N, C, H, W] -> [N, n_filters, ., .].

        As a matrix product: with one or three channels that is several times faster, and the
        result lies in memory as the next one likes it: channels last.
        """
        layer = self.convolutions[0]
        assert isinstance(layer, nn.Conv2d)
        side, stride = layer.kernel_size[0], layer.stride[0]
        patches = images.unfold(2, side, stride).unfold(3, side, stride)
        N, _, height, width = patches.shape[:4]
        n_pixels = layer.weight[0].numel()
        rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(N * height * width, n_pixels)
        values = torch.relu_(F.linear(rows, layer.weight.flatten(1), layer.bias))
        return values.view(N, height, width, layer.out_channels).permute(0, 3, 1, 2)

    def _second(self, values: Tensor) -> Tensor:
        """The second convolution, [N, n_filters, ., .] -> [N, n_filters, ., .].

        Its border is what the first one makes of padding: the ReLU of its biases. That is left to
        the convolution's own padding, which costs nothing, and what it adds is the same for all
        images and is computed once: a fifth of the backbone's work is saved.
        """
        layer = self.convolutions[1]
        assert isinstance(layer, nn.Conv2d)
        bias = self.convolutions[0].bias
        assert isinstance(bias, Tensor)
        around = 1 - F.pad(values.new_ones(values.shape[2:]), [UNSEEN] * 4)
        border = torch.relu(bias)[:, None, None] * around
        added = F.conv2d(border[None], layer.weight, layer.bias, layer.stride)
        return F.conv2d(values, layer.weight, None, layer.stride, padding=UNSEEN).add_(added)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a straight way, [N, n, h, w] -> the same."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n, n, 3, padding=1)
        self.second = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """[N, n, h, w] -> the same."""
        change: Tensor = self.second(torch.relu_(self.first(values)))
        return torch.relu_(values + change)


class FineBackbone(nn.Module):
    """A frame becomes one feature vector for each cell of 6 pixels, which sees most of it.

    A stem of convolutions 4x4/2 and 3x3/3, then three residual blocks of two 3x3 convolutions.

    Args:
        n_channels: of images.
        n_filters: width of all layers.
        n_features: width of the features of a cell.

    Source: ours; as SCALOR and G-SWM, it proposes on finer cells than the paper, which cannot tell
    apart objects that share a cell.
    """

    def __init__(self, n_channels: int, n_filters: int, n_features: int) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            [
                nn.Conv2d(n_channels, n_filters, 4, 2, padding=1),
                nn.Conv2d(n_filters, n_filters, 3, 3),
            ]
        )
        self.blocks = nn.Sequential(*(ResidualBlock(n_filters) for _ in range(3)))
        self.last = nn.Conv2d(n_filters, n_features, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Features of the cells, [N, C, H, W] -> [N, grid height, grid width, n_features]."""
        H, W = images.shape[-2:]
        rows, columns = grid_shape(H, W, FINE_CELL)
        values = F.pad(images, (0, FINE_CELL * columns - W, 0, FINE_CELL * rows - H))
        values = values.contiguous(memory_format=torch.channels_last)
        for layer in self.stem:
            values = torch.relu_(layer(values))
        features: Tensor = self.last(self.blocks(values))
        return features.permute(0, 2, 3, 1)


def build_backbone(config: SilotConfig) -> nn.Module:
    """The backbone for the configured size of cells."""
    n_features = config.n_backbone_features or config.n_features
    if config.cell == FINE_CELL:
        return FineBackbone(config.n_channels, config.n_backbone_filters, n_features)
    return Backbone(
        config.n_channels,
        config.n_backbone_filters,
        n_features,
        kaiming=config.kaiming_backbone,
    )


class Discovery(nn.Module):
    """From the backbone's cells and the propagated objects to proposals.

    Args:
        config: sizes and scales.

    Source: SILOT 3.3, by default as its authors' code has it: the fuser is two 3x3 convolutions,
    hidden layers are as wide as their input (docs/models/silot.md 10).
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.unit, self.glimpse_size = config.anchor, config.glimpse_size
        self.cell = config.cell
        n, A = config.n_features, config.what_size
        self.attention = SpatialAttention(6 + A + config.hidden_size, 0, n, config.sigma)
        n_fused = n + (config.n_backbone_features or n)
        self.fuse: Mlp | None = None
        if config.fully_connected_discovery:
            self.fuse = Mlp(n_fused, FULLY_CONNECTED, n)
        else:
            self.fuse_first = nn.Conv2d(n_fused, FUSER_WIDTH, 3, padding=1)
            self.fuse_second = nn.Conv2d(FUSER_WIDTH, n, 3, padding=1)
            for layer in (self.fuse_first, self.fuse_second):
                initialise(layer)

        def network(n_in: int, n_out: int) -> Mlp:
            hidden = FULLY_CONNECTED if config.fully_connected_discovery else (n_in,)
            return Mlp(n_in, hidden, n_out)

        self.where = network(n, 8 + n)
        self.encode = Mlp(config.glimpse_size**2 * config.n_channels, (256, 128), n)
        self.what = network(3 * n + 4, 2 * A + n)
        self.depth = network(2 * n + 4 + A, 2 + n)
        self.pres = network(2 * n + 5 + A, 1)
        self.initial_hidden = nn.Parameter(torch.zeros(config.hidden_size))
        self.sizes = (n, A)
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        image: Tensor,
        cells: Tensor,
        explained: tuple[Tensor, Tensor] | None,
        noise: FrameNoise,
        offset: Tensor | None = None,
        *,
        freeze: bool = False,
    ) -> tuple[Objects, Drawn]:
        """Proposals for one frame, one per cell, and what was drawn to make them.

        Args:
            image: [B, C, H, W].
            cells: the backbone's features, [B, grid height, grid width, F].
            explained: descriptions [B, K, 6 + A + H] of the propagated objects and their centres
                y, x [B, K, 2], anchors; None in the first frame.
            noise: of the frame.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors, or None.
            freeze: whether the networks of boxes, depths and presences get no gradient.
        """
        n, A = self.sizes
        H, W = image.shape[-2:]
        centres = cell_centres(H, W, self.unit, image.device, self.cell)
        features = self._fused(cells, explained, centres)
        # Each network hands features of its own (`passed`) to the next one.
        outputs, passed = self.where(features).split([8, n], -1)
        where = Gaussian.of(frozen(outputs, freeze))
        size_logit, local, box = _box(
            where.sample(noise.discovery.where), centres, self.cell / self.unit
        )
        seen = glimpse(image, box, unit=self.unit, size=self.glimpse_size).flatten(2)
        outputs = self.what(features, passed, self.encode(seen), local)
        outputs, passed = outputs.split([2 * A, n], -1)
        what = Gaussian.of(outputs)
        appearance = what.sample(noise.discovery.what)
        outputs, passed = self.depth(features, passed, local, appearance).split([2, n], -1)
        depth = Gaussian.of(frozen(outputs, freeze))
        depth_logit = depth.sample(noise.discovery.depth)
        nearness = clipped_sigmoid(depth_logit)
        outputs = self.pres(features, passed, local, appearance, nearness)
        presence = Presence.drawn(frozen(outputs, freeze), noise.discovery.pres)
        pres = presence.value if noise.discovers is None else presence.value * noise.discovers
        centre, size = box.split(2, -1)
        place = centre if offset is None else centre + offset[:, None]
        hidden = self.initial_hidden.expand(*features.shape[:2], -1)
        objects = Objects(
            place, size, appearance, nearness, pres, hidden, box, size_logit, depth_logit
        )
        return objects, Drawn.of((where, what, depth), presence, pres)

    def _fused(
        self, cells: Tensor, explained: tuple[Tensor, Tensor] | None, centres: Tensor
    ) -> Tensor:
        """Features of cells, of the image and of the objects around, [B, J, F], float32."""
        B, height, width, _ = cells.shape
        n, _ = self.sizes
        if explained is None:
            around = cells.new_zeros(B, height, width, n)
        else:
            around = self.attention(*explained, None, centres[None])
            around = around.view(B, height, width, n).to(cells.dtype)
        joined = torch.cat([around, cells], -1)
        if self.fuse is not None:
            alone: Tensor = self.fuse(joined.flatten(1, 2))
            return alone
        joined = joined.permute(0, 3, 1, 2)
        fused: Tensor = self.fuse_second(torch.relu_(self.fuse_first(joined)))
        return fused.permute(0, 2, 3, 1).reshape(B, height * width, n).float()


def _box(sample: Tensor, centres: Tensor, cell: float) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes of cells; their centres lie up to half a cell outside their cell.

    Args:
        sample: logits of y, x, h, w, [B, J, 4].
        centres: y, x of the cells' centres, [J, 2], anchors.
        cell: side of a cell, anchors.

    Returns:
        Size logits, [B, J, 2]; y, x in cells from the low corner and h, w in anchors, [B, J, 4];
        the box y, x, h, w, [B, J, 4], anchors.

    Source: SILOT 3.3, after SPAIR; docs/models/silot.md 4.3.
    """
    within, size = clipped_sigmoid(sample).split(2, -1)
    within = 2 * within - 0.5
    centre = centres + (within - 0.5) * cell
    return sample[..., 2:], torch.cat([within, size], -1), torch.cat([centre, size], -1)


def grid_shape(height: int, width: int, cell: int = CELL) -> tuple[int, int]:
    """Cells down and across for a frame of that many pixels, rounded up (ours)."""
    return -(-height // cell), -(-width // cell)


def cell_centres(
    height: int, width: int, anchor: float, device: torch.device, cell: int = CELL
) -> Tensor:
    """y, x of the cells' centres in raster order, [J, 2], anchors."""
    rows, columns = (
        (torch.arange(n, device=device) + 0.5) * (cell / anchor)
        for n in grid_shape(height, width, cell)
    )
    return torch.cartesian_prod(rows, columns)
