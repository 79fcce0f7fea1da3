"""What changes as training proceeds: learning rate, length of clips, stages of early stopping."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

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
    """The learning rate of the update after `step`.

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
    """The number of frames T of the clips of the update after `step`.

    From the second stage of early stopping on, clips have their final length. Every
    `short_every` updates one has short clips: they cost little, and what is learned from first
    frames (discovery) is seen as often again. Source: ours.
    """
    frames = config.n_frames
    if not stage:
        frames = [length for start, length in config.curriculum if start <= step][-1]
    if config.short_every and step % config.short_every == 0:
        return min(frames, config.short_frames)
    return frames


def outlook(
    config: TrainConfig, step: int, hours: float, stage: int, seconds: Callable[[int], float]
) -> tuple[int, float]:
    """What is left of a run: the updates, and the hours that they take.

    Args:
        config: holds the budget; without one, the shortest way through early stopping is meant.
        step: updates made.
        hours: time spent.
        stage: stages of early stopping that are over.
        seconds: of one update on clips of so many frames.

    Returns:
        Updates and hours until the first of the budgets ends.
    """
    end = config.max_steps or math.inf
    limit = (config.max_hours - hours) * 3600 if config.max_hours else math.inf
    if math.isinf(min(end, limit)):
        patience = config.patience_steps
        end = max(config.patience_start, patience) + (config.n_stages - 1) * patience
    clips = config.curriculum if not stage else ((0, config.n_frames),)
    ends = [*(start for start, _ in clips[1:]), math.inf]
    n_updates, spent = 0.0, 0.0
    for (_, frames), next_start in zip(clips, ends, strict=True):
        each = _mean_seconds(config, frames, seconds)
        n = min(next_start, end) - step - n_updates
        n = max(0.0, min(n, (limit - spent) / each))
        n_updates, spent = n_updates + n, spent + n * each
    return round(n_updates), spent / 3600


def _mean_seconds(config: TrainConfig, frames: int, seconds: Callable[[int], float]) -> float:
    """Of an update at a step of the curriculum, short clips in between counted in."""
    share = 1 / config.short_every if config.short_every else 0.0
    short = seconds(min(frames, config.short_frames)) if share else 0.0
    return share * short + (1 - share) * seconds(frames)


def _decay(config: TrainConfig, share: float) -> float:
    if config.schedule == "cosine" and share > config.decay_from:
        way = (share - config.decay_from) / (1.0 - config.decay_from)
        return config.decay_to + (1.0 - config.decay_to) * (1.0 + math.cos(math.pi * way)) / 2.0
    if config.schedule == "drops":
        return 3.0 ** -sum(share >= drop for drop in config.drops)
    return 1.0


class Verdict(Enum):
    """What follows from an evaluation."""

    GO_ON = "go on"
    BEST = "best"
    NEXT_STAGE = "next stage"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """The state of early stopping; plain values, so that a checkpoint can hold it.

    Attributes:
        stage: stages that are over.
        best_score: highest score so far; None before the first.
        best_step: step of that score.
        since: step from which patience counts: the last best one, or the start of the stage.
    """

    stage: int = 0
    best_score: float | None = None
    best_step: int = 0
    since: int = 0

    def judge(
        self, config: TrainConfig, step: int, score: float
    ) -> tuple["EarlyStopping", Verdict]:
        """Take the score of an evaluation into account.

        Args:
            config: holds patience and number of stages.
            step: updates made when the score was taken.
            score: higher is better; not-a-number never improves.

        Returns:
            The new state, and what follows.

        Source: SILOT supplement, section E: patience, best weights, rate / 3, three stages.
        """
        improved = self.best_score is None or score > self.best_score
        if improved and not math.isnan(score):
            return replace(self, best_score=score, best_step=step, since=step), Verdict.BEST
        patient = step < config.patience_start or step - self.since < config.patience_steps
        if patient or not config.patience_steps:
            return self, Verdict.GO_ON
        if self.stage + 1 >= config.n_stages:
            return self, Verdict.STOP
        return replace(self, stage=self.stage + 1, since=step), Verdict.NEXT_STAGE
