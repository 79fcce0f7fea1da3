"""What was asked for on the command line, made into a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smot.errors import UsageError
from smot.experiments.data import DataConfig, dataset_of, looks_of
from smot.experiments.plans import Plan, preset_plan
from smot.experiments.runs import check_budget, resumable_plan
from smot.files import from_plain
from smot.models.checkpoints import checkpoint_file, load_checkpoint
from smot.models.family import load_family

USUAL_DATASET = "mnist-6"


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of ``smot train``; None and "" where nothing was said.

    Attributes:
        family: what to train.
        out: the run's folder.
        resume: go on with the run in the folder, if there is one.
        data: file of videos.
        dataset: which videos to make.
        preset: where the settings begin.
        assignments: changes to single settings.
        hours: budget.
        steps: budget.
        seed: of weights, videos and noise.
        device: where to train.
        init_from: checkpoint or run whose model and weights to start from.
        digits: which digits to make videos from.
        mnist_root: folder of the full MNIST.
    """

    family: str
    out: str
    resume: bool = False
    data: str | None = None
    dataset: str | None = None
    preset: str | None = None
    assignments: tuple[str, ...] = ()
    hours: float | None = None
    steps: int | None = None
    seed: int | None = None
    device: str | None = None
    init_from: str | None = None
    digits: str | None = None
    mnist_root: str | None = None


def resolve(request: Request) -> tuple[Plan, bool, list[str]]:
    """The plan to carry out.

    Args:
        request: what was asked for.

    Returns:
        The plan; whether it goes on with the run in the folder; lines to tell the user.

    Raises:
        UsageError: something that cannot be, or that contradicts the run to go on with.
        DataError: the run to go on with cannot be read.
    """
    stored = resumable_plan(request.out) if request.resume else None
    if stored is None:
        plan = _fresh(request)
        plan = _changed(_adapted(plan, _changed(plan, request).data), request)
        check_budget(plan)
        notices = [f"no run in {request.out} yet: starting one"] if request.resume else []
        return plan, False, notices
    _check_same(stored, request)
    plan = _changed(stored, request)
    check_budget(plan)
    changes = stored.differences(plan)
    return plan, True, [f"changed on resuming: {', '.join(changes)}"] if changes else []


def _fresh(request: Request) -> Plan:
    dataset = request.dataset
    if dataset is None:
        dataset = dataset_of(request.data) if request.data else USUAL_DATASET
    family = load_family(request.family)
    name = request.preset or family.default_preset
    plan = preset_plan(request.family, name, DataConfig(dataset=dataset))
    preset = family.preset(name, dataset)
    if request.init_from:
        return _continuing(plan, Path(request.init_from), preset.continued)
    if preset.needs_weights:
        raise UsageError(f"preset {name!r} goes on from weights: name them with --init-from")
    return plan


def _adapted(plan: Plan, data: DataConfig) -> Plan:
    """The plan with the model settings that its videos need."""
    model = load_family(plan.family).adapted(plan.model, looks_of(data))
    return replace(plan, model=model)


def _continuing(plan: Plan, origin: Path, changes: Mapping[str, Any]) -> Plan:
    """The plan with the model settings and weights of another run.

    Args:
        plan: from a preset.
        origin: the other run, or its checkpoint.
        changes: settings of the model that are to differ.

    Raises:
        UsageError: a run of another family.
        DataError: a checkpoint that cannot be read.
    """
    path = checkpoint_file(origin)
    checkpoint = load_checkpoint(path)
    if checkpoint.about.family != plan.family:
        raise UsageError(f"{path} holds a {checkpoint.about.family} model, not {plan.family}")
    model = from_plain(type(plan.model), checkpoint.model, what=f"{path}: model settings")
    return replace(
        plan,
        model=replace(model, **changes),
        train=replace(plan.train, init_from=str(path.resolve())),
    )


def _changed(plan: Plan, request: Request) -> Plan:
    """The plan with whatever was asked for explicitly; ``--set`` has the last word."""
    given: dict[str, Any] = {
        "max_hours": request.hours,
        "max_steps": request.steps,
        "seed": request.seed,
        "device": request.device,
    }
    train = replace(plan.train, **{name: each for name, each in given.items() if each is not None})
    videos: dict[str, Any] = {
        "file": request.data,
        "digits": request.digits,
        "mnist_root": request.mnist_root,
    }
    data = replace(plan.data, **{name: each for name, each in videos.items() if each is not None})
    return replace(plan, train=train, data=data).with_settings(request.assignments)


def _check_same(stored: Plan, request: Request) -> None:
    """Refuse to go on as something else.

    Raises:
        UsageError: another family, preset or data set than the run in the folder has.
    """
    asked = {
        "family": (request.family, stored.family),
        "preset": (request.preset, stored.preset),
        "dataset": (request.dataset, stored.data.dataset),
    }
    for name, (wanted, found) in asked.items():
        if wanted is not None and wanted != found:
            raise UsageError(f"the run in {request.out} has {name} {found!r}, not {wanted!r}")
