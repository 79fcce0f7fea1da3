"""Objects between and in frames: where they are, what is sampled of them, and from what noise.

Shapes beyond the usual letters: K particles of a video lie side by side in S = B * K rows. Slots
come before rows, so that the loops over slots read whole blocks. N slots may be fewer than the
most allowed wherever no row uses more. `where` is (sx, sy, tx, ty) before the squashing.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Presence of probability 0 in float32 whose log is still finite (original code, masked logits).
ABSENT_LOGIT = -88.0
# What slots without an object hold, where that is not 0.
CLEARED = {"logit": ABSENT_LOGIT, "ids": -1}
# Uniform noise stays above the probability at -88, so that what was ruled out never happens.
SMALLEST_UNIFORM = 1e-7
LOG_2PI = math.log(2 * math.pi)


class Geometry(nn.Module):
    """How `where` (sx, sy, tx, ty before the squashing) places a patch in a frame.

    Coordinates run from -1 to 1 between the centres of the first and the last pixel: a point g of
    the patch lies at scale * g + shift of the frame. Scales are sigmoids, stretched to the bounds,
    and shifts are tanh.

    Args:
        frame_size: H, W, pixels.
        glimpse_size: G, samples along a side of the patch.
        scale_bounds: smallest and largest scale, shares of the frame.

    Source: docs/models/sqair.md 3.1 (corners aligned); the bounds are an option of the code behind
    the SILOT comparison.
    """

    window: Tensor

    def __init__(
        self, frame_size: tuple[int, int], glimpse_size: int, scale_bounds: tuple[float, float]
    ) -> None:
        super().__init__()
        (H, W), (low, high) = frame_size, scale_bounds
        self.frame_size, self.glimpse_size = frame_size, glimpse_size
        # A sprite of G samples spans G sample distances, the transformer's patch G - 1.
        spread = glimpse_size / (glimpse_size - 1)
        w, h = (W - 1) * spread / 2, (H - 1) * spread / 2
        # sigmoid(s) = (1 + tanh(s / 2)) / 2, so that one tanh serves all four numbers.
        window = [
            [0.5, 0.5, 1.0, 1.0],
            [(high - low) * w, (high - low) * h, (W - 1) / 2, (H - 1) / 2],
            [(high + low) * w, (high + low) * h, W / 2, H / 2],
        ]
        self.register_buffer("window", torch.tensor(window), persistent=False)

    def sprite_boxes(self, where: Tensor) -> Tensor:
        """Boxes of the patch's samples, in the convention of `smot.models.sprites`.

        Args:
            where: [..., 4].

        Returns:
            Centre and size y, x, h, w, [..., 4], pixels, where pixel i covers [i, i + 1).
        """
        inner, factor, offset = self.window
        return torch.addcmul(offset, factor, (where * inner).tanh()).flip(-1)

    def object_boxes(self, where: Tensor) -> Tensor:
        """What a tracker reports: the outer edges of the first and last sampled pixel.

        Args:
            where: [..., 4].

        Returns:
            x0, y0, x1, y1, [..., 4], pixels; may stick out of the frame.

        Source: the geometric extent, (W - 1) * sx + 1 wide around 0.5 * (W - 1) * (tx + 1). The
        SILOT comparison took (W + 1) * sx around 0.5 * W * (tx + 1) - 0.5, up to a pixel off.
        """
        size, centre = self.sprite_boxes(where).flip(-1).split(2, dim=-1)
        half = (size * (1 - 1 / self.glimpse_size) + 1) / 2
        return torch.cat([centre - half, centre + half], dim=-1)


class Noise(NamedTuple):
    """Noise drawn before the model runs, so that skipped slots shift nobody else's.

    That of a clip has T frames, and for each that of propagation and that of discovery in front.

    Attributes:
        where: standard normal, [T, 2, N, S, 4].
        what: standard normal, [T, 2, N, S, A].
        presence: uniform in (0, 1), [T, 2, N, S]; an object is there where this falls below the
            probability.
    """

    where: Tensor
    what: Tensor
    presence: Tensor

    def at(self, *index: int) -> "Noise":
        """A part, by index along the axes in front: (frame, 0 or 1), or (slot,) of such a part."""
        return Noise(*(part[index] for part in self))

    @classmethod
    def draw(
        cls, n_frames: int, n_slots: int, n_rows: int, n_what: int, generator: torch.Generator
    ) -> "Noise":
        """Draw for T frames, N slots and S rows, on the generator's device.

        Frames are drawn one after another, so a clip that goes on draws the same for the frames
        it shares with a shorter one.
        """
        device, shape = generator.device, (2, n_slots, n_rows)
        normal, uniform = [], []
        for _ in range(n_frames):
            size = (*shape, 4 + n_what)
            normal.append(torch.randn(size, generator=generator, device=device))
            drawn = torch.rand(shape, generator=generator, device=device)
            uniform.append(drawn.clamp_(min=SMALLEST_UNIFORM))
        where, what = torch.stack(normal).split([4, n_what], dim=-1)
        return cls(where=where, what=what, presence=torch.stack(uniform))

    @classmethod
    def none(cls, n_frames: int, n_slots: int, n_rows: int, n_what: int) -> "Noise":
        """Noise that makes every sample its mean, and presence the likelier of the two."""
        shape = (n_frames, 2, n_slots, n_rows)
        where, what = torch.zeros(*shape, 4), torch.zeros(*shape, n_what)
        return cls(where=where, what=what, presence=torch.full(shape, 0.5))

    def shared(self, n_particles: int) -> "Noise":
        """The same, where the K particles of a video have the first one's noise but for presence.

        Weights of particles stay unbiased, each for itself, and so does a baseline made of the
        others' weights: given the noise that is shared, it does not depend on a particle's own
        presence.

        Source: ours, common random numbers.
        """

        def first(part: Tensor) -> Tensor:
            return part[..., ::n_particles, :].repeat_interleave(n_particles, dim=-2)

        return Noise(where=first(self.where), what=first(self.what), presence=self.presence)


class Samples(NamedTuple):
    """What propagation or discovery sampled in a frame.

    Attributes:
        what: appearance, [N, S, A].
        where: box, [N, S, 4].
        present: 1 or 0, [N, S]; carries no gradient.
        logit: of the presence; -88 where the slot could not be used, [N, S].
        log_density: log q(what, where) where present, else 0, [N, S].
    """

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    log_density: Tensor


class Slots(NamedTuple):
    """Objects between two frames.

    Attributes:
        what: appearance, [N, S, A].
        where: box, [N, S, 4].
        present: 1 where there is an object, else 0, [N, S], float32.
        logit: of the presence, as the posterior had it, [N, S]; -88 where there was no choice.
        temporal: state of the temporal network, [N, S, h].
        prior: state of the propagation prior, [N, S, h].
        ids: identity in the video, [N, S], int64; -1 where absent.
    """

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    temporal: Tensor
    prior: Tensor
    ids: Tensor

    @property
    def n_slots(self) -> int:
        """N, slots in use in at least one row, or a little more."""
        return len(self.present)

    @classmethod
    def empty(cls, n_rows: int, n_what: int, n_hidden: int, device: torch.device) -> "Slots":
        """No objects yet, for S rows: N = 0."""
        what, where, state = (
            torch.zeros(0, n_rows, size, device=device) for size in (n_what, 4, n_hidden)
        )
        flags = what.sum(-1)
        return cls(what, where, flags, flags, temporal=state, prior=state, ids=flags.long())

    @classmethod
    def of(cls, samples: Samples, ids: Tensor, temporal: Tensor, prior: Tensor) -> "Slots":
        """What was sampled, with identities and states."""
        what, where, present, logit, _ = samples
        return cls(what, where, present, logit, temporal=temporal, prior=prior, ids=ids)

    def rows(self, rows: Tensor) -> "Slots":
        """The slots of some rows, by index [S'], in that order; rows may repeat.

        Slots that none of them uses are dropped.
        """
        n_used = int(self.present[:, rows].sum(0).max()) if len(rows) and self.n_slots else 0
        return Slots(*(part[:n_used, rows] for part in self))

    def padded(self, n_slots: int) -> "Slots":
        """The same with absent slots added up to `n_slots`, not below N."""
        n_more = n_slots - self.n_slots
        parts = (
            F.pad(part, (0, 0) * (part.dim() - 1) + (0, n_more), value=CLEARED.get(name, 0.0))
            for name, part in self._asdict().items()
        )
        return Slots(*parts)


def number(present: Tensor, n_used: Tensor) -> tuple[Tensor, Tensor]:
    """Identities for discovered objects: the next ones never used in the row.

    Args:
        present: of the discovered slots, 1 or 0, [N, S].
        n_used: identities given so far, [S], int64.

    Returns:
        Identities, [N, S], int64, -1 where absent; and how many are used now, [S].
    """
    found = present > 0.5
    ids = torch.where(found, n_used + found.cumsum(0) - 1, -1)
    return ids, n_used + found.sum(0)


def pack(propagated: Slots, discovered: Slots, n_most: int) -> Slots:
    """Bring present objects to the front, in their order, and keep the first `n_most`.

    Slots that no row uses are dropped. What is left in slots without an object is cleared, so
    that the outcome does not depend on how many slots were computed.

    Args:
        propagated: objects of the last frame, [N, S, ...].
        discovered: objects of this frame, [M, S, ...].
        n_most: most slots to keep.

    Source: docs/models/sqair.md 3.6 (stable sort by presence, propagated objects first).
    """
    present = torch.cat([propagated.present, discovered.present]) > 0.5
    n_kept, n_rows = min(int(present.sum(0).max()), n_most), present.shape[1]
    order = torch.sort((~present).to(torch.uint8), dim=0, stable=True).indices[:n_kept]
    index = (order * n_rows + torch.arange(n_rows, device=order.device)).flatten()
    absent = ~present.flatten().index_select(0, index).view(n_kept, n_rows)
    any_absent = bool(absent.any())
    kept = []
    for name, *parts in zip(Slots._fields, propagated, discovered, strict=True):
        joined = torch.cat(parts)
        part = joined.flatten(0, 1).index_select(0, index).view(n_kept, n_rows, *joined.shape[2:])
        if any_absent:
            where = absent.view(n_kept, n_rows, *(1,) * (part.dim() - 2))
            part = part.masked_fill(where, CLEARED.get(name, 0.0))
        kept.append(part)
    return Slots(*kept)


def masked_logit(logit: Tensor, could: Tensor) -> Tensor:
    """The logit where the slot could be used (`could` is 1), -88 where not (0), [...]."""
    return torch.where(could > 0.5, logit, ABSENT_LOGIT)


def log_bernoulli(present: Tensor, logit: Tensor) -> Tensor:
    """Log probability of presence, [...]: 1 or 0, under a logit."""
    return present * logit - F.softplus(logit)


def log_normal(noise: Tensor, std: Tensor) -> Tensor:
    """Log density of mean + std * noise under that mean and deviation, [..., n] to [...].

    For a full covariance `std` is the diagonal of its factor.
    """
    return -0.5 * (noise.square() + LOG_2PI).sum(-1) - std.log().sum(-1)
