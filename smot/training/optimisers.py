"""Optimisers by name, among them RMSProp as TensorFlow 1 has it."""

from collections.abc import Callable, Iterable
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
    about ten times ``lr``.

    Args:
        parameters: what to train.
        lr: learning rate.
        decay: of the average of squares.
        momentum: of the update.
        eps: added to the average of squares, inside the root.

    Source: sqair.md section 6; torch.optim.RMSprop differs in all of start, eps and decay.
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
