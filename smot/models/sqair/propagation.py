"""Propagation: every object of the last frame moves, changes its looks, and may leave."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import GlimpseEncoder
from smot.models.sqair.fused import blend, gru_gates, normal_parameters, place
from smot.models.sqair.layers import Gru, Linear, Mlp
from smot.models.sqair.samples import Chosen, presence_logit
from smot.models.sqair.slots import ABSENT_LOGIT, Slots, Usage
from smot.models.sqair.taped import Taped, chain

PROPOSAL_SCALE = 0.1
FACTOR_RANGE = 0.55
SMALLEST_STRETCH = 1e-3
STD_SHIFT = -1.0
MASK_BIAS = 1.0
REMEMBER_BIAS = 1.0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of propagation, cut by input and joined by output; made once per clip.

    What multiplies the state before the loop over slots (appearance, place and presence of the
    last frame, temporal state tau, proposal glimpse) goes through one large product for all
    slots; what multiplies the outcome of the step before stays in the loop.

    Attributes:
        relation_given: of the relation network, for [proposal, what', where', present', tau].
        relation_step: of the relation network, for [what, where, present, r].
        where_given: of the first layer of ``where``, for [where', tau].
        presence_given: of the first layer of presence, for tau.
        from_relation: of the first layers of ``where`` and presence, for r, joined by output.
        where: the rest of ``where``.
        temporal: of the temporal network, for its input.
        heads: of the temporal appearance and the gates, for the new temporal state, joined.
        presence: of the first layer of presence, for ``what``; and the second layer.
        encoder: of glimpses.
        where_std: bias of the deviations of ``where`` before the softplus, [].
        factor: transposed covariance factor of ``where`` in units of its deviations, [4, 4].
        stretch: diagonal of that factor, [4].
    """

    relation_given: Tensor
    relation_step: Taped
    where_given: Tensor
    presence_given: Tensor
    from_relation: Taped
    where: list[Taped]
    temporal: Taped
    heads: Taped
    presence: list[Taped]
    encoder: list[Taped]
    where_std: Tensor
    factor: Tensor
    stretch: Tensor


@dataclass(frozen=True, kw_only=True)
class _Entries:
    """What the loop needs that is known before it, for the slots in use, [M, ...]."""

    what: Tensor
    where: Tensor
    present: Tensor
    temporal: Tensor
    where_noise: Tensor
    what_noise: Tensor
    chance: Tensor
    mask: Tensor | None
    relation: Tensor
    from_relation: Tensor
    from_temporal: Tensor

    def by_slot(self, sizes: tuple[int, ...]) -> list["_Entries"]:
        """The entries of each slot."""
        parts: dict[str, Any] = {
            name: [None] * len(sizes) if part is None else part.split(list(sizes))
            for name, part in vars(self).items()
        }
        return [
            _Entries(**{name: part[k] for name, part in parts.items()}) for k in range(len(sizes))
        ]


