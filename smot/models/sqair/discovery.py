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
        origin: zeros, [1, 4].
    """

    frame: Tensor
    condition: Tensor
    step: Taped
    from_state: Taped
    where: list[Taped]
    presence: list[Taped]
    encoder: list[Taped]
    origin: Tensor


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
            origin=self.start.new_zeros(1, 4),
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
        present = given.new_ones(n_rows, 1)
        before = [
            given.new_zeros(n_rows, self.n_what + 4),
            present,
            self.start.expand(n_rows, -1),
        ]
        steps = []
        for k in range(len(noise[2])):
            could = present if counts is None else present * (counts > k)[:, None]
            d = chain(torch.cat(before, dim=1), [weights.step], base=given, tanh_last=True)
            step = self._step(
                d, frames, encoder, weights, [part[k] for part in noise], could, counts is not None
            )
            present = step["present"]
            before = [step["what"], step["where"], present, d]
            steps.append(step)
            if early_exit and not bool(present.any()):
                break
        made = {name: torch.stack([step[name] for step in steps]) for name in steps[0]}
        n = len(steps)
        return Chosen(
            what=made["what"],
            where=made["where"],
            present=made["present"][..., 0],
            logit=made["logit"][..., 0],
            what_log_std=made["seen"][..., self.n_what :].log(),
            where_log_std=made["where_std"].log(),
            what_noise=noise[1][:n],
            where_noise=noise[0][:n],
        )

    def _step(
        self,
        d: Tensor,
        frames: Tensor,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: list[Tensor],
        could: Tensor,
        forced: bool,
    ) -> dict[str, Tensor]:
        """One slot: its samples, the logit, and what the deviations follow from."""
        h = self.n_hidden
        for_where, for_presence = chain(d, [weights.from_state]).split([h, h // 2], dim=1)
        codes = chain(for_where, weights.where, elu_first=True)
        where, where_std = place(codes, weights.origin, noise[0], self.where_std)
        seen = normal_parameters(encoder(frames, where, None, weights.encoder))
        what = sample(seen, noise[1])
        logit = presence_logit(chain(what, weights.presence, base=for_presence), could, forced)
        present = (noise[2][:, None] < logit.detach().sigmoid()).float() * could
        return {
            "what": what, "where": where, "present": present, "logit": logit,
            "seen": seen, "where_std": where_std,
        }  # fmt: skip
