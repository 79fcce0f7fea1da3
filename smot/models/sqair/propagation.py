"""Propagation: every object of the last frame moves, changes its appearance, and may leave."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import (
    STD_FLOOR,
    GlimpseEncoder,
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
from smot.models.sqair.noise import SlotNoise
from smot.models.sqair.objects import Samples, Slots, Usage, masked_logit

# Constants of the original code: see docs/models/sqair.md 3.2 and 3.3.
PROPOSAL_SCALE = 0.1
FACTOR_RANGE = 0.55
STD_SHIFT = -1.0
MASK_BIAS = 1.0
REMEMBER_BIAS = 1.0
GATE_LIMIT = 0.9999
# Ours: keeps the covariance factor regular.
SMALLEST_STRETCH = 1e-3


@dataclass(frozen=True, kw_only=True)
class StepLayers:
    """The weights of the loop over slots, cut by input and joined by output; once per clip.

    Attributes:
        relation: for [what, where, present] of the slot before and the state r.
        heads: the first layers of `where` and presence for r, joined.
        where: the other layers of `where`.
        look: the glimpse encoder.
        temporal: the temporal network's for its input.
        codes: the temporal appearance and the gates, joined.
        presence_what: the first layer of presence for `what`.
        presence: the other layers of presence.
    """

    relation: Reused
    heads: Reused
    where: list[Reused]
    look: Look
    temporal: Reused
    codes: Reused
    presence_what: Reused
    presence: list[Reused]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What does not depend on the order of slots, for M entries.

    Attributes:
        relation: the relation network's product with everything known, [M, h].
        heads: the same of the first layers of `where` and presence, joined, [M, 3h / 2].
        from_state: the temporal network's product with its state, [M, 3h].
        temporal: that state, [M, h].
        what: appearance in the last frame, [M, A].
        where: box in the last frame, [M, 4].
        where_noise: noise with the correlations of `where`, [M, 4].
        what_noise: standard normal, [M, A].
        presence: uniform, [M].
        mask_logits: of the glimpse's mask, [M, G * G]; or [M, 0] for no mask.
    """

    relation: Tensor
    heads: Tensor
    from_state: Tensor
    temporal: Tensor
    what: Tensor
    where: Tensor
    where_noise: Tensor
    what_noise: Tensor
    presence: Tensor
    mask_logits: Tensor

    def by_slot(self, sizes: tuple[int, ...]) -> list["Given"]:
        """The same for each slot, which so many of the entries use."""
        parts = zip(*(part.split(sizes) for part in vars(self).values()), strict=True)
        return [Given(**dict(zip(vars(self), part, strict=True))) for part in parts]


