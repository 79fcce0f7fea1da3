"""Linear layers in loops: their weights' gradients are one large product after the loop."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Store = list[tuple[Tensor, Tensor]]


class Taped:
    """A weight that a loop multiplies with many times.

    Backwards through such a loop, PyTorch makes one small product for the weight's gradient in
    every step and adds it to what the later steps gave: for 32 rows and a weight of 256 x 1024
    the adding costs as much as the product. Here the steps only note their inputs and slopes;
    when the last has done so, one product of all of them is the gradient.

    Args:
        weight: [n_out, n_in]; may itself be computed from parameters.
        bias: [n_out]; None for none.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.store: Store = []
        # The only edge of the graph that leads to the weight: autograd follows it when every use
        # has been visited. It must not refer back to this object, or neither would be freed.
        self.token: Tensor = _Gradient.apply(weight, bias, self.store)


def chain(
    inputs: Tensor,
    layers: Sequence[Taped],
    *,
    base: Tensor | None = None,
    elu_first: bool = False,
    tanh_last: bool = False,
) -> Tensor:
    """Linear layers with ELU between them, as one step of the graph.

    Args:
        inputs: [M, n_in].
        layers: at least one.
        base: what the first product is added to, [M, n_out]; None for the first layer's bias.
        elu_first: pass the inputs through ELU first.
        tanh_last: pass the outputs through tanh.

    Returns:
        [M, n_out] of the last layer.
    """
    tokens = [layer.token for layer in layers]
    flags = (elu_first, tanh_last)
    outputs: Tensor = _Chain.apply(inputs, base, layers, flags, *tokens)
    return outputs


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


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        base: Tensor | None,
        layers: Sequence[Taped],
        flags: tuple[bool, bool],
        *tokens: Tensor,  # noqa: ARG004
    ) -> Tensor:
        hidden = elu_(inputs.clone()) if flags[0] else inputs
        kept = [hidden]
        for number, layer in enumerate(layers):
            hidden = _product(hidden, layer, base if number == 0 else None)
            if number + 1 < len(layers):
                elu_(hidden)
            elif flags[1]:
                hidden.tanh_()
            kept.append(hidden)
        ctx.layers, ctx.flags, ctx.has_base = layers, flags, base is not None
        ctx.save_for_backward(*(kept if flags[1] else kept[:-1]))
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        kept, (elu_first, tanh_last) = ctx.saved_tensors, ctx.flags
        if tanh_last:
            slope = slope - slope * kept[-1].square()
        for number in reversed(range(len(ctx.layers))):
            layer, inputs = ctx.layers[number], kept[number]
            if number + 1 < len(ctx.layers):
                slope = elu_slope(kept[number + 1]).mul_(slope)
            layer.store.append((inputs, slope))
            base_slope = slope
            if number or ctx.needs_input_grad[0]:
                slope = slope @ layer.weight
        if elu_first:
            slope = elu_slope(kept[0]).mul_(slope)
        tokens = (None,) * len(ctx.layers)
        needed = slope if ctx.needs_input_grad[0] else None
        return needed, base_slope if ctx.has_base else None, None, None, *tokens


def _product(inputs: Tensor, layer: Taped, base: Tensor | None) -> Tensor:
    base = layer.bias if base is None else base
    return inputs @ layer.weight.T if base is None else torch.addmm(base, inputs, layer.weight.T)


def elu_(values: Tensor) -> Tensor:
    """ELU with slope 1 in place; by exp, several times as fast on a CPU as PyTorch's expm1."""
    return torch.maximum(values, values.clamp(max=0).exp_().sub_(1), out=values)


def elu_slope(outputs: Tensor) -> Tensor:
    """The derivative of ELU, from its outputs; a new tensor."""
    return (outputs + 1).clamp_(max=1)
