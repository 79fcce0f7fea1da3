"""Small pieces that networks are made of."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from smot.models.chains import Chain


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
