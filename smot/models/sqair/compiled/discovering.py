"""The loop of discovery in one frame, compiled, with slopes by hand."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smot.models.sqair.compiled import cells, kernels
from smot.models.sqair.compiled.looking import (
    Frames,
    Look,
    Sheet,
    product,
    product_slopes,
)
from smot.models.sqair.taped import Taped


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the loop knows before it starts; see `Discovery`.

    Attributes:
        constant: part of the recurrent product that all steps share, [S, h].
        start: state before the first step, [h].
        where_std: bias of the deviations, [].
    """

    constant: Tensor
    start: Tensor
    where_std: Tensor


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """What the loop knows that gets no gradient.

    Attributes:
        frames: the frame of every row, [S, C, H, W].
        where_noise: [N, S, 4]; N is the most steps.
        what_noise: [N, S, A].
        chance: [N, S].
        counts: how many each row must find, [S]; None where that is inferred.
        window: from `Geometry.window`.
        glimpse_size: G.
        early_exit: stop as soon as no row goes on.
    """

    frames: Tensor
    where_noise: Tensor
    what_noise: Tensor
    chance: Tensor
    counts: Tensor | None
    window: Tensor
    glimpse_size: int
    early_exit: bool


class Layers(NamedTuple):
    """The weights of the loop; see `smot.models.sqair.discovery.Weights`."""

    step: Taped
    from_state: Taped
    where: list[Taped]
    encoder: list[Taped]
    presence: list[Taped]

    @property
    def all(self) -> list[Taped]:
        """Every layer."""
        return [self.step, self.from_state, *self.where, *self.encoder, *self.presence]


class Outcome(NamedTuple):
    """What n steps make, [n * S, ...]: samples, logit and deviations."""

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    what_std: Tensor
    where_std: Tensor


