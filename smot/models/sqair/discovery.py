"""Discovery: objects that nothing propagated explains are found one after another."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import GlimpseEncoder
from smot.models.sqair.fused import normal_parameters, place, sample
from smot.models.sqair.layers import Linear, Mlp
from smot.models.sqair.samples import Chosen, presence_logit
from smot.models.sqair.taped import Taped, chain


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of discovery, cut by input and joined by output; made once per clip.

    Attributes:
        frame: of the recurrent network, for the frame's features.
        condition: for what was propagated.
        step: for [what, where, present, d] of the step before.
        from_state: of the first layers of ``where`` and presence, for d, joined by output.
        where: the rest of ``where``.
        presence: of the first layer of presence, for ``what``; and the second layer.
        encoder: of glimpses.
    """

    frame: Tensor
    condition: Tensor
    step: Taped
    from_state: Taped
    where: list[Taped]
    presence: list[Taped]
    encoder: list[Taped]


class Discovery(nn.Module):
    """The posterior of objects that appear: as in AIR, conditioned on those propagated.

    Args:
        config: widths and initial biases.
        n_features: size of the frame encoder's output.
        generator: source of the initial weights.

    Source: sqair.md 3.5. What a frame finds beyond its free slots is cut by packing and still
    pays its divergence, as in both codes.
    """

    def __init__(self, config: SqairConfig, n_features: int, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.n_features, self.n_hidden, self.n_what = n_features, h, A
        self.recurrent = Linear(n_features + h + A + 5, h, generator)
        self.recurrent_state = Linear(h, h, generator, bias=None)
        self.start = nn.Parameter(torch.zeros(h))
        self.where = Mlp((h, h, h, 8), generator)
        with torch.no_grad():
            assert self.where.last.bias is not None
            self.where.last.bias[:2] = config.where_bias
        self.where_std = nn.Parameter(torch.tensor(config.where_std_bias))
        sizes = (h + A, h // 2, 1)
        self.presence = Mlp(sizes, generator, output_bias=config.discovery_bias)

    def weights(self, encoder: GlimpseEncoder) -> Weights:
        """Cut and join the weights for the loops of one clip."""
        h, A = self.n_hidden, self.n_what
        sizes = [self.n_features, h, A + 5]
        frame, condition, before = self.recurrent.weight.split(sizes, dim=1)
        presence_state, presence_what = self.presence.first.weight.split([h, A], dim=1)
        firsts = (self.where.first, self.presence.first)
        return Weights(
            frame=frame,
            condition=condition,
            step=Taped(torch.cat([before, self.recurrent_state.weight], dim=1)),
            from_state=Taped(
                torch.cat([self.where.first.weight, presence_state]),
                torch.cat([layer.bias for layer in firsts if layer.bias is not None]),
            ),
            where=self.where.taped()[1:],
            presence=[Taped(presence_what), self.presence.last.taped()],
            encoder=encoder.taped(),
        )

    def from_frames(self, features: Tensor, weights: Weights) -> Tensor:
        """The frame's part of the recurrent product, constant over steps and particles.

        Args:
            features: of the frame encoder, [..., n_features].
            weights: from `weights`.

        Returns:
            [..., h], biases included.
        """
        return self.recurrent.plus(features, weights.frame)

    def forward(
        self,
        frames: Tensor,
        given: Tensor,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
        counts: Tensor | None,
        early_exit: bool,
    ) -> Chosen:
        """Sample objects until every row has stopped.

        Args:
            frames: [B, C, H, W].
            given: the constant part of the recurrent product, [S, h], S = B * K.
            encoder: of glimpses.
            weights: from `weights`.
            noise: for where, what and presence, [N, S, ...] each; N is the most discoveries.
            counts: how many each row must find, [S], float32; None where that is inferred.
            early_exit: stop as soon as no row goes on; later slots hold nothing either way.

        Returns:
            The samples of the steps made, at least one.
        """
        n_rows = len(given)
        d = self.start.expand(n_rows, -1)
        present = given.new_ones(n_rows)
        before = given.new_zeros(n_rows, self.n_what + 4)
        steps = []
        for k in range(len(noise[2])):
            inputs = torch.cat([before, present[:, None], d], dim=1)
            d = chain(inputs, [weights.step], base=given).tanh()
            could = present if counts is None else present * (counts > k)
            step = self._step(d, frames, encoder, weights, [part[k] for part in noise], could,
                              counts is not None)  # fmt: skip
            before, present = torch.cat([step[0], step[1]], dim=1), step[2]
            steps.append(step)
            if early_exit and not bool(present.any()):
                break
        joined = [torch.stack(parts) for parts in zip(*steps, strict=True)]
        what, where, found, logit, what_std, where_std = joined
        n = len(steps)
        return Chosen(
            what=what, where=where, present=found, logit=logit,
            what_log_std=what_std.log(), where_log_std=where_std.log(),
            what_noise=noise[1][:n], where_noise=noise[0][:n],
        )  # fmt: skip

    def _step(
        self,
        d: Tensor,
        frames: Tensor,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: list[Tensor],
        could: Tensor,
        forced: bool,
    ) -> tuple[Tensor, ...]:
        """One slot: what, where, present, logit, and the deviations of what and where."""
        h = self.n_hidden
        hidden = chain(d, [weights.from_state])
        codes = chain(hidden[:, :h], weights.where, elu_first=True)
        origin = torch.zeros_like(noise[0])
        where, where_std = place(codes, origin, noise[0], self.where_std)
        seen = normal_parameters(encoder(frames, where, None, weights.encoder))
        what = sample(seen, noise[1])
        raw = chain(what, weights.presence, base=hidden[:, h:])
        logit = presence_logit(raw[:, 0], could, forced)
        present = (noise[2] < logit.detach().sigmoid()).float() * could
        return what, where, present, logit, seen[:, self.n_what :], where_std
