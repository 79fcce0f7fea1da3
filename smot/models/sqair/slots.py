"""What is carried from frame to frame about every object, and how slots are packed."""

from dataclasses import dataclass

import torch
from torch import Tensor

ABSENT_LOGIT = -88.0


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Objects between two frames; slots first, so that the loops over slots read whole blocks.

    N may be anything up to the most objects allowed: slots beyond are absent in every row. Rows
    are particles of videos, S = B * K, those of one video side by side.

    Attributes:
        what: appearance, [N, S, A].
        where: sx, sy, tx, ty before the squashing, [N, S, 4].
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
        state = torch.zeros(0, n_rows, n_hidden, device=device)
        return cls(
            what=torch.zeros(0, n_rows, n_what, device=device),
            where=torch.zeros(0, n_rows, 4, device=device),
            present=torch.zeros(0, n_rows, device=device),
            logit=torch.zeros(0, n_rows, device=device),
            temporal=state,
            prior=state,
            ids=torch.zeros(0, n_rows, dtype=torch.int64, device=device),
        )

    def padded(self, n_slots: int) -> "Slots":
        """The same with absent slots added up to ``n_slots``, not below N."""
        n_rows, device = self.present.shape[1], self.present.device
        extra = Slots.empty(n_rows, self.what.shape[-1], self.prior.shape[-1], device)
        filling = {"logit": ABSENT_LOGIT, "ids": -1}
        parts = {}
        for name, part in vars(self).items():
            shape = (n_slots - len(part), *part.shape[1:])
            value = filling.get(name, 0)
            parts[name] = torch.cat([part, getattr(extra, name).new_full(shape, value)])
        return Slots(**parts)

    def rows(self, rows: Tensor) -> "Slots":
        """The slots of some rows, by index [S'], in that order; rows may repeat.

        Slots that none of them uses are dropped.
        """
        n_used = int(self.present[:, rows].sum(0).max()) if len(rows) and self.n_slots else 0
        return Slots(**{name: part[:n_used, rows] for name, part in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Which rows use which slots: the rows that use most come first, so each slot is a prefix.

    Objects are packed to the front, so the rows that use slot k + 1 are among those that use k.
    What is gathered stands slot after slot, for each its rows in the order of ``order``.

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
        counts = held.sum(0)
        order = torch.sort(counts, descending=True, stable=True).indices
        used = held[:, order]
        slots, rows = torch.nonzero(used, as_tuple=True)
        index = slots * present.shape[1] + order[rows]
        return cls(order=order, index=index, sizes=tuple(used.sum(1).tolist()))

    @classmethod
    def whole(cls, present: Tensor) -> "Usage":
        """As if every row used every slot of [N, S]."""
        n_slots, n_rows = present.shape
        order = torch.arange(n_rows, device=present.device)
        index = torch.arange(n_slots * n_rows, device=present.device)
        return cls(order=order, index=index, sizes=(n_rows,) * n_slots)

    def gather(self, part: Tensor) -> Tensor:
        """The entries in use, [N, S, ...] to [M, ...]."""
        return part.flatten(0, 1).index_select(0, self.index)

    def scatter(self, entries: Tensor, value: float = 0.0) -> Tensor:
        """Entries back at their slots and rows, [M, ...] to [N, S, ...], ``value`` elsewhere."""
        n_slots, n_rows = len(self.sizes), len(self.order)
        shape = (n_slots * n_rows, *entries.shape[1:])
        whole = entries.new_full(shape, value).index_copy(0, self.index, entries)
        return whole.view(n_slots, n_rows, *entries.shape[1:])

    def frames(self, frames: Tensor) -> Tensor:
        """The frame of every row, [B, ...] to [S, ...], in the order of ``order``."""
        n_particles = len(self.order) // len(frames)
        return frames.index_select(0, self.order // n_particles)

    def frames_of_entries(self, frames: Tensor) -> Tensor:
        """The frame of every entry, [B, ...] to [M, ...]."""
        n_rows = len(self.order)
        return frames.index_select(0, self.index % n_rows // (n_rows // len(frames)))


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
    """Bring present objects to the front, in their order, and keep the first ``n_most``.

    Slots that no row uses are dropped; what is left in slots without an object is zeroed, so that
    the outcome does not depend on how many slots were computed.

    Args:
        propagated: objects of the last frame, [N, S, ...].
        discovered: objects of this frame, [M, S, ...].
        n_most: most slots to keep.

    Source: original code (stable sort by presence, propagated objects first).
    """
    present = torch.cat([propagated.present, discovered.present]).detach() > 0.5
    n_kept = min(int(present.sum(0).max()), n_most)
    order = torch.sort((~present).to(torch.uint8), dim=0, stable=True).indices[:n_kept]
    n_rows = present.shape[1]
    rows = (order * n_rows + torch.arange(n_rows, device=order.device)).flatten()
    chosen = {}
    for name, part in vars(propagated).items():
        joined = torch.cat([part, getattr(discovered, name)])
        flat = joined.flatten(0, 1).index_select(0, rows)
        chosen[name] = flat.view(n_kept, n_rows, *joined.shape[2:])
    return _emptied(Slots(**chosen))


def _emptied(slots: Slots) -> Slots:
    """The same slots with nothing left in those without an object."""
    held = slots.present.detach() > 0.5
    if bool(held.all()):
        return slots
    wide = held[..., None]
    return Slots(
        what=slots.what * wide,
        where=slots.where * wide,
        present=slots.present * held,
        logit=torch.where(held, slots.logit, ABSENT_LOGIT),
        temporal=slots.temporal * wide,
        prior=slots.prior * wide,
        ids=torch.where(held, slots.ids, -1),
    )
