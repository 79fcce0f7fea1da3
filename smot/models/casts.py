"""Weights in the type that autocast calls for, and one gradient for all of their uses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Use: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""Rows that went into a layer [N, n_in], the gradient for what came out of it [N, n_out], and the
sum of that over rows [n_out] where it is known already."""


class Cast:
    """Weights of some linear layers in another type.

    Whoever multiplies with them is an operation of its own in the graph, which takes ``token`` as
    an input and backwards only notes what a gradient needs. When all uses (one a frame, say) have
    done so, one large product for each layer is the gradient: PyTorch by itself makes a small
    product for each use and adds it, rounded, to those of the others.

    Attributes:
        weights: [n_out, n_in] for each layer; without a graph.
        biases: [n_out] for each layer, None for none; without a graph.
        notes: for each use, what each layer saw.
        token: [], without a value; the edge of the graph that leads to the parameters.
    """

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        own = [_parameters(layer) for layer in layers]
        self.weights = [weight.detach().to(dtype) for weight, _ in own]
        self.biases = [None if bias is None else bias.detach().to(dtype) for _, bias in own]
        self.notes: list[list[Use]] = []
        # The graph holds the notes, not this object, which holds the graph: no cycle.
        flat = [each for pair in own for each in pair]
        self.token: Tensor = _Gradients.apply(self.notes, *flat)


class _Gradients(torch.autograd.Function):
    """Nothing forward; backward, the gradients that the uses of weights have noted."""

    @staticmethod
    def forward(ctx: Any, notes: list[list[Use]], *own: Tensor | None) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.notes, ctx.n_own = notes, len(own)
        assert own[0] is not None
        return own[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        by_layer = list(zip(*ctx.notes, strict=True))
        ctx.notes.clear()
        results: list[Tensor | None] = [None] * (1 + ctx.n_own)
        for layer, uses in enumerate(by_layer):
            values, pulls, sums = zip(*uses, strict=True)
            pull = _joined(pulls)
            if ctx.needs_input_grad[1 + 2 * layer]:
                results[1 + 2 * layer] = (pull.t() @ _joined(values)).float()
            if ctx.needs_input_grad[2 + 2 * layer]:
                known = None not in sums
                total = torch.stack(sums).sum(0) if known else pull.sum(0, dtype=torch.float32)
                results[2 + 2 * layer] = total
        return tuple(results)


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(list(rows))


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    assert isinstance(layer, nn.Linear)
    return layer.weight, layer.bias


_Key: TypeAlias = tuple[int, torch.dtype, bool, bool]

_kept: ContextVar[dict[_Key, Cast] | None] = ContextVar("kept", default=None)


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


def cast_for(layers: Sequence[nn.Module], like: Tensor) -> Cast:
    """Weights in the type of ``like``, or where autocast is on for its device, in autocast's.

    Args:
        layers: linear layers; inside ``kept_casts`` the same sequence gets the same copies.
        like: an input.
    """
    kind, dtype = like.device.type, like.dtype
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    kept = _kept.get()
    if kept is None:
        return Cast(layers, dtype)
    key = (id(layers), dtype, torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    if key not in kept:
        kept[key] = Cast(layers, dtype)
    return kept[key]
