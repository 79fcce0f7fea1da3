"""Forward and backward passes on a GPU, recorded once and replayed: no Python, no launches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smot.models.family import Objective

WARM_UP = 3
"""Updates computed before one is recorded, so that all that is made once has been made."""


@runtime_checkable
class Replayable(Protocol):
    """A model whose objective consists of tensor operations of fixed shapes."""

    def schedule(self, step: int, device: torch.device) -> tuple[Tensor, ...]:
        """What changes from update to update, as tensors of fixed shapes."""
        ...

    def freezes(self, step: int) -> bool:
        """Whether a part of the model gets no gradient: that is recorded apart."""
        ...

    def scheduled_objective(
        self, frames: Tensor, schedule: Any, freeze: bool, generator: torch.Generator
    ) -> Objective:
        """The objective, which reads the schedule's values from its tensors."""
        ...


class Replayed:
    """An objective and its gradients by CUDA graphs, one for each shape of the frames.

    An update of small operations is bound by the time to launch thousands of them. Recorded, they
    are launched as one. The parameters' `grad` are set as `backward` would, by the first three
    calls of each shape in the usual way.

    Args:
        model: on a GPU.
        parameters: what is trained.
        generator: source of the noise, on the GPU; seeding it before a call works as usual.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(
        self,
        model: Replayable,
        parameters: Mapping[str, nn.Parameter],
        generator: torch.Generator,
    ) -> None:
        self._model = model
        self._parameters = list(parameters.values())
        self._generator = generator
        self._n_calls: dict[Any, int] = {}
        self._recorded: dict[Any, _Recorded] = {}

    def __call__(self, frames: Tensor, *, step: int) -> Objective:
        """Evaluate the objective for frames uint8 [B, T, H, W, 3] and set all gradients."""
        freeze = self._model.freezes(step)
        key = (tuple(frames.shape), freeze)
        schedule = self._model.schedule(step, frames.device)
        self._n_calls[key] = self._n_calls.get(key, 0) + 1
        if self._n_calls[key] <= WARM_UP:
            objective = self._model.scheduled_objective(frames, schedule, freeze, self._generator)
            torch.autograd.backward(objective.total)
            # Kept, the graph of the usual way would tie the recorded one to its stream.
            return replace(objective, total=objective.total.detach())
        if key not in self._recorded:
            self._recorded[key] = self._record(frames, schedule, freeze)
        return self._recorded[key].replayed(frames, schedule, self._parameters)

    def _record(self, frames: Tensor, schedule: Any, freeze: bool) -> "_Recorded":
        frames = frames.clone()
        schedule = type(schedule)(*(each.clone() for each in schedule))
        for each in self._parameters:
            each.grad = None
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            objective = self._model.scheduled_objective(frames, schedule, freeze, self._generator)
            torch.autograd.backward(objective.total)
        objective = replace(objective, total=objective.total.detach())
        gradients = [each.grad for each in self._parameters]
        return _Recorded(graph, frames, schedule, objective, gradients)


class _Recorded:
    """One graph and the tensors that it reads and writes."""

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        frames: Tensor,
        schedule: tuple[Tensor, ...],
        objective: Objective,
        gradients: list[Tensor | None],
    ) -> None:
        self._graph = graph
        self._frames, self._schedule = frames, schedule
        self._objective, self._gradients = objective, gradients

    def replayed(
        self, frames: Tensor, schedule: tuple[Tensor, ...], parameters: list[nn.Parameter]
    ) -> Objective:
        self._frames.copy_(frames)
        for own, new in zip(self._schedule, schedule, strict=True):
            own.copy_(new)
        self._graph.replay()
        for parameter, gradient in zip(parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._objective
