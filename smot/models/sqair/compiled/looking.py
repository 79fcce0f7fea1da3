"""From a recurrent state to a place, and to what a glimpse there shows; with slopes by hand.

Propagation and discovery share this part of their steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smot.arrays import FloatArray
from smot.models.sprites import glimpse_kernel
from smot.models.sqair.compiled import kernels
from smot.models.sqair.taped import Taped


class Sheet(NamedTuple):
    """Rows of float32 numbers, as PyTorch and as the kernels see the same memory."""

    tensor: Tensor
    array: FloatArray

    @classmethod
    def of(cls, tensor: Tensor) -> "Sheet":
        """A tensor without gradient, made contiguous."""
        tensor = tensor.detach().contiguous()
        return cls(tensor, tensor.numpy())

    @classmethod
    def blank(cls, *shape: int) -> "Sheet":
        """Numbers yet to be written."""
        return cls.of(torch.empty(shape))


def product(
    layer: Taped, inputs: Tensor, outputs: Tensor, rows: slice, base: Tensor | None = None
) -> None:
    """Write rows of a linear layer's output; ``base`` takes the place of its bias."""
    start = layer.bias if base is None else base[rows]
    assert start is not None
    torch.addmm(start, inputs[rows], layer.weight.T, out=outputs[rows])


def product_slopes(layer: Taped, slopes: Tensor, inputs: Tensor, rows: slice) -> None:
    """Write the slopes for a linear layer's inputs from those for its outputs."""
    torch.mm(slopes[rows], layer.weight, out=inputs[rows])


class Frames(NamedTuple):
    """What is looked at.

    Attributes:
        pixels: the frame of every row, [S, C, H, W]; a slot that M rows use reads the first M.
        window: from `Geometry.window`.
        mask: what glimpses are multiplied by, [M, G, G], or with M = 0 for nothing.
        size: G.
    """

    pixels: FloatArray
    window: FloatArray
    mask: FloatArray
    size: int


