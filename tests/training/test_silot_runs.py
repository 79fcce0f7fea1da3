"""The laws of training that the toy is held to, for a model that ships: all of it, very small."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smot.experiments.plans import Plan
from smot.experiments.runs import RunOptions, carry_out
from smot.experiments.training_data import DataConfig, open_source, training_batches
from smot.experiments.validation import ValidationConfig
from smot.models.checkpoints import About, Checkpoint, load_checkpoint
from smot.models.family import Objective
from smot.models.silot import FAMILY, SilotConfig
from smot.training.config import TrainConfig
from smot.training.distributed import Group, joined_group, run_in_processes
from smot.training.loop import Task, TrainingLoop
from smot.training.reporting import Board, Progress, Reporter
from smot.training.run_folder import RunFolder
from smot.training.state import Identity, TrainingState, noise_seed

PLAN = Plan(
    family="silot",
    preset="fast",
    model=SilotConfig(
        n_channels=1,
        n_slots=3,
        n_backbone_filters=8,
        n_features=8,
        what_size=4,
        hidden_size=8,
        freeze_attributes=1,
        what_warmup=3,
        kaiming_backbone=True,
    ),
    train=TrainConfig(
        batch_size=2,
        optimiser="tf_rmsprop",
        lr=1e-3,
        ema_decay=0.9,
        curriculum=((0, 2),),
        max_steps=4,
    ),
    validation=ValidationConfig(score="objective", n_videos=2, batch_size=1),
    data=DataConfig(dataset="shapes-48"),
)


def without_curves(plan: Plan, options: RunOptions) -> None:
    """What a process of a run does, but for the picture, which takes longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "draw_curves", lambda *_, **__: None)
        with joined_group("cpu") as group:
            carry_out(plan, options, group)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(out: Path, *, resume: bool = False, n_processes: int = 1, n_steps: int = 4) -> Checkpoint:
    plan = replace(PLAN, train=replace(PLAN.train, max_steps=n_steps))
    plan = replace(plan, n_processes=n_processes)
    work = partial(without_curves, plan, RunOptions(out=str(out), resume=resume, quiet=True))
    if n_processes > 1:
        run_in_processes(work, n_processes)
    else:
        work()
    return load_checkpoint(out / "last.pt")


def assert_close(
    left: Mapping[str, Tensor], right: Mapping[str, Tensor], *, rtol: float, atol: float
) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=rtol, atol=atol, msg=name)


@pytest.mark.slow
def test_a_resumed_run_of_silot_repeats_the_uninterrupted_one_bit_by_bit(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    run(tmp_path / "parted", n_steps=2)
    parted = run(tmp_path / "parted", resume=True)
    assert_close(parted.weights, whole.weights, rtol=0, atol=0)
    assert_close(parted.averages, whole.averages, rtol=0, atol=0)
    for place, state in whole.training["optimiser"]["state"].items():
        assert_close(parted.training["optimiser"]["state"][place], state, rtol=0, atol=0)
    assert parted.training["levels"] == whole.training["levels"]


def in_one_process(plan: Plan) -> TrainingState:
    """The run that two processes share, each with its own half of the batch and its own noise."""
    model: Any = FAMILY.build(plan.model, plan.train.seed)
    state = TrainingState(model, plan.train)
    source = open_source(plan.data, plan.train.seed)
    groups = [Group(rank=rank, size=2) for rank in range(2)]
    halves = [training_batches(source, plan.train, group) for group in groups]

    def batches(step: int, n_frames: int) -> Any:
        return {str(rank): half(step, n_frames) for rank, half in enumerate(halves)}

    def objective(batch: Any, *, step: int, generator: torch.Generator) -> Objective:
        totals = []
        for rank in range(2):
            generator.manual_seed(noise_seed(plan.train, step, rank))
            part = model.objective(batch[str(rank)], step=step, generator=generator)
            totals.append(part.total)
        return Objective(total=sum(totals) / 2, terms={})

    task = Task(
        identity=Identity(about=About(family="silot"), model={}, extra={}),
        batches=batches,
        objective=objective,
    )
    group = Group()
    reporter = Reporter(
        state, folder=None, group=group, progress=Progress(quiet=True), board=Board(None)
    )
    TrainingLoop(state, task, folder=None, group=group, reporter=reporter).run()
    return state


@pytest.mark.slow
def test_two_processes_teach_silot_what_one_does_that_sees_and_draws_the_same(
    tmp_path: Path,
) -> None:
    pair = run(tmp_path, n_processes=2)
    alone = in_one_process(PLAN)
    fresh = FAMILY.build(PLAN.model, PLAN.train.seed).state_dict()
    learned = [name for name, each in pair.weights.items() if not torch.equal(each, fresh[name])]
    assert len(learned) > len(fresh) / 2
    assert_close(pair.weights, alone.model.state_dict(), rtol=1e-4, atol=1e-6)
    assert_close(pair.averages, alone.averages.tensors, rtol=1e-4, atol=1e-6)
