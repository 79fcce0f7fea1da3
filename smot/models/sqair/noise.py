"""All noise of a clip, drawn before the model runs: skipped slots cannot shift what others get."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Above the probability at a logit of -88, so that what was ruled out never happens.
SMALLEST_CHANCE = 1e-7


@dataclass(frozen=True, kw_only=True)
class FrameNoise:
    """The noise of one frame, for where, what and presence.

    Attributes:
        propagation: [N, S, 4], [N, S, A], [N, S].
        discovery: likewise.
    """

    propagation: tuple[Tensor, Tensor, Tensor]
    discovery: tuple[Tensor, Tensor, Tensor]

    @property
    def n_slots(self) -> int:
        """N, the most slots and the most discoveries."""
        return len(self.discovery[2])


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise for frames of S rows and N slots, for propagation (first) and discovery (second).

    Attributes:
        where: standard normal, [T, 2, N, S, 4].
        what: standard normal, [T, 2, N, S, A].
        presence: uniform in (0, 1), [T, 2, N, S]; an object is there where it falls below the
            probability.
    """

    where: Tensor
    what: Tensor
    presence: Tensor

    @property
    def n_slots(self) -> int:
        """N."""
        return self.presence.shape[2]

    @property
    def n_rows(self) -> int:
        """S."""
        return self.presence.shape[3]

    def at(self, frame: int) -> FrameNoise:
        """The noise of one frame."""
        where, what, presence = self.where[frame], self.what[frame], self.presence[frame]
        return FrameNoise(
            propagation=(where[0], what[0], presence[0]),
            discovery=(where[1], what[1], presence[1]),
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
            chance = torch.rand(shape, generator=generator, device=device)
            uniform.append(chance.clamp_(min=SMALLEST_CHANCE))
        both = torch.stack(normal)
        return cls(where=both[..., :4], what=both[..., 4:], presence=torch.stack(uniform))

    def shared(self, n_particles: int) -> "Noise":
        """The same, where the particles of a video have the first one's noise but for presence.

        Weights of particles stay unbiased, each for itself, and so does a baseline made of the
        others' weights: given the noise that is shared, it does not depend on a particle's own
        presence.

        Args:
            n_particles: K; rows of a video lie side by side.

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
        return cls(
            where=torch.cat([part.where for part in parts], dim=3),
            what=torch.cat([part.what for part in parts], dim=3),
            presence=torch.cat([part.presence for part in parts], dim=3),
        )

    def to(self, device: torch.device) -> "Noise":
        """The same numbers on a device."""
        return Noise(
            where=self.where.to(device),
            what=self.what.to(device),
            presence=self.presence.to(device),
        )
