"""The loop of propagation over the slots of one frame, compiled, with slopes by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from smot.models.sqair.compiled import cells, kernels
from smot.models.sqair.compiled.deciding import Decision
from smot.models.sqair.compiled.looking import Frames, Look, Sheet, product, product_slopes
from smot.models.sqair.compiled.looping import Run, looped
from smot.models.sqair.taped import Taped


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the loop knows before it starts, slot after slot, [M, ...]; see `Propagation`.

    Attributes:
        relation: given part of the relation network's product, [M, h].
        from_relation: given part of the products for ``where`` and presence, [M, 3h / 2].
        from_temporal: product of the temporal network's state, [M, 3h].
        temporal: its state, [M, h].
        mask: logits of the masks, [M, G * G]; None for no masks.
        what: appearances in the last frame, [M, A].
        where: places in the last frame, [M, 4].
        where_noise: correlated as the places are, [M, 4].
        start: state of the relation network before the first slot, [h].
        where_std: bias of the deviations, [].
    """

    relation: Tensor
    from_relation: Tensor
    from_temporal: Tensor
    temporal: Tensor
    mask: Tensor | None
    what: Tensor
    where: Tensor
    where_noise: Tensor
    start: Tensor
    where_std: Tensor


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """What the loop knows that gets no gradient.

    Attributes:
        frames: the frame of every row, [S, C, H, W].
        sizes: how many rows use each slot; those of a slot are the first of the rows.
        present: 1 or 0, [M, 1].
        what_noise: [M, A].
        chance: [M, 1].
        window: from `Geometry.window`.
        glimpse_size: G.
        std_floor: least deviation of the appearance.
    """

    frames: Tensor
    sizes: tuple[int, ...]
    present: Tensor
    what_noise: Tensor
    chance: Tensor
    window: Tensor
    glimpse_size: int
    std_floor: float


class Layers(NamedTuple):
    """The weights of the loop; see `smot.models.sqair.propagation.Weights`."""

    relation: Taped
    from_relation: Taped
    where: list[Taped]
    encoder: list[Taped]
    temporal: Taped
    heads: Taped
    presence: list[Taped]

    @property
    def all(self) -> list[Taped]:
        """Every layer."""
        return [
            self.relation, self.from_relation, *self.where, *self.encoder, self.temporal,
            self.heads, *self.presence,
        ]  # fmt: skip


class Outcome(NamedTuple):
    """What the loop makes, [M, ...]: samples, logit, deviations, and the temporal state."""

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    what_std: Tensor
    where_std: Tensor
    temporal: Tensor


def propagate(given: Given, fixed: Fixed, layers: Layers) -> Outcome:
    """Run the loop over slots; the formulas are those of `Propagation.step`."""
    return Outcome(*looped(lambda parts: _Run(parts, fixed, layers), given, layers.all))


