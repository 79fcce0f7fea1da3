"""Early stopping in stages: when to restart from the best weights, and when to end."""

from dataclasses import dataclass, replace
from enum import Enum
from math import isnan

from smot.training.config import TrainConfig


class Verdict(Enum):
    """What follows from an evaluation."""

    GO_ON = "go on"
    BEST = "best"
    NEXT_STAGE = "next stage"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """How early stopping stands; plain values, so that a checkpoint can hold it.

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

    def judge(self, config: TrainConfig, step: int, score: float) -> tuple["Stopping", Verdict]:
        """Take in the score of an evaluation.

        Args:
            config: holds patience and number of stages.
            step: updates made when the score was taken.
            score: higher is better; not-a-number never improves.

        Returns:
            How early stopping stands now, and what follows.

        Source: SILOT supplement, section E: patience, best weights, rate / 3, three stages.
        """
        if not isnan(score) and (self.best_score is None or score > self.best_score):
            return replace(self, best_score=score, best_step=step, since=step), Verdict.BEST
        patient = step < config.patience_start or step - self.since < config.patience_steps
        if patient or not config.patience_steps:
            return self, Verdict.GO_ON
        if self.stage + 1 >= config.n_stages:
            return self, Verdict.STOP
        return replace(self, stage=self.stage + 1, since=step), Verdict.NEXT_STAGE
