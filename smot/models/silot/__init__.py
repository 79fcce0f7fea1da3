"""SILOT, which discovers objects on a grid and propagates them through time."""

import torch
from torch import nn

from smot.models.learned import Family
from smot.models.silot.config import SilotConfig
from smot.models.silot.model import Silot
from smot.models.silot.tracker import SilotTracker

__all__ = ["FAMILY", "Silot", "SilotConfig", "SilotTracker"]


def build(config: SilotConfig, seed: int) -> Silot:
    """A freshly initialised model; the same one from the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Silot(config)


def _tracker(module: nn.Module, name: str) -> SilotTracker:
    assert isinstance(module, Silot)
    return SilotTracker(model=module, name=name)


FAMILY = Family(name="silot", config_type=SilotConfig, build=build, tracker=_tracker)
