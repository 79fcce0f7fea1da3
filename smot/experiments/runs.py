"""Carry out a plan: start the processes, build or resume the model, train, draw the curves."""

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from smot.errors import DataError, UsageError
from smot.experiments.forecast import forecast
from smot.experiments.plans import Plan
from smot.experiments.training_data import (
    Source,
    cached_batches,
    check_stage,
    open_source,
    training_batches,
)
from smot.experiments.validation import ValidationScore, validation_pictures
from smot.files import limit_threads, to_plain
from smot.models.checkpoints import About, process_device
from smot.models.family import Latents, Objective, load_family
from smot.training.distributed import Group, joined_group, run_in_processes
from smot.training.gradients import has_bf16
from smot.training.loop import StoppedBySignal, Task, TrainingLoop
from smot.training.prefetch import Batches, keep_freed_memory
from smot.training.reporting import Board, Progress, Reporter
from smot.training.run_folder import RunFolder
from smot.training.state import Identity, TrainingState, start_from


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a plan is carried out; nothing here changes what is learned.

    Attributes:
        out: the run's folder.
        resume: go on from the newest state in the folder.
        force: start over in a folder that holds a run.
        quiet: show nothing but warnings while training.
        tensorboard: write TensorBoard's log beside metrics.jsonl.
        n_threads: of each process.
    """

    out: str
    resume: bool = False
    force: bool = False
    quiet: bool = False
    tensorboard: bool = False
    n_threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: where its files are.
        step: updates made.
        hours: time spent, over all resumptions.
        score: best validation score; None if there was none.
        best_step: its step.
        leads: whether this process is the one to report it.
        stopped: whether a signal ended it before its time.
    """

    folder: Path
    step: int
    hours: float
    score: float | None
    best_step: int
    leads: bool
    stopped: bool


def launch(plan: Plan, options: RunOptions) -> Outcome:
    """Train in the plan's processes on this machine, or as `torchrun` has arranged.

    Args:
        plan: what to do.
        options: where, and whether to go on.

    Raises:
        UsageError, DataError, KeyboardInterrupt: as `carry_out`.
    """
    # Processes that are started inherit this. Threads that wait for each other cost more than
    # they bring where every operation is small.
    limit_threads(options.n_threads)
    work = partial(_take_part, plan, options)
    if "WORLD_SIZE" in os.environ or plan.n_processes <= 1:
        return work()
    return run_in_processes(work, plan.n_processes)


def _take_part(plan: Plan, options: RunOptions) -> Outcome:
    limit_threads(options.n_threads)
    with joined_group(plan.train.device) as group:
        try:
            return carry_out(plan, options, group)
        except torch.OutOfMemoryError:
            raise DataError(
                f"{plan.train.device} is out of memory with train.batch_size "
                f"{plan.train.batch_size}: set a smaller one, or a smaller model"
            ) from None


def carry_out(plan: Plan, options: RunOptions, group: Group) -> Outcome:
    """Train, in this process (of perhaps several).

    Args:
        plan: what to do.
        options: where, and whether to go on.
        group: the processes that share the work.

    Raises:
        UsageError: settings that cannot be, or a folder that holds a run already.
        DataError: videos or checkpoints that cannot be used, or training that broke.
        KeyboardInterrupt: stopped by a signal before training began.
    """
    keep_freed_memory()
    plan = replace(plan, n_processes=group.size)
    folder = RunFolder(options.out)
    progress = Progress(quiet=options.quiet, leads=group.leads)
    board = Board(folder.path if options.tensorboard and group.leads else None)
    source = _opened(plan, progress)
    device = process_device(plan.train.device)
    plan = _with_precision(plan, device, group, progress)
    state = _begun(plan, device, options, folder, progress)
    task = _task(plan, state, source, group, progress)
    if board.is_open:
        task = replace(task, pictures=validation_pictures(load_family(plan.family), source))
    reporter = Reporter(state, folder=folder, group=group, progress=progress, board=board)
    lines = [] if options.quiet else forecast(plan, state, task)
    loop = TrainingLoop(state, task, folder=folder, group=group, reporter=reporter)
    _agree(options, state, group)  # nobody writes before everybody has read, and can begin
    if group.leads:
        folder.start(plan.plain(), resumed_at=state.step if options.resume else None)
    for line in (_opening(plan, state, group), *lines):
        progress.notice(line)
    stopped = False
    try:
        loop.run()
        if group.leads:
            folder.log({"kind": "end", "step": state.step})
    except StoppedBySignal:
        stopped = True
    finally:
        if group.leads:
            folder.draw_curves(f"{plan.family} {plan.preset}", clips=task.objective is None)
    return _outcome(folder, state, group, stopped=stopped)


