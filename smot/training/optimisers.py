"""Optimisers by name, what they train, and running averages of the trained weights."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from smot.errors import UsageError
from smot.training.config import TrainConfig


class TensorFlowRMSprop(Optimizer):
    """RMSProp with the accumulator of squares starting at 1 and momentum on the scaled gradient.

    s <- decay s + (1 - decay) g^2;  m <- momentum m + lr g / sqrt(s + eps);  p <- p - m.

    Starting s at 1 acts as a warm-up of some 50-100 updates; momentum makes the effective step
    about ten times `lr`.

    Args:
        parameters: what to train.
        lr: learning rate.
        decay: of the average of squares.
        momentum: of the update.
        eps: added to the average of squares, inside the root.

    Source: docs/models/sqair.md 6; torch.optim.RMSprop differs in all of start, eps and decay.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one update; parameters without a gradient stay."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            weights = [each for each in group["params"] if each.grad is not None]
            if weights:
                self._update(weights, [each.grad for each in weights], group)
        return loss

    def _update(self, weights: list[Tensor], gradients: list[Any], group: dict[str, Any]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["square"] = torch.ones_like(weight)
                self.state[weight]["update"] = torch.zeros_like(weight)
        squares = [self.state[weight]["square"] for weight in weights]
        updates = [self.state[weight]["update"] for weight in weights]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(updates, group["momentum"])
        torch._foreach_addcdiv_(updates, gradients, roots, value=group["lr"])
        torch._foreach_sub_(weights, updates)


def build_optimiser(config: TrainConfig, parameters: list[nn.Parameter]) -> Optimizer:
    """The optimiser that the settings name, over the parameters to train."""
    if config.optimiser == "tf_rmsprop":
        return TensorFlowRMSprop(parameters, lr=config.lr)
    return Adam(parameters, lr=config.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)


def trained_parameters(model: nn.Module, prefixes: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """Choose what to train and switch off the gradient of the rest.

    Args:
        model: the module.
        prefixes: beginnings of the names of the parameters to train; () is all.

    Raises:
        UsageError: a prefix that no parameter has.
    """
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name, _ in model.named_parameters()):
            parts = ", ".join(sorted({name.split(".")[0] for name, _ in model.named_parameters()}))
            raise UsageError(
                f"train.only_parameters: no parameter begins with {prefix!r}; parts: {parts}"
            )
    chosen = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not prefixes or name.startswith(prefixes))
        if parameter.requires_grad:
            chosen[name] = parameter
    return chosen


class WeightAverages:
    """An exponential moving average of the trained parameters.

    The decay starts low, min(decay, (1 + n) / (10 + n)) after n updates, so that the average
    forgets the initial weights.

    Args:
        parameters: by name; their values at this moment are the first average.
        decay: in [0, 1); 0 keeps no averages and makes every method do nothing.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._decay = decay
        self._parameters = list(parameters.values()) if decay else []
        self._names = list(parameters) if decay else []
        self._averages = [each.detach().clone() for each in self._parameters]
        self._n_updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters."""
        if not self._parameters:
            return
        decay = min(self._decay, (1 + self._n_updates) / (10 + self._n_updates))
        torch._foreach_lerp_(self._averages, list(self._parameters), 1.0 - decay)
        self._n_updates += 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the model run with the averages inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The averages by the parameters' names."""
        return dict(zip(self._names, self._averages, strict=True))

    @property
    def n_updates(self) -> int:
        """Updates made."""
        return self._n_updates

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], n_updates: int) -> None:
        """Take over averages that `tensors` gave; those that are missing stay as they are."""
        for name, average in zip(self._names, self._averages, strict=True):
            if name in tensors:
                average.copy_(tensors[name])
        self._n_updates = n_updates

    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self._averages, strict=True):
            parameter.data, average.data = average.data, parameter.data
