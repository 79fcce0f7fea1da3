"""Propagation: every object of the last frame moves, changes its looks, and may leave."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import STD_FLOOR, GlimpseEncoder
from smot.models.sqair.layers import Gru, Linear, Mlp, elu, gru_gates, softplus
from smot.models.sqair.samples import Chosen, presence_logit
from smot.models.sqair.slots import Slots

PROPOSAL_SCALE = 0.1
GATE_LIMIT = 0.9999
FACTOR_RANGE = 0.55
MASK_BIAS = 1.0
REMEMBER_BIAS = 1.0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of propagation, cut by input and joined by output; made once per clip.

    What multiplies the state before the loop over slots (appearance, place and presence of the
    last frame, temporal state, proposal glimpse) goes through one large product for all slots;
    what multiplies the outcome of the step before stays in the loop.

    Attributes:
        relation_given: of the relation network, for [proposal, what', where', present', tau].
        relation_step: of the relation network, for [what, where, present, r].
        where_given: of the first layer of `where`, for [where', tau].
        presence_given: of the first layer of presence, for tau.
        from_relation: of the first layers of `where` and presence, for r, joined by output.
        presence_what: of the first layer of presence, for `what`.
        heads: of the temporal appearance and the gates, for the new temporal state.
        heads_bias: their biases.
    """

    relation_given: Tensor
    relation_step: Tensor
    where_given: Tensor
    presence_given: Tensor
    from_relation: Tensor
    presence_what: Tensor
    heads: Tensor
    heads_bias: Tensor


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the loop needs that is known before it, slots first, [n, S, ...]."""

    where_noise: Tensor
    what_noise: Tensor
    chance: Tensor
    mask: Tensor | None
    relation: Tensor
    from_relation: Tensor
    gru: Tensor


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

    def weights(self) -> Weights:
        """Cut and join the weights for the loops of one clip."""
        h, A = self.n_hidden, self.n_what
        proposal, before, own, tau = self.relation.weight.split([A, A + 5, A + 5, h], dim=1)
        where_r, where_given = self.where.first.weight.split([h, 4 + h], dim=1)
        presence_r, presence_tau, presence_what = self.presence.first.weight.split([h, h, A], 1)
        assert self.temporal_what.bias is not None
        assert self.gates.bias is not None
        return Weights(
            relation_given=torch.cat([proposal, own, tau], dim=1),
            relation_step=torch.cat([before, self.relation_state.weight], dim=1),
            where_given=where_given.contiguous(),
            presence_given=presence_tau.contiguous(),
            from_relation=torch.cat([where_r, presence_r]),
            presence_what=presence_what.contiguous(),
            heads=torch.cat([self.temporal_what.weight, self.gates.weight]),
            heads_bias=torch.cat([self.temporal_what.bias, self.gates.bias]),
        )

    def factor(self) -> Tensor:
        """The global lower-triangular factor that correlates the numbers of `where`, [4, 4]."""
        full = self.where_factor.new_zeros(4, 4)
        rows, columns = torch.tril_indices(4, 4, device=full.device)
        return full.index_put((rows, columns), self.where_factor)

    def forward(
        self,
        frames: Tensor,
        slots: Slots,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
        stays: bool,
    ) -> tuple[Chosen, Tensor]:
        """Sample the slots of this frame given those of the last one.

        Args:
            frames: [B, C, H, W].
            slots: of the last frame, [N, S, ...], S = B * K.
            encoder: of glimpses.
            weights: from `weights`.
            noise: for where, what and presence, [N or more, S, ...] each.
            stays: True where no object may leave (fixed presence).

        Returns:
            The samples, and the temporal states after this frame, [N, S, h].
        """
        given = self._given(frames, slots, encoder, weights, noise)
        n_rows = slots.present.shape[1]
        r = self.relation_start.expand(n_rows, -1)
        before = slots.what.new_zeros(n_rows, self.n_what + 5)
        steps = []
        for k in range(slots.n_slots):
            r = torch.addmm(
                given.relation[k], torch.cat([before, r], dim=1), weights.relation_step.T
            ).tanh()
            step = self._step(k, r, frames, slots, encoder, weights, given, stays)
            before = torch.cat([step[0], step[1], step[2][:, None]], dim=1)
            steps.append(step)
        joined = [torch.stack(parts) for parts in zip(*steps, strict=True)]
        what, where, present, logit, what_std, where_std, temporal = joined
        n = slots.n_slots
        chosen = Chosen(
            what=what, where=where, present=present, logit=logit,
            what_log_std=what_std.log(),
            where_log_std=(where_std * self._diagonal()).log(),
            what_noise=noise[1][:n], where_noise=noise[0][:n],
        )  # fmt: skip
        return chosen, temporal

    def _diagonal(self) -> Tensor:
        """Of the factor plus one: what the deviations are stretched by, [4]; never near zero."""
        return (1 + self.factor().diagonal()).clamp(min=1e-3)

    def _given(
        self,
        frames: Tensor,
        slots: Slots,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
    ) -> _Given:
        """Everything that does not depend on the order of slots, for all of them at once."""
        n, n_rows = slots.present.shape
        tau = slots.temporal.flatten(0, 1)
        mask = None if self.mask is None else self.mask(tau)
        place = slots.where.flatten(0, 1) + PROPOSAL_SCALE * self.proposal(tau)
        proposal = self._proposal(frames, place, mask, encoder, (n, n_rows))
        own = [slots.what.flatten(0, 1), slots.where.flatten(0, 1), slots.present.view(-1, 1)]
        relation = torch.addmm(
            self.relation.bias, torch.cat([proposal, *own, tau], 1), weights.relation_given.T
        )
        where_given = torch.addmm(
            self.where.first.bias, torch.cat([own[1], tau], 1), weights.where_given.T
        )
        presence_given = torch.addmm(self.presence.first.bias, tau, weights.presence_given.T)
        factor = torch.eye(4, device=tau.device) * self._diagonal() + self.factor().tril(-1)
        return _Given(
            where_noise=noise[0][:n] @ factor.T,
            what_noise=noise[1][:n],
            chance=noise[2][:n],
            mask=None if mask is None else mask.view(n, n_rows, -1),
            relation=relation.view(n, n_rows, -1),
            from_relation=torch.cat([where_given, presence_given], 1).view(n, n_rows, -1),
            gru=self.temporal.from_state(tau).view(n, n_rows, -1),
        )

    def _proposal(
        self,
        frames: Tensor,
        place: Tensor,
        mask: Tensor | None,
        encoder: GlimpseEncoder,
        shape: tuple[int, int],
    ) -> Tensor:
        """Mean appearance where each object is expected, [n * S, A]; slots and rows swap twice."""
        n, n_rows = shape

        def by_row(part: Tensor) -> Tensor:
            return part.view(n, n_rows, -1).transpose(0, 1).reshape(n * n_rows, -1)

        codes = encoder.codes(frames, by_row(place), None if mask is None else by_row(mask))
        means = codes[:, : self.n_what]
        return means.view(n_rows, n, -1).transpose(0, 1).reshape(n * n_rows, -1)

    def _step(
        self,
        k: int,
        r: Tensor,
        frames: Tensor,
        slots: Slots,
        encoder: GlimpseEncoder,
        weights: Weights,
        given: _Given,
        stays: bool,
    ) -> tuple[Tensor, ...]:
        """One slot: what, where, present, logit, deviations of what and where, temporal state."""
        h, A = self.n_hidden, self.n_what
        hidden = torch.addmm(given.from_relation[k], r, weights.from_relation.T)
        moved = self.where.after_first(hidden[:, :h])
        where_std = softplus(moved[:, 4:] + (self.where_std - 1)) + STD_FLOOR
        where = slots.where[k] + torch.addcmul(moved[:, :4], where_std, given.where_noise[k])
        mask = None if given.mask is None else given.mask[k]
        seen, seen_std = encoder(frames, where, mask)
        tau = slots.temporal[k]
        inputs = self.temporal.from_input(torch.cat([r, where, seen, seen_std], dim=1))
        temporal = gru_gates(inputs, given.gru[k], tau)
        heads = torch.addmm(weights.heads_bias, temporal, weights.heads.T)
        gates = GATE_LIMIT * heads[:, 2 * A :].sigmoid()
        forget, skip_seen, skip_kept = gates[:, :A], gates[:, A : 2 * A], gates[:, 2 * A :]
        kept, kept_std = heads[:, :A], softplus(heads[:, A : 2 * A]) + STD_FLOOR
        what_std = (1 - skip_seen) * seen_std + (1 - skip_kept) * kept_std + self.std_floor
        mean = forget * slots.what[k] + (1 - skip_seen) * seen + (1 - skip_kept) * kept
        what = torch.addcmul(mean, what_std, given.what_noise[k])
        hidden = torch.addmm(hidden[:, h:], what, weights.presence_what.T)
        logit = presence_logit(self.presence.last(elu(hidden))[:, 0], slots.present[k], stays)
        present = (given.chance[k] < logit.sigmoid()).float() * slots.present[k]
        return what, where, present, logit, what_std, where_std, temporal
