"""One training run in several processes: who takes part, and what they tell one another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch import Tensor

from smot.errors import UsageError

PATIENCE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The processes of a run; alone, every method does nothing.

    Attributes:
        rank: which process this is, from 0; process 0 writes.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def average_(self, flat: Tensor) -> None:
        """Replace a tensor by its average over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(flat)
            flat /= self.size

    def gathered(self, value: Any) -> list[Any]:
        """The plain values of all processes, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def told(self, value: Any) -> Any:
        """The plain value of process 0."""
        return self.gathered(value if self.leads else None)[0]


@contextmanager
def joined_group(device: str) -> Iterator[Group]:
    """Join the processes that ``torchrun`` (or ``smot train --processes``) started, if any.

    Args:
        device: decides the transport: nccl for "cuda...", gloo otherwise.

    Raises:
        UsageError: the environment names a group that cannot be joined.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    backend = "nccl" if device.startswith("cuda") else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"cannot join the {size} processes of the run: {reason}") from None
    try:
        yield Group(rank=dist.get_rank(), size=size)
    finally:
        dist.destroy_process_group()
