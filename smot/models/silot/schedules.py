"""What changes while SILOT trains, as functions of the number of updates made."""

import math

from smot.models.silot.config import SilotConfig


def count_log_odds(config: SilotConfig, step: int) -> float:
    """Log odds of the count prior: a high start that invites objects, then a low end.

    Source: the original code; odds = (start - end) * 0.1 ** (step / decay) + end.
    """
    start, end = config.count_odds_start, config.count_odds_end
    fallen = 0.1 ** (step / config.count_odds_decay)
    return math.log((start - end) * fallen + end + 1e-6)


def has_training_wheels(config: SilotConfig, step: int) -> bool:
    """Whether the networks of boxes, depths and presences are still spared gradients."""
    return step < config.training_wheels


def log_floor(config: SilotConfig, step: int) -> float:
    """What is added inside the logarithms of the cross entropy."""
    part = _annealed(config, step)
    return float(config.log_floor ** (1 - part) * config.log_floor_end**part)


def size_prior_std(config: SilotConfig, step: int) -> float:
    """Standard deviation of the prior of size logits."""
    part = _annealed(config, step)
    return config.size_prior_std * (1 - part) + config.size_prior_std_end * part


def what_weight(config: SilotConfig, step: int) -> float:
    """Weight of the KLs of appearances against their fixed priors.

    Without it, the prior wins while boxes are still poor and all cells are on, and appearances
    have to be learned a second time. Source: ours.
    """
    return min(1.0, 0.02 + step / config.what_warmup) if config.what_warmup else 1.0


def _annealed(config: SilotConfig, step: int) -> float:
    """How much of the annealing is done, in [0, 1]; 0 where none is asked for."""
    if config.anneal_until <= config.anneal_from:
        return 0.0
    done = (step - config.anneal_from) / (config.anneal_until - config.anneal_from)
    return min(max(done, 0.0), 1.0)
