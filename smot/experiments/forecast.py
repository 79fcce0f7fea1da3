"""What a run will do, said before it begins: its stages, its time here, the score to expect."""

import time
from statistics import median

import torch

from smot.errors import UsageError
from smot.experiments.plans import Plan
from smot.experiments.training_data import DataConfig, looks_of
from smot.models.checkpoints import load_checkpoint
from smot.models.packaged import packaged_weights
from smot.training.config import TrainConfig
from smot.training.gradients import autocast
from smot.training.loop import Task, named_objective, on_device
from smot.training.schedules import outlook
from smot.training.state import TrainingState, noise_seed

SHORT_RUN = 100
"""Updates below which nobody needs a forecast."""
PROBE_SECONDS, FEWEST_PASSES, MOST_PASSES = 1.0, 2, 5
"""How long each length of clips is measured; its first pass, which compiles, does not count."""


def forecast(plan: Plan, state: TrainingState, task: Task) -> list[str]:
    """Lines that say what a run will do; none for a short run.

    A few passes over the clips of each length are timed on this machine, in every process at the
    same time. They change no weight, and their time does not count as training.

    Args:
        plan: the settings.
        state: the model, and how far it has come.
        task: what it learns.
    """
    config = plan.train
    if config.max_steps and config.max_steps - state.step < SHORT_RUN:
        return []
    lines = [_curriculum(config)] if task.objective is None else []
    lines.append(_duration(plan, state, task))
    if plan.train.init_from:  # the score depends on where it began; a recipe tells its own
        return lines
    return [*lines, *expected_score(plan.family, plan.preset, plan.data)]


def expected_score(tracker: str, preset: str, data: DataConfig) -> list[str]:
    """A line on the weights that ship, if this preset was their last stage on such videos.

    Args:
        tracker: whose weights.
        preset: with which training ends.
        data: the videos that are trained on.
    """
    looks = looks_of(data)
    try:
        path = packaged_weights(tracker, looks)
    except UsageError:
        return []
    about = load_checkpoint(path).about
    trained = about.data
    same = trained is not None and (trained.frame_size, trained.max_objects) == (
        looks.frame_size,
        looks.max_objects,
    )
    if not same or about.recipe != preset or about.score is None:
        return []
    return [
        f"to expect: {about.score_name} {about.score:.3f} on validation, as {path.name} has, "
        "whose training ended with this preset"
    ]


def _curriculum(config: TrainConfig) -> str:
    (_, first), *later = config.curriculum
    parts = [f"clips of {first} frame{'s' if first > 1 else ''}"]
    parts += [f"of {frames} from step {start:,}" for start, frames in later]
    if config.short_every:
        parts.append(f"one update in {config.short_every} of {config.short_frames}")
    return f"{', '.join(parts)}; validation every {config.eval_steps:,} steps"


def _duration(plan: Plan, state: TrainingState, task: Task) -> str:
    """How many updates the run makes here, or how long those that it is to make take."""
    config = plan.train
    lengths = sorted({frames for _, frames in config.curriculum})
    if config.short_every:
        lengths = sorted({*lengths, *(min(each, config.short_frames) for each in lengths)})
    seconds = {frames: _seconds(state, task, frames) for frames in lengths}
    stage = state.stopping.stage
    n_updates, hours = outlook(config, state.step, state.hours, stage, seconds.__getitem__)
    shown = lengths[-1:] if task.objective else sorted({lengths[0], lengths[-1]})
    clips = task.objective is None
    each = ", ".join(f"{seconds[T]:.2g} s" + f" at T={T}" * clips for T in shown)
    least = "" if config.max_steps or config.max_hours else "at least "
    return (
        f"to come: {least}{n_updates:,} updates in about {hours:.2g} h on this machine "
        f"({each} each), time of validation apart"
    )


def _seconds(state: TrainingState, task: Task, n_frames: int) -> float:
    """Time of one forward and backward pass over clips of `n_frames` frames."""
    config, model = state.config, state.model
    device = next(model.parameters()).device
    objective = task.objective or named_objective(model, config.objective)
    noise = torch.Generator(device=device).manual_seed(noise_seed(config, state.step, 0))
    batch, _ = on_device(task.batches(state.step, n_frames), device)
    model.train()
    taken: list[float] = []
    began = time.monotonic()
    while len(taken) < FEWEST_PASSES or (
        len(taken) < MOST_PASSES and time.monotonic() - began < PROBE_SECONDS
    ):
        start = time.monotonic()
        with autocast(config.precision, device):
            total = objective(batch, step=state.step, generator=noise).total
        torch.autograd.backward(total)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.monotonic() - start)
    state.optimiser.zero_grad(set_to_none=True)
    return median(taken[1:])
