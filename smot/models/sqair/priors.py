"""What is expected before looking: how many objects appear, where, and how objects go on."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import Gru, Linear, Mlp, Product, normal_parameters
from smot.models.sqair.objects import Noise, Slots, log_normal, masked_logit

# Constants of the original code: see docs/models/sqair.md 4.2 to 4.4.
N_CONTEXT = 128
GUIDED_SCALE = 0.1
# Initial logit, in all frames but the first, of finding nothing new.
NONE_LATER = 10.0


class WherePrior(nn.Module):
    """Places of discovered objects, each given the one before and what was propagated.

    Args:
        n_hidden: size of the summary of what was propagated.
        scale: initial mean of the size logits.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.2. The code's recurrent state stays at its first value, so the
    prior is a first-order chain and is evaluated for all steps at once.
    """

    def __init__(self, n_hidden: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.context_start = nn.Parameter(torch.zeros(4))
        self.context = Linear(4 + n_hidden + 1, N_CONTEXT, generator)
        self.from_where = Linear(4, 4, generator)
        self.from_context = Product(N_CONTEXT, 4, generator)
        self.where_start = nn.Parameter(torch.zeros(4))
        self.output = Linear(4, 8, generator)
        with torch.no_grad():
            self.output.bias.copy_(torch.tensor([scale, scale, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]))

    def forward(self, where: Tensor, condition: Tensor, staying: Tensor) -> Tensor:
        """Log density of sampled places.

        Args:
            where: [N, S, 4], in the order of discovery.
            condition: summary of what was propagated, [S, h].
            staying: share of the slots expected to stay, less a half, [S].

        Returns:
            [N, S].
        """
        S = len(condition)
        start = self.context_start.expand(S, 4)
        context = F.elu(self.context(torch.cat([start, condition, staying[:, None]], dim=1)))
        before = torch.cat([self.where_start.expand(1, S, 4), where[:-1]])
        state = (self.from_where(before) + self.from_context(context)).tanh()
        mean, std = normal_parameters(self.output(state))
        return log_normal((where - mean) / std, std)


class CountPrior(nn.Module):
    """How many objects appear in a frame: learned ("cat") or a truncated geometric ("geom").

    Args:
        step_success: ratio of the geometric.
        n_learned: most objects of the learned prior; 0 for the geometric.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.3. The original's "geom" is not truncated; that of the SILOT
    comparison is.
    """

    def __init__(self, step_success: float, n_learned: int, generator: torch.Generator) -> None:
        super().__init__()
        self.step_success = step_success
        self.learned: Mlp | None = None
        if n_learned:
            self.learned = Mlp((1, 10, n_learned + 1), generator)
            self.offset = nn.Parameter(torch.zeros(n_learned + 1))
            self.later_offset = nn.Parameter(torch.zeros(n_learned + 1))
            with torch.no_grad():
                self.later_offset[0] = NONE_LATER

    def forward(self, n_slots: int, staying: Tensor, *, is_first: bool) -> Tensor:
        """Log probability of every count.

        Args:
            n_slots: N, most discoveries.
            staying: share of the slots expected to stay, less a half, [S].
            is_first: whether it is the first frame of the video.

        Returns:
            [S, N + 1].
        """
        if self.learned is None:
            logits = math.log(self.step_success) * torch.arange(n_slots + 1.0)
            return logits.log_softmax(-1).to(staying.device).expand(len(staying), -1)
        logits = self.offset + self.learned(staying[:, None])
        return F.elu(logits if is_first else logits + self.later_offset).log_softmax(-1)


class Expected(NamedTuple):
    """The propagation prior's distributions for the next frame.

    Attributes:
        logit: of staying; -88 where there was no object, [N, S].
        where: mean, [N, S, 4].
        where_std: deviation, [N, S, 4].
        what: mean, [N, S, A].
        what_std: deviation, [N, S, A].
    """

    logit: Tensor
    where: Tensor
    where_std: Tensor
    what: Tensor
    what_std: Tensor

    def log_density(self, what: Tensor, where: Tensor) -> Tensor:
        """Log density of samples, [N, S]."""
        places = log_normal((where - self.where) / self.where_std, self.where_std)
        return places + log_normal((what - self.what) / self.what_std, self.what_std)


class PropagationPrior(nn.Module):
    """How each object goes on by itself, learned; sees samples only, never the image.

    Args:
        config: kind, widths and the bias towards staying.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.4.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h, A = config.n_hidden, config.n_what
        self.kind, self.n_what = config.propagation_prior, A
        self.stay_bias = config.prior_propagation_bias
        self.gru = Gru(A + 4, h, generator)
        self.start = nn.Parameter(torch.zeros(h))
        self.output = Linear(h, 1 + 2 * (4 + A), generator)

    def forward(self, slots: Slots) -> tuple[Expected, Tensor]:
        """What is expected of every object in the next frame, all slots at once.

        Args:
            slots: of this frame, [N, S, ...].

        Returns:
            The distributions, and the prior's next state, [N, S, h].
        """
        A = self.n_what
        inputs = torch.cat([slots.what, slots.where], dim=-1).flatten(0, 1)
        state = self.gru(inputs, slots.prior.flatten(0, 1)).view(slots.prior.shape)
        stay, place, look = self.output(state).split([1, 8, 2 * A], dim=-1)
        (where, where_std), (what, what_std) = normal_parameters(place), normal_parameters(look)
        logit = stay[..., 0] + self.stay_bias
        if self.kind != "rnn":
            logit = slots.logit + GUIDED_SCALE * logit
        if self.kind == "guided":
            where, what = slots.where + GUIDED_SCALE * where, slots.what + GUIDED_SCALE * what
        elif self.kind == "rw":
            where, what = slots.where, slots.what
        expected = Expected(
            logit=masked_logit(logit, slots.present),
            where=where,
            where_std=where_std,
            what=what,
            what_std=what_std,
        )
        return expected, state

    def roll_out(self, slots: Slots, noise: Noise, *, stays: bool) -> list[Slots]:
        """Sample objects frame by frame from what is expected of the samples before.

        Args:
            slots: after the last frame seen, [N, S, ...].
            noise: for T frames and at least N slots; its propagation part is used.
            stays: True where no object may leave.

        Returns:
            The objects of T frames to come, with the identities of the last one seen.

        Source: docs/models/sqair.md 9.3: discovery is off, and nothing depends on the frames
        predicted.
        """
        frames = []
        for t in range(len(noise.presence)):
            expected, state = self(slots)
            where, what, uniform = (part[: slots.n_slots] for part in noise.at(t, 0))
            present = slots.present
            if not stays:
                present = present * (uniform < expected.logit.sigmoid())
            slots = slots._replace(
                what=torch.addcmul(expected.what, expected.what_std, what),
                where=torch.addcmul(expected.where, expected.where_std, where),
                present=present,
                logit=expected.logit,
                prior=state,
                ids=torch.where(present > 0.5, slots.ids, -1),
            )
            frames.append(slots)
        return frames