class Propagation(nn.Module):
    """The posterior of objects that were there in the last frame.

    Args:
        config: widths and initial biases.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 3.3 (the original's relation RNN over slots).
    """

    # What a slot holds that no row uses: deviations of 1 leave densities finite.
    absent: Tensor

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.n_hidden, self.n_what = h, A
        self.what_std_floor = config.what_std_floor
        self.proposal = Mlp((h, h // 2, 4), generator)
        self.mask = None
        if config.masked_glimpse:
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
        sizes = (2 * h + A, h // 2, 1)
        self.presence = Mlp(sizes, generator, output_bias=config.propagation_bias)
        self.step_sizes = (A, 4, 1, 1, A, 4, h)
        absent = torch.zeros(sum(self.step_sizes))
        absent[A + 6 : 2 * A + 10] = 1.0
        self.register_buffer("absent", absent, persistent=False)

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

    def step_layers(self, encoder: GlimpseEncoder) -> StepLayers:
        """Cut and join the weights for the loops of one clip."""
        h, A = self.n_hidden, self.n_what
        _, before, _, _ = self.relation.weight.split(self.relation_sizes, dim=1)
        where_r, _ = self.where.linear[0].weight.split([h, h + 4], dim=1)
        presence_r, _, presence_what = self.presence.linear[0].weight.split([h, h, A], dim=1)
        heads = (self.temporal_what, self.gates)
        return StepLayers(
            relation=Reused(torch.cat([before, self.relation_state.weight], dim=1)),
            heads=Reused(torch.cat([where_r, presence_r])),
            where=self.where.reused()[1:],
            look=encoder.reused(),
            temporal=Reused(self.temporal.from_input.weight, self.temporal.from_input.bias),
            codes=Reused(
                torch.cat([head.weight for head in heads]),
                torch.cat([head.bias for head in heads]),
            ),
            presence_what=Reused(presence_what),
            presence=self.presence.reused()[1:],
        )

    def forward(
        self,
        frames: Tensor,
        slots: Slots,
        layers: StepLayers,
        noise: SlotNoise,
        *,
        stays: bool,
    ) -> tuple[Samples, Tensor]:
        """Sample the slots of this frame given those of the last one.

        Args:
            frames: [B, C, H, W].
            slots: of the last frame, packed, [N, S, ...], S = B * K, N at least 1.
            layers: from `step_layers`.
            noise: for N slots or more.
            stays: True where no object may leave; logits are what they are all the same.

        Returns:
            The samples, and the temporal states after this frame, [N, S, h].
        """
        usage, n = Usage.of(slots.present), slots.n_slots
        _, stretch = self.factor()
        given = self._given(frames, slots, usage, layers.look, noise)
        frames = usage.frames(frames)
        S, A = len(frames), self.n_what
        r, before = self.relation_start.expand(S, -1), frames.new_zeros(S, A + 5)
        steps = []
        for slot, m in zip(given.by_slot(usage.sizes), usage.sizes, strict=True):
            # Rows of this slot are the first m of those of the slot before.
            r = layers.relation(torch.cat([before[:m], r[:m]], dim=1), slot.relation).tanh()
            step = self._step(r, slot, frames[:m], layers, stays=stays)
            before = step[:, : A + 5]
            steps.append(step)
        whole = usage.scatter(torch.cat(steps), self.absent).split(self.step_sizes, dim=-1)
        what, where, present, logit, what_std, where_std, temporal = whole
        samples = Samples(
            what=what,
            where=where,
            present=present[..., 0].detach(),
            logit=masked_logit(logit[..., 0], slots.present),
            what_std=what_std,
            where_std=where_std * stretch,
            what_noise=noise.what[:n],
            where_noise=noise.where[:n],
        )
        return samples, temporal

    def _given(
        self,
        frames: Tensor,
        slots: Slots,
        usage: Usage,
        look: Look,
        noise: SlotNoise,
    ) -> Given:
        """Everything that does not depend on the order of slots, for all of them at once."""
        what, where, tau = (
            usage.gather(each) for each in (slots.what, slots.where, slots.temporal)
        )
        noise = SlotNoise(*(usage.gather(part[: slots.n_slots]) for part in noise))
        mask_logits = None if self.mask is None else self.mask(tau)
        expected = where + PROPOSAL_SCALE * self.proposal(tau)
        proposal, _ = look(usage.frames_of_entries(frames), expected, mask_logits)
        # Every entry in use holds an object, so its presence is 1.
        known = torch.cat([proposal, what, where, torch.ones_like(where[:, :1]), tau], dim=1)
        for_proposal, _, for_own, for_tau = self.relation.weight.split(self.relation_sizes, dim=1)
        for_known = torch.cat([for_proposal, for_own, for_tau], dim=1)
        h, where_first, presence_first = (
            self.n_hidden,
            self.where.linear[0],
            self.presence.linear[0],
        )
        place = torch.cat([where, tau], dim=1)
        heads = [
            F.linear(place, where_first.weight[:, h:], where_first.bias),
            F.linear(tau, presence_first.weight[:, h : 2 * h], presence_first.bias),
        ]
        return Given(
            relation=F.linear(known, for_known, self.relation.bias),
            heads=torch.cat(heads, dim=1),
            from_state=self.temporal.from_state(tau),
            temporal=tau,
            what=what,
            where=where,
            where_noise=noise.where @ self.factor()[0],
            what_noise=noise.what,
            presence=noise.presence,
            mask_logits=tau[:, :0] if mask_logits is None else mask_logits,
        )

    def _step(
        self,
        r: Tensor,
        given: Given,
        frames: Tensor,
        layers: StepLayers,
        *,
        stays: bool,
    ) -> Tensor:
        """One slot: what, where, present, logit, both deviations and the temporal state, joined.

        The numbers of the steps are those of docs/models/sqair.md 3.3.
        """
        h = self.n_hidden
        for_where, for_presence = layers.heads(r, given.heads).split([h, h // 2], dim=1)
        # 3. The box.
        shift, raw = through(layers.where, F.elu(for_where)).chunk(2, dim=1)
        where_std = F.softplus(raw + (self.where_std + STD_SHIFT)) + STD_FLOOR
        where = given.where + shift + where_std * given.where_noise
        # 4. What the glimpse there shows.
        mask_logits = given.mask_logits if self.mask is not None else None
        seen = layers.look(frames, where, mask_logits)
        # 5. The temporal state, and the appearance.
        inputs = torch.cat([r, where, *seen], dim=1)
        temporal = gru_update(layers.temporal(inputs), given.from_state, given.temporal)
        codes = layers.codes(temporal)
        what, what_std = blend(codes, seen, given.what, given.what_noise, self.what_std_floor)
        # 6. Whether it stays; a slot that is computed was present.
        hidden = F.elu(layers.presence_what(what, for_presence))
        logit = through(layers.presence, hidden)
        present = given.presence[:, None] < logit.detach().sigmoid()
        present = (present | stays).to(logit.dtype)
        return torch.cat([what, where, present, logit, what_std, where_std, temporal], dim=1)


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
