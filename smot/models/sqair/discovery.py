"""Discovery: objects that nothing propagated explains are found one after another."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import STD_FLOOR, Linear, Look, Mlp, Product, Reused, through
from smot.models.sqair.objects import Noise, Samples, log_normal, masked_logit


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
        # The recurrent network's inputs: the frame, what was propagated, the step before.
        self.sizes = (n_features, h, A + 5)
        self.recurrent = Linear(sum(self.sizes), h, generator)
        self.recurrent_state = Product(h, h, generator)
        self.start = nn.Parameter(torch.zeros(h))
        self.where = Mlp((h, h, h, 8), generator)
        self.where_std = nn.Parameter(torch.tensor(config.where_std_bias))
        self.presence = Mlp((h + A, h // 2, 1), generator, output_bias=config.discovery_bias)


class DiscoveryLoop:
    """The loop over steps, for the frames of one clip: weights cut by input, joined by output.

    Args:
        net: whose weights.
        look: the glimpse encoder.
        features: of the frames, [T, B, n_features].
        n_particles: K, rows for each of the B videos.
    """

    def __init__(self, net: Discovery, look: Look, features: Tensor, n_particles: int) -> None:
        for_frame, for_condition, for_before = net.recurrent.weight.split(net.sizes, dim=1)
        h, A = net.start.shape[0], net.sizes[-1] - 5
        where, presence = net.where.linear[0], net.presence.linear[0]
        presence_d, presence_what = presence.weight.split([h, A], dim=1)
        self.look, self.start, self.where_std = look, net.start, net.where_std
        # The frame's part of the recurrent product is that of all steps and particles.
        from_frames = F.linear(features, for_frame, net.recurrent.bias)
        self.from_frames = from_frames.repeat_interleave(n_particles, dim=1)
        self.condition = Reused(for_condition)
        self.recurrent = Reused(torch.cat([for_before, net.recurrent_state.weight], dim=1))
        self.heads = Reused(
            torch.cat([where.weight, presence_d]), torch.cat([where.bias, presence.bias])
        )
        self.where = net.where.reused()[1:]
        self.presence_what = Reused(presence_what)
        self.presence = net.presence.reused()[1:]
        # Of what a step gives: what, where, present, d, logit, whether it could be present, and
        # both deviations.
        self.sizes = [A, 4, 1, h, 1, 1, A, 4]

    def __call__(
        self,
        t: int,
        frames: Tensor,
        condition: Tensor,
        noise: Noise,
        *,
        counts: Tensor | None,
        logit_shift: float,
    ) -> Samples:
        """Sample objects until every row has stopped; there is one step at least.

        Args:
            t: place of the frame in the clip.
            frames: that frame for every row, [S, C, H, W], S = B * K.
            condition: summary of what was propagated, [S, h].
            noise: N is the most discoveries.
            counts: how many each row must find, [S]; None where that is inferred. Logits are what
                they are all the same.
            logit_shift: added to every logit of presence.
        """
        constant = self.condition(condition, self.from_frames[t])
        # Nothing is before the first step, but it counts as present: absence ends the sequence.
        present, start = torch.ones_like(constant[:, :1]), self.start.expand(len(constant), -1)
        nothing = constant.new_zeros(len(constant), sum(self.sizes[:2]))
        step, n_before = torch.cat([nothing, present, start], dim=1), sum(self.sizes[:4])
        steps = []
        for k in range(len(noise.presence)):
            could = present if counts is None else (counts > k).to(present.dtype)[:, None]
            d = self.recurrent(step[:, :n_before], constant).tanh()
            what, what_std, where, where_std, logit = self._step(d, frames, noise.at(k))
            logit = logit + logit_shift
            chosen = noise.presence[k][:, None] < logit.detach().sigmoid()
            present = could * chosen if counts is None else could
            step = torch.cat([what, where, present, d, logit, could, what_std, where_std], dim=1)
            steps.append(step)
            if not bool(present.any()):
                break
        return self._samples(torch.stack(steps), noise)

    def _step(self, d: Tensor, frames: Tensor, noise: Noise) -> tuple[Tensor, ...]:
        """What and its deviation, where and its deviation, and the logit of presence, [S, ...]."""
        h = d.shape[1]
        for_where, for_presence = self.heads(d).split([h, h // 2], dim=1)
        mean, raw = through(self.where, F.elu(for_where)).chunk(2, dim=1)
        where_std = F.softplus(raw + self.where_std) + STD_FLOOR
        where = torch.addcmul(mean, where_std, noise.where)
        mean, what_std = self.look(frames, where)
        what = torch.addcmul(mean, what_std, noise.what)
        hidden = F.elu(self.presence_what(what, for_presence))
        return what, what_std, where, where_std, through(self.presence, hidden)

    def _samples(self, steps: Tensor, noise: Noise) -> Samples:
        """The samples of joined steps, [n, S, ...]."""
        parts = steps.split(self.sizes, dim=-1)
        what, where, present, _, logit, could, what_std, where_std = parts
        present, n = present[..., 0].detach(), len(steps)
        density = log_normal(noise.what[:n], what_std) + log_normal(noise.where[:n], where_std)
        logit = masked_logit(logit[..., 0], could[..., 0])
        return Samples(what, where, present, logit, log_density=density * present)
