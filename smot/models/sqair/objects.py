"""What is known about objects, slot by slot, and the noise behind it.

Shapes beyond the usual letters: K particles of a video lie side by side in S = B * K rows. Slots
come before rows, so that the loops over slots read whole blocks. N slots may be fewer than the
most allowed wherever no row uses more. `where` is (sx, sy, tx, ty) before the squashing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# Presence of probability 0 in float32 whose log is still finite (original code, masked logits).
ABSENT_LOGIT = -88.0
# Uniform noise stays above the probability at -88, so that what was ruled out never happens.
SMALLEST_UNIFORM = 1e-7
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class SlotTensors:
    """Tensors that begin with slots and rows, [N, S, ...] each."""

    # What an absent slot holds, where that is not 0.
    ABSENT: ClassVar[dict[str, float]] = {}

    def padded(self, n_slots: int) -> Self:
        """The same with absent slots added up to `n_slots`, not below N."""
        parts = {}
        for name, part in vars(self).items():
            extra = (0, 0) * (part.dim() - 1) + (0, n_slots - len(part))
            parts[name] = F.pad(part, extra, value=self.ABSENT.get(name, 0.0))
        return type(self)(**parts)

    @classmethod
    def stack(cls, frames: Sequence[Self]) -> Self:
        """Frames, at least one, as one with [T, N, S, ...]: N is the most slots of any frame."""
        n_slots = max(len(part) for frame in frames for part in vars(frame).values())
        padded = [vars(frame.padded(n_slots)) for frame in frames]
        return cls(**{name: torch.stack([part[name] for part in padded]) for name in padded[0]})


@dataclass(frozen=True, kw_only=True)
class Samples(SlotTensors):
    """What propagation or discovery sampled in a frame, [N, S, ...], or in a clip, [T, N, S, ...].

    Attributes:
        what: appearance, [..., A].
        where: box, [..., 4].
        present: 1 or 0, [...]; carries no gradient.
        logit: of the presence; -88 where the slot could not be used, [...].
        what_std: deviation of each number of `what`, [..., A].
        where_std: diagonal of the covariance's factor, [..., 4].
        what_noise: the standard normal numbers behind `what`, [..., A].
        where_noise: those behind `where`, [..., 4].
    """

    ABSENT: ClassVar = {"logit": ABSENT_LOGIT, "what_std": 1.0, "where_std": 1.0}

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    what_std: Tensor
    where_std: Tensor
    what_noise: Tensor
    where_noise: Tensor

    @classmethod
    def empty(cls, n_rows: int, n_what: int, device: torch.device) -> "Samples":
        """No samples, for a frame without slots: N = 0."""
        flags = torch.zeros(0, n_rows, device=device)
        what, where = flags.new_zeros(0, n_rows, n_what), flags.new_zeros(0, n_rows, 4)
        return cls(
            what=what,
            where=where,
            present=flags,
            logit=flags,
            what_std=what,
            where_std=where,
            what_noise=what,
            where_noise=where,
        )

    def log_density(self) -> Tensor:
        """Log q(what, where) where present, else 0, [...].

        A sample is its mean plus a factor times noise, so its log density is that of the noise
        less the log of the factor's determinant.
        """
        squares = self.what_noise.square().sum(-1) + self.where_noise.square().sum(-1)
        n_numbers = self.what.shape[-1] + self.where.shape[-1]
        log_factor = self.what_std.log().sum(-1) + self.where_std.log().sum(-1)
        return -(0.5 * (squares + n_numbers * LOG_2PI) + log_factor) * self.present


@dataclass(frozen=True, kw_only=True)
class Slots(SlotTensors):
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

    ABSENT: ClassVar = {"logit": ABSENT_LOGIT, "ids": -1}

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
        flags = torch.zeros(0, n_rows, device=device)
        return cls(
            what=flags.new_zeros(0, n_rows, n_what),
            where=flags.new_zeros(0, n_rows, 4),
            present=flags,
            logit=flags,
            temporal=flags.new_zeros(0, n_rows, n_hidden),
            prior=flags.new_zeros(0, n_rows, n_hidden),
            ids=flags.long(),
        )

    @classmethod
    def of(cls, samples: Samples, ids: Tensor, temporal: Tensor, prior: Tensor) -> "Slots":
        """What was sampled, with identities and states."""
        return cls(
            what=samples.what,
            where=samples.where,
            present=samples.present,
            logit=samples.logit,
            temporal=temporal,
            prior=prior,
            ids=ids,
        )

    def rows(self, rows: Tensor) -> "Slots":
        """The slots of some rows, by index [S'], in that order; rows may repeat.

        Slots that none of them uses are dropped.
        """
        n_used = int(self.present[:, rows].sum(0).max()) if len(rows) and self.n_slots else 0
        return Slots(**{name: part[:n_used, rows] for name, part in vars(self).items()})


def number(present: Tensor, n_used: Tensor) -> tuple[Tensor, Tensor]:
    """Identities for discovered objects: the next ones never used in the row.

    Args:
        present: of the discovered slots, 1 or 0, [N, S].
        n_used: identities given so far, [S], int64.

    Returns:
        Identities, [N, S], int64, -1 where absent; and how many are used now, [S].
    """
    found = present.detach() > 0.5
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
    present = torch.cat([propagated.present, discovered.present]).detach() > 0.5
    n_kept = min(int(present.sum(0).max()), n_most)
    order = torch.sort((~present).to(torch.uint8), dim=0, stable=True).indices[:n_kept]
    n_rows = present.shape[1]
    index = (order * n_rows + torch.arange(n_rows, device=order.device)).flatten()
    absent = ~present.flatten().index_select(0, index).view(n_kept, n_rows)
    any_absent = bool(absent.any())
    chosen = {}
    for name, part in vars(propagated).items():
        joined = torch.cat([part, getattr(discovered, name)])
        kept = joined.flatten(0, 1).index_select(0, index).view(n_kept, n_rows, *joined.shape[2:])
        if any_absent:
            where = absent.view(n_kept, n_rows, *(1,) * (kept.dim() - 2))
            kept = kept.masked_fill(where, Slots.ABSENT.get(name, 0.0))
        chosen[name] = kept
    return Slots(**chosen)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Which rows use which slots: the rows that use most come first, so each slot is a prefix.

    Objects are packed to the front, so the rows that use slot k + 1 are among those that use k.
    What is gathered stands slot after slot, for each its rows in the order of `order`.

    Attributes:
        order: rows, those with most objects first, [S].
        index: of the entries in use, in [N * S], [M].
        sizes: how many rows use each slot; they sum to M.
    """

    order: Tensor
    index: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, present: Tensor) -> "Usage":
        """The usage of slots [N, S] that are packed."""
        held = present.detach() > 0.5
        order = torch.sort(held.sum(0), descending=True, stable=True).indices
        used = held[:, order]
        slots, rows = torch.nonzero(used, as_tuple=True)
        index = slots * present.shape[1] + order[rows]
        return cls(order=order, index=index, sizes=tuple(used.sum(1).tolist()))

    def gather(self, part: Tensor) -> Tensor:
        """The entries in use, [N, S, ...] to [M, ...]."""
        return part.flatten(0, 1).index_select(0, self.index)

    def scatter(self, entries: Tensor, absent: Tensor) -> Tensor:
        """Entries back at their slots and rows, [M, D] to [N, S, D], `absent` [D] elsewhere."""
        n_slots, n_rows = len(self.sizes), len(self.order)
        whole = absent.expand(n_slots * n_rows, -1).index_copy(0, self.index, entries)
        return whole.view(n_slots, n_rows, -1)

    def frames(self, frames: Tensor) -> Tensor:
        """The frame of every row, [B, ...] to [S, ...], in the order of `order`."""
        n_particles = len(self.order) // len(frames)
        return frames.index_select(0, self.order // n_particles)

    def frames_of_entries(self, frames: Tensor) -> Tensor:
        """The frame of every entry, [B, ...] to [M, ...]."""
        n_rows = len(self.order)
        return frames.index_select(0, self.index % n_rows // (n_rows // len(frames)))


def masked_logit(logit: Tensor, could: Tensor) -> Tensor:
    """The logit where the slot could be used (`could` is 1), -88 where not (0), [...]."""
    return torch.where(could > 0.5, logit, ABSENT_LOGIT)


def log_bernoulli(present: Tensor, logit: Tensor) -> Tensor:
    """Log probability of presence, [...]: 1 or 0, under a logit."""
    return present * logit - F.softplus(logit)


def log_normal(value: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log density of independent normal numbers, summed over the last axis, [...]."""
    squares = ((value - mean) / std).square()
    return -0.5 * (squares + LOG_2PI).sum(-1) - std.log().sum(-1)


def log_discoveries(present: Tensor, logit: Tensor) -> Tensor:
    """Log q(n) of the number of discoveries: the Bernoulli terms up to and with the first stop.

    Args:
        present: 1 for the first n slots, then 0, [T, N, S].
        logit: of each step, [T, N, S].

    Returns:
        [T, S].

    Source: docs/models/sqair.md 4.5; the original's clamp at 1e-16 is not needed with logits.
    """
    before = torch.cat([torch.ones_like(present[:, :1]), present[:, :-1]], dim=1)
    return (before * log_bernoulli(present, logit)).sum(1)


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
