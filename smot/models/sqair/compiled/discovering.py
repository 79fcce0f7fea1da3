"""The loop of discovery in one frame, compiled, with slopes by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smot.models.sqair.compiled import cells, kernels
from smot.models.sqair.compiled.deciding import Decision
from smot.models.sqair.compiled.looking import Frames, Look, Sheet, product, product_slopes
from smot.models.sqair.compiled.looping import Run, looped
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
        logit_shift: added to every logit.
        window: from `Geometry.window`.
        glimpse_size: G.
        early_exit: stop as soon as no row goes on.
    """

    frames: Tensor
    where_noise: Tensor
    what_noise: Tensor
    chance: Tensor
    counts: Tensor | None
    logit_shift: float
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
    return Outcome(*looped(lambda parts: _Run(parts, fixed, layers), given, layers.all))


class _Run(Run):
    def __init__(self, given: Given, fixed: Fixed, layers: Layers) -> None:
        self.fixed, self.layers = fixed, layers
        self.constant, self.start = given.constant.detach(), given.start.detach()
        self.n_steps = 0
        N, S, A = fixed.what_noise.shape
        M, h = N * S, given.constant.shape[1]
        self.n_rows = S
        self.where_noise = Sheet.of(fixed.where_noise.reshape(M, 4))
        self.what_noise = Sheet.of(fixed.what_noise.reshape(M, A))
        self.decision = Decision(
            layers.presence, fixed.chance.reshape(M, 1), shift=fixed.logit_shift
        )
        self.inputs, self.d = Sheet.blank(M, A + 5 + h), Sheet.blank(M, h)
        self.hidden = Sheet.blank(M, h + h // 2)
        self.what, self.what_std = Sheet.blank(M, A), Sheet.blank(M, A)
        self.origin = np.zeros((M, 4), np.float32)
        mask = np.zeros((0, fixed.glimpse_size, fixed.glimpse_size), np.float32)
        pixels = Sheet.of(fixed.frames).array
        frames = Frames(pixels, fixed.window.numpy(), mask, fixed.glimpse_size)
        std_bias = float(given.where_std)
        self.look = Look(M, layers.where, layers.encoder, std_bias, frames)

    def outcome(self) -> tuple[Outcome, Tensor]:
        """What the steps have made."""
        made = (
            self.what, self.look.where, self.decision.present, self.decision.logit,
            self.what_std, self.look.where_std,
        )  # fmt: skip
        n = self.n_steps * self.n_rows
        # Aliases: autograd hangs the graph, which holds this run, on what is returned.
        outcome = Outcome(*(sheet.tensor[:n].detach() for sheet in made))
        return outcome, outcome.present

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
                self.what.array, self.look.where.array, self.decision.present.array, self.d.array,
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
        decision, h = self.decision, self.d.tensor.shape[1]
        could = decision.could.tensor[rows]
        if k:
            could.copy_(decision.present.tensor[rows.start - self.n_rows : rows.start])
        else:
            could.fill_(1)
        if self.fixed.counts is not None:
            could.mul_((self.fixed.counts > k)[:, None])
        return decision.forward(rows, self.what.tensor, self.hidden.tensor[:, h:])

    def backward(self, slopes: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
        """Slopes for everything in `Given`, in its order; notes those of the weights."""
        n = self.n_steps * self.n_rows
        named = Outcome(*slopes)._asdict()
        self.slopes = {name: Sheet.of(slope.clone()) for name, slope in named.items()}
        for name, like in {"inputs": self.inputs, "d": self.d, "hidden": self.hidden}.items():
            self.slopes[name] = Sheet.blank(n, like.array.shape[1])
        self.slopes["d"].tensor.zero_()
        self.decision.free(self.slopes["logit"].tensor)
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
        logit, what, hidden = (self.slopes[name].tensor for name in ("logit", "what", "hidden"))
        self.decision.backward(rows, logit, what, hidden[:, self.d.tensor.shape[1] :])

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
        ):
            layer.store.append((inputs.tensor[:n], slopes[name].tensor))
        self.decision.note(self.what.tensor, slopes["logit"].tensor, n)
        self.look.note(self.hidden.tensor[:, : self.d.tensor.shape[1]], n)
