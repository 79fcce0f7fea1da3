"""A model so small that a run of it takes no time: it learns the mean frame, with noise."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smot.arrays import UInt8Array
from smot.models.family import Family, Objective, Preset
from smot.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Settings of the toy."""

    side: int = 4
    noise: float = 0.1
    wheels: int = 3
    break_at: int = -1
    break_gradient_at: int = -1
    interrupt_at: int = -1
    interrupt_by: str = "SIGINT"


class Toy(nn.Module):
    """Explains each clip by one picture; ``late`` has no gradient for the first steps."""

    def __init__(self, config: ToyConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        shape = (3, config.side, config.side)
        self.picture = nn.Parameter(torch.rand(shape, generator=generator, device="cpu"))
        self.late = nn.Linear(config.side, config.side)
        with torch.no_grad():
            for parameter in self.late.parameters():
                parameter.copy_(
                    torch.randn(parameter.shape, generator=generator, device="cpu") * 0.1
                )

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        videos = self._seen(frames)
        noise = torch.randn(videos.shape, generator=generator, device=frames.device)
        guess = self.picture + self.config.noise * noise
        fit = (guess - videos).square().sum((1, 2, 3)).mean()
        if step >= self.config.wheels:
            fit = fit + (self.late(videos) - videos).square().sum((1, 2, 3)).mean()
        penalty = self.picture.square().sum() * 1e-3
        if step == self.config.break_at:
            penalty = penalty * float("nan")
        if step == self.config.interrupt_at:
            signal.raise_signal(signal.Signals[self.config.interrupt_by])
        if step == self.config.break_gradient_at:
            penalty = penalty + (self.picture - self.picture).abs().pow(0.5).sum()
        terms = {"fit": fit.detach(), "penalty": penalty.detach()}
        return Objective(total=fit + penalty, terms=terms)

    def late_objective(
        self, frames: Tensor, *, step: int, generator: torch.Generator
    ) -> Objective:
        videos = self._seen(frames)
        fit = (self.late(videos) - videos).square().sum((1, 2, 3)).mean()
        return Objective(total=fit, terms={"late": fit.detach()})

    def _seen(self, frames: Tensor) -> Tensor:
        mean = frames.float().mean(1).movedim(-1, 1) / 255
        return F.adaptive_avg_pool2d(mean, self.config.side)


class ToyTracker:
    """One box in the frame's middle, a little larger the longer the toy has learned."""

    def __init__(self, module: Any, name: str) -> None:
        self.name = name
        self._module = module

    def track(self, videos: UInt8Array) -> Tracks:
        assert not self._module.training
        B, T, H, W, _ = videos.shape
        half = 3 + float(self._module.late.bias.detach().abs().sum())
        box = [W / 2 - half, H / 2 - half, W / 2 + half, H / 2 + half]
        boxes = np.broadcast_to(np.array(box, np.float32), (B, T, 1, 4))
        return Tracks.from_slots(boxes, np.ones((B, T, 1), bool))

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        B, _, H, W, C = videos.shape
        return self.track(np.zeros((B, horizon, H, W, C), np.uint8))


TRAIN: dict[str, Any] = {
    "batch_size": 4,
    "lr": 1e-2,
    "warmup_steps": 3,
    "ema_decay": 0.9,
    "curriculum": ((0, 2), (5, 4)),
    "max_steps": 12,
    "eval_steps": 6,
    "log_steps": 1,
}
SMALL = Preset(model=ToyConfig(), train=TRAIN, validation={"n_videos": 6, "batch_size": 2})
FAMILY = Family(
    name="toy",
    config_type=ToyConfig,
    build=Toy,
    tracker=ToyTracker,
    presets={"small": {"toy": SMALL}, "again": {"toy": replace(SMALL, needs_weights=True)}},
    default_preset="small",
    recipes={"toy": (("small", 3.0), ("again", 1.0))},
    stages={},
)


def toy_batches(
    seed: int, n_videos: int, rank: int = 0, size: int = 1
) -> Callable[[int, int], Tensor]:
    """Random clips: this process's share of a joint batch that depends on the step alone."""

    def batches(step: int, n_frames: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * seed + step)
        joint = torch.randint(256, (n_videos, 8, 4, 4, 3), generator=generator, dtype=torch.uint8)
        return joint[rank::size, :n_frames]

    return batches
