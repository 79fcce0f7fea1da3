import json
import math
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smot.errors import DataError, UsageError
from smot.files import to_plain
from smot.models.checkpoints import About, Checkpoint, load_checkpoint, load_model
from smot.models.family import FAMILIES, Objective
from smot.training.config import TrainConfig
from smot.training.distributed import Group
from smot.training.loop import Score, Task, TrainingLoop, named_objective
from smot.training.prefetch import Batch, Batches
from smot.training.reporting import Board, Progress, Reporter
from smot.training.run_folder import RunFolder
from smot.training.state import Identity, TrainingState, start_from
from tests.training.toy import Toy, ToyConfig, toy_batches

TOY = ToyConfig()
CONFIG = TrainConfig(
    seed=3,
    batch_size=4,
    lr=1e-2,
    warmup_steps=3,
    schedule="cosine",
    ema_decay=0.9,
    curriculum=((0, 2), (5, 4)),
    max_steps=20,
    eval_steps=4,
    log_steps=1,
)


def quiet_score(model: nn.Module) -> dict[str, float]:
    return {"score": -float(model.picture.square().sum())}


def train(
    config: TrainConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    batches: Batches | None = None,
    score: Score | None = quiet_score,
    toy: ToyConfig = TOY,
    model: type[Toy] = Toy,
) -> TrainingState:
    state = TrainingState(model(toy, config.seed), config)
    if resume:
        checkpoint, path = folder.latest(lambda line: None)
        state.restore(checkpoint, str(path))
    folder.start(to_plain(config), resumed_at=state.step if resume else None)
    task = Task(
        identity=Identity(about=About(family="toy"), model=to_plain(toy), extra={}),
        batches=batches or toy_batches(config.seed, config.batch_size),
        score=score,
    )
    alone(state, task, folder).run()
    return state


def alone(state: TrainingState, task: Task, folder: RunFolder | None = None) -> TrainingLoop:
    """A loop in one process that shows nothing."""
    group = Group()
    reporter = Reporter(
        state, folder=folder, group=group, progress=Progress(quiet=True), board=Board(None)
    )
    return TrainingLoop(state, task, folder=folder, group=group, reporter=reporter)


NAMELESS = Identity(about=About(family="toy"), model={}, extra={})


def losses(folder: RunFolder) -> list[tuple[int, float]]:
    rows = [row for row in folder.records() if row["kind"] == "train"]
    return [(row["step"], row["loss"]) for row in rows]


def interrupting(batches: Batches, at: int) -> Batches:
    """Batches that send Ctrl-C to the run when step ``at`` is made ready."""

    def made(step: int, n_frames: int) -> Batch:
        if step == at:
            signal.raise_signal(signal.SIGINT)
        return batches(step, n_frames)

    return made


