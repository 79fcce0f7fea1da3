"""Discovery: objects that nothing propagated explains are found one after another."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.compiled.discovering import Fixed, Given, Layers, Outcome, discover
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import GlimpseEncoder
from smot.models.sqair.formulas import elu, normal_parameters, place
from smot.models.sqair.layers import Linear, Mlp
from smot.models.sqair.samples import Chosen, presence_logit
from smot.models.sqair.taped import Taped


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of discovery, cut by input and joined by output; made once per clip.

    Attributes:
        frame: of the recurrent network, for the frame's features.
        condition: of the recurrent network, for what was propagated.
        layers: those of the loop. The recurrent network's for [what, where, present, d] of the
            step before; the first layers of ``where`` and presence for d, joined by output; the
            rest of ``where``; the glimpse encoder's; the first layer of presence for ``what``,
            and the second.
    """

    frame: Tensor
    condition: Tensor
    layers: Layers


class Discovery(nn.Module):
    """The posterior of objects that appear: as in AIR, conditioned on those propagated.

    Args:
        config: widths and initial biases.
        n_features: size of the frame encoder's output.
        generator: source of the initial weights.

    Attributes:
        compiled: whether the loop over steps is compiled where the device is a CPU.

    Source: sqair.md 3.5. What a frame finds beyond its free slots is cut by packing and still
    pays its divergence, as in both codes.
    """

    compiled = True

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
        layers = Layers(
            step=Taped(torch.cat([before, self.recurrent_state.weight], dim=1)),
            from_state=Taped(
                torch.cat([self.where.first.weight, presence_state]),
                torch.cat([layer.bias for layer in firsts if layer.bias is not None]),
            ),
            where=self.where.taped()[1:],
            encoder=encoder.mlp.taped(),
            presence=[Taped(presence_what), self.presence.last.taped()],
        )
        return Weights(frame=frame, condition=condition, layers=layers)

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
        constant: Tensor,
        encoder: GlimpseEncoder,
        weights: Weights,
        noise: tuple[Tensor, Tensor, Tensor],
        *,
        counts: Tensor | None,
        logit_shift: float,
        early_exit: bool,
    ) -> Chosen:
        """Sample objects until every row has stopped.

        Args:
            frames: [B, C, H, W].
            constant: part of the recurrent product that all steps share, [S, h], S = B * K.
            encoder: of glimpses.
            weights: from `weights`.
            noise: for where, what and presence, [N, S, ...] each; N is the most discoveries.
            counts: how many each row must find, [S], float32; None where that is inferred. Logits
                are what they are all the same.
            logit_shift: added to every logit of presence.
            early_exit: stop as soon as no row goes on; later slots hold nothing either way.

        Returns:
            The samples of the steps made, at least one.
        """
        n_particles = len(constant) // len(frames)
        given = Given(constant=constant, start=self.start, where_std=self.where_std)
        fixed = Fixed(
            frames=frames.repeat_interleave(n_particles, dim=0),
            where_noise=noise[0],
            what_noise=noise[1],
            chance=noise[2] if counts is None else torch.zeros_like(noise[2]),
            counts=counts,
            logit_shift=logit_shift,
            window=encoder.window,
            glimpse_size=encoder.size,
            early_exit=early_exit,
        )
        if self.compiled and frames.device.type == "cpu":
            made = discover(given, fixed, weights.layers)
        else:
            made = self._plain(given, fixed, encoder, weights.layers)
        n_rows = len(constant)
        n = len(made.logit) // n_rows
        what, where, present, logit, what_std, where_std = (
            part.view(n, n_rows, -1) for part in made
        )
        return Chosen(
            what=what,
            where=where,
            present=present[..., 0],
            logit=logit[..., 0],
            what_log_std=what_std.log(),
            where_log_std=where_std.log(),
            what_noise=noise[1][:n],
            where_noise=noise[0][:n],
        )

    def _plain(
        self, given: Given, fixed: Fixed, encoder: GlimpseEncoder, layers: Layers
    ) -> Outcome:
        """The loop over steps in plain PyTorch; `discover` computes the same."""
        n_rows = len(given.constant)
        present = given.constant.new_ones(n_rows, 1)
        d = given.start.expand(n_rows, -1)
        before = given.constant.new_zeros(n_rows, self.n_what + 4)
        steps = []
        for k in range(len(fixed.chance)):
            inputs = torch.cat([before, present, d], dim=1)
            d = layers.step.plain(inputs, given.constant).tanh()
            could = present if fixed.counts is None else present * (fixed.counts > k)[:, None]
            step = self._step(d, k, could, given, fixed, encoder, layers)
            before, present = torch.cat([step.what, step.where], dim=1), step.present
            steps.append(step)
            if fixed.early_exit and not bool(present.any()):
                break
        return Outcome(*(torch.cat(parts) for parts in zip(*steps, strict=True)))

    def _step(
        self,
        d: Tensor,
        k: int,
        could: Tensor,
        given: Given,
        fixed: Fixed,
        encoder: GlimpseEncoder,
        layers: Layers,
    ) -> Outcome:
        """One step."""
        h = self.n_hidden
        hidden = layers.from_state.plain(d)
        codes = layers.where[1].plain(elu(layers.where[0].plain(elu(hidden[:, :h]))))
        noise = fixed.where_noise[k]
        where, where_std = place(codes, torch.zeros_like(noise), noise, given.where_std)
        mean, what_std = normal_parameters(encoder(fixed.frames, where, layers=layers.encoder))
        what = torch.addcmul(mean, what_std, fixed.what_noise[k])
        raw = layers.presence[1].plain(elu(layers.presence[0].plain(what, hidden[:, h:])))
        logit = presence_logit(raw + fixed.logit_shift, could)
        present = (fixed.chance[k][:, None] < logit.detach().sigmoid()).float() * could
        return Outcome(what, where, present, logit, what_std, where_std)
