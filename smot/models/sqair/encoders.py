"""What the image says: one vector of the whole frame, and appearance codes of glimpses."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sprites import glimpse
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.formulas import elu
from smot.models.sqair.layers import Mlp
from smot.models.sqair.placement import sprite_boxes
from smot.models.sqair.taped import Taped

CELL = 12


class FrameEncoder(nn.Module):
    """Reads the whole frame: flattened through two layers, or through convolutions.

    Args:
        config: kind, frame size and widths.
        generator: source of the initial weights.

    Source: sqair.md 2; the convolutions are those of the SILOT comparison (kernels 4, 4, 4 with
    strides 3, 2, 2, then three of 1 x 1, 128 filters, ReLU between, zeros around the frame).
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        H, W = config.frame_size
        width = config.n_hidden
        self.margins = (_margin(W), _margin(H))
        self.convolutions = nn.ModuleList()
        if config.encoder == "mlp":
            sizes = (H * W * config.channels, width, width)
            self.mlp = Mlp(sizes, generator, elu_output=True)
            self.n_features = width
            return
        n_in = config.channels
        for kernel, stride in ((4, 3), (4, 2), (4, 2), (1, 1), (1, 1), (1, 1)):
            layer = nn.utils.skip_init(nn.Conv2d, n_in, config.n_filters, kernel, stride)
            _initialise(layer, config.filter_gain, generator)
            self.convolutions.append(layer)
            n_in = config.n_filters
        self.n_features = config.n_filters * _n_cells(H) * _n_cells(W)

    def forward(self, frames: Tensor) -> Tensor:
        """Features of frames.

        Args:
            frames: [M, C, H, W], in [0, 1].

        Returns:
            [M, n_features].
        """
        if not self.convolutions:
            features: Tensor = self.mlp(frames.flatten(1))
            return features
        (left, right), (top, bottom) = self.margins
        hidden = F.pad(frames, (left, right, top, bottom))
        for number, layer in enumerate(self.convolutions):
            hidden = layer(hidden.relu() if number else hidden)
        return hidden.flatten(1)


def _n_cells(n_pixels: int) -> int:
    return -(-n_pixels // CELL)


def _margin(n_pixels: int) -> tuple[int, int]:
    """Zeros before and after, so that the three strided convolutions give whole cells."""
    receptive = 3 * (2 * (2 * (_n_cells(n_pixels) - 1) + 4 - 1) + 4 - 1) + 4
    missing = receptive - n_pixels
    return missing // 2, missing - missing // 2


def _initialise(layer: nn.Module, gain: float, generator: torch.Generator) -> None:
    """Weights as Sonnet draws them, times a gain; biases 0."""
    assert isinstance(layer, nn.Conv2d)
    std = gain * layer.weight[0].numel() ** -0.5
    with torch.no_grad():
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std, generator=generator)
        assert layer.bias is not None
        layer.bias.zero_()


class GlimpseEncoder(nn.Module):
    """Distribution of an object's appearance given the glimpse at its box; one for all uses.

    Args:
        config: widths and glimpse size.
        generator: source of the initial weights.
    """

    window: Tensor

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.size = config.glimpse_size
        self.register_buffer("window", config.geometry.window(), persistent=False)
        n_in = config.channels * config.glimpse_size**2
        self.mlp = Mlp((n_in, config.n_hidden, config.n_hidden, 2 * config.n_what), generator)

    def forward(
        self,
        frames: Tensor,
        where: Tensor,
        mask_logits: Tensor | None = None,
        layers: Sequence[Taped] = (),
    ) -> Tensor:
        """What glimpses at boxes show.

        Args:
            frames: the frame of every box, [M, C, H, W].
            where: sx, sy, tx, ty before the squashing, [M, 4].
            mask_logits: glimpses are multiplied by their sigmoid, [M, G * G]; None for none.
            layers: of the network, where a loop holds them.

        Returns:
            Means and raw deviations side by side, [M, 2A].
        """
        M = len(where)
        masks = None if mask_logits is None else mask_logits.reshape(M, 1, -1)
        boxes = sprite_boxes(where, self.window)[:, None]
        seen = glimpse(frames, boxes, unit=1.0, size=self.size, mask_logits=masks).flatten(1)
        if not layers:
            codes: Tensor = self.mlp(seen)
            return codes
        first, second, third = layers
        return third.plain(elu(second.plain(elu(first.plain(seen)))))
