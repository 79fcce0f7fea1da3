"""The backbone: a frame becomes one feature vector for each cell of a grid."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.layers import initialise

CELL = 12
"""Side of a grid cell, pixels: the product of the strides."""
UNSEEN = 2
"""How many outputs of the first convolution, at each end of an axis, see padding alone."""
PADDING_BEFORE, PADDING_AFTER = 3, 4


class Backbone(nn.Module):
    """Convolutions 4x4/3, 4x4/2, 4x4/2 and 1x1 twice, with ReLU, then a linear 1x1.

    A cell sees a square of 31 pixels.

    Source: supplement (backbone). The frame is padded with zeros, 9 pixels before and what is
    missing after (10 for 48 pixels), so that every cell's field is whole; for frames that are no
    multiple of a cell the grid is rounded up (ours). Of that padding, the outer 6 pixels are seen
    by ``UNSEEN`` outputs of the first convolution alone, and are left out; see ``_second``.
    """

    def __init__(
        self, n_channels: int, n_filters: int, n_features: int, *, kaiming: bool = False
    ) -> None:
        """Make it.

        Args:
            n_channels: of images.
            n_filters: width of the hidden layers.
            n_features: width of the features of a cell.
            kaiming: begin the hidden layers with He's uniform weights, which keep the size of
                what passes through, in place of Xavier's; ours.
        """
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
        (after_y, after_x) = (
            CELL * n_cells + PADDING_AFTER - side
            for n_cells, side in zip(grid_shape(H, W), (H, W), strict=True)
        )
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
        rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(
            N * height * width, layer.weight[0].numel()
        )
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


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Cells down and across for a frame of that many pixels."""
    return -(-height // CELL), -(-width // CELL)


def cell_centres(height: int, width: int, anchor: float, device: torch.device) -> Tensor:
    """y, x of the cells' centres in raster order, [J, 2], anchors."""
    rows, columns = (
        (torch.arange(n, device=device) + 0.5) * (CELL / anchor) for n in grid_shape(height, width)
    )
    return torch.cartesian_prod(rows, columns)
