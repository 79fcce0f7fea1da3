"""Chains of linear layers with ReLU between them, as one operation.

One node of the graph in place of some twenty: under autocast the inputs are joined and cast once,
and ReLU works in place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from smot.models import chain_kernel
from smot.models.fused import as_array, runs_fused

Casts: TypeAlias = dict[tuple[int, torch.dtype, bool, bool], list[Tensor | None]]

_kept: ContextVar[Casts | None] = ContextVar("kept", default=None)


@contextmanager
def kept_casts() -> Iterator[None]:
    """Make the copies of weights that autocast calls for once inside the block.

    Weights must not change inside it. (Their version counters cannot tell: fused optimisers
    change weights without counting.)
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


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
        kind = inputs[0].device.type
        dtype = inputs[0].dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        outputs: Tensor = _Run.apply(dtype, self.adds, len(inputs), *inputs, *self._cast(dtype))
        return outputs

    def _cast(self, dtype: torch.dtype) -> list[Tensor | None]:
        """Weights and biases in turn, in another type, with their graph."""
        kept = _kept.get()
        key = (id(self), dtype, torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        if kept is not None and key in kept:
            return kept[key]
        own = chain.from_iterable(_parameters(layer) for layer in self.layers)
        copies = [each if each is None else each.to(dtype) for each in own]
        if kept is not None:
            kept[key] = copies
        return copies


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    assert isinstance(layer, nn.Linear)
    return layer.weight, layer.bias


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, adds: bool, n_inputs: int, *tensors: Any) -> Tensor:
        inputs, weights, biases = (
            tensors[:n_inputs], tensors[n_inputs::2], tensors[n_inputs + 1 :: 2]
        )  # fmt: skip
        joined = _sum(inputs) if adds else _joined(inputs)
        values = joined.flatten(0, -2).to(dtype)
        saved = [values]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            if bias is None:
                values = torch.mm(values, weight.t())
            else:
                values = torch.addmm(bias, values, weight.t())
            if layer < len(weights) - 1:
                saved.append(values.relu_())
        ctx.save_for_backward(*saved, *weights)
        ctx.adds, ctx.shapes = adds, [each.shape for each in inputs]
        ctx.has_bias = [bias is not None for bias in biases]
        return values.float().view(*joined.shape[:-1], values.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        n = len(ctx.has_bias)
        values, weights = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        pull = gradients[0].flatten(0, -2).to(values[0].dtype)
        bias_pull = pull.sum(0) if ctx.has_bias[-1] else None
        results: list[Tensor | None] = []
        for layer in reversed(range(n)):
            results = [pull.t() @ values[layer], bias_pull, *results]
            if layer == 0 and not any(ctx.needs_input_grad[3 : 3 + len(ctx.shapes)]):
                return None, None, None, *([None] * len(ctx.shapes)), *results
            pull = pull @ weights[layer]
            if layer or ctx.adds:
                pull, bias_pull = _through_relu(values[layer], pull)
        pull = pull.float().view(*ctx.shapes[0][:-1], pull.shape[1])
        if ctx.adds:
            return None, None, None, *([pull] * len(ctx.shapes)), *results
        parts = pull.split([shape[-1] for shape in ctx.shapes], -1)
        return None, None, None, *parts, *results


def _through_relu(values: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient [N, n] before a ReLU that gave ``values``, and its sums over rows, [n]."""
    if not runs_fused(values):
        pull = torch.ops.aten.threshold_backward(pull, values, 0)
        return pull, pull.sum(0)
    sums = values.new_empty(values.shape[1], dtype=torch.float32)
    chain_kernel.mask_and_sum(as_array(values), as_array(pull), sums.numpy())
    return pull, sums


def _joined(inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), -1)


def _sum(inputs: Sequence[Tensor]) -> Tensor:
    """The sum of inputs, with ReLU, in memory of its own."""
    total = inputs[0].clone() if len(inputs) == 1 else inputs[0] + inputs[1]
    for each in inputs[2:]:
        total += each
    return total.relu_()