class _Run(Run):
    def __init__(self, given: Given, fixed: Fixed, layers: Layers) -> None:
        self.fixed, self.layers = fixed, layers
        self.given = {
            name: Sheet.of(part) for name, part in vars(given).items() if part is not None
        }
        M, A = given.what.shape
        h, G = given.temporal.shape[1], fixed.glimpse_size
        self.noise = Sheet.of(fixed.what_noise)
        self.decision = Decision(layers.presence, fixed.chance)
        self.decision.could.tensor.copy_(fixed.present)
        self.inputs, self.r = Sheet.blank(M, A + 5 + h), Sheet.blank(M, h)
        self.hidden, self.reads = Sheet.blank(M, h + h // 2), Sheet.blank(M, h + 4 + 2 * A)
        self.gates, self.temporal = Sheet.blank(M, 3 * h), Sheet.blank(M, h)
        self.heads = Sheet.blank(M, 5 * A)
        self.what, self.what_std = Sheet.blank(M, A), Sheet.blank(M, A)
        mask = np.zeros((0, G, G), np.float32)
        if given.mask is not None:
            mask = given.mask.detach().sigmoid().view(M, G, G).numpy()
        frames = Frames(Sheet.of(fixed.frames).array, fixed.window.numpy(), mask, G)
        std_bias = float(given.where_std)
        self.look = Look(M, layers.where, layers.encoder, std_bias, frames)

    def outcome(self) -> tuple[Outcome, Tensor]:
        """What the loop has made."""
        made = (
            self.what, self.look.where, self.decision.present, self.decision.logit,
            self.what_std, self.look.where_std, self.temporal,
        )  # fmt: skip
        # Aliases: autograd hangs the graph, which holds this run, on what is returned.
        outcome = Outcome(*(sheet.tensor.detach() for sheet in made))
        return outcome, outcome.present

    def forward(self) -> None:
        """All slots in turn."""
        h = self.r.tensor.shape[1]
        for rows, before in self._steps():
            self._recur(rows, before)
            self._look(rows)
            self._update(rows)
            self.decision.forward(rows, self.what.tensor, self.hidden.tensor[:, h:])

    def _steps(self) -> list[tuple[slice, int]]:
        """The rows of every slot, and the first row of the slot before (0 for the first)."""
        edges = list(accumulate(self.fixed.sizes, initial=0))
        rows = [slice(start, stop) for start, stop in pairwise(edges)]
        return list(zip(rows, [0, *edges], strict=False))

    def _recur(self, rows: slice, before: int) -> None:
        """The state of the relation network, from the slot before."""
        start, stop = rows.start, rows.stop
        if start == 0:
            n_samples = self.inputs.tensor.shape[1] - self.r.tensor.shape[1]
            self.inputs.tensor[rows, :n_samples] = 0
            self.inputs.tensor[rows, n_samples:] = self.given["start"].tensor
        else:
            kernels.carry(
                self.what.array, self.look.where.array, self.decision.present.array, self.r.array,
                self.inputs.array, before, start, stop - start,
            )  # fmt: skip
        base = self.given["relation"].tensor
        product(self.layers.relation, self.inputs.tensor, self.r.tensor, rows, base)
        kernels.tanh_rows(self.r.array, start, stop)

    def _look(self, rows: slice) -> None:
        """Where the object is now, and what is seen there."""
        h = self.r.tensor.shape[1]
        base = self.given["from_relation"].tensor
        product(self.layers.from_relation, self.r.tensor, self.hidden.tensor, rows, base)
        kernels.elu_rows(self.hidden.array, h, rows.start, rows.stop)
        self.look.forward(
            rows, self.hidden.tensor[:, :h], self.given["where"].array,
            self.given["where_noise"].array,
        )  # fmt: skip

    def _update(self, rows: slice) -> None:
        """The temporal state and the appearance."""
        start, stop = rows.start, rows.stop
        kernels.see(
            self.look.codes.array, self.r.array, self.look.where.array, self.reads.array,
            start, stop,
        )  # fmt: skip
        product(self.layers.temporal, self.reads.tensor, self.gates.tensor, rows)
        cells.gru(
            self.gates.array, self.given["from_temporal"].array, self.given["temporal"].array,
            self.temporal.array, start, stop,
        )  # fmt: skip
        product(self.layers.heads, self.temporal.tensor, self.heads.tensor, rows)
        cells.blend(
            self.heads.array, self.reads.array, self.r.array.shape[1] + 4,
            self.given["what"].array, self.noise.array, self.fixed.std_floor,
            self.what.array, self.what_std.array, start, stop,
        )  # fmt: skip

    def backward(self, slopes: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
        """Slopes for everything in `Given`, in its order; notes those of the weights."""
        named = Outcome(*slopes)._asdict()
        self.slopes = {name: Sheet.of(slope.clone()) for name, slope in named.items()}
        blank = {
            "inputs": self.inputs, "r": self.r, "hidden": self.hidden,
            "reads": self.reads, "gates": self.gates, "from_temporal": self.gates,
            "heads": self.heads, "before": self.what, "tau": self.temporal,
        }  # fmt: skip
        self.slopes |= {name: Sheet.blank(*like.array.shape) for name, like in blank.items()}
        self.slopes["r"].tensor.zero_()
        self.decision.free(self.slopes["logit"].tensor)
        self.look.mask_slopes[:] = 0
        for rows, before in reversed(self._steps()):
            self._decide_back(rows)
            self._update_back(rows)
            self._look_back(rows)
            self._recur_back(rows, before)
        self._note()
        return self._given_slopes()

    def _decide_back(self, rows: slice) -> None:
        logit, what, hidden = (self.slopes[name].tensor for name in ("logit", "what", "hidden"))
        self.decision.backward(rows, logit, what, hidden[:, self.r.tensor.shape[1] :])

    def _update_back(self, rows: slice) -> None:
        start, stop = rows.start, rows.stop
        slopes, look = self.slopes, self.look
        cells.blend_slopes(
            self.heads.array, self.reads.array, self.r.array.shape[1] + 4,
            self.given["what"].array, self.noise.array,
            slopes["what"].array, slopes["what_std"].array,
            slopes["heads"].array, look.slopes[-1].array, slopes["before"].array, start, stop,
        )  # fmt: skip
        temporal = slopes["temporal"].tensor[rows]
        temporal.addmm_(slopes["heads"].tensor[rows], self.layers.heads.weight)
        cells.gru_slopes(
            self.gates.array, self.given["from_temporal"].array, self.given["temporal"].array,
            slopes["temporal"].array, slopes["gates"].array, slopes["from_temporal"].array,
            slopes["tau"].array, start, stop,
        )  # fmt: skip
        product_slopes(self.layers.temporal, slopes["gates"].tensor, slopes["reads"].tensor, rows)
        kernels.see_slopes(
            look.codes.array, slopes["reads"].array, slopes["r"].array, slopes["where"].array,
            look.slopes[-1].array, start, stop,
        )  # fmt: skip

    def _look_back(self, rows: slice) -> None:
        h = self.r.tensor.shape[1]
        slopes, hidden = self.slopes, self.slopes["hidden"]
        self.look.backward(
            rows, self.given["where_noise"].array, slopes["where"].array,
            slopes["where_std"].array, hidden.tensor[:, :h],
        )  # fmt: skip
        kernels.elu_slopes(self.hidden.array, hidden.array, h, rows.start, rows.stop)
        r = slopes["r"].tensor[rows]
        r.addmm_(hidden.tensor[rows], self.layers.from_relation.weight)

    def _recur_back(self, rows: slice, before: int) -> None:
        start, stop = rows.start, rows.stop
        slopes = self.slopes
        kernels.tanh_slopes(self.r.array, slopes["r"].array, start, stop)
        product_slopes(self.layers.relation, slopes["r"].tensor, slopes["inputs"].tensor, rows)
        if start:
            kernels.carry_slopes(
                slopes["inputs"].array, slopes["what"].array, slopes["where"].array,
                slopes["r"].array, before, start, stop - start,
            )  # fmt: skip

    def _note(self) -> None:
        """Leave inputs and slopes for the gradients of the weights."""
        slopes, layers = self.slopes, self.layers
        h = self.r.tensor.shape[1]
        for layer, inputs, name in (
            (layers.relation, self.inputs, "r"),
            (layers.from_relation, self.r, "hidden"),
            (layers.temporal, self.reads, "gates"),
            (layers.heads, self.temporal, "heads"),
        ):
            layer.store.append((inputs.tensor, slopes[name].tensor))
        self.decision.note(self.what.tensor, slopes["logit"].tensor, len(self.r.tensor))
        self.look.note(self.hidden.tensor[:, :h], len(self.r.tensor))

    def _given_slopes(self) -> tuple[Tensor | None, ...]:
        """Slopes in the order of `Given`."""
        slopes, look = self.slopes, self.look
        n_samples = self.inputs.tensor.shape[1] - self.r.tensor.shape[1]
        first = slice(0, self.fixed.sizes[0])
        return (
            slopes["r"].tensor, slopes["hidden"].tensor, slopes["from_temporal"].tensor,
            slopes["tau"].tensor, look.mask_logit_slopes(), slopes["before"].tensor,
            slopes["where"].tensor, look.noise_slopes.tensor,
            slopes["inputs"].tensor[first, n_samples:].sum(0), look.slopes[1].tensor[:, 4:].sum(),
        )  # fmt: skip
