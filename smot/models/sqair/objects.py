"""What is known about objects: where they are, and all else, slot by slot.

Shapes beyond the usual letters: K particles of a video lie side by side in S = B * K rows. Slots
come before rows, so that the loops over slots read whole blocks. N slots may be fewer than the
most allowed wherever no row uses more. `where` is (sx, sy, tx, ty) before the squashing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# Presence of probability 0 in float32 whose log is still finite (original code, masked logits).
ABSENT_LOGIT = -88.0
SMALLEST_SCALE = 1e-4
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How `where` (sx, sy, tx, ty before the squashing) places a patch in a frame.

    Coordinates run from -1 to 1 between the centres of the first and the last pixel: a point g of
    the patch lies at scale * g + shift of the frame.

    Attributes:
        frame_size: H, W, pixels.
        glimpse_size: G, samples along a side of the patch.
        scale_bounds: smallest and largest scale, shares of the frame.

    Source: docs/models/sqair.md 3.1 (corners aligned; sigmoid and tanh); the bounds are an option
    of the code behind the SILOT comparison.
    """

    frame_size: tuple[int, int]
    glimpse_size: int
    scale_bounds: tuple[float, float]

    def transform(self, where: Tensor) -> Tensor:
        """Scale and shift.

        Args:
            where: [..., 4].

        Returns:
            The first two between the bounds by a sigmoid, tanh of the last two, [..., 4]; scales
            below 1e-4 count as 1e-4, with the gradient passed on as if they did not.
        """
        low, high = self.scale_bounds
        scale = low + (high - low) * where[..., :2].sigmoid()
        scale = scale + (scale.detach().clamp(min=SMALLEST_SCALE) - scale.detach())
        return torch.cat([scale, where[..., 2:].tanh()], dim=-1)

    def samples(self, where: Tensor) -> Tensor:
        """Centre and distance of the patch's samples, y, x, dy, dx, [..., 4], pixel indices."""
        placed, spaces = self.transform(where), self._spaces(where)
        centre = (placed[..., 2:] + 1) / 2 * spaces
        step = placed[..., :2] * spaces / (self.glimpse_size - 1)
        return torch.cat([centre.flip(-1), step.flip(-1)], dim=-1)

    def object_boxes(self, where: Tensor) -> Tensor:
        """What a tracker reports: the outer edges of the first and last sampled pixel.

        Args:
            where: [..., 4].

        Returns:
            x0, y0, x1, y1, [..., 4], pixels; may stick out of the frame.

        Source: the geometric extent, (W - 1) * sx + 1 wide around 0.5 * (W - 1) * (tx + 1). The
        SILOT comparison took (W + 1) * sx around 0.5 * W * (tx + 1) - 0.5, up to a pixel off.
        """
        placed, spaces = self.transform(where), self._spaces(where)
        centre = (placed[..., 2:] + 1) / 2 * spaces + 0.5
        half = (placed[..., :2] * spaces + 1) / 2
        return torch.cat([centre - half, centre + half], dim=-1)

    def window(self) -> Tensor:
        """What `sprite_boxes` needs, [3, 4].

        With the scale's sigmoid written as a tanh, one tanh serves all four numbers: the box is
        window[2] + window[1] * tanh(window[0] * where), read backwards. A sprite of G samples
        spans G sample distances, the transformer's patch G - 1.
        """
        H, W = self.frame_size
        low, high = self.scale_bounds
        spread = self.glimpse_size / (self.glimpse_size - 1)
        w, h = (W - 1) * spread / 2, (H - 1) * spread / 2
        factors = [(high - low) * w, (high - low) * h, (W - 1) / 2, (H - 1) / 2]
        offsets = [(high + low) * w, (high + low) * h, W / 2, H / 2]
        return torch.tensor([[0.5, 0.5, 1.0, 1.0], factors, offsets])

    def _spaces(self, like: Tensor) -> Tensor:
        """Pixel distances across the frame, along x and y."""
        H, W = self.frame_size
        return like.new_tensor([W - 1, H - 1])


def sprite_boxes(where: Tensor, window: Tensor) -> Tensor:
    """Boxes, in the convention of `smot.models.sprites`, with the samples of a `Geometry`.

    Args:
        where: [..., 4].
        window: from `Geometry.window`.

    Returns:
        Centre and size y, x, h, w, [..., 4], pixels, where pixel i covers [i, i + 1).
    """
    return (window[2] + window[1] * (where * window[0]).tanh()).flip(-1)


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
