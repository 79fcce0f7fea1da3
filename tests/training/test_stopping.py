import math

from smot.training.config import TrainConfig
from smot.training.stopping import Stopping, Verdict

CONFIG = TrainConfig(patience_start=100, patience_steps=30, n_stages=3)


def judged(scores: list[tuple[int, float]], config: TrainConfig = CONFIG) -> list[Verdict]:
    state, verdicts = Stopping(), []
    for step, score in scores:
        state, verdict = state.judge(config, step, score)
        verdicts.append(verdict)
    return verdicts


def test_nothing_ends_before_patience_starts() -> None:
    assert judged([(10, 0.5), (50, 0.4), (99, 0.4)]) == [
        Verdict.BEST, Verdict.GO_ON, Verdict.GO_ON
    ]  # fmt: skip


def test_the_third_loss_of_patience_ends_the_run() -> None:
    scores = [(90, 0.5), (120, 0.4), (149, 0.4), (150, 0.4), (180, 0.4)]
    assert judged(scores)[1:] == [
        Verdict.NEXT_STAGE, Verdict.GO_ON, Verdict.NEXT_STAGE, Verdict.STOP
    ]  # fmt: skip


def test_a_better_score_renews_patience() -> None:
    scores = [(100, 0.5), (129, 0.6), (158, 0.6), (159, 0.6)]
    assert judged(scores) == [Verdict.BEST, Verdict.BEST, Verdict.GO_ON, Verdict.NEXT_STAGE]


def test_a_score_that_is_no_number_is_never_best() -> None:
    assert judged([(1, math.nan), (2, -5.0), (3, math.nan)]) == [
        Verdict.GO_ON, Verdict.BEST, Verdict.GO_ON
    ]  # fmt: skip


def test_without_patience_nothing_ever_ends() -> None:
    endless = TrainConfig()
    assert judged([(1, 0.5), (10**6, 0.1)], endless) == [Verdict.BEST, Verdict.GO_ON]
