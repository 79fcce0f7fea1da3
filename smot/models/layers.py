"""Small pieces that networks are made of."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from smot.models import gru_kernel
from smot.models.chains import Chain
from smot.models.fused import Fused, runs_fused


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
    """Hidden layers with ReLU, then a linear output in float32 whatever autocast does inside.

    Attributes:
        layers: the linear layers.
    """

    def __init__(
        self, n_in: int, hidden: Sequence[int], n_out: int, *, adds: bool = False
    ) -> None:
        """Make it.

        Args:
            n_in: input width (of all inputs together, if they are joined).
            hidden: widths of the hidden layers.
            n_out: output width.
            adds: whether inputs are summed, with ReLU after it, in place of being joined.
        """
        super().__init__()
        widths = [n_in, *hidden, n_out]
        self.layers = nn.ModuleList(linear(*pair) for pair in pairwise(widths))
        self._chain = Chain(list(self.layers), adds=adds)

    @property
    def output_bias(self) -> Tensor:
        """Biases of the output layer, [n_out]."""
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        return bias

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs [..., n_i] -> [..., n_out], float32."""
        return self._chain(*inputs)


class Gru(nn.Module):
    """A gated recurrent unit whose candidate sees ``reset * state``, not the reset of a product.

    z = sigmoid(Wz x + Uz h + bz), r = sigmoid(Wr x + Ur h + br),
    c = tanh(Wc x + Uc (r * h) + bc), h' = (1 - z) * h + z * c.

    Source: the form of the original code's library (Sonnet), which differs from torch.nn.GRUCell.
    """

    def __init__(self, n_in: int, n_state: int) -> None:
        super().__init__()
        self.inputs = _blocks(n_in, n_state, 3)
        self.gates = _blocks(n_state, n_state, 2)
        self.candidate = linear(n_state, n_state, bias=False)
        parts = (self.inputs, self.gates, self.candidate)
        self._drive, self._recur, self._propose = (Chain([part]) for part in parts)

    def forward(self, inputs: Sequence[Tensor], state: Tensor) -> Tensor:
        """Inputs [..., n_i] (joined), [..., n_state] -> [..., n_state], float32."""
        n = state.shape[-1]
        driven, recurrent = self._drive(*inputs), self._recur(state)
        if runs_fused(state):
            update, remembered, driven = _OPEN((driven, recurrent, state), (), (), (n, n, n))
            proposed = self._propose(remembered)
            return _CLOSE((driven, proposed, update, state), (), (), (n,))[0]
        update, reset = torch.sigmoid(driven[..., : 2 * n] + recurrent).split(n, -1)
        candidate = torch.tanh(driven[..., 2 * n :] + self._propose(reset * state))
        return torch.lerp(state, candidate, update)


_OPEN = Fused(forward=gru_kernel.open_gates, backward=gru_kernel.open_gates_backward)
_CLOSE = Fused(forward=gru_kernel.close_gates, backward=gru_kernel.close_gates_backward)


def _blocks(n_in: int, n_out: int, n_blocks: int) -> nn.Linear:
    """Layers side by side, each initialised as if alone; biases for three blocks only."""
    layer = linear(n_in, n_blocks * n_out, bias=n_blocks == 3)
    for block in layer.weight.data.split(n_out):
        nn.init.xavier_uniform_(block)
    return layer