class Propagation(nn.Module):
    """The posterior of objects that were there in the last frame.

    Args:
        config: widths and initial biases.
        generator: source of the initial weights.

    Source: sqair.md 3.3 (the original's relation RNN over slots).
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.n_hidden, self.n_what = h, A
        self.std_floor = config.what_std_floor
        self.proposal = Mlp((h, h // 2, 4), generator)
        self.mask = None
        if config.masked_glimpse:
            sizes = (h, h // 2, config.glimpse_size**2)
            self.mask = Mlp(sizes, generator, output_bias=MASK_BIAS)
        self.relation = Linear(A + 2 * (A + 5) + h, h, generator)
        self.relation_state = Linear(h, h, generator, bias=None)
        self.relation_start = nn.Parameter(torch.zeros(h))
        self.where = Mlp((2 * h + 4, h, h, 8), generator)
        self.where_std = nn.Parameter(torch.tensor(config.where_std_bias))
        factor = torch.empty(10).uniform_(-FACTOR_RANGE, FACTOR_RANGE, generator=generator)
        self.where_factor = nn.Parameter(factor)
        self.temporal = Gru(h + 4 + 2 * A, h, generator)
        self.temporal_start = nn.Parameter(torch.zeros(h))
        self.temporal_what = Linear(h, 2 * A, generator)
        self.gates = Linear(h, 3 * A, generator, bias=REMEMBER_BIAS)
        sizes = (2 * h + A, h // 2, 1)
        self.presence = Mlp(sizes, generator, output_bias=config.propagation_bias)

    def weights(self, encoder: GlimpseEncoder) -> Weights:
        """Cut and join the weights for the loops of one clip."""
        h, A = self.n_hidden, self.n_what
        proposal, before, own, tau = self.relation.weight.split([A, A + 5, A + 5, h], dim=1)
        where_r, where_given = self.where.first.weight.split([h, 4 + h], dim=1)
        presence_r, presence_tau, presence_what = self.presence.first.weight.split([h, h, A], 1)
        heads = (self.temporal_what, self.gates)
        factor, stretch = self._factor()
        return Weights(
            relation_given=torch.cat([proposal, own, tau], dim=1),
            relation_step=Taped(torch.cat([before, self.relation_state.weight], dim=1)),
            where_given=where_given,
            presence_given=presence_tau,
            from_relation=Taped(torch.cat([where_r, presence_r])),
            where=self.where.taped()[1:],
            temporal=self.temporal.from_input.taped(),
            heads=Taped(
                torch.cat([head.weight for head in heads]),
                torch.cat([head.bias for head in heads if head.bias is not None]),
            ),
            presence=[Taped(presence_what), self.presence.last.taped()],
            encoder=encoder.taped(),
            where_std=self.where_std + STD_SHIFT,
            factor=factor,
            stretch=stretch,
        )

    def _factor(self) -> tuple[Tensor, Tensor]:
        """The factor that correlates the numbers of ``where``, transposed, and its diagonal.

        Source: sqair.md 3.3, step 3: d * (L0 + 1); the diagonal is kept positive here.
        """
        lower = self.where_factor.new_zeros(4, 4)
        indices = torch.tril_indices(4, 4, device=lower.device)
        lower = lower.index_put((indices[0], indices[1]), self.where_factor)
        stretch = (1 + lower.diagonal()).clamp(min=SMALLEST_STRETCH)
        return (lower.tril(-1) + stretch.diag()).T, stretch

    def forward(
        self,
        frames: Tensor,
        slots: Slots,
        usage: Usage,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
        stays: bool,
    ) -> tuple[Chosen, Tensor]:
        """Sample the slots of this frame given those of the last one.

        Args:
            frames: [B, C, H, W].
            slots: of the last frame, [N, S, ...], S = B * K.
            usage: which of them to compute; the others stay empty.
            encoder: of glimpses.
            weights: from `weights`.
            noise: for where, what and presence, [N or more, S, ...] each.
            stays: True where no object may leave (fixed presence).

        Returns:
            The samples, and the temporal states after this frame, [N, S, h].
        """
        noise = (noise[0][: slots.n_slots], noise[1][: slots.n_slots], noise[2][: slots.n_slots])
        entries = self._entries(frames, slots, usage, encoder, weights, noise)
        frames = usage.frames(frames)
        n_rows = usage.sizes[0]
        before = [
            entries.what.new_zeros(n_rows, self.n_what + 5),
            self.relation_start.expand(n_rows, -1),
        ]
        steps = []
        for size, now in zip(usage.sizes, entries.by_slot(usage.sizes), strict=True):
            inputs = torch.cat([_first(part, size) for part in before], dim=1)
            r = chain(inputs, [weights.relation_step], base=now.relation, tanh_last=True)
            step = self._step(r, _first(frames, size), now, encoder, weights, stays)
            before = [step["what"], step["where"], step["present"], r]
            steps.append(step)
        joined = {name: torch.cat([step[name] for step in steps]) for name in steps[0]}
        joined["what_std"] = joined["what_std"].log()
        joined["where_std"] = (joined["where_std"] * weights.stretch).log()
        logit = usage.scatter(joined.pop("logit"), ABSENT_LOGIT)[..., 0]
        whole = usage.scatter(torch.cat(list(joined.values()), dim=1))
        parts = whole.split([part.shape[1] for part in joined.values()], dim=-1)
        made = dict(zip(joined, parts, strict=True))
        chosen = Chosen(
            what=made["what"],
            where=made["where"],
            present=made["present"][..., 0],
            logit=logit,
            what_log_std=made["what_std"],
            where_log_std=made["where_std"],
            where_noise=noise[0],
            what_noise=noise[1],
        )
        return chosen, made["temporal"]

    def _entries(
        self,
        frames: Tensor,
        slots: Slots,
        usage: Usage,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
    ) -> _Entries:
        """Everything that does not depend on the order of slots, for all of them at once."""
        what, where, present, tau = (
            usage.gather(part) for part in (slots.what, slots.where, slots.present, slots.temporal)
        )
        mask = None if self.mask is None else self.mask(tau)
        expected = where + PROPOSAL_SCALE * self.proposal(tau)
        codes = encoder(usage.frames_of_entries(frames), expected, mask, weights.encoder)
        present = present[:, None]
        known = torch.cat([codes[:, : self.n_what], what, where, present, tau], dim=1)
        where_given = self.where.first.plus(torch.cat([where, tau], dim=1), weights.where_given)
        presence_given = self.presence.first.plus(tau, weights.presence_given)
        return _Entries(
            what=what,
            where=where,
            present=present,
            temporal=tau,
            where_noise=usage.gather(noise[0]) @ weights.factor,
            what_noise=usage.gather(noise[1]),
            chance=usage.gather(noise[2])[:, None],
            mask=mask,
            relation=self.relation.plus(known, weights.relation_given),
            from_relation=torch.cat([where_given, presence_given], dim=1),
            from_temporal=self.temporal.from_state(tau),
        )

    def _step(
        self,
        r: Tensor,
        frames: Tensor,
        now: _Entries,
        encoder: GlimpseEncoder,
        weights: Weights,
        stays: bool,
    ) -> dict[str, Tensor]:
        """One slot: its samples, their deviations, the logit and the new temporal state."""
        h = self.n_hidden
        for_where, for_presence = chain(r, [weights.from_relation], base=now.from_relation).split(
            [h, h // 2], dim=1
        )
        codes = chain(for_where, weights.where, elu_first=True)
        where, where_std = place(codes, now.where, now.where_noise, weights.where_std)
        seen = normal_parameters(encoder(frames, where, now.mask, weights.encoder))
        inputs = chain(torch.cat([r, where, seen], dim=1), [weights.temporal])
        temporal = gru_gates(inputs, now.from_temporal, now.temporal)
        heads = chain(temporal, [weights.heads])
        what, what_std = blend(heads, seen, now.what, now.what_noise, self.std_floor)
        raw = chain(what, weights.presence, base=for_presence)
        logit = presence_logit(raw, now.present, stays)
        present = (now.chance < logit.detach().sigmoid()).float() * now.present
        return {
            "what": what, "where": where, "present": present, "logit": logit,
            "what_std": what_std, "where_std": where_std, "temporal": temporal,
        }  # fmt: skip


def _first(part: Tensor, size: int) -> Tensor:
    """The first rows, without a step in the graph where that is all of them."""
    return part if len(part) == size else part[:size]
