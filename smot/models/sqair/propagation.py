"""Propagation: every object of the last frame moves, changes its looks, and may leave."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.compiled.propagating import Fixed, Given, Layers, Outcome, propagate
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import GlimpseEncoder
from smot.models.sqair.formulas import blend, elu, gru_gates, normal_parameters, place
from smot.models.sqair.layers import Gru, Linear, Mlp
from smot.models.sqair.samples import Chosen, presence_logit
from smot.models.sqair.slots import ABSENT_LOGIT, Slots, Usage
from smot.models.sqair.taped import Taped

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
        where_given: of the first layer of ``where``, for [where', tau].
        presence_given: of the first layer of presence, for tau.
        layers: those of the loop. The relation network's for [what, where, present, r] of the
            slot before; the first layers of ``where`` and presence for r, joined by output; the
            rest of ``where``; the glimpse encoder's; the temporal network's for its input; the
            temporal appearance and the gates, joined; the first layer of presence for ``what``,
            and the second.
        where_std: bias of the deviations of ``where`` before the softplus, [].
        factor: transposed covariance factor of ``where`` in units of its deviations, [4, 4].
        stretch: diagonal of that factor, [4].
    """

    relation_given: Tensor
    where_given: Tensor
    presence_given: Tensor
    layers: Layers
    where_std: Tensor
    factor: Tensor
    stretch: Tensor


class Propagation(nn.Module):
    """The posterior of objects that were there in the last frame.

    Args:
        config: widths and initial biases.
        generator: source of the initial weights.

    Attributes:
        compiled: whether the loop over slots is compiled where the device is a CPU.

    Source: sqair.md 3.3 (the original's relation RNN over slots).
    """

    compiled = True

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
        layers = Layers(
            relation=Taped(torch.cat([before, self.relation_state.weight], dim=1)),
            from_relation=Taped(torch.cat([where_r, presence_r])),
            where=self.where.taped()[1:],
            encoder=encoder.mlp.taped(),
            temporal=self.temporal.from_input.taped(),
            heads=Taped(
                torch.cat([head.weight for head in heads]),
                torch.cat([head.bias for head in heads if head.bias is not None]),
            ),
            presence=[Taped(presence_what), self.presence.last.taped()],
        )
        return Weights(
            relation_given=torch.cat([proposal, own, tau], dim=1),
            where_given=where_given,
            presence_given=presence_tau,
            layers=layers,
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
            stays: True where no object may leave; logits are what they are all the same.

        Returns:
            The samples, and the temporal states after this frame, [N, S, h].
        """
        n = slots.n_slots
        where_noise, what_noise, chance = noise
        chance = torch.zeros_like(chance) if stays else chance  # below every probability
        noise = where_noise, what_noise, chance
        given, fixed = self._before(frames, slots, usage, encoder, weights, noise)
        if self.compiled and frames.device.type == "cpu":
            made = propagate(given, fixed, weights.layers)
        else:
            made = self._plain(given, fixed, encoder, weights.layers)
        logit = usage.scatter(made.logit, ABSENT_LOGIT)[..., 0]
        parts = {
            "what": made.what, "where": made.where, "present": made.present,
            "what_log_std": made.what_std.log(),
            "where_log_std": (made.where_std * weights.stretch).log(),
            "temporal": made.temporal,
        }  # fmt: skip
        whole = usage.scatter(torch.cat(list(parts.values()), dim=1))
        split = whole.split([part.shape[1] for part in parts.values()], dim=-1)
        samples = dict(zip(parts, split, strict=True))
        temporal, present = samples.pop("temporal"), samples.pop("present")[..., 0]
        chosen = Chosen(
            present=present, logit=logit, where_noise=noise[0][:n], what_noise=noise[1][:n],
            **samples,
        )  # fmt: skip
        return chosen, temporal

    def _before(
        self,
        frames: Tensor,
        slots: Slots,
        usage: Usage,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Given, Fixed]:
        """Everything that does not depend on the order of slots, for all of them at once."""
        what, where, present, tau = (
            usage.gather(part) for part in (slots.what, slots.where, slots.present, slots.temporal)
        )
        present = present[:, None]
        where_noise, what_noise, chance = (usage.gather(part[: slots.n_slots]) for part in noise)
        mask = None if self.mask is None else self.mask(tau)
        expected = where + PROPOSAL_SCALE * self.proposal(tau)
        codes = encoder(usage.frames_of_entries(frames), expected, mask)
        known = torch.cat([codes[:, : self.n_what], what, where, present, tau], dim=1)
        for_where = self.where.first.plus(torch.cat([where, tau], dim=1), weights.where_given)
        for_presence = self.presence.first.plus(tau, weights.presence_given)
        given = Given(
            relation=self.relation.plus(known, weights.relation_given),
            from_relation=torch.cat([for_where, for_presence], dim=1),
            from_temporal=self.temporal.from_state(tau),
            temporal=tau,
            mask=mask,
            what=what,
            where=where,
            where_noise=where_noise @ weights.factor,
            start=self.relation_start,
            where_std=weights.where_std,
        )
        fixed = Fixed(
            frames=usage.frames(frames),
            sizes=usage.sizes,
            present=present.detach(),
            what_noise=what_noise,
            chance=chance[:, None],
            window=encoder.window,
            glimpse_size=encoder.size,
            std_floor=self.std_floor,
        )
        return given, fixed

    def _plain(
        self, given: Given, fixed: Fixed, encoder: GlimpseEncoder, layers: Layers
    ) -> Outcome:
        """The loop over slots in plain PyTorch; `propagate` computes the same."""
        n_rows = fixed.sizes[0]
        before = given.what.new_zeros(n_rows, self.n_what + 5)
        r = given.start.expand(n_rows, -1)
        steps = []
        for k, size in enumerate(fixed.sizes):
            rows = slice(sum(fixed.sizes[:k]), sum(fixed.sizes[: k + 1]))
            inputs = torch.cat([before[:size], r[:size]], dim=1)
            r = layers.relation.plain(inputs, given.relation[rows]).tanh()
            step = self._step(r, rows, given, fixed, encoder, layers)
            before = torch.cat([step.what, step.where, step.present], dim=1)
            steps.append(step)
        return Outcome(*(torch.cat(parts) for parts in zip(*steps, strict=True)))

    def _step(
        self,
        r: Tensor,
        rows: slice,
        given: Given,
        fixed: Fixed,
        encoder: GlimpseEncoder,
        layers: Layers,
    ) -> Outcome:
        """One slot."""
        h = self.n_hidden
        hidden = layers.from_relation.plain(r, given.from_relation[rows])
        codes = layers.where[1].plain(elu(layers.where[0].plain(elu(hidden[:, :h]))))
        where, where_std = place(
            codes, given.where[rows], given.where_noise[rows], given.where_std
        )
        mask = None if given.mask is None else given.mask[rows]
        seen = normal_parameters(encoder(fixed.frames[: len(r)], where, mask, layers.encoder))
        inputs = layers.temporal.plain(torch.cat([r, where, *seen], dim=1))
        temporal = gru_gates(inputs, given.from_temporal[rows], given.temporal[rows])
        heads = layers.heads.plain(temporal)
        what, what_std = blend(
            heads, seen, given.what[rows], fixed.what_noise[rows], self.std_floor
        )
        could = fixed.present[rows]
        raw = layers.presence[1].plain(elu(layers.presence[0].plain(what, hidden[:, h:])))
        logit = presence_logit(raw, could)
        present = (fixed.chance[rows] < logit.detach().sigmoid()).float() * could
        return Outcome(what, where, present, logit, what_std, where_std, temporal)