class Look:
    """The numbers of all steps of one loop, row after row.

    Args:
        n_rows: M.
        where: the layers from the state to the place after the first, two.
        encoder: the layers from the glimpse to the appearance, three.
        std_bias: bias of the deviations of ``where``.
        frames: what is looked at.
    """

    def __init__(
        self,
        n_rows: int,
        where: Sequence[Taped],
        encoder: Sequence[Taped],
        std_bias: float,
        frames: Frames,
    ) -> None:
        self.layers = (*where, *encoder)
        self.std_bias, self.frames = std_bias, frames
        C, G = frames.pixels.shape[1], frames.size
        self.hidden = Sheet.blank(n_rows, where[0].weight.shape[0])
        self.place_codes = Sheet.blank(n_rows, 8)
        self.where, self.where_std = Sheet.blank(n_rows, 4), Sheet.blank(n_rows, 4)
        self.squashed, self.boxes = Sheet.blank(n_rows, 4), Sheet.blank(n_rows, 1, 4)
        self.glimpses = Sheet.blank(n_rows, C * G * G)
        self.inner = [Sheet.blank(n_rows, layer.weight.shape[0]) for layer in encoder[:2]]
        self.codes = Sheet.blank(n_rows, encoder[2].weight.shape[0])
        self.slopes = [Sheet.blank(n_rows, layer.weight.shape[0]) for layer in self.layers]
        self.noise_slopes = Sheet.blank(n_rows, 4)
        self.mask_slopes = np.zeros_like(frames.mask)

    def forward(self, rows: slice, state: Tensor, origin: FloatArray, noise: FloatArray) -> None:
        """Fill the rows of a step.

        Args:
            rows: which.
            state: the first layer of ``where`` after its ELU, [M, h].
            origin: what places are relative to, [M, 4].
            noise: of the places, [M, 4].
        """
        start, stop = rows.start, rows.stop
        to_hidden, to_place, *encoder = self.layers
        product(to_hidden, state, self.hidden.tensor, rows)
        kernels.elu_rows(self.hidden.array, self.hidden.array.shape[1], start, stop)
        product(to_place, self.hidden.tensor, self.place_codes.tensor, rows)
        kernels.place(
            self.place_codes.array, origin, noise, self.std_bias, self.frames.window,
            self.where.array, self.where_std.array, self.squashed.array, self.boxes.array,
            start, stop,
        )  # fmt: skip
        glimpse_kernel.read(
            self.frames.pixels[: stop - start], self.boxes.array[rows], self._masks(rows), 1.0,
            self._patches(self.glimpses.array, rows), 0, stop - start,
        )  # fmt: skip
        outputs = [*self.inner, self.codes]
        inputs = self.glimpses
        for layer, output in zip(encoder, outputs, strict=True):
            product(layer, inputs.tensor, output.tensor, rows)
            if output is not self.codes:
                kernels.elu_rows(output.array, output.array.shape[1], start, stop)
            inputs = output

    def backward(
        self,
        rows: slice,
        noise: FloatArray,
        where: FloatArray,
        where_std: FloatArray,
        state: Tensor,
    ) -> None:
        """Slopes of a step; those for the appearance's codes must stand in ``slopes[-1]``.

        Args:
            rows: which.
            noise: as in `forward`.
            where: slopes for the places, [M, 4]; those through the glimpse are added.
            where_std: slopes for their deviations, [M, 4].
            state: slopes for the state, written, [M, h]; ELU's own are up to the caller.
        """
        start, stop = rows.start, rows.stop
        to_hidden, to_place, *encoder = self.layers
        inner = [self.hidden, self.place_codes, *self.inner, self.codes]
        for step in (4, 3):
            target = self.slopes[step - 1]
            product_slopes(self.layers[step], self.slopes[step].tensor, target.tensor, rows)
            outputs = inner[step - 1].array
            kernels.elu_slopes(outputs, target.array, outputs.shape[1], start, stop)
        glimpses = torch.mm(self.slopes[2].tensor[rows], encoder[0].weight)
        boxes = np.empty((stop - start, 1, 4), np.float32)
        glimpse_kernel.read_backward(
            self.frames.pixels[: stop - start], self.boxes.array[rows], self._masks(rows), 1.0,
            self._patches(glimpses.numpy(), slice(0, stop - start)), boxes,
            self.mask_slopes[rows].reshape(-1, 1, *self.mask_slopes.shape[1:]), 0, stop - start,
        )  # fmt: skip
        kernels.place_slopes(
            self.place_codes.array, noise, self.std_bias, self.frames.window, self.squashed.array,
            self.where_std.array, boxes, where, where_std, self.slopes[1].array,
            self.noise_slopes.array, start, stop,
        )  # fmt: skip
        product_slopes(to_place, self.slopes[1].tensor, self.slopes[0].tensor, rows)
        width = self.hidden.array.shape[1]
        kernels.elu_slopes(self.hidden.array, self.slopes[0].array, width, start, stop)
        product_slopes(to_hidden, self.slopes[0].tensor, state, rows)

    def mask_logit_slopes(self) -> Tensor | None:
        """Slopes for the logits of the masks, [M, G * G]; None where there are none."""
        mask = self.frames.mask
        if not len(mask):
            return None
        return torch.from_numpy(self.mask_slopes * mask * (1 - mask)).flatten(1)

    def note(self, state: Tensor, n_rows: int) -> None:
        """Leave inputs and slopes of the first rows for the weights' gradients.

        Args:
            state: as in `forward`.
            n_rows: rows that were computed.
        """
        inputs = [
            state, self.hidden.tensor, self.glimpses.tensor,
            *(sheet.tensor for sheet in self.inner),
        ]  # fmt: skip
        for layer, read, slopes in zip(self.layers, inputs, self.slopes, strict=True):
            layer.store.append((read[:n_rows], slopes.tensor[:n_rows]))

    def _masks(self, rows: slice) -> FloatArray:
        mask = self.frames.mask[rows]
        return mask.reshape(len(mask), 1, *mask.shape[1:])

    def _patches(self, values: FloatArray, rows: slice) -> FloatArray:
        G = self.frames.size
        return values[rows].reshape(rows.stop - rows.start, 1, -1, G, G)
