"""Layers with the original's initial weights; what the frame and its glimpses show."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from smot.models.sprites import glimpse
from smot.models.sqair.objects import Geometry

# Every deviation is softplus(.) + 0.01: densities stay bounded.
STD_FLOOR = 0.01
# Kernels and strides of the convolutional frame encoder, and how many pixels a cell of its output
# stands for.
CONVOLUTIONS = ((4, 3), (4, 2), (4, 2), (1, 1), (1, 1), (1, 1))
CELL = 3 * 2 * 2


def truncated_normal(weight: Tensor, gain: float, generator: torch.Generator) -> None:
    """Fill a weight [n_out, ...] as Sonnet v1 does: deviation 1 / sqrt(fan-in), cut at two."""
    std = gain * weight[0].numel() ** -0.5
    with torch.no_grad():
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)


class Product(nn.Module):
    """A linear map without biases.

    Args:
        n_in: size of the input.
        n_out: size of the output.
        generator: source of the initial weights.
    """

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in))
        truncated_normal(self.weight, 1.0, generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """The map of [..., n_in] to [..., n_out]."""
        return F.linear(inputs, self.weight)


class Linear(Product):
    """A linear map with biases, which all start at `bias`."""

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator, bias: float = 0.0
    ) -> None:
        super().__init__(n_in, n_out, generator)
        self.bias = nn.Parameter(torch.full((n_out,), bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """The map of [..., n_in] to [..., n_out]."""
        return F.linear(inputs, self.weight, self.bias)


class Reused:
    """A weight that a loop multiplies with many times; its gradient is one product after all.

    Backwards through a loop PyTorch makes a small product for the weight's gradient in every step
    and adds it to that of the later steps. For some 32 rows this moves more memory than all else
    in the step together. So steps only note their inputs and gradients here.

    Args:
        weight: [n_out, n_in].
        bias: [n_out]; None where callers give what the product is added to.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight.detach().T
        self.bias = None if bias is None else bias.detach()
        self.noted: list[tuple[Tensor, Tensor]] = []
        # An edge of the graph without a value: autograd visits it when all steps have been.
        self.token: Tensor = _Gradient.apply(weight, bias, self.noted)

    def __call__(self, inputs: Tensor, base: Tensor | None = None) -> Tensor:
        """The product of [M, n_in] plus `base` [M, n_out], or plus the bias."""
        base = self.bias if base is None else base
        assert base is not None
        if not torch.is_grad_enabled():
            return torch.addmm(base, inputs, self.weight)
        outputs: Tensor = _Step.apply(inputs, base, self.token, self.weight, self.noted)
        return outputs


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, base: Tensor, *rest: Any) -> Tensor:
        _, weight, ctx.noted = rest
        ctx.save_for_backward(inputs, weight)
        return torch.addmm(base, inputs, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        ctx.noted.append((inputs, gradient))
        return gradient @ weight.T, gradient, None, None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, noted: Any) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.noted, ctx.has_bias = noted, bias is not None
        return weight.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        if not ctx.noted:
            return None, None, None
        inputs, gradients = (torch.cat(parts) for parts in zip(*ctx.noted, strict=True))
        ctx.noted.clear()
        return gradients.T @ inputs, gradients.sum(0) if ctx.has_bias else None, None


def through(layers: Sequence[Callable[[Tensor], Tensor]], inputs: Tensor) -> Tensor:
    """Layers one after another with ELU between them."""
    for number, layer in enumerate(layers):
        inputs = layer(F.elu(inputs) if number else inputs)
    return inputs


class Mlp(nn.Module):
    """Linear layers with ELU between them, and after the last one if asked.

    Args:
        sizes: of the input, of every hidden layer, and of the output.
        generator: source of the initial weights.
        output_bias: initial value of the last layer's biases.
        elu_output: whether the output passes through ELU too.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        generator: torch.Generator,
        *,
        output_bias: float = 0.0,
        elu_output: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(*pair, generator) for pair in pairwise(sizes))
        nn.init.constant_(self.linear[-1].bias, output_bias)
        self.elu_output = elu_output

    def forward(self, inputs: Tensor) -> Tensor:
        """The map of [..., sizes[0]] to [..., sizes[-1]]."""
        outputs = through(self.linear, inputs)
        return F.elu(outputs) if self.elu_output else outputs

    @property
    def linear(self) -> list[Linear]:
        """The layers."""
        return [layer for layer in self.layers if isinstance(layer, Linear)]

    def reused(self) -> list[Reused]:
        """The layers for use in a loop."""
        return [Reused(layer.weight, layer.bias) for layer in self.linear]


class Gru(nn.Module):
    """A gated recurrent cell.

    Args:
        n_in: size of the input.
        n_hidden: size of the state.
        generator: source of the initial weights.

    Source: the form of `torch.nn.GRUCell` (reset gate after the recurrent product), Sonnet's
    initial weights; the original's cell applies the reset gate before the product.
    """

    def __init__(self, n_in: int, n_hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.from_input = Linear(n_in, 3 * n_hidden, generator)
        self.from_state = Linear(n_hidden, 3 * n_hidden, generator)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """The next state [M, h], from inputs [M, n_in] and state [M, h]."""
        return gru_update(self.from_input(inputs), self.from_state(state), state)


def gru_update(from_input: Tensor, from_state: Tensor, state: Tensor) -> Tensor:
    """(1 - update) * candidate + update * state, [M, h].

    Args:
        from_input: product of the input, [M, 3h]: reset, update, candidate.
        from_state: product of the state, likewise.
        state: [M, h].
    """
    h = state.shape[-1]
    input_gates, input_candidate = from_input.split([2 * h, h], dim=-1)
    state_gates, state_candidate = from_state.split([2 * h, h], dim=-1)
    reset, update = (input_gates + state_gates).sigmoid().chunk(2, dim=-1)
    candidate = (input_candidate + reset * state_candidate).tanh()
    updated: Tensor = candidate + update * (state - candidate)
    return updated


def normal_parameters(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Means m and deviations softplus(s) + 0.01 of codes (m, s), [..., 2A] to [..., A] each."""
    mean, raw = codes.chunk(2, dim=-1)
    return mean, F.softplus(raw) + STD_FLOOR


