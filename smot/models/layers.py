"""Small pieces that networks are made of."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def initialise(layer: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as everywhere in the paper."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer with Xavier-uniform weights and zero biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    initialise(layer)
    return layer


class Mlp(nn.Module):
    """Hidden layers with ReLU, then a linear output, in float32 even under autocast.

    Args:
        n_in: input width (of all inputs together).
        hidden: widths of the hidden layers.
        n_out: output width.
    """

    def __init__(self, n_in: int, hidden: Sequence[int], n_out: int) -> None:
        super().__init__()
        widths = [n_in, *hidden, n_out]
        self.layers = nn.ModuleList(linear(*pair) for pair in pairwise(widths))

    @property
    def output_bias(self) -> Tensor:
        """Biases of the output layer, [n_out]."""
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        return bias

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs [..., n_i], joined -> [..., n_out], float32."""
        values = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        for layer in self.layers[:-1]:
            values = torch.relu_(layer(values))
        outputs: Tensor = self.layers[-1](values)
        return outputs.float()


def frozen(outputs: Tensor, freeze: bool) -> Tensor:
    """The outputs of a network, without gradient while it is frozen."""
    return outputs.detach() if freeze else outputs


class Gru(nn.Module):
    """A gated recurrent unit whose candidate reads `reset * state`.

    z = sigmoid(Wz x + Uz h + bz), r = sigmoid(Wr x + Ur h + br),
    c = tanh(Wc x + Uc (r * h) + bc), h' = (1 - z) * h + z * c.

    Args:
        n_in: input width.
        n_state: width of the recurrent state.

    Source: docs/models/silot.md 2. `torch.nn.GRUCell` multiplies r with Uc h instead, so weights
    trained with this form would not fit it.
    """

    def __init__(self, n_in: int, n_state: int) -> None:
        super().__init__()
        self.inputs = _blocks(n_in, n_state, 3)
        self.gates = _blocks(n_state, n_state, 2)
        self.candidate = linear(n_state, n_state, bias=False)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Inputs [..., n_in], state [..., n_state] -> [..., n_state], float32."""
        n = state.shape[-1]
        driven = self.inputs(inputs).float()
        update, reset = torch.sigmoid(driven[..., : 2 * n] + self.gates(state)).chunk(2, -1)
        candidate = torch.tanh(driven[..., 2 * n :] + self.candidate(reset * state))
        return torch.lerp(state, candidate, update)


def _blocks(n_in: int, n_out: int, n_blocks: int) -> nn.Linear:
    """Layers side by side, each initialised as if alone; biases for three blocks only."""
    layer = linear(n_in, n_blocks * n_out, bias=n_blocks == 3)
    for block in layer.weight.data.split(n_out):
        nn.init.xavier_uniform_(block)
    return layer
