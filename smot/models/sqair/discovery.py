"""Discovery: objects that nothing propagated explains are found one after another."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import (
    STD_FLOOR,
    GlimpseEncoder,
    Linear,
    Look,
    Mlp,
    Product,
    Reused,
    through,
)
from smot.models.sqair.noise import SlotNoise
from smot.models.sqair.objects import Samples, masked_logit


@dataclass(frozen=True, kw_only=True)
class StepLayers:
    """The weights of the loop over steps, cut by input and joined by output; once per clip.

    Attributes:
        recurrent: for [what, where, present] of the step before and its state d.
        heads: the first layers of `where` and presence for d, joined.
        where: the other layers of `where`.
        look: the glimpse encoder.
        presence_what: the first layer of presence for `what`.
        presence: the other layers of presence.
    """

    recurrent: Reused
    heads: Reused
    where: list[Reused]
    look: Look
    presence_what: Reused
    presence: list[Reused]


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
            self.where.linear[-1].bias[:2] = config.where_bias
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

    def step_layers(self, encoder: GlimpseEncoder) -> StepLayers:
        """Cut and join the weights for the loops of one clip."""
        _, _, before = self.recurrent.weight.split(self.sizes, dim=1)
        where, presence = self.where.linear[0], self.presence.linear[0]
        sizes = [self.n_hidden, self.n_what]
        presence_d, presence_what = presence.weight.split(sizes, dim=1)
        return StepLayers(
            recurrent=Reused(torch.cat([before, self.recurrent_state.weight], dim=1)),
            heads=Reused(
                torch.cat([where.weight, presence_d]), torch.cat([where.bias, presence.bias])
            ),
            where=self.where.reused()[1:],
            look=encoder.reused(),
            presence_what=Reused(presence_what),
            presence=self.presence.reused()[1:],
        )

    def forward(
        self,
        frames: Tensor,
        constant: Tensor,
        layers: StepLayers,
        noise: SlotNoise,
        *,
        counts: Tensor | None,
        logit_shift: float,
    ) -> Samples:
        """Sample objects until every row has stopped.

        Args:
            frames: [B, C, H, W].
            constant: see there, [S, h], S = B * K.
            layers: from `step_layers`.
            noise: N is the most discoveries.
            counts: how many each row must find, [S], float32; None where that is inferred. Logits
                are what they are all the same.
            logit_shift: added to every logit of presence.

        Returns:
            The samples of the steps made, at least one.
        """
        S = len(constant)
        frames = frames.repeat_interleave(S // len(frames), dim=0)
        d, present = self.start.expand(S, -1), constant.new_ones(S, 1)
        # Nothing is before the first step, but it counts as present: absence ends the sequence.
        what, where = constant.new_zeros(S, self.n_what), constant.new_zeros(S, 4)
        steps = []
        for k in range(len(noise.presence)):
            d = layers.recurrent(torch.cat([what, where, present, d], dim=1), constant).tanh()
            what, what_std, where, where_std, logit = self._step(
                d, frames, layers, SlotNoise(*(part[k] for part in noise))
            )
            logit = logit + logit_shift
            could = present if counts is None else present * (counts > k)[:, None]
            chosen = noise.presence[k][:, None] < logit.detach().sigmoid()
            present = could * chosen if counts is None else could
            logit = masked_logit(logit, could)
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

    def _step(
        self,
        d: Tensor,
        frames: Tensor,
        layers: StepLayers,
        noise: SlotNoise,
    ) -> tuple[Tensor, ...]:
        """What and its deviation, where and its deviation, and the logit of presence, [S, ...]."""
        h = self.n_hidden
        for_where, for_presence = layers.heads(d).split([h, h // 2], dim=1)
        mean, raw = through(layers.where, F.elu(for_where)).chunk(2, dim=1)
        where_std = F.softplus(raw + self.where_std) + STD_FLOOR
        where = mean + where_std * noise.where
        mean, what_std = layers.look(frames, where)
        what = mean + what_std * noise.what
        hidden = F.elu(layers.presence_what(what, for_presence))
        return what, what_std, where, where_std, through(layers.presence, hidden)
