"""The distributions that object latents have, and divergences between them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LOGIT_LIMIT = 10.0
"""Logits are clipped here, so that no probability is ever 0 or 1 in float32."""
EPSILON = 1e-9
"""Added inside logarithms of probabilities."""


def clipped_sigmoid(logits: Tensor) -> Tensor:
    """Sigmoid of logits clipped to [-10, 10]."""
    return torch.sigmoid(logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT))


def positive_scale(logits: Tensor) -> Tensor:
    """Standard deviations in (9e-5, 2) from network outputs: 2 * clipped sigmoid."""
    return 2 * clipped_sigmoid(logits)


class Gaussian(NamedTuple):
    """Independent Gaussians.

    Attributes:
        mean: [..., n].
        scale: standard deviations, [..., n].
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, outputs: Tensor) -> "Gaussian":
        """From network outputs [..., 2n]: means, then logits of standard deviations."""
        mean, raw = outputs.chunk(2, -1)
        return cls(mean, positive_scale(raw))

    def sample(self, noise: Tensor | None) -> Tensor:
        """Draw `mean + scale * noise`, [..., n]; without noise, take the mean."""
        return self.mean if noise is None else torch.addcmul(self.mean, self.scale, noise)


class Presence(NamedTuple):
    """A relaxed Bernoulli variable of temperature 1, [..., 1] each.

    Attributes:
        logit: of the probability, within 10 of 0.
        sample: logit of the relaxed sample.
        value: the relaxed sample, in [0, 1].
    """

    logit: Tensor
    sample: Tensor
    value: Tensor

    @classmethod
    def drawn(cls, outputs: Tensor, noise: Tensor | None) -> "Presence":
        """From network outputs [..., 1] and logistic noise; without it, the probability."""
        logit = outputs.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        sample = logit if noise is None else logit + noise
        return cls(logit, sample, torch.sigmoid(sample))


def gaussian_kl(
    mean: Tensor, scale: Tensor, other_mean: Tensor | float, other_scale: Tensor | float
) -> Tensor:
    """KL(N(mean, scale) || N(other_mean, other_scale)) of each element, nats."""
    other = torch.as_tensor(other_scale, dtype=scale.dtype, device=scale.device)
    ratio = scale / other
    distance = (mean - other_mean) / other
    return 0.5 * (ratio * ratio + distance * distance - 1) - torch.log(ratio)


def logistic_noise(uniform: Tensor) -> Tensor:
    """Standard logistic noise from uniform numbers in [0, 1)."""
    return torch.log(uniform + EPSILON) - torch.log1p(EPSILON - uniform)


def relaxed_bernoulli_log_density(logit_sample: Tensor, logits: Tensor) -> Tensor:
    """Log density of the logit of a relaxed Bernoulli variable of temperature 1, nats.

    Source: Maddison et al. 2017, binary Concrete: q - l - 2 softplus(q - l).
    """
    gap = logits - logit_sample
    return gap - 2 * F.softplus(gap)


def bernoulli_kl(probability: Tensor, log_on: Tensor, log_off: Tensor) -> Tensor:
    """KL of Bernoulli(probability) from one given by the logs of its two probabilities, nats."""
    on = probability * (torch.log(probability + EPSILON) - log_on)
    off = (1 - probability) * (torch.log(1 - probability + EPSILON) - log_off)
    return on + off
