"""Discovery: objects that nothing propagated explains are found one after another."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import STD_FLOOR, GlimpseEncoder, Linear, Mlp, Product
from smot.models.sqair.objects import Samples, SlotNoise, masked_logit


@dataclass(frozen=True, kw_only=True)
class StepWeights:
    """The weights of one step, cut by input and joined by output; transposed.

    Attributes:
        before: of the recurrent network, for [what, where, present] of the step before.
        state: of the recurrent network, for its state d.
        heads: the first layers of `where` and presence for d, joined.
        heads_bias: their biases.
        presence_what: the first layer of presence for `what`.
    """

    before: Tensor
    state: Tensor
    heads: Tensor
    heads_bias: Tensor
    presence_what: Tensor


class Discovery(nn.Module):
    """The posterior of objects that appear: as in AIR, conditioned on those propagated.

    Args:
        config: widths and initial biases.
        n_features: size of the frame encoder's output.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 3.5. What a frame finds beyond its free slots is cut by packing
    and still pays its divergence, as in both codes.
    """

    def __init__(self, config: SqairConfig, n_features: int, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.n_hidden, self.n_what = h, A
        # The recurrent network's inputs: the frame, what was propagated, the step before.
        self.sizes = (n_features, h, A + 5)
        self.recurrent = Linear(sum(self.sizes), h, generator)
        self.recurrent_state = Product(h, h, generator)
        self.start = nn.Parameter(torch.zeros(h))
        self.where = Mlp((h, h, h, 8), generator)
        with torch.no_grad():
            self.where.last.bias[:2] = config.where_bias
        self.where_std = nn.Parameter(torch.tensor(config.where_std_bias))
        sizes = (h + A, h // 2, 1)
        self.presence = Mlp(sizes, generator, output_bias=config.discovery_bias)

    def from_frames(self, features: Tensor) -> Tensor:
        """The frame's part of the recurrent product, constant over steps and particles.

        Args:
            features: of the frame encoder, [..., n_features].

        Returns:
            [..., h], biases included.
        """
        weight, _, _ = self.recurrent.weight.split(self.sizes, dim=1)
        return F.linear(features, weight, self.recurrent.bias)

    def constant(self, from_frames: Tensor, condition: Tensor) -> Tensor:
        """The part of the recurrent product that all steps share.

        Args:
            from_frames: see there, [S, h].
            condition: summary of what was propagated, [S, h].

        Returns:
            [S, h].
        """
        _, weight, _ = self.recurrent.weight.split(self.sizes, dim=1)
        return torch.addmm(from_frames, condition, weight.T)

    def forward(
        self,
        frames: Tensor,
        constant: Tensor,
        encoder: GlimpseEncoder,
        noise: SlotNoise,
        *,
        counts: Tensor | None,
        logit_shift: float,
    ) -> Samples:
        """Sample objects until every row has stopped.

        Args:
            frames: [B, C, H, W].
            constant: see there, [S, h], S = B * K.
            encoder: of glimpses.
            noise: N is the most discoveries.
            counts: how many each row must find, [S], float32; None where that is inferred. Logits
                are what they are all the same.
            logit_shift: added to every logit of presence.

        Returns:
            The samples of the steps made, at least one.
        """
        S = len(constant)
        frames = frames.repeat_interleave(S // len(frames), dim=0)
        weights = self._step_weights()
        d, present = self.start.expand(S, -1), constant.new_ones(S, 1)
        # Nothing is before the first step, but it counts as present: absence ends the sequence.
        before = torch.cat([constant.new_zeros(S, self.n_what + 4), present], dim=1)
        steps = []
        for k in range(len(noise.presence)):
            d = torch.addmm(constant, before, weights.before).addmm(d, weights.state).tanh()
            what, what_std, where, where_std, logit = self._step(
                d, frames, encoder, SlotNoise(*(part[k] for part in noise)), weights
            )
            logit = logit + logit_shift
            could = present if counts is None else present * (counts > k)[:, None]
            chosen = noise.presence[k][:, None] < logit.detach().sigmoid()
            present = could * chosen if counts is None else could
            logit = masked_logit(logit, could)
            before = torch.cat([what, where, present], dim=1)
            steps.append((what, what_std, where, where_std, logit[:, 0], present[:, 0]))
            if not bool(present.any()):
                break
        names = ("what", "what_std", "where", "where_std", "logit", "present")
        parts = (torch.stack(each) for each in zip(*steps, strict=True))
        n = len(steps)
        return Samples(
            **dict(zip(names, parts, strict=True)),
            what_noise=noise.what[:n],
            where_noise=noise.where[:n],
        )

    def _step_weights(self) -> StepWeights:
        """Cut and join the weights, once per frame, so that gradients meet once."""
        _, _, before = self.recurrent.weight.split(self.sizes, dim=1)
        sizes = [self.n_hidden, self.n_what]
        presence_d, presence_what = self.presence.first.weight.split(sizes, dim=1)
        return StepWeights(
            before=before.T,
            state=self.recurrent_state.weight.T,
            heads=torch.cat([self.where.first.weight, presence_d]).T,
            heads_bias=torch.cat([self.where.first.bias, self.presence.first.bias]),
            presence_what=presence_what.T,
        )

    def _step(
        self,
        d: Tensor,
        frames: Tensor,
        encoder: GlimpseEncoder,
        noise: SlotNoise,
        weights: StepWeights,
    ) -> tuple[Tensor, ...]:
        """What and its deviation, where and its deviation, and the logit of presence, [S, ...]."""
        heads = torch.addmm(weights.heads_bias, d, weights.heads)
        for_where, for_presence = heads.split([self.n_hidden, self.n_hidden // 2], dim=1)
        mean, raw = self.where.after_first(for_where).chunk(2, dim=1)
        where_std = F.softplus(raw + self.where_std) + STD_FLOOR
        where = mean + where_std * noise.where
        mean, what_std = encoder(frames, where)
        what = mean + what_std * noise.what
        for_presence = torch.addmm(for_presence, what, weights.presence_what)
        return what, what_std, where, where_std, self.presence.after_first(for_presence)
