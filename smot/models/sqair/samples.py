"""Samples of one pass over slots, and the densities that both passes share."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sqair.formulas import softplus
from smot.models.sqair.slots import ABSENT_LOGIT

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What propagation or discovery sampled in a frame, [N, S, ...], or in a clip, [T, N, S, ...].

    Attributes:
        what: appearance, [..., A].
        where: sx, sy, tx, ty before the squashing, [..., 4].
        present: 1 or 0, [...]; carries no gradient.
        logit: of the presence, already ruled out where the slot could not be used, [...].
        what_log_std: log deviation of each number of ``what``, [..., A].
        where_log_std: log of the diagonal of the covariance's factor, [..., 4].
        what_noise: the standard normal numbers behind ``what``, [..., A].
        where_noise: those behind ``where``, [..., 4].
    """

    what: Tensor
    where: Tensor
    present: Tensor
    logit: Tensor
    what_log_std: Tensor
    where_log_std: Tensor
    what_noise: Tensor
    where_noise: Tensor

    @classmethod
    def empty(cls, n_rows: int, n_what: int, device: torch.device) -> "Chosen":
        """No samples, for a frame without slots: N = 0."""
        flags = torch.zeros(0, n_rows, device=device)
        looks = torch.zeros(0, n_rows, n_what, device=device)
        places = torch.zeros(0, n_rows, 4, device=device)
        return cls(
            what=looks, where=places, present=flags, logit=flags, what_log_std=looks,
            where_log_std=places, what_noise=looks, where_noise=places,
        )  # fmt: skip

    def padded(self, n_slots: int) -> "Chosen":
        """The samples of a frame with absent slots added up to ``n_slots``."""
        extra = n_slots - len(self.present)
        if extra == 0:
            return self

        def grown(part: Tensor, value: float = 0.0) -> Tensor:
            return F.pad(part, (0, 0) * (part.dim() - 1) + (0, extra), value=value)

        parts = {name: grown(part) for name, part in vars(self).items() if name != "logit"}
        return Chosen(logit=grown(self.logit, ABSENT_LOGIT), **parts)

    def log_density(self) -> Tensor:
        """Log q(what, where) where present, else 0, [...].

        A sample is its mean plus a factor times noise, so its log density is that of the noise
        less the log of the factor's determinant.
        """
        squares = self.what_noise.square().sum(-1) + self.where_noise.square().sum(-1)
        n_numbers = self.what.shape[-1] + self.where.shape[-1]
        spread = self.what_log_std.sum(-1) + self.where_log_std.sum(-1)
        return -(0.5 * (squares + n_numbers * LOG_2PI) + spread) * self.present


def presence_logit(logit: Tensor, could: Tensor) -> Tensor:
    """The logit where the slot could be used, -88 where not.

    Args:
        logit: as a network gave it, [...].
        could: 1 or 0, [...].

    Source: original code, masked logits at -88.
    """
    return torch.addcmul((1 - could) * ABSENT_LOGIT, could, logit)


def log_bernoulli(present: Tensor, logit: Tensor) -> Tensor:
    """Log probability of presence, [...]: 1 or 0, under a logit."""
    return present * logit - softplus(logit)


def log_normal(value: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log density of independent normal numbers, summed over the last axis, [...]."""
    squares = ((value - mean) / std).square()
    return -0.5 * (squares + LOG_2PI).sum(-1) - std.log().sum(-1)


def log_discoveries(present: Tensor, logit: Tensor) -> Tensor:
    """Log q(n) of the number of discoveries: the Bernoulli terms up to and with the first stop.

    Args:
        present: 1 for the first n slots, then 0, [T, N, S].
        logit: of each step, [T, N, S].

    Returns:
        [T, S].

    Source: sqair.md 4.5; the original's clamp at 1e-16 is not needed with logits.
    """
    before = torch.cat([torch.ones_like(present[:, :1]), present[:, :-1]], dim=1)
    return (before * log_bernoulli(present, logit)).sum(1)