def assert_same(left: Mapping[str, object], right: Mapping[str, object]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        other = right[name]
        if isinstance(value, Tensor):
            assert torch.equal(value, other), name
        elif isinstance(value, Mapping):
            assert_same(value, other)
        else:
            assert value == other, name


@pytest.mark.parametrize("optimiser", ["adam", "tf_rmsprop"])
def test_a_resumed_run_repeats_the_uninterrupted_one_bit_by_bit(
    tmp_path: Path, optimiser: str
) -> None:
    config = replace(CONFIG, optimiser=optimiser)
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(config, whole)
    with pytest.raises(KeyboardInterrupt):
        train(config, parted, batches=interrupting(toy_batches(3, 4), 9))
    assert 0 < load_checkpoint(parted.last).about.step < 20
    train(config, parted, resume=True)
    assert losses(parted) == losses(whole)
    first, second = load_checkpoint(whole.last), load_checkpoint(parted.last)
    assert_same(first.weights, second.weights)
    assert_same(first.averages, second.averages)
    assert_same(first.training, second.training)


def test_a_crash_between_saves_is_made_good_from_the_last_saved_state(tmp_path: Path) -> None:
    def crash(step: int, n_frames: int) -> Tensor:
        if step == 11:
            raise OSError("disk on fire")
        return toy_batches(3, 4)(step, n_frames)

    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(CONFIG, whole)
    with pytest.raises(OSError, match="disk on fire"):
        train(CONFIG, parted, batches=crash)
    assert load_checkpoint(parted.last).about.step < 11
    train(CONFIG, parted, resume=True)
    assert losses(parted) == losses(whole)


def test_the_state_is_saved_at_least_every_interval(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    seen = []

    def batches(step: int, n_frames: int) -> Tensor:
        if folder.last.exists():
            seen.append(load_checkpoint(folder.last).about.step)
        return toy_batches(3, 4)(step, n_frames)

    train(replace(CONFIG, checkpoint_minutes=1e-9), folder, batches=batches, score=None)
    assert max(seen) >= 15


def test_training_wheels_leave_parameters_and_their_optimiser_state_alone(tmp_path: Path) -> None:
    config = replace(CONFIG, max_steps=3)
    state = train(config, RunFolder(tmp_path), toy=ToyConfig(wheels=3))
    fresh = Toy(ToyConfig(), config.seed)
    assert torch.equal(state.model.late.weight, fresh.late.weight)
    assert not torch.equal(state.model.picture, fresh.picture)
    assert len(state.optimiser.state) == 1


def test_every_parameter_learns_once_the_wheels_are_off(tmp_path: Path) -> None:
    state = train(CONFIG, RunFolder(tmp_path))
    fresh = Toy(ToyConfig(), CONFIG.seed).state_dict()
    for name, weight in state.model.state_dict().items():
        assert not torch.equal(weight, fresh[name]), name


def test_a_term_that_breaks_is_named_with_its_step_and_the_good_state_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(DataError, match="step 10: objective not finite: penalty; the last good"):
        train(CONFIG, folder, toy=ToyConfig(break_at=10))
    checkpoint = load_checkpoint(folder.last)
    assert checkpoint.about.step in (4, 8)
    assert all(torch.isfinite(weight).all() for weight in checkpoint.weights.values())


def test_a_gradient_that_breaks_is_named_with_its_parameter(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="step 6: gradient not finite: picture"):
        train(CONFIG, RunFolder(tmp_path), toy=ToyConfig(break_gradient_at=6))


class Exploding(Toy):
    """Its objective, finite as it stays, is of no use from step 80 on."""

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        made = super().objective(frames, step=step, generator=generator)
        if step < 80:
            return made
        excess = 1e6 * self.picture.square().mean()
        terms = {**made.terms, "penalty": made.terms["penalty"] + excess.detach()}
        return replace(made, total=made.total + excess, terms=terms)


LONG = replace(
    CONFIG, schedule="constant", curriculum=((0, 2),), lr=1e-4, max_steps=200, log_steps=100
)
OFTEN = replace(LONG, checkpoint_minutes=1e-9)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is given up after a few updates: each of them here saves its state."""
    monkeypatch.setattr("smot.training.blowup.FAR_UPDATES", 30)


@pytest.mark.usefixtures("impatient")
def test_a_loss_that_stays_far_above_its_best_ends_the_run_and_keeps_the_good_state(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    broken = "broke at step 1.*: the loss with 2 frames a clip .* penalty, now .*; the last good"
    with pytest.raises(DataError, match=broken):
        train(OFTEN, folder, model=Exploding, score=None)
    assert load_checkpoint(folder.last).about.step == 80


@pytest.mark.usefixtures("impatient")
def test_divergence_is_the_runs_own_business_if_its_settings_say_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    train(replace(LONG, blowup_factor=0.0), folder, model=Exploding, score=None)
    assert load_checkpoint(folder.last).about.step == 200


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("step", [82, 100])
def test_an_interrupt_while_the_loss_is_far_away_keeps_the_good_state(
    tmp_path: Path, step: int
) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(OFTEN, folder, model=Exploding, score=None, toy=ToyConfig(interrupt_at=step))
    assert load_checkpoint(folder.last).about.step == 80


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    def batches(step: int, n_frames: int) -> Tensor:
        if step == 5:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return toy_batches(3, 4)(step, n_frames)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, RunFolder(tmp_path), batches=batches)
    assert signal.getsignal(signal.SIGTERM) is before


def test_validation_sees_the_averages_in_evaluation_mode(tmp_path: Path) -> None:
    seen = []

    def score(model: nn.Module) -> dict[str, float]:
        assert not model.training
        seen.append(model.picture.detach().clone())
        return {"score": 0.0, "extra": 1.0}

    folder = RunFolder(tmp_path)
    train(CONFIG, folder, score=score)
    assert len(seen) == 5
    best = load_checkpoint(folder.best)
    assert best.about.step == 4
    assert torch.equal(best.averages["picture"], seen[0])
    assert not torch.equal(best.weights["picture"], seen[0])
    evaluations = [row for row in folder.records() if row["kind"] == "eval"]
    assert [row["step"] for row in evaluations] == [4, 8, 12, 16, 20]
    assert evaluations[0]["extra"] == 1.0


def test_stages_restart_from_the_best_weights_at_a_third_of_the_rate(tmp_path: Path) -> None:
    scores = iter([0.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1])
    pictures = []

    def score(model: nn.Module) -> dict[str, float]:
        pictures.append(model.picture.detach().clone())
        return {"score": next(scores)}

    config = replace(
        CONFIG,
        schedule="constant",
        warmup_steps=0,
        max_steps=0,
        eval_steps=2,
        patience_steps=2,
        n_stages=3,
    )
    folder = RunFolder(tmp_path)
    state = train(config, folder, score=score)
    assert state.step == 10
    assert state.stopping.best_step == 4
    rates = {row["step"]: row["lr"] for row in folder.records() if row["kind"] == "train"}
    assert [rates[step] for step in (6, 7, 9)] == pytest.approx([1e-2, 1e-2 / 3, 1e-2 / 9])
    frames = {row["step"]: row["frames"] for row in folder.records() if row["kind"] == "train"}
    assert frames[7] == 4


def test_a_resumed_stage_repeats_the_uninterrupted_one(tmp_path: Path) -> None:
    config = replace(CONFIG, max_steps=14, eval_steps=2, patience_steps=3, ema_decay=0.0)

    def score(model: nn.Module) -> dict[str, float]:
        return {"score": -float((model.picture - 0.6).square().sum())}

    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(config, whole, score=score)
    with pytest.raises(KeyboardInterrupt):
        train(config, parted, batches=interrupting(toy_batches(3, 4), 9), score=score)
    train(config, parted, resume=True, score=score)
    assert losses(parted) == losses(whole)


def evaluations(folder: RunFolder) -> list[dict[str, object]]:
    rows = [row for row in folder.records() if row["kind"] == "eval"]
    timed = ("hours", "seconds")
    return [{name: row[name] for name in row if name not in timed} for row in rows]


@pytest.mark.parametrize("step", [8, 12, 16, 20])
def test_an_interrupt_just_before_an_evaluation_does_not_lose_it(
    tmp_path: Path, step: int
) -> None:
    config = replace(CONFIG, patience_steps=5, n_stages=4)

    def uneven_score(model: nn.Module) -> dict[str, float]:
        return {"score": math.sin(200 * float(model.picture.sum()))}

    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train(config, whole, score=uneven_score)
    with pytest.raises(KeyboardInterrupt):
        train(config, parted, score=uneven_score, toy=ToyConfig(interrupt_at=step - 1))
    assert load_checkpoint(parted.last).about.step == step
    train(config, parted, resume=True, score=uneven_score)
    verdicts = {row["verdict"] for row in evaluations(whole)}
    assert verdicts == {"best", "go on", "next stage"}
    assert evaluations(parted) == evaluations(whole)
    assert losses(parted) == losses(whole)
    for name in ("best", "last"):
        first, second = (load_checkpoint(getattr(each, name)) for each in (whole, parted))
        assert_same(first.weights, second.weights)
        assert_same(first.averages, second.averages)
        assert_same(first.training, second.training)


def test_bf16_wraps_the_objective_and_nothing_else(tmp_path: Path) -> None:
    class Seen(Toy):
        def late_objective(
            self, frames: Tensor, *, step: int, generator: torch.Generator
        ) -> Objective:
            types.append(self.late(torch.ones(1, 4)).dtype)
            return super().late_objective(frames, step=step, generator=generator)

    types: list[torch.dtype] = []
    config = replace(CONFIG, precision="bf16", objective="late_objective", max_steps=1)
    state = TrainingState(Seen(ToyConfig(), 0), config)
    alone(state, Task(identity=NAMELESS, batches=toy_batches(0, 4))).run()
    assert types == [torch.bfloat16]
    assert state.model.late.weight.dtype == torch.float32


def test_another_objective_trains_its_own_parameters_only(tmp_path: Path) -> None:
    config = replace(CONFIG, objective="late_objective", only_parameters=("late",))
    folder = RunFolder(tmp_path)
    state = train(config, folder)
    assert torch.equal(state.model.picture, Toy(ToyConfig(), config.seed).picture)
    assert set(folder.records()[0]["terms"]) == {"late"}
    assert set(load_checkpoint(folder.last).averages) == {"late.weight", "late.bias"}


@pytest.mark.parametrize("name", ["prior_objective", "state_dict"])
def test_an_unknown_objective_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match="there are late_objective, objective"):
        named_objective(Toy(ToyConfig(), 0), name)


def test_the_budget_of_hours_ends_a_run(tmp_path: Path) -> None:
    state = train(replace(CONFIG, max_steps=0, max_hours=0.1 / 3600), RunFolder(tmp_path))
    assert state.step >= 1
    assert state.hours >= 0.1 / 3600


def test_a_batch_of_several_tensors_reaches_the_objective(tmp_path: Path) -> None:
    class Paired(Toy):
        def pair_objective(
            self, batch: Any, *, step: int, generator: torch.Generator
        ) -> Objective:
            assert set(batch) == {"frames", "more"}
            return self.objective(batch["frames"], step=step, generator=generator)

    config = replace(CONFIG, objective="pair_objective", max_steps=2)
    state = TrainingState(Paired(ToyConfig(), 0), config)
    alone(
        state,
        Task(
            identity=NAMELESS,
            batches=lambda step, T: {"frames": toy_batches(0, 4)(step, T), "more": torch.ones(4)},
        ),
    ).run()
    assert state.step == 2


def test_a_run_starts_from_what_it_shares_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "toy", "tests.training.toy:FAMILY")
    folder = RunFolder(tmp_path)
    train(CONFIG, folder)
    trained, _ = load_model(folder.best)

    class Grown(Toy):
        def __init__(self, config: ToyConfig, seed: int) -> None:
            super().__init__(config, seed)
            self.own = nn.Linear(2, 2)

    grown = Grown(ToyConfig(), 9)
    assert start_from(grown, str(folder.best)) == ["own.weight", "own.bias"]
    assert torch.equal(grown.picture, trained.picture)
    with pytest.raises(DataError, match="no weight that the model knows"):
        start_from(nn.Linear(2, 2), str(folder.best))
    wider = Toy(ToyConfig(), 9)
    wider.picture = nn.Parameter(torch.zeros(1, *wider.picture.shape))
    with pytest.raises(DataError, match="picture"):
        start_from(wider, str(folder.best))
    assert "picture" in start_from(wider, str(folder.best), ("picture",))


def test_a_weights_only_file_cannot_be_resumed(tmp_path: Path) -> None:
    state = TrainingState(Toy(ToyConfig(), 0), CONFIG)
    slim = Checkpoint(about=About(family="toy"), model={}, weights=state.model.state_dict())
    with pytest.raises(DataError, match="holds weights only"):
        state.restore(slim, "a.pt")


def test_a_term_is_averaged_over_the_updates_that_have_it(tmp_path: Path) -> None:
    class Moving(Toy):
        def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
            made = super().objective(frames, step=step, generator=generator)
            motion = {"motion": torch.tensor(6.0 + step)} if frames.shape[1] > 1 else {}
            return replace(made, terms={**made.terms, **motion})

    config = replace(CONFIG, curriculum=((0, 1), (2, 3)), short_every=4, max_steps=8, log_steps=8)
    folder = RunFolder(tmp_path)
    train(config, folder, model=Moving)
    (row,) = [row for row in folder.records() if row["kind"] == "train"]
    assert row["terms"]["motion"] == pytest.approx(6 + (2 + 3 + 5 + 6 + 7) / 5)


@pytest.mark.parametrize(("making", "learning"), [(0.1, 0.0), (0.0, 0.1)])
def test_the_log_has_the_share_of_time_that_updates_waited_for_videos(
    tmp_path: Path, making: float, learning: float
) -> None:
    class Slow(Toy):
        def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
            time.sleep(learning)
            return super().objective(frames, step=step, generator=generator)

    def batches(step: int, n_frames: int) -> Tensor:
        time.sleep(making)
        return toy_batches(3, 4)(step, n_frames)

    folder = RunFolder(tmp_path)
    config = replace(CONFIG, max_steps=8, log_steps=4)
    train(config, folder, batches=batches, model=Slow, score=None)
    shares = [row["waited"] for row in folder.records() if row["kind"] == "train"]
    assert all(0 <= share <= 1 for share in shares)
    assert (shares[-1] > 0.5) is (making > learning)


def test_the_log_is_made_of_json_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    train(CONFIG, folder)
    rows = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == list(range(1, 21))
    assert rows[0].keys() >= {"frames", "lr", "videos_per_second", "gradient_norm", "loss"}
