"""Whether an object is there, the end of a step, with slopes by hand.

Propagation and discovery share this part of their steps.
"""

from collections.abc import Sequence

from torch import Tensor

from smot.models.sqair.compiled import kernels
from smot.models.sqair.compiled.looking import Sheet, product, product_slopes
from smot.models.sqair.taped import Taped


class Decision:
    """The numbers of all steps of one loop, row after row.

    Args:
        layers: from the appearance to the logit, two.
        chance: what the probability is compared with, [M, 1].
        shift: added to every logit.

    Attributes:
        could: whether an object can be there at all, 1 or 0, [M, 1]; to be filled by the loop.
        logit: [M, 1].
        present: 1 or 0, [M, 1].
    """

    def __init__(self, layers: Sequence[Taped], chance: Tensor, *, shift: float = 0.0) -> None:
        self.inner, self.last = layers
        self.shift = shift
        n_rows, width = len(chance), self.inner.weight.shape[0]
        self.chance, self.could = Sheet.of(chance), Sheet.blank(n_rows, 1)
        self.hidden, self.slopes = Sheet.blank(n_rows, width), Sheet.blank(n_rows, width)
        self.logit, self.present = Sheet.blank(n_rows, 1), Sheet.blank(n_rows, 1)

    def forward(self, rows: slice, what: Tensor, base: Tensor) -> int:
        """Fill the rows of a step; the number of objects there.

        Args:
            rows: which.
            what: appearances, [M, A].
            base: what else the first layer is given, as its product, [M, h / 2].
        """
        start, stop = rows.start, rows.stop
        product(self.inner, what, self.hidden.tensor, rows, base)
        kernels.elu_rows(self.hidden.array, self.hidden.array.shape[1], start, stop)
        product(self.last, self.hidden.tensor, self.logit.tensor, rows)
        if self.shift:
            self.logit.tensor[rows] += self.shift
        n_present: int = kernels.decide(
            self.logit.array, self.could.array, self.chance.array, self.present.array,
            start, stop,
        )  # fmt: skip
        return n_present

    def free(self, slopes: Tensor) -> None:
        """Leave only the slopes for logits [n, 1] that a network chose."""
        slopes.mul_(self.could.tensor[: len(slopes)])

    def backward(self, rows: slice, logit: Tensor, what: Tensor, base: Tensor) -> None:
        """Slopes of a step.

        Args:
            rows: which.
            logit: slopes for the logits, [M, 1].
            what: slopes for the appearances, added to, [M, A].
            base: slopes for the given part, written, [M, h / 2].
        """
        slopes = self.slopes
        product_slopes(self.last, logit, slopes.tensor, rows)
        width = slopes.array.shape[1]
        kernels.elu_slopes(self.hidden.array, slopes.array, width, rows.start, rows.stop)
        base[rows] = slopes.tensor[rows]
        what[rows].addmm_(slopes.tensor[rows], self.inner.weight)

    def note(self, what: Tensor, logit: Tensor, n_rows: int) -> None:
        """Leave inputs and slopes of the first rows for the weights' gradients.

        Args:
            what: appearances, [M, A].
            logit: slopes for the logits, [M, 1].
            n_rows: rows that were computed.
        """
        self.inner.store.append((what[:n_rows], self.slopes.tensor[:n_rows]))
        self.last.store.append((self.hidden.tensor[:n_rows], logit[:n_rows]))
