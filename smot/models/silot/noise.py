"""All randomness of a clip, drawn at once."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from smot.models.distributions import logistic_noise
from smot.models.silot.config import SilotConfig
from smot.models.silot.heads import QUIET, StepNoise


class FrameNoise(NamedTuple):
    """Noise of one step of the posterior, and what training drops in it.

    Attributes:
        propagation: for the K slots.
        discovery: for the J cells.
        discovers: whether the frame discovers at all, [B, 1, 1], 0 or 1; None for yes.
        keeps: whether a track goes on into the frame, [B, K, 1], 0 or 1; None for all.
    """

    propagation: StepNoise
    discovery: StepNoise
    discovers: Tensor | None = None
    keeps: Tensor | None = None


SILENCE = FrameNoise(QUIET, QUIET)
"""No noise, nothing dropped."""


@dataclass(frozen=True, kw_only=True)
class ClipNoise:
    """Noise for a clip of T frames, and what training drops.

    Attributes:
        discovery: normal, [T, B, J, 5 + A], and logistic, [T, B, J, 1].
        propagation: normal, [T - 1, B, K, 5 + A], and logistic, [T - 1, B, K, 1].
        prior: likewise.
        discovers: whether frames 1.. discover at all, [T - 1, B, 1, 1], 0 or 1; None for yes.
        keeps: whether a track goes on into frames 1.., [T - 1, B, K, 1], 0 or 1; None for all.
    """

    discovery: tuple[Tensor, Tensor]
    propagation: tuple[Tensor, Tensor]
    prior: tuple[Tensor, Tensor]
    discovers: Tensor | None
    keeps: Tensor | None

    def of_frame(self, frame: int) -> FrameNoise:
        """Noise of one frame; nothing is propagated into frame 0, and nothing dropped."""
        discovery = step_noise(self.discovery, frame)
        if frame == 0:
            return FrameNoise(QUIET, discovery)
        return FrameNoise(
            step_noise(self.propagation, frame - 1),
            discovery,
            None if self.discovers is None else self.discovers[frame - 1],
            None if self.keeps is None else self.keeps[frame - 1],
        )


def draw_noise(
    config: SilotConfig,
    shape: tuple[int, int, int, int],
    generator: torch.Generator,
    *,
    drops: bool,
) -> ClipNoise:
    """Draw the noise of a clip.

    Args:
        config: settings of the model.
        shape: B, T, K, J: videos, frames, slots, cells.
        generator: source of all of it, on the model's device.
        drops: whether discoveries and tracks are dropped, as training does. What else is drawn
            is the same.
    """
    B, T, K, J = shape
    device = generator.device
    n = 5 + config.what_size
    steps, rows = T - 1, [T * B * J, (T - 1) * B * K, (T - 1) * B * K]
    normal = torch.randn(sum(rows) * n, generator=generator, device=device)
    n_uniform = [*rows, steps * B, steps * B * K]
    uniform = torch.rand(sum(n_uniform), generator=generator, device=device)
    *for_pres, for_discovery, for_tracks = uniform.split(n_uniform)
    shapes = [(T, B, J), (steps, B, K), (steps, B, K)]
    parts = [
        (gaussian.view(*shape, n), logistic_noise(flat).view(*shape, 1))
        for gaussian, flat, shape in zip(
            normal.split([row * n for row in rows]), for_pres, shapes, strict=True
        )
    ]
    discovers = keeps = None
    if drops:
        discovers, keeps = _dropped(
            config, for_discovery.view(steps, B, 1, 1), for_tracks.view(steps, B, K, 1)
        )
    return ClipNoise(
        discovery=parts[0], propagation=parts[1], prior=parts[2], discovers=discovers, keeps=keeps
    )


def _dropped(
    config: SilotConfig, for_discovery: Tensor, for_tracks: Tensor
) -> tuple[Tensor, Tensor | None]:
    """What ``ClipNoise`` says of frames that discover and tracks that go on, from uniform noise.

    Args:
        config: settings of the model.
        for_discovery: [T - 1, B, 1, 1].
        for_tracks: [T - 1, B, K, 1].
    """
    discovers = (for_discovery >= config.discovery_dropout).float()
    if not config.track_dropout:
        return discovers, None
    lost = (for_tracks < config.track_dropout).float()
    return discovers, 1 - lost * discovers


def draw_prior_noise(
    config: SilotConfig, shape: tuple[int, int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Noise for (steps, B, K) steps of the prior alone: normal and logistic."""
    device = generator.device
    normal = torch.randn(*shape, 5 + config.what_size, generator=generator, device=device)
    return normal, logistic_noise(torch.rand(*shape, 1, generator=generator, device=device))


def step_noise(noise: tuple[Tensor, Tensor], step: int) -> StepNoise:
    """Noise of one step from that of all: normal [steps, ..., 5 + A], logistic [steps, ..., 1]."""
    normal, logistic = noise
    where, what, depth = normal[step].split([4, normal.shape[-1] - 5, 1], -1)
    return StepNoise(where, what, depth, logistic[step])
