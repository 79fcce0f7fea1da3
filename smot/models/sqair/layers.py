"""Layers with the initialisation of the original."""

import torch
from torch import Tensor, nn

from smot.models.sqair.formulas import elu, gru_gates
from smot.models.sqair.taped import Taped


class Linear(nn.Module):
    """An affine map: weights from a truncated normal of deviation 1 / sqrt(fan-in).

    Args:
        n_in: size of the input.
        n_out: size of the output.
        generator: source of the initial weights.
        bias: initial value of every bias; None for a map without one.

    Source: Sonnet v1's Linear, which the original used (cut at two deviations, zero bias).
    """

    bias: nn.Parameter | None

    def __init__(
        self, n_in: int, n_out: int, generator: torch.Generator, bias: float | None = 0.0
    ) -> None:
        super().__init__()
        weight = torch.empty(n_out, n_in)
        std = n_in**-0.5
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(torch.full((n_out,), bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """The map of [..., n_in] to [..., n_out]."""
        return nn.functional.linear(inputs, self.weight, self.bias)

    def plus(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """The biases plus the product with some columns of the weight, cut out by the caller."""
        return nn.functional.linear(inputs, weight, self.bias)

    def taped(self) -> Taped:
        """The layer for use in a loop."""
        return Taped(self.weight, self.bias)


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
        biases = [0.0] * (len(sizes) - 2) + [output_bias]
        self.layers = nn.ModuleList(
            Linear(n_in, n_out, generator, bias)
            for n_in, n_out, bias in zip(sizes, sizes[1:], biases, strict=False)
        )
        self.elu_output = elu_output

    def forward(self, inputs: Tensor) -> Tensor:
        """The map of [..., sizes[0]] to [..., sizes[-1]]."""
        hidden = self.layers[0](inputs)
        for layer in list(self.layers)[1:]:
            hidden = layer(elu(hidden))
        return elu(hidden) if self.elu_output else hidden

    def taped(self) -> list[Taped]:
        """The layers for use in a loop."""
        return [Taped(layer.weight, layer.bias) for layer in self._linear]

    @property
    def _linear(self) -> list[Linear]:
        return [layer for layer in self.layers if isinstance(layer, Linear)]

    @property
    def first(self) -> Linear:
        """The first layer, whose product with constant inputs callers take out of their loops."""
        return self._linear[0]

    @property
    def last(self) -> Linear:
        """The last layer."""
        return self._linear[-1]


class Gru(nn.Module):
    """A gated recurrent cell whose two products can be taken apart from its gates.

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
        """The next state, [M, n_hidden], from inputs [M, n_in] and state [M, n_hidden]."""
        return gru_gates(self.from_input(inputs), self.from_state(state), state)
