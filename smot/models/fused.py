"""Elementwise operations that are one compiled kernel forward and one backward."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smot.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class Fused:
    """An operation on rows: tensors [..., n_i] to tensors [..., m_i], float32, on a CPU.

    Attributes:
        forward: kernel(*inputs, *fixed, *settings, *outputs), all arrays [N, n], which writes
            the outputs.
        backward: kernel(*inputs, *fixed, *settings, *output gradients, *input gradients), which
            writes the input gradients in full.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]

    def __call__(
        self,
        inputs: Sequence[Tensor],
        fixed: Sequence[Tensor],
        settings: Sequence[float],
        widths: Sequence[int],
    ) -> tuple[Tensor, ...]:
        """Run it.

        Args:
            inputs: tensors that get gradients, [..., n_i]; all with the same leading axes.
            fixed: tensors that get none; what their rows mean is for the kernels to say.
            settings: numbers.
            widths: m_i of the outputs.

        Returns:
            One tensor [..., m_i] for each width.
        """
        results: tuple[Tensor, ...] = _Operation.apply(
            self, tuple(fixed), tuple(settings), tuple(widths), *inputs
        )
        return results


def runs_fused(tensor: Tensor) -> bool:
    """Whether compiled kernels can work on a tensor's device."""
    return tensor.device.type == "cpu"


def as_array(tensor: Tensor) -> FloatArray:
    """A tensor as kernels take it: float32, or uint16 that holds bfloat16."""
    plain = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    array: FloatArray = plain.numpy()
    return array


class _Operation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        operation: Fused,
        fixed: tuple[Tensor, ...],
        settings: tuple[float, ...],
        widths: tuple[int, ...],
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        leading = inputs[0].shape[:-1]
        rows = [_rows(tensor) for tensor in (*inputs, *fixed)]
        n_rows = len(rows[0])
        outputs = [rows[0].new_empty(n_rows, width) for width in widths]
        operation.forward(
            *(row.numpy() for row in rows), *settings, *(output.numpy() for output in outputs)
        )
        ctx.save_for_backward(*rows)
        ctx.operation, ctx.settings = operation, settings
        ctx.shapes = [tensor.shape for tensor in inputs]
        return tuple(output.view(*leading, output.shape[1]) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows = ctx.saved_tensors
        results = [torch.empty_like(row) for row in rows[: len(ctx.shapes)]]
        ctx.operation.backward(
            *(row.numpy() for row in rows),
            *ctx.settings,
            *(_rows(gradient).numpy() for gradient in gradients),
            *(result.numpy() for result in results),
        )
        shaped = (r.view(shape) for r, shape in zip(results, ctx.shapes, strict=True))
        return None, None, None, None, *shaped


def _rows(tensor: Tensor) -> Tensor:
    """[..., n] as contiguous float32 [N, n]."""
    rows = tensor.detach().flatten(0, -2) if tensor.dim() > 1 else tensor.detach()[None]
    return rows.float().contiguous()
