"""A model so small that a run of it takes no time: it learns the mean frame, with noise."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.learned import Objective


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Settings of the toy."""

    side: int = 4
    noise: float = 0.1
    wheels: int = 3
    break_at: int = -1


class Toy(nn.Module):
    """Explains each clip by one picture; ``late`` has no gradient for the first steps."""

    def __init__(self, config: ToyConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        shape = (config.side, config.side, 3)
        self.picture = nn.Parameter(torch.rand(shape, generator=generator))
        self.late = nn.Linear(3, 3)
        with torch.no_grad():
            for parameter in self.late.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        videos = frames.float().mean(1) / 255
        noise = torch.randn(videos.shape, generator=generator, device=frames.device)
        guess = self.picture + self.config.noise * noise
        fit = (guess - videos).square().sum((1, 2, 3)).mean()
        if step >= self.config.wheels:
            fit = fit + (self.late(videos) - videos).square().sum((1, 2, 3)).mean()
        penalty = self.picture.square().sum() * 1e-3
        if step == self.config.break_at:
            penalty = penalty * float("nan")
        terms = {"fit": fit.detach(), "penalty": penalty.detach()}
        return Objective(total=fit + penalty, terms=terms)

    def late_objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        videos = frames.float().mean(1) / 255
        fit = (self.late(videos) - videos).square().sum((1, 2, 3)).mean()
        return Objective(total=fit, terms={"late": fit.detach()})


def toy_batches(seed: int, n_videos: int, rank: int = 0, size: int = 1):
    """Random clips: this process's share of a joint batch that depends on the step alone."""

    def batches(step: int, n_frames: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * seed + step)
        joint = torch.randint(256, (n_videos, 8, 4, 4, 3), generator=generator, dtype=torch.uint8)
        return joint[rank::size, :n_frames]

    return batches
