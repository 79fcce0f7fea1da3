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
        values = padded.contiguous(memory_format=torch.channels_last)
        for layer in self.convolutions[:-1]:
            values = torch.relu(layer(values))
        features: Tensor = self.convolutions[-1](values)
        return features.permute(0, 2, 3, 1)


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Cells down and across for a frame of that many pixels."""
    return -(-height // CELL), -(-width // CELL)


def cell_centres(height: int, width: int, anchor: float, device: torch.device) -> Tensor:
    """y, x of the cells' centres in raster order, [J, 2], anchors."""
    rows, columns = (
        (torch.arange(n, device=device) + 0.5) * (CELL / anchor) for n in grid_shape(height, width)
    )
    return torch.cartesian_prod(rows, columns)
