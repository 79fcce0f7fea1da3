"""A gated recurrent unit as one operation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smot.models import gru_kernel
from smot.models.casts import Cast, cast_for
from smot.models.chains import Chain, joined_inputs
from smot.models.fused import as_array, runs_fused
from smot.models.layers import linear


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
        self._parts = [self.inputs, self.gates, self.candidate]
        self._drive, self._recur, self._propose = (Chain([part]) for part in self._parts)

    def forward(self, inputs: Sequence[Tensor], state: Tensor) -> Tensor:
        """Inputs [..., n_i] (joined), [..., n_state] -> [..., n_state], float32."""
        if runs_fused(state):
            cast = cast_for(self._parts, state)
            result: Tensor = _Run.apply(cast.token, cast, state, *inputs)
            return result
        n = state.shape[-1]
        driven, recurrent = self._drive(*inputs), self._recur(state)
        update, reset = torch.sigmoid(driven[..., : 2 * n] + recurrent).split(n, -1)
        candidate = torch.tanh(driven[..., 2 * n :] + self._propose(reset * state))
        return torch.lerp(state, candidate, update)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: Tensor, cast: Cast, state: Tensor, *inputs: Tensor) -> Tensor:
        (drive, recur, propose), bias = cast.weights, cast.biases[0]
        assert bias is not None
        rows = joined_inputs(inputs).flatten(0, -2).to(drive.dtype)
        before = state.float().flatten(0, -2).contiguous()
        narrow = before.to(drive.dtype)
        driven = torch.addmm(bias, rows, drive.t())
        driven[:, : len(recur)] += torch.mm(narrow, recur.t())
        update, remembered = torch.empty_like(before), torch.empty_like(narrow)
        gru_kernel.open_gates(
            as_array(driven), before.numpy(), update.numpy(), as_array(remembered)
        )
        proposed = torch.mm(remembered, propose.t())
        result = torch.empty_like(before)
        gru_kernel.close_gates(
            as_array(driven), as_array(proposed), before.numpy(), update.numpy(), result.numpy()
        )
        ctx.save_for_backward(rows, before, narrow, driven, update, remembered, proposed)
        ctx.weights, ctx.notes = cast.weights, cast.notes
        ctx.shapes = [each.shape for each in inputs]
        return result.view(state.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, before, narrow, driven, update, remembered, proposed = ctx.saved_tensors
        drive, recur, propose = ctx.weights
        n = before.shape[1]
        pull = gradients[0].flatten(0, -2).contiguous()
        driven_pull, state_pull = torch.empty_like(driven), torch.empty_like(before)
        update_pull = torch.empty_like(before)
        gru_kernel.close_gates_backward(
            as_array(driven), as_array(proposed), before.numpy(), update.numpy(), pull.numpy(),
            as_array(driven_pull), state_pull.numpy(), update_pull.numpy(),
        )  # fmt: skip
        remembered_pull = driven_pull[:, 2 * n :] @ propose
        gru_kernel.open_gates_backward(
            as_array(driven), before.numpy(), update.numpy(), update_pull.numpy(),
            as_array(remembered_pull), as_array(driven_pull), state_pull.numpy(),
        )  # fmt: skip
        gates_pull, candidate_pull = driven_pull.split([2 * n, n], -1)
        if ctx.needs_input_grad[0]:
            uses = [(rows, driven_pull), (narrow, gates_pull), (remembered, candidate_pull)]
            ctx.notes.append([(values, slopes, None) for values, slopes in uses])
        state_pull += gates_pull @ recur
        pull = (driven_pull @ drive).float().view(*ctx.shapes[0][:-1], -1)
        parts = pull.split([shape[-1] for shape in ctx.shapes], -1)
        return None, None, state_pull.view(gradients[0].shape), *parts


def _blocks(n_in: int, n_out: int, n_blocks: int) -> nn.Linear:
    """Layers side by side, each initialised as if alone; biases for three blocks only."""
    layer = linear(n_in, n_blocks * n_out, bias=n_blocks == 3)
    for block in layer.weight.data.split(n_out):
        nn.init.xavier_uniform_(block)
    return layer
