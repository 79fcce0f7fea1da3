"""Chains of linear layers with ReLU between them, as one operation.

One node of the graph in place of some twenty: under autocast the inputs are joined and cast once,
and ReLU works in place.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smot.models import chain_kernel
from smot.models.casts import Cast, Use, cast_for
from smot.models.fused import as_array, runs_fused


class Chain:
    """Linear layers with ReLU between them and a linear output in float32.

    The layers belong to some module; this only runs them.

    Attributes:
        layers: the layers.
        adds: whether inputs are summed, with ReLU after it, in place of being joined.
    """

    def __init__(self, layers: Sequence[nn.Module], *, adds: bool = False) -> None:
        self.layers = list(layers)
        self.adds = adds

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Inputs [..., n_i], joined or added -> [..., n_out], float32."""
        cast = cast_for(self.layers, inputs[0])
        outputs: Tensor = _Run.apply(cast.token, cast, self.adds, *inputs)
        return outputs


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: Tensor, cast: Cast, adds: bool, *inputs: Tensor) -> Tensor:
        joined = added(inputs) if adds else joined_inputs(inputs)
        values = joined.flatten(0, -2).to(cast.weights[0].dtype)
        saved = [values]
        for weight, bias in zip(cast.weights, cast.biases, strict=True):
            if len(saved) > 1:
                values.relu_()
            if bias is None:
                values = torch.mm(values, weight.t())
            else:
                values = torch.addmm(bias, values, weight.t())
            saved.append(values)
        ctx.save_for_backward(*saved[:-1])
        ctx.weights, ctx.notes = cast.weights, cast.notes
        ctx.adds, ctx.shapes = adds, [each.shape for each in inputs]
        return values.float().view(*joined.shape[:-1], values.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, n_inputs = ctx.saved_tensors, len(ctx.shapes)
        pull = gradients[0].flatten(0, -2).to(values[0].dtype)
        uses: list[Use] = [(values[-1], pull, None)]
        for layer in reversed(range(1, len(values))):
            pull, sums = _through_relu(values[layer], pull @ ctx.weights[layer])
            uses.insert(0, (values[layer - 1], pull, sums))
        if ctx.needs_input_grad[0]:
            ctx.notes.append(uses)
        if not any(ctx.needs_input_grad[3:]):
            return (None,) * (3 + n_inputs)
        pull = pull @ ctx.weights[0]
        if ctx.adds:
            pull = _through_relu(values[0], pull)[0]
        pull = pull.float().view(*ctx.shapes[0][:-1], pull.shape[1])
        if ctx.adds:
            return None, None, None, *([pull] * n_inputs)
        return None, None, None, *pull.split([shape[-1] for shape in ctx.shapes], -1)


def _through_relu(values: Tensor, pull: Tensor) -> tuple[Tensor, Tensor | None]:
    """The gradient [N, n] before a ReLU that gave ``values``, and its sums over rows, [n]."""
    if not runs_fused(values):
        return torch.ops.aten.threshold_backward(pull, values, 0), None
    sums = values.new_empty(values.shape[1], dtype=torch.float32)
    chain_kernel.mask_and_sum(as_array(values), as_array(pull), sums.numpy())
    return pull, sums


def joined_inputs(inputs: Sequence[Tensor]) -> Tensor:
    """Inputs [..., n_i] side by side."""
    return inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), -1)


def added(inputs: Sequence[Tensor]) -> Tensor:
    """The sum of inputs, with ReLU, in memory of its own."""
    total = inputs[0].clone() if len(inputs) == 1 else inputs[0] + inputs[1]
    for each in inputs[2:]:
        total += each
    return total.relu_()
