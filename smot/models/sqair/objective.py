"""The importance-weighted bound and the two score-function estimators for presence."""

import math

import torch
from torch import Tensor


def importance_bound(log_weights: Tensor) -> Tensor:
    """Log of the mean weight of the particles of each video: at most log p(video).

    Args:
        log_weights: [B, K], nats.

    Returns:
        [B], nats.

    Source: IWAE (Burda et al. 2016), equation 8.
    """
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def baselines(log_weights: Tensor) -> Tensor:
    """What each particle's bound would be without its own weight, [B, K], nats.

    The weight of particle j is replaced by the geometric mean of the others', so the result does
    not depend on particle j.

    Args:
        log_weights: [B, K], nats, K at least 2.

    Source: VIMCO (Mnih and Rezende 2016), equation 9.
    """
    K = log_weights.shape[-1]
    others = (log_weights.sum(-1, keepdim=True) - log_weights) / (K - 1)
    own = torch.eye(K, dtype=torch.bool, device=log_weights.device)
    replaced = torch.where(own, others[:, :, None], log_weights[:, None, :])
    return importance_bound(replaced)


def signals(log_weights: Tensor, estimator: str) -> Tensor:
    """What multiplies the gradient of each particle's log q(presence), [B, K], nats.

    Args:
        log_weights: [B, K], nats; no gradient flows through.
        estimator: "code": (log w_j - baseline_j) / K, which estimates the score term of the
            ELBO; "vimco": bound - baseline_j, that of the importance-weighted bound.

    Source: sqair.md 6; "code" is what the original computes under the name VIMCO.
    """
    log_weights = log_weights.detach()
    if estimator == "code":
        return (log_weights - baselines(log_weights)) / log_weights.shape[-1]
    return importance_bound(log_weights)[:, None] - baselines(log_weights)


def loss(
    log_weights: Tensor, score: Tensor, *, estimator: str, clip: float, weight: float
) -> Tensor:
    """What is minimised, [B], nats: the negative bound and a term that only has a gradient.

    Args:
        log_weights: [B, K], nats.
        score: log q of all presences of the particle, [B, K], nats.
        estimator: see `signals`.
        clip: bound on the size of the signal, nats; 0 for none.
        weight: of the score term, in [0, 1].
    """
    signal = signals(log_weights, estimator)
    if clip > 0:
        signal = signal.clamp(-clip, clip)
    surrogate = (weight * signal * score).sum(-1)
    return -importance_bound(log_weights) - surrogate


def effective_particles(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 of each video's particles, between 1 and K, [B]."""
    shares = log_weights.softmax(-1)
    return 1 / shares.square().sum(-1)