def discover(given: Given, fixed: Fixed, layers: Layers) -> Outcome:
    """Run the loop over steps; the formulas are those of `Discovery.step`."""
    tokens = [layer.token for layer in layers.all]
    return Outcome(*_Loop.apply(fixed, layers, *vars(given).values(), *tokens))


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fixed: Fixed, layers: Layers, *parts: Tensor) -> tuple[Tensor, ...]:
        run = _Run(Given(**dict(zip(Given.__annotations__, parts, strict=False))), fixed, layers)
        run.forward()
        ctx.run = run
        made = run.outcome()
        ctx.mark_non_differentiable(made.present)
        return tuple(made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        made = run.backward(Outcome(*slopes))
        return None, None, *made, *(None for _ in run.layers.all)


class _Run:
    """One run of the loop: its numbers, and the steps forward and backward."""

    def __init__(self, given: Given, fixed: Fixed, layers: Layers) -> None:
        self.fixed, self.layers = fixed, layers
        self.constant, self.start = given.constant.detach(), given.start.detach()
        self.n_steps = 0
        N, S, A = fixed.what_noise.shape
        M, h = N * S, given.constant.shape[1]
        self.n_rows = S
        self.where_noise = Sheet.of(fixed.where_noise.reshape(M, 4))
        self.what_noise = Sheet.of(fixed.what_noise.reshape(M, A))
        self.chance = Sheet.of(fixed.chance.reshape(M, 1))
        self.could = Sheet.blank(M, 1)
        self.inputs, self.d = Sheet.blank(M, A + 5 + h), Sheet.blank(M, h)
        self.hidden, self.choosing = Sheet.blank(M, h + h // 2), Sheet.blank(M, h // 2)
        self.what, self.what_std = Sheet.blank(M, A), Sheet.blank(M, A)
        self.logit, self.present = Sheet.blank(M, 1), Sheet.blank(M, 1)
        self.origin = np.zeros((M, 4), np.float32)
        mask = np.zeros((0, fixed.glimpse_size, fixed.glimpse_size), np.float32)
        pixels = Sheet.of(fixed.frames).array
        frames = Frames(pixels, fixed.window.numpy(), mask, fixed.glimpse_size)
        std_bias = float(given.where_std)
        self.look = Look(M, layers.where, layers.encoder, std_bias, frames)

    def outcome(self) -> Outcome:
        """What the steps have made."""
        made = (
            self.what, self.look.where, self.present, self.logit, self.what_std,
            self.look.where_std,
        )  # fmt: skip
        n = self.n_steps * self.n_rows
        # Aliases: autograd hangs the graph, which holds this run, on what is returned.
        return Outcome(*(sheet.tensor[:n].detach() for sheet in made))

    def forward(self) -> None:
        """Steps until no row goes on."""
        for k in range(len(self.fixed.chance)):
            rows = slice(k * self.n_rows, (k + 1) * self.n_rows)
            self._recur(rows)
            self._look(rows)
            n_found = self._decide(rows, k)
            self.n_steps = k + 1
            if self.fixed.early_exit and not n_found:
                break

    def _recur(self, rows: slice) -> None:
        start, stop = rows.start, rows.stop
        h = self.d.tensor.shape[1]
        if start == 0:
            self.inputs.tensor[rows, : -h - 1] = 0
            self.inputs.tensor[rows, -h - 1] = 1
            self.inputs.tensor[rows, -h:] = self.start
        else:
            kernels.carry(
                self.what.array, self.look.where.array, self.present.array, self.d.array,
                self.inputs.array, start - self.n_rows, start, self.n_rows,
            )  # fmt: skip
        torch.addmm(
            self.constant, self.inputs.tensor[rows], self.layers.step.weight.T,
            out=self.d.tensor[rows],
        )  # fmt: skip
        kernels.tanh_rows(self.d.array, start, stop)

    def _look(self, rows: slice) -> None:
        start, stop = rows.start, rows.stop
        h = self.d.tensor.shape[1]
        product(self.layers.from_state, self.d.tensor, self.hidden.tensor, rows)
        kernels.elu_rows(self.hidden.array, h, start, stop)
        self.look.forward(rows, self.hidden.tensor[:, :h], self.origin, self.where_noise.array)
        cells.appear(
            self.look.codes.array, self.what_noise.array, self.what.array, self.what_std.array,
            start, stop,
        )  # fmt: skip

    def _decide(self, rows: slice, k: int) -> int:
        """Whether there is an object; the number of rows in which there is."""
        start, stop = rows.start, rows.stop
        h = self.d.tensor.shape[1]
        inner, last = self.layers.presence
        product(inner, self.what.tensor, self.choosing.tensor, rows, self.hidden.tensor[:, h:])
        kernels.elu_rows(self.choosing.array, h // 2, start, stop)
        product(last, self.choosing.tensor, self.logit.tensor, rows)
        could = self.could.tensor[rows]
        could.copy_(self.present.tensor[start - self.n_rows : start] if k else torch.ones(1, 1))
        if self.fixed.counts is not None:
            could.mul_((self.fixed.counts > k)[:, None])
        n_found: int = kernels.decide(
            self.logit.array, self.could.array, self.chance.array, self.fixed.counts is not None,
            self.present.array, start, stop,
        )  # fmt: skip
        return n_found

    def backward(self, slopes: Outcome) -> tuple[Tensor | None, ...]:
        """Slopes for everything in `Given`, in its order; notes those of the weights."""
        n = self.n_steps * self.n_rows
        self.slopes = {name: Sheet.of(slope.clone()) for name, slope in slopes._asdict().items()}
        for name, like in {
            "inputs": self.inputs, "d": self.d, "hidden": self.hidden, "choosing": self.choosing,
        }.items():  # fmt: skip
            self.slopes[name] = Sheet.blank(n, like.array.shape[1])
        self.slopes["d"].tensor.zero_()
        told = self.fixed.counts is not None
        self.slopes["logit"].tensor.mul_(0 if told else self.could.tensor[:n])
        constant = torch.zeros_like(self.constant)
        for k in reversed(range(self.n_steps)):
            rows = slice(k * self.n_rows, (k + 1) * self.n_rows)
            self._decide_back(rows)
            self._look_back(rows)
            self._recur_back(rows)
            constant += self.slopes["d"].tensor[rows]
        self._note(n)
        h = self.d.tensor.shape[1]
        start = self.slopes["inputs"].tensor[: self.n_rows, -h:].sum(0)
        return constant, start, self.look.slopes[1].tensor[:n, 4:].sum()

    def _decide_back(self, rows: slice) -> None:
        h = self.d.tensor.shape[1]
        inner, last = self.layers.presence
        choosing = self.slopes["choosing"]
        product_slopes(last, self.slopes["logit"].tensor, choosing.tensor, rows)
        kernels.elu_slopes(self.choosing.array, choosing.array, h // 2, rows.start, rows.stop)
        self.slopes["hidden"].tensor[rows, h:] = choosing.tensor[rows]
        self.slopes["what"].tensor[rows].addmm_(choosing.tensor[rows], inner.weight)

    def _look_back(self, rows: slice) -> None:
        start, stop = rows.start, rows.stop
        h = self.d.tensor.shape[1]
        slopes, hidden = self.slopes, self.slopes["hidden"]
        cells.appear_slopes(
            self.look.codes.array, self.what_noise.array, slopes["what"].array,
            slopes["what_std"].array, self.look.slopes[-1].array, start, stop,
        )  # fmt: skip
        self.look.backward(
            rows, self.where_noise.array, slopes["where"].array, slopes["where_std"].array,
            hidden.tensor[:, :h],
        )  # fmt: skip
        kernels.elu_slopes(self.hidden.array, hidden.array, h, start, stop)
        slopes["d"].tensor[rows].addmm_(hidden.tensor[rows], self.layers.from_state.weight)

    def _recur_back(self, rows: slice) -> None:
        start, stop = rows.start, rows.stop
        slopes = self.slopes
        kernels.tanh_slopes(self.d.array, slopes["d"].array, start, stop)
        product_slopes(self.layers.step, slopes["d"].tensor, slopes["inputs"].tensor, rows)
        if start:
            kernels.carry_slopes(
                slopes["inputs"].array, slopes["what"].array, slopes["where"].array,
                slopes["d"].array, start - self.n_rows, start, self.n_rows,
            )  # fmt: skip

    def _note(self, n: int) -> None:
        """Leave inputs and slopes for the gradients of the weights."""
        slopes, layers = self.slopes, self.layers
        for layer, inputs, name in (
            (layers.step, self.inputs, "d"),
            (layers.from_state, self.d, "hidden"),
            (layers.presence[0], self.what, "choosing"),
            (layers.presence[1], self.choosing, "logit"),
        ):
            layer.store.append((inputs.tensor[:n], slopes[name].tensor))
        self.look.note(self.hidden.tensor[:, : self.d.tensor.shape[1]], n)
