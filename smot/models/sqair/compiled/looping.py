"""A loop over slots as one node of the graph."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from smot.models.sqair.taped import Taped

Given = TypeVar("Given")


class Run(ABC):
    """One run of a loop: its numbers, and its steps forward and backward."""

    @abstractmethod
    def forward(self) -> None:
        """All steps in turn."""

    @abstractmethod
    def outcome(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the steps have made, and which part of it carries no gradient."""

    @abstractmethod
    def backward(self, slopes: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
        """Slopes for what the run was given, from those for its outcome.

        Those of the weights are noted with their layers.
        """


def looped(
    begin: Callable[[Given], Run], given: Given, layers: Sequence[Taped]
) -> tuple[Tensor, ...]:
    """Run a loop, once forward, and backward when its gradient is asked for.

    Args:
        begin: makes the run of what it is given.
        given: a dataclass of what gets a gradient; None where there is nothing.
        layers: everything whose weights the run multiplies with.
    """
    kind, names = type(given), tuple(vars(given))

    def begin_with(*parts: Tensor | None) -> Run:
        return begin(kind(**dict(zip(names, parts, strict=True))))

    tokens = [layer.token for layer in layers]
    made: tuple[Tensor, ...] = _Loop.apply(begin_with, len(names), *vars(given).values(), *tokens)
    return made


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, begin: Callable[..., Run], n_given: int, *parts: Tensor
    ) -> tuple[Tensor, ...]:
        run = begin(*parts[:n_given])
        run.forward()
        ctx.run, ctx.n_tokens = run, len(parts) - n_given
        made, choice = run.outcome()
        ctx.mark_non_differentiable(choice)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        run: Run = ctx.run
        return None, None, *run.backward(slopes), *(None for _ in range(ctx.n_tokens))
