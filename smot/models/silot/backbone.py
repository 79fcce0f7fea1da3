"""The backbone: a frame becomes one feature vector for each cell of a grid."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.layers import initialise

CELL = 12
"""Side of a grid cell, pixels: the product of the strides."""
RECEPTIVE_FIELD = 31
"""Side of the square of pixels that a cell sees."""
PADDING_BEFORE = 9


class Backbone(nn.Module):
    """Convolutions 4x4/3, 4x4/2, 4x4/2 and 1x1 twice, with ReLU, then a linear 1x1.

    Source: supplement (backbone). The frame is padded with zeros, 9 pixels before and what is
    missing after (10 for 48 pixels), so that every cell's field is whole; for frames that are no
    multiple of a cell the grid is rounded up (ours).
    """

    def __init__(self, n_channels: int, n_filters: int, n_features: int) -> None:
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
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Features of the cells, [N, C, H, W] -> [N, grid height, grid width, n_features]."""
        H, W = images.shape[-2:]
        (after_y, after_x) = (
            CELL * (n_cells - 1) + RECEPTIVE_FIELD - PADDING_BEFORE - side
            for n_cells, side in zip(grid_shape(H, W), (H, W), strict=True)
        )
        padded = F.pad(images, (PADDING_BEFORE, after_x, PADDING_BEFORE, after_y))
        values = self._first(padded)
        for layer in self.convolutions[1:-1]:
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
        rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(
            N * height * width, layer.weight[0].numel()
        )
        values = torch.relu_(F.linear(rows, layer.weight.flatten(1), layer.bias))
        return values.view(N, height, width, layer.out_channels).permute(0, 3, 1, 2)


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Cells down and across for a frame of that many pixels."""
    return -(-height // CELL), -(-width // CELL)


def cell_centres(height: int, width: int, anchor: float, device: torch.device) -> Tensor:
    """y, x of the cells' centres in raster order, [J, 2], anchors."""
    rows, columns = (
        (torch.arange(n, device=device) + 0.5) * (CELL / anchor) for n in grid_shape(height, width)
    )
    return torch.cartesian_prod(rows, columns)
