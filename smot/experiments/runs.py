"""Carry out a plan: build or resume the model, open the videos, train, draw the curves."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from smot.errors import UsageError
from smot.experiments.data import Source, open_source, training_batches
from smot.experiments.pictures import validation_pictures
from smot.experiments.plans import Plan, stored_plan
from smot.experiments.stages import cached_batches, check_stage
from smot.experiments.validation import ValidationScore
from smot.files import to_plain
from smot.models.checkpoints import About
from smot.models.devices import process_device
from smot.models.family import Latents, Objective, load_family
from smot.training.curves import draw_curves
from smot.training.loop import TrainingLoop
from smot.training.memory import keep_freed_memory
from smot.training.precision import has_bf16
from smot.training.prefetch import Batches
from smot.training.processes import Group
from smot.training.progress import Board, Progress
from smot.training.runs import RunFolder
from smot.training.state import Identity, TrainingState, start_from


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a plan is carried out; nothing here changes what is learned.

    Attributes:
        out: the run's folder.
        resume: go on from the newest state in the folder.
        force: start over in a folder that holds a run.
        quiet: say nothing while training.
        tensorboard: write TensorBoard's log beside metrics.jsonl.
    """

    out: str
    resume: bool = False
    force: bool = False
    quiet: bool = False
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: where its files are.
        step: updates made.
        hours: time spent, over all resumptions.
        score: best validation score; None if there was none.
        best_step: its step.
        leads: whether this process is the one to speak of it.
    """

    folder: Path
    step: int
    hours: float
    score: float | None
    best_step: int
    leads: bool


def resumable_plan(out: str) -> Plan | None:
    """The plan of the run in a folder; None if there is no run.

    Raises:
        DataError: there is one, but none of its states can be read.
    """
    folder = RunFolder(out)
    if not folder.last.exists() and not folder.best.exists():
        return None
    checkpoint, path = folder.latest(lambda _: None)
    return stored_plan(checkpoint, str(path))


def carry_out(plan: Plan, options: RunOptions, group: Group) -> Outcome:
    """Train, in this process (of perhaps several).

    Args:
        plan: what to do.
        options: where, and whether to go on.
        group: the processes that share the work.

    Raises:
        UsageError: settings that cannot be, or a folder that holds a run already.
        DataError: videos or checkpoints that cannot be used, or training that broke.
        KeyboardInterrupt: stopped on request, with the state saved.
    """
    keep_freed_memory()
    folder = RunFolder(options.out)
    progress = Progress(quiet=options.quiet or not group.leads)
    board = Board(folder.path if options.tensorboard and group.leads else None)
    source = open_source(plan.data, plan.train.seed)
    device = process_device(plan.train.device)
    plan = _with_precision(plan, device, group, progress)
    state = _begun(plan, device, options, folder, progress)
    loop = _loop(plan, state, source, folder, group, progress, board)
    _agree(options, state, group)  # nobody writes before everybody has read, and can begin
    if group.leads:
        folder.start(plan.plain(), resumed_at=state.step if options.resume else None)
    progress.notice(_opening(plan, state, group))
    try:
        loop.run()
    finally:
        if group.leads:
            draw_curves(folder.records(), folder.curves, title=f"{plan.family} {plan.preset}")
    return Outcome(
        folder=folder.path,
        step=state.step,
        hours=state.hours,
        score=state.stopping.best_score,
        best_step=state.stopping.best_step,
        leads=group.leads,
    )


def _with_precision(plan: Plan, device: torch.device, group: Group, progress: Progress) -> Plan:
    """The plan with "auto" decided: bf16 where all processes have the hardware for it."""
    if plan.train.precision != "auto":
        return plan
    has_it = all(group.gathered(has_bf16(device)))
    if not has_it:
        progress.notice(
            f"no bf16 in this {'GPU' if device.type == 'cuda' else 'processor'}: float32 it is"
        )
    return replace(plan, train=replace(plan.train, precision="bf16" if has_it else "float32"))


def _begun(
    plan: Plan, device: torch.device, options: RunOptions, folder: RunFolder, progress: Progress
) -> TrainingState:
    """The model on its device, freshly made, with weights of another run, or resumed."""
    model = load_family(plan.family).build(plan.model, plan.train.seed).to(device)
    if plan.train.init_from and not options.resume:
        fresh = start_from(model, plan.train.init_from)
        if fresh:
            progress.notice(f"not in {plan.train.init_from}, so new: {', '.join(fresh)}")
    state = TrainingState(model, plan.train)
    if options.resume:
        checkpoint, path = folder.latest(progress.notice)
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


def _loop(
    plan: Plan,
    state: TrainingState,
    source: Source,
    folder: RunFolder,
    group: Group,
    progress: Progress,
    board: Board,
) -> TrainingLoop:
    """The training loop with everything it is handed."""
    family = load_family(plan.family)
    about = About(
        family=plan.family,
        score_name=plan.validation.score,
        data=source.description,
        data_fingerprint=source.fingerprint,
        recipe=plan.preset,
    )
    extra = {name: plan.plain()[name] for name in ("preset", "validation", "data")}
    batches, objective = _work(plan, state, source, group, progress)
    return TrainingLoop(
        state,
        batches=batches,
        objective=objective,
        score=ValidationScore(family, source, plan.validation, group),
        folder=folder,
        identity=Identity(about=about, model=to_plain(plan.model), extra=extra),
        group=group,
        progress=progress,
        board=board,
        pictures=validation_pictures(family, source) if board.is_open else None,
    )


def _work(
    plan: Plan, state: TrainingState, source: Source, group: Group, progress: Progress
) -> tuple[Batches, Callable[..., Objective] | None]:
    """What the loop is fed and what it minimises: frames, or latents that were kept.

    The time that latents take is time of training, so that a budget in hours covers it.
    """
    stage = load_family(plan.family).stages.get(plan.train.objective)
    batches = training_batches(source, plan.train, group)
    if stage is None:
        return batches, None
    check_stage(plan.train)
    began = time.monotonic()
    kept = cached_batches(
        stage, state.model, source, plan.train, plan.data.n_cached, group, progress
    )
    state.hours = group.told(state.hours + (time.monotonic() - began) / 3600)

    def objective(batch: Latents, *, step: int, generator: torch.Generator) -> Objective:  # noqa: ARG001
        return stage.objective(state.model, batch, generator)

    return kept, objective


def check_budget(plan: Plan) -> None:
    """Refuse a plan that would never end.

    Raises:
        UsageError: neither steps, nor hours, nor early stopping.
    """
    train = plan.train
    if not (train.max_steps or train.max_hours or train.patience_steps):
        raise UsageError("a run needs an end: --steps, --hours, or train.patience_steps")


def _opening(plan: Plan, state: TrainingState, group: Group) -> str:
    n_weights = sum(each.numel() for each in state.parameters.values())
    processes = f"{group.size} processes" if group.size > 1 else "one process"
    threads = torch.get_num_threads()
    return (
        f"{plan.family} {plan.preset} on {plan.data.dataset}: {n_weights:,} trained weights, "
        f"batch {plan.train.batch_size}, {plan.train.precision} on {plan.train.device}, "
        f"{processes} with {threads} thread{'s' if threads > 1 else ''}"
    )
