"""Propagation: every object of the last frame moves, changes its appearance, and may leave."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import (
    STD_FLOOR,
    Gru,
    Linear,
    Look,
    Mlp,
    Product,
    Reused,
    gru_update,
    normal_parameters,
    through,
)
from smot.models.sqair.objects import Noise, Samples, Slots, log_normal, masked_logit

# Constants of the original code: see docs/models/sqair.md 3.2 and 3.3.
PROPOSAL_SCALE = 0.1
FACTOR_RANGE = 0.55
STD_SHIFT = -1.0
MASK_BIAS = 1.0
REMEMBER_BIAS = 1.0
GATE_LIMIT = 0.9999
# Ours: keeps the covariance factor regular.
SMALLEST_STRETCH = 1e-3


class Propagation(nn.Module):
    """The posterior of objects that were there in the last frame.

    Args:
        config: widths and initial biases.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 3.3 (the original's relation RNN over slots).
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.n_what, self.what_std_floor = A, config.what_std_floor
        self.proposal = Mlp((h, h // 2, 4), generator)
        sizes = (h, h // 2, config.glimpse_size**2)
        self.mask = Mlp(sizes, generator, output_bias=MASK_BIAS)
        # The relation network's inputs: proposal, the slot before, the own slot, its state.
        self.relation_sizes = (A, A + 5, A + 5, h)
        self.relation = Linear(sum(self.relation_sizes), h, generator)
        self.relation_state = Product(h, h, generator)
        self.relation_start = nn.Parameter(torch.zeros(h))
        self.where = Mlp((2 * h + 4, h, h, 8), generator)
        self.where_std = nn.Parameter(torch.tensor(config.where_std_bias))
        factor = torch.empty(10).uniform_(-FACTOR_RANGE, FACTOR_RANGE, generator=generator)
        self.where_factor = nn.Parameter(factor)
        self.temporal = Gru(h + 4 + 2 * A, h, generator)
        self.temporal_start = nn.Parameter(torch.zeros(h))
        self.temporal_what = Linear(h, 2 * A, generator)
        self.gates = Linear(h, 3 * A, generator, bias=REMEMBER_BIAS)
        self.presence = Mlp((2 * h + A, h // 2, 1), generator, output_bias=config.propagation_bias)

    def factor(self) -> tuple[Tensor, Tensor]:
        """The factor L0 + 1 that correlates the numbers of `where`, and its diagonal.

        Returns:
            Transposed, [4, 4], in units of the deviations; and [4], kept positive here.

        Source: docs/models/sqair.md 3.3, step 3.
        """
        lower = self.where_factor.new_zeros(4, 4)
        indices = torch.tril_indices(4, 4, device=lower.device)
        lower = lower.index_put((indices[0], indices[1]), self.where_factor)
        stretch = (1 + lower.diagonal()).clamp(min=SMALLEST_STRETCH)
        return (lower.tril(-1) + stretch.diag()).T, stretch


class Usage(NamedTuple):
    """Which rows use which slots: the rows that use most come first, so each slot is a prefix.

    Objects are packed to the front, so the rows that use slot k + 1 are among those that use k.
    What is gathered stands slot after slot, for each its rows in the order of `order`.

    Attributes:
        order: rows, those with most objects first, [S].
        entries: places of the entries in use, in [N * S], [M].
        sizes: how many rows use each slot; they sum to M.
    """

    order: Tensor
    entries: Tensor
    sizes: list[int]

    @classmethod
    def of(cls, present: Tensor) -> "Usage":
        """The usage of slots [N, S] that are packed."""
        held = present > 0.5
        order = torch.sort(held.sum(0), descending=True, stable=True).indices
        used = held[:, order]
        slots, rows = torch.nonzero(used, as_tuple=True)
        return cls(order, slots * present.shape[1] + order[rows], used.sum(1).tolist())

    def gather(self, part: Tensor) -> Tensor:
        """The entries in use, [N, S, ...] to [M, ...]."""
        return part.flatten(0, 1).index_select(0, self.entries)

    def scatter(self, entries: Tensor) -> Tensor:
        """Entries back at their slots and rows, [M, D] to [N, S, D], and zeros elsewhere."""
        n_slots, n_rows = len(self.sizes), len(self.order)
        whole = entries.new_zeros(n_slots * n_rows, entries.shape[1])
        return whole.index_copy(0, self.entries, entries).view(n_slots, n_rows, -1)


class Given(NamedTuple):
    """What does not depend on the order of slots, for M entries.

    Attributes:
        what: appearance in the last frame, [M, A].
        where: box in the last frame, [M, 4].
        temporal: state of the temporal network, [M, h].
        from_state: that network's product with it, [M, 3h].
        relation: the relation network's product with everything known, [M, h].
        heads: the same of the first layers of `where` and presence, joined, [M, 3h / 2].
        mask_logits: of the glimpse's mask, [M, G * G].
        where_noise: noise with the correlations of `where`, [M, 4].
        what_noise: standard normal, [M, A].
        presence: uniform, [M].
    """

    what: Tensor
    where: Tensor
    temporal: Tensor
    from_state: Tensor
    relation: Tensor
    heads: Tensor
    mask_logits: Tensor
    where_noise: Tensor
    what_noise: Tensor
    presence: Tensor


class PropagationLoop:
    """The loop over slots, for the frames of one clip: weights cut by input, joined by output.

    Args:
        net: whose weights.
        look: the glimpse encoder.
    """

    def __init__(self, net: Propagation, look: Look) -> None:
        h, A = len(net.relation_start), net.n_what
        proposal, before, own, tau = net.relation.weight.split(net.relation_sizes, dim=1)
        where_r, self.where_known = net.where.linear[0].weight.split([h, h + 4], dim=1)
        presence = net.presence.linear[0].weight.split([h, h, A], dim=1)
        presence_r, self.presence_tau, presence_what = presence
        self.net, self.look = net, look
        self.lower, self.stretch = net.factor()
        self.known = torch.cat([proposal, own, tau], dim=1)
        self.relation = Reused(torch.cat([before, net.relation_state.weight], dim=1))
        self.heads = Reused(torch.cat([where_r, presence_r]))
        self.where = net.where.reused()[1:]
        self.temporal = Reused(net.temporal.from_input.weight, net.temporal.from_input.bias)
        codes = (net.temporal_what, net.gates)
        self.codes = Reused(
            torch.cat([layer.weight for layer in codes]),
            torch.cat([layer.bias for layer in codes]),
        )
        self.presence_what = Reused(presence_what)
        self.presence = net.presence.reused()[1:]
        # Of what a step gives: what, where, present, r, logit, both deviations, temporal state.
        self.sizes = [A, 4, 1, h, 1, A, 4, h]

    def __call__(
        self, frames: Tensor, slots: Slots, noise: Noise, *, stays: bool
    ) -> tuple[Samples, Tensor]:
        """Sample the slots of this frame given those of the last one.

        Args:
            frames: for every row, [S, C, H, W].
            slots: of the last frame, packed, [N, S, ...].
            noise: for N slots or more.
            stays: True where no object may leave; logits are what they are all the same.

        Returns:
            The samples, and the temporal states after this frame, [N, S, h].
        """
        if slots.n_slots == 0:
            return Samples(*slots[:4], log_density=slots.present), slots.temporal
        usage = Usage.of(slots.present)
        frames = frames.index_select(0, usage.order)
        drawn = Noise(*(usage.gather(part[: slots.n_slots]) for part in noise))
        what, where, tau = map(usage.gather, (slots.what, slots.where, slots.temporal))
        looks = torch.cat([frames[:m] for m in usage.sizes])
        given = self._given(looks, what, where, tau, drawn)
        steps = self._steps(frames, given, usage.sizes, stays=stays).split(self.sizes, dim=1)
        what, where, present, _, logit, what_std, where_std, temporal = steps
        density = log_normal(drawn.what, what_std)
        density = density + log_normal(drawn.where, where_std * self.stretch)
        entries = [what, where, present, logit, density[:, None] * present.detach(), temporal]
        whole = usage.scatter(torch.cat(entries, dim=1))
        what, where, flags, temporal = whole.split([self.sizes[0], 4, 3, self.sizes[-1]], dim=-1)
        present, logit, density = flags.unbind(-1)
        logit = masked_logit(logit, slots.present)
        return Samples(what, where, present.detach(), logit, log_density=density), temporal

    def _given(
        self, frames: Tensor, what: Tensor, where: Tensor, tau: Tensor, noise: Noise
    ) -> Given:
        """Everything that does not depend on the order of slots, for all of them at once."""
        net = self.net
        mask_logits = net.mask(tau)
        expected = where + PROPOSAL_SCALE * net.proposal(tau)
        proposal, _ = self.look(frames, expected, mask_logits)
        # Every entry in use holds an object, so its presence is 1.
        known = torch.cat([proposal, what, where, torch.ones_like(where[:, :1]), tau], dim=1)
        place = torch.cat([where, tau], dim=1)
        heads = (
            F.linear(place, self.where_known, net.where.linear[0].bias),
            F.linear(tau, self.presence_tau, net.presence.linear[0].bias),
        )
        return Given(
            what=what,
            where=where,
            temporal=tau,
            from_state=net.temporal.from_state(tau),
            relation=F.linear(known, self.known, net.relation.bias),
            heads=torch.cat(heads, dim=1),
            mask_logits=mask_logits,
            where_noise=noise.where @ self.lower,
            what_noise=noise.what,
            presence=noise.presence,
        )

    def _steps(self, frames: Tensor, given: Given, sizes: list[int], *, stays: bool) -> Tensor:
        """What all slots give, one after another: of each, so many of the rows [S, C, H, W]."""
        n_before, start = sum(self.sizes[:4]), self.net.relation_start.expand(len(frames), -1)
        nothing = start.new_zeros(len(start), n_before - start.shape[1])
        steps = [torch.cat([nothing, start], dim=1)]
        by_slot = zip(*(part.split(sizes) for part in given), strict=True)
        for slot, m in zip(map(Given._make, by_slot), sizes, strict=True):
            # Rows of this slot are the first m of those of the slot before.
            r = self.relation(steps[-1][:m, :n_before], slot.relation).tanh()
            steps.append(self._step(r, slot, frames[:m], stays=stays))
        return torch.cat(steps[1:])

    def _step(self, r: Tensor, given: Given, frames: Tensor, *, stays: bool) -> Tensor:
        """What one slot gives, joined; the numbers are those of docs/models/sqair.md 3.3."""
        net, h = self.net, r.shape[1]
        for_where, for_presence = self.heads(r, given.heads).split([h, h // 2], dim=1)
        # 3. The box.
        shift, raw = through(self.where, F.elu(for_where)).chunk(2, dim=1)
        where_std = F.softplus(raw + (net.where_std + STD_SHIFT)) + STD_FLOOR
        where = torch.addcmul(given.where + shift, where_std, given.where_noise)
        # 4. What the glimpse there shows.
        seen = self.look(frames, where, given.mask_logits)
        # 5. The temporal state, and the appearance.
        inputs = torch.cat([r, where, *seen], dim=1)
        temporal = gru_update(self.temporal(inputs), given.from_state, given.temporal)
        codes = self.codes(temporal)
        what, what_std = blend(codes, seen, given.what, given.what_noise, net.what_std_floor)
        # 6. Whether it stays; a slot that is computed was present.
        hidden = F.elu(self.presence_what(what, for_presence))
        logit = through(self.presence, hidden)
        present = given.presence[:, None] < logit.detach().sigmoid()
        present = (present | stays).to(logit.dtype)
        return torch.cat([what, where, present, r, logit, what_std, where_std, temporal], dim=1)


def blend(
    codes: Tensor, seen: tuple[Tensor, Tensor], before: Tensor, noise: Tensor, std_floor: float
) -> tuple[Tensor, Tensor]:
    """A sample of a propagated object's appearance, and its deviations.

    For codes (t, s, a, b, c) and gates f, i, g = 0.9999 * sigmoid of a, b, c:
    std = (1 - i) * seen_std + (1 - g) * (softplus(s) + 0.01) + std_floor and
    what = f * before + (1 - i) * seen_mean + (1 - g) * t + std * noise.

    Args:
        codes: [M, 5A].
        seen: mean and deviation of what the glimpse shows, [M, A] each.
        before: the appearance in the last frame, [M, A].
        noise: [M, A].
        std_floor: least deviation.

    Returns:
        what and std, [M, A] each.

    Source: docs/models/sqair.md 3.3, step 5.
    """
    A = noise.shape[-1]
    trend, forget, skip = codes.split([2 * A, A, 2 * A], dim=-1)
    trend_mean, trend_std = normal_parameters(trend)
    add_seen, add_trend = (1 - GATE_LIMIT * skip.sigmoid()).chunk(2, dim=-1)
    std = add_seen * seen[1] + add_trend * trend_std + std_floor
    mean = GATE_LIMIT * forget.sigmoid() * before + add_seen * seen[0] + add_trend * trend_mean
    return mean + std * noise, std
