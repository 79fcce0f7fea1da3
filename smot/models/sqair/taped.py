"""Weights of loops: their gradients are one large product after the loop."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Store = list[tuple[Tensor, Tensor]]


class Taped:
    """A weight that a compiled loop multiplies with many times.

    Backwards through a loop, PyTorch makes one small product for the weight's gradient in every
    step and adds it to what the later steps gave: for 32 rows and a weight of 256 x 1024 the
    adding costs as much as the product. A compiled loop only notes the inputs and slopes of its
    steps here; when all loops of a clip have done so, one product is the gradient.

    Attributes:
        weight: [n_out, n_in]; may itself be computed from parameters.
        bias: [n_out]; None for none.
        store: inputs [M, n_in] and slopes [M, n_out] that loops leave on their way back.
        token: the edge of the graph that leads to the weight, [], without a value. Every loop
            takes it as an input, so that autograd comes here when all of them have been visited.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias
        self.store: Store = []
        # The graph holds the store, not this object, which holds the graph: no cycle.
        self.token: Tensor = _Gradient.apply(weight, bias, self.store)

    def plain(self, inputs: Tensor, base: Tensor | None = None) -> Tensor:
        """The product by PyTorch's own means; ``base`` takes the place of the bias."""
        products = nn.functional.linear(inputs, self.weight, self.bias if base is None else None)
        return products if base is None else products + base


class _Gradient(torch.autograd.Function):
    """Nothing forward; backward, the gradients that the uses of a weight have noted."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, store: Store) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.store, ctx.has_bias = store, bias is not None
        return weight.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        if not ctx.store:
            return None, None, None
        inputs, slopes = (torch.cat(parts) for parts in zip(*ctx.store, strict=True))
        ctx.store.clear()
        return slopes.T @ inputs, slopes.sum(0) if ctx.has_bias else None, None