class FrameEncoder(nn.Module):
    """Reads the whole frame: flattened through two layers, or through convolutions.

    Args:
        shape: C, H, W of a frame.
        n_hidden: width of the two layers, where there are no convolutions.
        generator: source of the initial weights.
        n_filters: of every convolution; 0 for none.
        filter_gain: factor on the deviation of the convolutions' initial weights.

    Source: docs/models/sqair.md 2; the convolutions are those of the SILOT comparison (kernels
    4, 4, 4 with strides 3, 2, 2, then three of 1 x 1, ReLU between, zeros around the frame).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        n_hidden: int,
        generator: torch.Generator,
        *,
        n_filters: int = 0,
        filter_gain: float = 1.0,
    ) -> None:
        super().__init__()
        C, H, W = shape
        self.convolutions = nn.ModuleList()
        if not n_filters:
            self.mlp = Mlp((C * H * W, n_hidden, n_hidden), generator, elu_output=True)
            self.n_features = n_hidden
            return
        (n_high, above_below), (n_wide, beside) = _cells(H), _cells(W)
        self.margins = beside + above_below
        self.n_features = n_filters * n_high * n_wide
        for number, (kernel, stride) in enumerate(CONVOLUTIONS):
            n_in = n_filters if number else C
            # Without PyTorch's own initialisation, which draws from the global stream.
            layer = nn.utils.skip_init(nn.Conv2d, n_in, n_filters, kernel, stride)
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            truncated_normal(layer.weight, filter_gain, generator)
            nn.init.zeros_(layer.bias)
            self.convolutions.append(layer)

    def forward(self, frames: Tensor) -> Tensor:
        """Features [M, n_features] of frames [M, C, H, W] in [0, 1]."""
        if not self.convolutions:
            features: Tensor = self.mlp(frames.flatten(1))
            return features
        hidden = F.pad(frames, self.margins)
        for number, layer in enumerate(self.convolutions):
            hidden = layer(hidden.relu() if number else hidden)
        return hidden.flatten(1)


def _cells(n_pixels: int) -> tuple[int, tuple[int, int]]:
    """Whole cells that cover a side, and the zeros before and after it that they need."""
    n_cells = n_needed = -(-n_pixels // CELL)
    for kernel, stride in reversed(CONVOLUTIONS):
        n_needed = stride * (n_needed - 1) + kernel
    before = (n_needed - n_pixels) // 2
    return n_cells, (before, n_needed - n_pixels - before)


# `GlimpseEncoder.forward` with its layers given.
Look = Callable[..., tuple[Tensor, Tensor]]


class GlimpseEncoder(nn.Module):
    """Distribution of an object's appearance given the glimpse at its box; one for all uses.

    Args:
        geometry: where the glimpse is.
        sizes: of the network: of a flattened glimpse, of the hidden layers, and 2A.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 3.2.
    """

    def __init__(
        self, geometry: Geometry, sizes: tuple[int, ...], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.mlp = Mlp(sizes, generator)

    def forward(
        self,
        frames: Tensor,
        where: Tensor,
        mask_logits: Tensor | None = None,
        *,
        layers: Sequence[Reused],
    ) -> tuple[Tensor, Tensor]:
        """What glimpses at boxes show.

        Args:
            frames: the frame of every box, [M, C, H, W].
            where: [M, 4].
            mask_logits: glimpses are multiplied by their sigmoid, [M, G * G]; None for none.
            layers: of the network.

        Returns:
            Means and deviations, [M, A] each.
        """
        masks = None if mask_logits is None else mask_logits[:, None]
        boxes, size = self.geometry.sprite_boxes(where)[:, None], self.geometry.glimpse_size
        seen = glimpse(frames, boxes, unit=1.0, size=size, mask_logits=masks)
        return normal_parameters(through(layers, seen.flatten(1)))

    def reused(self) -> Look:
        """The encoder for the loops of a clip."""
        return partial(self.forward, layers=self.mlp.reused())
