"""What is expected before looking: how many objects appear, where, and how objects go on."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.encoders import Gru, Linear, Mlp, Product, normal_parameters
from smot.models.sqair.noise import Noise
from smot.models.sqair.objects import (
    ABSENT_LOGIT,
    Slots,
    SlotTensors,
    log_normal,
    masked_logit,
)

# Constants of the original code: see docs/models/sqair.md 4.2 to 4.4.
N_CONTEXT = 128
GUIDED_SCALE = 0.1
# Initial logit, in all frames but the first, of finding nothing new.
NONE_LATER = 10.0


class WherePrior(nn.Module):
    """Places of discovered objects, each given the one before and what was propagated.

    Args:
        config: widths and the initial mean of the size logits.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.2. The code's recurrent state stays at its first value, so the
    prior is a first-order chain and is evaluated for all steps at once.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h = config.n_hidden
        self.context_start = nn.Parameter(torch.zeros(4))
        self.context = Linear(4 + h + 1, N_CONTEXT, generator)
        self.from_where = Linear(4, 4, generator)
        self.from_context = Product(N_CONTEXT, 4, generator)
        self.where_start = nn.Parameter(torch.zeros(4))
        self.output = Linear(4, 8, generator)
        with torch.no_grad():
            scale = config.scale_prior
            self.output.bias.copy_(torch.tensor([scale, scale, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]))

    def forward(self, where: Tensor, condition: Tensor, staying: Tensor) -> Tensor:
        """Log density of sampled places.

        Args:
            where: [T, N, S, 4], in the order of discovery.
            condition: summary of what was propagated, [T, S, h].
            staying: share of the slots expected to stay, less a half, [T, S].

        Returns:
            [T, N, S].
        """
        T, _, S, _ = where.shape
        start = self.context_start.expand(T, S, 4)
        context = F.elu(self.context(torch.cat([start, condition, staying[..., None]], dim=-1)))
        before = torch.cat([self.where_start.expand(T, 1, S, 4), where[:, :-1]], dim=1)
        state = (self.from_where(before) + self.from_context(context)[:, None]).tanh()
        return log_normal(where, *normal_parameters(self.output(state)))


class CountPrior(nn.Module):
    """How many objects appear in a frame: learned ("cat") or a truncated geometric ("geom").

    Args:
        config: kind, most objects, and the ratio of the geometric.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4.3. The original's "geom" is not truncated; that of the SILOT
    comparison is.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.step_success = config.step_success
        self.learned: Mlp | None = None
        if config.count_prior == "cat":
            n_counts = config.n_slots + 1
            self.learned = Mlp((1, 10, n_counts), generator)
            self.offset = nn.Parameter(torch.zeros(n_counts))
            later = torch.zeros(n_counts)
            later[0] = NONE_LATER
            self.later_offset = nn.Parameter(later)

    def forward(
        self,
        n_slots: int,
        staying: Tensor,
        *,
        first: int = 0,
        step_success: float | None = None,
    ) -> Tensor:
        """Log probability of every count.

        Args:
            n_slots: N, most discoveries.
            staying: share of the slots expected to stay, less a half, [T, S].
            first: place in the video of the first of these frames.
            step_success: ratio of the geometric; None for that of the settings.

        Returns:
            [T, S, N + 1].
        """
        T, S = staying.shape
        if self.learned is None:
            ratio = self.step_success if step_success is None else step_success
            steps = torch.arange(n_slots + 1, device=staying.device, dtype=torch.float32)
            logits = steps * torch.tensor(ratio, device=staying.device).log()
            return logits.log_softmax(-1).expand(T, S, -1)
        later = (torch.arange(first, first + T, device=staying.device) > 0).float()[:, None, None]
        logits = self.offset + later * self.later_offset + self.learned(staying[..., None])
        return F.elu(logits).log_softmax(-1)

    def of(self, found: Tensor, log_probabilities: Tensor) -> Tensor:
        """Log probability of the number of discoveries made, [T, S].

        Args:
            found: the discoveries, [T, N, S], 1 or 0.
            log_probabilities: from `forward`, [T, S, N + 1].
        """
        n_found = found.sum(1).long()
        return log_probabilities.gather(-1, n_found[..., None])[..., 0]


@dataclass(frozen=True, kw_only=True)
class Expected(SlotTensors):
    """The propagation prior's distributions for the next frame, [N, S, ...] or [T, N, S, ...].

    Attributes:
        logit: of staying; -88 where there was no object, [...].
        where: mean, [..., 4].
        where_std: deviation, [..., 4].
        what: mean, [..., A].
        what_std: deviation, [..., A].
    """

    ABSENT: ClassVar = {"logit": ABSENT_LOGIT, "where_std": 1.0, "what_std": 1.0}

    logit: Tensor
    where: Tensor
    where_std: Tensor
    what: Tensor
    what_std: Tensor

    def log_density(self, what: Tensor, where: Tensor) -> Tensor:
        """Log density of samples, [...]."""
        where_part = log_normal(where, self.where, self.where_std)
        return where_part + log_normal(what, self.what, self.what_std)


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
        self.fixed = config.presence == "fixed"
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
        if self.kind == "guided":
            logit = slots.logit + GUIDED_SCALE * stay[..., 0]
            where, what = slots.where + GUIDED_SCALE * where, slots.what + GUIDED_SCALE * what
        elif self.kind == "rw":
            where, what = slots.where, slots.what
        if self.fixed:  # every object stays, so that its choice costs nothing
            logit = torch.full_like(logit, -ABSENT_LOGIT)
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
            drawn, n = noise.at(t)[0], slots.n_slots
            present = slots.present
            if not stays:
                present = present * (drawn.presence[:n] < expected.logit.sigmoid())
            slots = replace(
                slots,
                what=torch.addcmul(expected.what, expected.what_std, drawn.what[:n]),
                where=torch.addcmul(expected.where, expected.where_std, drawn.where[:n]),
                present=present,
                logit=expected.logit,
                prior=state,
                ids=torch.where(present > 0.5, slots.ids, -1),
            )
            frames.append(slots)
        return frames
