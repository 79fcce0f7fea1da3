"""The distributions that object latents have, and divergences between them."""

import torch
import torch.nn.functional as F
from torch import Tensor

LOGIT_LIMIT = 10.0
EPSILON = 1e-9


def clipped_sigmoid(logits: Tensor) -> Tensor:
    """Sigmoid of logits clipped to [-10, 10]."""
    return torch.sigmoid(logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT))


def positive_scale(logits: Tensor) -> Tensor:
    """Standard deviations in (9e-5, 2) from what a network says: 2 * clipped sigmoid."""
    return 2 * clipped_sigmoid(logits)


def draw_gaussian(mean: Tensor, scale: Tensor, noise: Tensor | None) -> Tensor:
    """Reparameterised sample ``mean + scale * noise``; the mean where there is no noise."""
    return mean if noise is None else torch.addcmul(mean, scale, noise)


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

    Source: Maddison et al. 2017, eq. for the binary Concrete's logit: q - l - 2 softplus(q - l).
    """
    gap = logits - logit_sample
    return gap - 2 * F.softplus(gap)


def bernoulli_kl(probability: Tensor, log_on: Tensor, log_off: Tensor) -> Tensor:
    """KL of Bernoulli(probability) from one given by the logs of its two probabilities, nats."""
    on = probability * (torch.log(probability + EPSILON) - log_on)
    off = (1 - probability) * (torch.log(1 - probability + EPSILON) - log_off)
    return on + off
