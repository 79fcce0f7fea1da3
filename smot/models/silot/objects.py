"""Objects, the draws that make them, what a clip holds of both, and the noise of the draws."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from smot.models.distributions import Gaussian, Presence, logistic_noise

AWAY = -10.0
"""A coordinate that no frame has, anchors."""
POSITION_LOGITS = slice(2, 4)
"""Where the position logits are in the samples of a propagation step; see `Change`."""
_AFTER_HIDDEN = 4 + 2 + 1
"""How many numbers of packed objects follow `Objects.hidden`: box, size and depth logits."""


class Objects(NamedTuple):
    """Objects of one frame (or of many), all with the same leading axes.

    Attributes:
        place: y, x of the centre in the whole frame, [..., 2], anchors; equals that of `box`
            where the model sees whole frames.
        size: h, w, [..., 2], anchors.
        what: appearance, [..., A].
        depth: in (0, 1), larger is nearer, [..., 1].
        pres: presence in [0, 1], [..., 1].
        hidden: recurrent state of the posterior, [..., H].
        box: y, x, h, w in the frame that the model sees, [..., 4], anchors.
        size_logit: what `size` is the sigmoid of, [..., 2].
        depth_logit: what `depth` is the sigmoid of, [..., 1].
    """

    place: Tensor
    size: Tensor
    what: Tensor
    depth: Tensor
    pres: Tensor
    hidden: Tensor
    box: Tensor
    size_logit: Tensor
    depth_logit: Tensor

    def packed(self) -> Tensor:
        """All of it side by side, [..., S], in the order of the attributes."""
        return torch.cat(tuple(self), dim=-1)

    @property
    def centre(self) -> Tensor:
        """y, x of the centre in the frame that the model sees, [..., 2], anchors."""
        return self.box[..., :2]


# Packed in one tensor, objects are chosen by one index operation instead of nine.
def unpacked(packed: Tensor, what_size: int) -> Objects:
    """Views of a packed tensor, with or without recurrent states."""
    hidden_size = packed.shape[-1] - (6 + what_size) - _AFTER_HIDDEN
    return Objects(*packed.split([2, 2, what_size, 1, 1, hidden_size, 4, 2, 1], dim=-1))


def description(packed: Tensor) -> Tensor:
    """What networks read of packed objects, [..., 6 + A + H]: all up to `hidden`."""
    return packed[..., :-_AFTER_HIDDEN]


def ended(packed: Tensor, ends: Tensor) -> Tensor:
    """Packed objects, those that end replaced by nothing, out of reach of every place.

    An object that has lost its presence, but stays where it was, keeps discovery from finding
    there what it no longer explains.

    Args:
        packed: with or without recurrent states, [..., S].
        ends: which end, bool, [..., 1].

    Source: ours; in the paper faint objects stay.
    """
    nothing = packed.new_zeros(packed.shape[-1])
    nothing[-_AFTER_HIDDEN : 2 - _AFTER_HIDDEN] = AWAY  # the box's centre
    return torch.where(ends, nothing, packed)


class Drawn(NamedTuple):
    """The distributions of objects' attributes, and what was drawn of their presence.

    Attributes:
        mean: of position logits (2), size logits (2), appearance (A; in propagation of its
            increment) and depth logit (in propagation of its step), [..., 5 + A].
        scale: standard deviations, [..., 5 + A].
        logit: of the presence, within 10 of 0, [..., 1].
        sample: logit of the relaxed sample of the presence, [..., 1].
        pres: the object's presence after it, [..., 1].
    """

    mean: Tensor
    scale: Tensor
    logit: Tensor
    sample: Tensor
    pres: Tensor

    @classmethod
    def of(cls, parts: Sequence[Gaussian], presence: Presence, pres: Tensor) -> "Drawn":
        """From the Gaussians of where, what and depth, and a presence."""
        means, scales = zip(*parts, strict=True)
        mean, scale = torch.cat(means, -1), torch.cat(scales, -1)
        return cls(mean, scale, presence.logit, presence.sample, pres)

    @classmethod
    def stacked(cls, steps: Sequence["Drawn"]) -> "Drawn":
        """Consecutive steps with time in front, [T, ...]."""
        return cls(*map(torch.stack, zip(*steps, strict=True)))


class Clip(NamedTuple):
    """What the posterior made of a clip.

    Attributes:
        states: selected objects, packed, [T, B, K, S].
        is_new: which of them were discovered in their frame, [T, B, K].
        found: what discovery drew, [T, B, J, ...].
        moved: what propagation drew from the second frame on, [T - 1, B, K, ...]; None for one
            frame.
        samples: everything that propagation drew, as its recurrent state reads it,
            [T - 1, B, K, 8 + A]; empty for one frame.
    """

    states: Tensor
    is_new: Tensor
    found: Drawn
    moved: Drawn | None
    samples: Tensor


class Trajectories(NamedTuple):
    """What the learned prior reads of clips; plain tensors, so that they can be kept.

    Attributes:
        states: selected objects, packed, without recurrent states, [T, B, K, S - H].
        is_new: [T, B, K].
        mean: what propagation drew, as in `Drawn`, [T - 1, B, K, ...], like the next four.
        scale: see `Drawn`.
        logit: see `Drawn`.
        sample: see `Drawn`.
        pres: see `Drawn`.
        samples: as in `Clip`.
    """

    states: Tensor
    is_new: Tensor
    mean: Tensor
    scale: Tensor
    logit: Tensor
    sample: Tensor
    pres: Tensor
    samples: Tensor

    @property
    def drawn(self) -> Drawn:
        """The posterior's."""
        return Drawn(self.mean, self.scale, self.logit, self.sample, self.pres)


