"""Learning rate and length of clips as functions of how far training has come."""

import math

from smot.training.config import TrainConfig


def progress(config: TrainConfig, step: int, hours: float) -> float:
    """The share of the budget that is used up, in [0, 1]; 0 where there is no budget.

    Args:
        config: holds the budget, in steps, hours or both (whichever ends first counts).
        step: updates made.
        hours: time spent.
    """
    shares = [0.0]
    if config.max_steps:
        shares.append(step / config.max_steps)
    if config.max_hours:
        shares.append(hours / config.max_hours)
    return min(1.0, max(shares))


def learning_rate(config: TrainConfig, step: int, hours: float, stage: int) -> float:
    """The learning rate of the update after ``step``.

    Args:
        config: holds the schedule.
        step: updates made.
        hours: time spent.
        stage: stages of early stopping that are over; each divides the rate by 3.

    Source: SILOT supplement, section E (division by 3); warm-up and cosine are our choice.
    """
    rate = config.lr / 3.0**stage
    if config.warmup_steps:
        rate *= min(1.0, (step + 1) / config.warmup_steps)
    return rate * _decay(config, progress(config, step, hours))


def clip_frames(config: TrainConfig, step: int, stage: int) -> int:
    """The number of frames T of the clips of the update after ``step``.

    From the second stage of early stopping on, clips have their final length. Every
    ``short_every`` updates one has short clips: they cost little, and what is learned from first
    frames (discovery) is seen as often again. Source: ours.
    """
    frames = config.n_frames
    if not stage:
        frames = [length for start, length in config.curriculum if start <= step][-1]
    if config.short_every and step % config.short_every == 0:
        return min(frames, config.short_frames)
    return frames


def _decay(config: TrainConfig, share: float) -> float:
    if config.schedule == "cosine" and share > config.decay_from:
        way = (share - config.decay_from) / (1.0 - config.decay_from)
        return config.decay_to + (1.0 - config.decay_to) * (1.0 + math.cos(math.pi * way)) / 2.0
    if config.schedule == "drops":
        return 3.0 ** -sum(share >= drop for drop in config.drops)
    return 1.0
