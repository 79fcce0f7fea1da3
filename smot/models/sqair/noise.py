"""All noise of a clip, drawn before the model runs: slots that are skipped shift nobody else's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Uniform noise stays above the probability at -88, so that what was ruled out never happens.
SMALLEST_UNIFORM = 1e-7


class SlotNoise(NamedTuple):
    """Noise of one pass over slots.

    Attributes:
        where: standard normal, [N, S, 4].
        what: standard normal, [N, S, A].
        presence: uniform in (0, 1), [N, S]; an object is there where this falls below the
            probability.
    """

    where: Tensor
    what: Tensor
    presence: Tensor


@dataclass(frozen=True, kw_only=True)
class Noise:
    """All noise of a clip, drawn before the model runs: skipped slots shift nobody else's.

    Attributes:
        where: for propagation (first) and discovery (second), [T, 2, N, S, 4].
        what: likewise, [T, 2, N, S, A].
        presence: likewise, [T, 2, N, S].
    """

    where: Tensor
    what: Tensor
    presence: Tensor

    @property
    def n_slots(self) -> int:
        """N, the most slots and the most discoveries."""
        return self.presence.shape[2]

    @property
    def n_rows(self) -> int:
        """S."""
        return self.presence.shape[3]

    def at(self, frame: int) -> tuple[SlotNoise, SlotNoise]:
        """The noise of one frame, for propagation and for discovery."""
        where, what, presence = self.where[frame], self.what[frame], self.presence[frame]
        return (
            SlotNoise(where[0], what[0], presence[0]),
            SlotNoise(where[1], what[1], presence[1]),
        )

    @classmethod
    def draw(
        cls, n_frames: int, n_slots: int, n_rows: int, n_what: int, generator: torch.Generator
    ) -> "Noise":
        """Draw for T frames, N slots and S rows, on the generator's device.

        Frames are drawn one after another, so a clip that goes on draws the same for the frames
        it shares with a shorter one.
        """
        device = generator.device
        shape = (2, n_slots, n_rows)
        normal, uniform = [], []
        for _ in range(n_frames):
            size = (*shape, 4 + n_what)
            normal.append(torch.randn(size, generator=generator, device=device))
            drawn = torch.rand(shape, generator=generator, device=device)
            uniform.append(drawn.clamp_(min=SMALLEST_UNIFORM))
        both = torch.stack(normal)
        return cls(where=both[..., :4], what=both[..., 4:], presence=torch.stack(uniform))

    def shared(self, n_particles: int) -> "Noise":
        """The same, where the K particles of a video have the first one's noise but for presence.

        Weights of particles stay unbiased, each for itself, and so does a baseline made of the
        others' weights: given the noise that is shared, it does not depend on a particle's own
        presence.

        Source: ours, common random numbers.
        """

        def first(part: Tensor) -> Tensor:
            return part[..., ::n_particles, :].repeat_interleave(n_particles, dim=3)

        return Noise(where=first(self.where), what=first(self.what), presence=self.presence)

    @classmethod
    def none(
        cls, n_frames: int, n_slots: int, n_rows: int, n_what: int, device: torch.device
    ) -> "Noise":
        """Noise that makes every sample its mean, and presence the likelier of the two."""
        shape = (n_frames, 2, n_slots, n_rows)
        return cls(
            where=torch.zeros(*shape, 4, device=device),
            what=torch.zeros(*shape, n_what, device=device),
            presence=torch.full(shape, 0.5, device=device),
        )

    @classmethod
    def side_by_side(cls, parts: Sequence["Noise"]) -> "Noise":
        """The noise of several videos as that of one batch: rows are joined."""
        names = ("where", "what", "presence")
        return cls(**{name: torch.cat([vars(part)[name] for part in parts], 3) for name in names})

    def to(self, device: torch.device) -> "Noise":
        """The same numbers on a device."""
        return Noise(**{name: part.to(device) for name, part in vars(self).items()})
