"""Running averages of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


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
        """Take over averages that ``tensors`` gave; those that are missing stay as they are."""
        for name, average in zip(self._names, self._averages, strict=True):
            if name in tensors:
                average.copy_(tensors[name])
        self._n_updates = n_updates

    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self._averages, strict=True):
            parameter.data, average.data = average.data, parameter.data