def _outcome(folder: RunFolder, state: TrainingState, group: Group, *, stopped: bool) -> Outcome:
    return Outcome(
        folder=folder.path,
        step=state.step,
        hours=state.hours,
        score=state.stopping.best_score,
        best_step=state.stopping.best_step,
        leads=group.leads,
        stopped=stopped,
    )


def _opened(plan: Plan, progress: Progress) -> Source:
    """The training data; a line of the first process, not a warning of each, says what is odd."""
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        source = open_source(plan.data, plan.train.seed)
    for each in notices:
        progress.warn(str(each.message))
    return source


def _with_precision(plan: Plan, device: torch.device, group: Group, progress: Progress) -> Plan:
    """The plan with "auto" decided: bf16 where all processes have the hardware for it."""
    if plan.train.precision != "auto":
        return plan
    has_it = all(group.gathered(has_bf16(device)))
    if not has_it:
        hardware = "GPU" if device.type == "cuda" else "processor"
        progress.notice(f"no bf16 in this {hardware}: training in float32")
    return replace(plan, train=replace(plan.train, precision="bf16" if has_it else "float32"))


def _begun(
    plan: Plan, device: torch.device, options: RunOptions, folder: RunFolder, progress: Progress
) -> TrainingState:
    """The model on its device, freshly made, with weights of another run, or resumed."""
    model = load_family(plan.family).build(plan.model, plan.train.seed).to(device)
    if plan.train.init_from and not options.resume:
        fresh = start_from(model, plan.train.init_from, plan.train.only_parameters)
        if fresh:
            progress.notice(
                f"not in {plan.train.init_from} in this shape, so new: {', '.join(fresh)}"
            )
    state = TrainingState(model, plan.train)
    if options.resume:
        checkpoint, path = folder.latest(progress.warn)
        state.restore(checkpoint, str(path))
        progress.notice(f"resuming {path} at step {state.step}, {state.hours:.2f} h")
    else:
        folder.check_new(force=options.force)
    return state


def _agree(options: RunOptions, state: TrainingState, group: Group) -> None:
    """Wait for all processes, and refuse to train if they would begin from different states.

    Raises:
        UsageError: some found a run to go on with, or another one, and some did not.
    """
    steps = group.gathered(state.step)
    if len(set(steps)) > 1:
        raise UsageError(
            f"the processes would begin at steps {', '.join(map(str, steps))}: "
            f"{options.out} must be one folder that all machines share"
        )


def _task(
    plan: Plan, state: TrainingState, source: Source, group: Group, progress: Progress
) -> Task:
    """What the loop trains on, minimises, and is judged by."""
    about = About(
        family=plan.family,
        score_name=plan.validation.score,
        data=source.videos.description,
        data_fingerprint=source.videos.metadata.settings_fingerprint,
        recipe=plan.preset,
    )
    kept = ("preset", "validation", "data", "processes")
    extra = {name: plan.plain()[name] for name in kept}
    batches, objective = _work(plan, state, source, group, progress)
    return Task(
        identity=Identity(about=about, model=to_plain(plan.model), extra=extra),
        batches=batches,
        objective=objective,
        score=ValidationScore(load_family(plan.family), source, plan.validation, group),
    )


def _work(
    plan: Plan, state: TrainingState, source: Source, group: Group, progress: Progress
) -> tuple[Batches, Callable[..., Objective] | None]:
    """What the loop trains on and minimises: frames, or latents that were kept.

    The time that latents take is time of training, so that a budget in hours covers it.
    """
    stage = load_family(plan.family).stages.get(plan.train.objective)
    batches = training_batches(source, plan.train, group)
    if stage is None:
        return batches, None
    check_stage(plan.train)
    began = time.monotonic()
    kept = cached_batches(
        stage, state, source, n_videos=plan.data.n_cached, group=group, progress=progress
    )
    state.hours = group.from_first(state.hours + (time.monotonic() - began) / 3600)

    def objective(batch: Latents, *, step: int, generator: torch.Generator) -> Objective:  # noqa: ARG001
        return stage.objective(state.model, batch, generator)

    return kept, objective


def _opening(plan: Plan, state: TrainingState, group: Group) -> str:
    n_weights = sum(each.numel() for each in state.parameters.values())
    processes = f"{group.size} processes" if group.size > 1 else "one process"
    threads = torch.get_num_threads()
    return (
        f"{plan.family} {plan.preset} on {plan.data.dataset}: {n_weights:,} trained weights, "
        f"batch {plan.train.batch_size}, {plan.train.precision} on {plan.train.device}, "
        f"{processes} with {threads} thread{'s' if threads > 1 else ''}"
    )
