import math
from dataclasses import replace
from typing import Any

import pytest

from smot.errors import UsageError
from smot.training.config import TrainConfig, stored_config
from smot.training.schedules import (
    EarlyStopping,
    Verdict,
    clip_frames,
    learning_rate,
    outlook,
    progress,
)


def test_warm_up_rises_linearly_to_the_rate() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=4)
    assert [learning_rate(config, step, 0, 0) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_cosine_is_constant_first_then_falls_to_its_share() -> None:
    config = TrainConfig(lr=1.0, schedule="cosine", decay_from=0.2, decay_to=0.1, max_steps=100)
    assert learning_rate(config, 20, 0, 0) == 1.0
    assert learning_rate(config, 60, 0, 0) == pytest.approx(0.55)
    assert learning_rate(config, 100, 0, 0) == pytest.approx(0.1)


def test_the_budget_that_ends_first_counts() -> None:
    config = TrainConfig(max_steps=100, max_hours=2.0)
    assert progress(config, 30, 0.5) == 0.3
    assert progress(config, 30, 1.5) == 0.75
    assert progress(config, 300, 1.5) == 1.0
    assert progress(TrainConfig(), 10**6, 100.0) == 0.0


def test_drops_divide_by_three_at_each_share() -> None:
    config = TrainConfig(lr=9.0, schedule="drops", drops=(0.2, 0.5), max_steps=10)
    rates = [learning_rate(config, step, 0, 0) for step in (1, 2, 5)]
    assert rates == pytest.approx([9.0, 3.0, 1.0])


def test_each_stage_of_early_stopping_divides_by_three() -> None:
    config = TrainConfig(lr=1e-4)
    rates = [learning_rate(config, 10, 0, stage) for stage in range(3)]
    assert rates == pytest.approx([1e-4, 1e-4 / 3, 1e-4 / 9])


def test_clips_grow_at_the_steps_of_the_curriculum() -> None:
    config = TrainConfig(curriculum=((0, 2), (10, 4), (20, 8)))
    assert [clip_frames(config, step, 0) for step in (0, 9, 10, 19, 20, 99)] == [2, 2, 4, 4, 8, 8]


def test_short_clips_come_in_between() -> None:
    config = TrainConfig(curriculum=((0, 1), (4, 8)), short_every=3, short_frames=2)
    assert [clip_frames(config, step, 0) for step in range(8)] == [1, 1, 1, 1, 8, 8, 2, 8]
    assert [clip_frames(config, step, 1) for step in range(4)] == [2, 8, 8, 2]


@pytest.mark.parametrize(
    ("changes", "step", "hours", "left"),
    [
        # An update costs a second for each frame of its clips.
        ({"max_steps": 30}, 0, 0.0, (30, 10 * 1 + 20 * 8)),
        ({"max_steps": 30}, 5, 7.0, (25, 5 * 1 + 20 * 8)),
        ({"max_hours": 1.0}, 0, 0.5, (10 + (1800 - 10) // 8, 1800)),
        ({"max_steps": 30, "max_hours": 1.0}, 20, 3590 / 3600, (1, 10)),
        ({"max_steps": 30, "short_every": 2, "short_frames": 2}, 10, 0.0, (20, 10 * 2 + 10 * 8)),
        ({"patience_start": 20, "patience_steps": 5, "n_stages": 3}, 0, 0.0, (30, 170)),
        ({"max_steps": 30}, 40, 0.0, (0, 0)),
    ],
)
def test_what_is_left_ends_with_the_first_budget(
    changes: dict[str, Any], step: int, hours: float, left: tuple[int, int]
) -> None:
    config = TrainConfig(curriculum=((0, 1), (10, 8)), **changes)
    n_updates, more = outlook(config, step, hours, 0, float)
    assert (n_updates, more * 3600) == pytest.approx(left, abs=2)


def test_later_stages_have_full_clips() -> None:
    assert clip_frames(TrainConfig(curriculum=((0, 2), (10, 8))), 0, 1) == 8


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("batch_size", 0),
        ("ema_decay", 1.0),
        ("optimiser", "sgd"),
        ("schedule", "linear"),
        ("precision", "float16"),
        ("curriculum", ()),
        ("curriculum", ((5, 2),)),
        ("curriculum", ((0, 2), (0, 4))),
        ("curriculum", ((0, 0),)),
        ("blowup_factor", 1.0),
        ("short_every", -1),
        ("short_frames", 0),
        ("drops", (1.5,)),
        ("decay_to", 2.0),
        ("max_hours", -1.0),
    ],
)
def test_an_impossible_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"train\.{field} must be"):
        replace(TrainConfig(), **{field: value})


CONFIG = TrainConfig(patience_start=100, patience_steps=30, n_stages=3)


def judged(scores: list[tuple[int, float]], config: TrainConfig = CONFIG) -> list[Verdict]:
    state, verdicts = EarlyStopping(), []
    for step, score in scores:
        state, verdict = state.judge(config, step, score)
        verdicts.append(verdict)
    return verdicts


def test_nothing_ends_before_patience_starts() -> None:
    assert judged([(10, 0.5), (50, 0.4), (99, 0.4)]) == [
        Verdict.BEST,
        Verdict.GO_ON,
        Verdict.GO_ON,
    ]


def test_the_third_loss_of_patience_ends_the_run() -> None:
    scores = [(90, 0.5), (120, 0.4), (149, 0.4), (150, 0.4), (180, 0.4)]
    assert judged(scores)[1:] == [
        Verdict.NEXT_STAGE,
        Verdict.GO_ON,
        Verdict.NEXT_STAGE,
        Verdict.STOP,
    ]


def test_a_better_score_renews_patience() -> None:
    scores = [(100, 0.5), (129, 0.6), (158, 0.6), (159, 0.6)]
    assert judged(scores) == [Verdict.BEST, Verdict.BEST, Verdict.GO_ON, Verdict.NEXT_STAGE]


def test_a_score_that_is_no_number_is_never_best() -> None:
    assert judged([(1, math.nan), (2, -5.0), (3, math.nan)]) == [
        Verdict.GO_ON,
        Verdict.BEST,
        Verdict.GO_ON,
    ]


def test_without_patience_nothing_ever_ends() -> None:
    endless = TrainConfig()
    assert judged([(1, 0.5), (10**6, 0.1)], endless) == [Verdict.BEST, Verdict.GO_ON]


def test_settings_of_older_checkpoints_are_read_under_their_old_names() -> None:
    assert stored_config({"divergence_factor": 3.0}, what="a.pt").blowup_factor == 3.0