class Noise(NamedTuple):
    """Noise of N objects or cells in one step, or in several; without it, means are taken.

    Attributes:
        where: standard normal, [B, N, 4], of several steps [steps, B, N, 4], like the others.
        what: standard normal, [B, N, A].
        depth: standard normal, [B, N, 1].
        pres: standard logistic, [B, N, 1].
    """

    where: Tensor | None = None
    what: Tensor | None = None
    depth: Tensor | None = None
    pres: Tensor | None = None

    @classmethod
    def of(cls, normal: Tensor, uniform: Tensor) -> "Noise":
        """From normal [..., 5 + A] and uniform [..., 1] numbers."""
        where, what, depth = normal.split([4, normal.shape[-1] - 5, 1], -1)
        return cls(where, what, depth, logistic_noise(uniform))

    def step(self, step: int) -> "Noise":
        """One step's."""
        return Noise(*(None if part is None else part[step] for part in self))


class FrameNoise(NamedTuple):
    """Noise of the posterior in one frame, and what training drops there.

    Attributes:
        propagation: for the K slots.
        discovery: for the J cells.
        discovers: whether the frame discovers at all, [B, 1, 1], 0 or 1; None for yes.
        keeps: whether a track continues into the frame, [B, K, 1], 0 or 1; None for all.
    """

    propagation: Noise = Noise()
    discovery: Noise = Noise()
    discovers: Tensor | None = None
    keeps: Tensor | None = None


class ClipNoise(NamedTuple):
    """Noise of a clip of T frames, and what training drops.

    Attributes:
        discovery: of T frames.
        propagation: of T - 1 steps.
        prior: likewise.
        discovers: as in `FrameNoise`, from the second frame on, [T - 1, B, 1, 1].
        keeps: likewise, [T - 1, B, K, 1].
    """

    discovery: Noise
    propagation: Noise
    prior: Noise
    discovers: Tensor | None
    keeps: Tensor | None

    def frame(self, t: int) -> FrameNoise:
        """One frame's; nothing is propagated into frame 0, and nothing dropped."""
        discovery = self.discovery.step(t)
        if t == 0:
            return FrameNoise(discovery=discovery)
        return FrameNoise(
            self.propagation.step(t - 1),
            discovery,
            None if self.discovers is None else self.discovers[t - 1],
            None if self.keeps is None else self.keeps[t - 1],
        )


def draw_noise(
    shape: tuple[int, int, int, int],
    what_size: int,
    generator: torch.Generator,
    *,
    dropout: tuple[float, float] | None,
) -> ClipNoise:
    """Draw all randomness of a clip at once, two calls of the generator in all.

    Args:
        shape: B, T, K, J: videos, frames, slots, cells.
        what_size: A.
        generator: source of all of it, on the model's device.
        dropout: chances that a frame after the first discovers nothing, and that an object is
            lost before a frame that may discover; None to drop nothing. The noise stays the same.
    """
    B, T, K, J = shape
    n, steps, device = 5 + what_size, T - 1, generator.device
    shapes = [(T, B, J), (steps, B, K), (steps, B, K)]
    rows = [T * B * J, steps * B * K, steps * B * K]
    normal = torch.randn(sum(rows) * n, generator=generator, device=device)
    n_uniform = [*rows, steps * B, steps * B * K]
    uniform = torch.rand(sum(n_uniform), generator=generator, device=device)
    *for_pres, for_discovery, for_tracks = uniform.split(n_uniform)
    parts = [
        Noise.of(gaussian.view(*shape, n), flat.view(*shape, 1))
        for gaussian, flat, shape in zip(
            normal.split([row * n for row in rows]), for_pres, shapes, strict=True
        )
    ]
    discovers = keeps = None
    if dropout:
        discovers = (for_discovery.view(steps, B, 1, 1) >= dropout[0]).float()
        if dropout[1]:
            # A track is lost only where discovery may find its object again.
            lost = (for_tracks.view(steps, B, K, 1) < dropout[1]).float()
            keeps = 1 - lost * discovers
    discovery, propagation, prior = parts
    return ClipNoise(discovery, propagation, prior, discovers, keeps)
