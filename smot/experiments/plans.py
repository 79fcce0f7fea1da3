"""A run as a value: everything that decides what it does, from a request or from a checkpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smot.errors import DataError, UsageError
from smot.experiments.training_data import DataConfig, dataset_of, looks_of, plain_data
from smot.experiments.validation import ValidationConfig
from smot.files import available_cores, from_plain, to_plain, with_setting
from smot.models.checkpoints import Checkpoint, checkpoint_file, load_checkpoint
from smot.models.family import load_family
from smot.training.config import RENAMED, TrainConfig, stored_config
from smot.training.run_folder import RunFolder

PARTS = ("train", "model", "validation", "data")
USUAL_DATASET = "mnist-6"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does.

    Attributes:
        family: key of `smot.models.family.FAMILIES`.
        preset: where the settings began.
        model: the family's settings.
        train: how the model is trained.
        validation: how it is scored.
        data: on which videos.
        n_processes: processes that divide each batch; 0 for as many as `usual_processes` says.
    """

    family: str
    preset: str
    model: Any
    train: TrainConfig
    validation: ValidationConfig
    data: DataConfig
    n_processes: int = 0

    def plain(self) -> dict[str, Any]:
        """Plain values, as `config.json` and checkpoints hold them."""
        return {
            "family": self.family,
            "preset": self.preset,
            "model": to_plain(self.model),
            "train": to_plain(self.train),
            "validation": to_plain(self.validation),
            "data": plain_data(self.data),
            "processes": self.n_processes,
        }

    def with_settings(self, assignments: Iterable[str]) -> "Plan":
        """The same plan with fields changed.

        Args:
            assignments: "train.lr=1e-3", "model.where_scale=.2", "validation.n_videos=100".

        Raises:
            UsageError: not of that form, no such field, or a value that cannot be.
        """
        plan = self
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            part, _, name = key.partition(".")
            if not equals or not name or part not in PARTS:
                parts = ", ".join(f"{each}.KEY" for each in PARTS)
                raise UsageError(
                    f"--set takes KEY=VALUE with KEY one of {parts}; not {assignment!r}"
                )
            name = (RENAMED.get(name) or name) if part == "train" else name
            try:
                changed = with_setting(getattr(plan, part), name, text)
            except UsageError as error:
                raise UsageError(f"--set {assignment}: {error}") from None
            plan = replace(plan, **{part: changed})
        return plan

    def differences(self, other: "Plan") -> list[str]:
        """Fields that `other` has changed: "train.lr 0.0008 -> 0.0004"."""
        mine, theirs = self.plain(), other.plain()
        changes = [
            f"{part}.{name} {value} -> {theirs[part][name]}"
            for part in PARTS
            for name, value in mine[part].items()
            if theirs[part][name] != value
        ]
        if self.n_processes not in (0, other.n_processes):
            changes.append(f"processes {self.n_processes} -> {other.n_processes}")
        return changes


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of `smot train`; None and "" where an option was not given.

    Attributes:
        family: what to train.
        out: the run's folder.
        recipe: which of the family's recipes; "" for that of its name.
        resume: go on with the run in the folder.
        data: file of videos.
        dataset: which videos to make.
        preset: where the settings begin.
        assignments: changes to single settings.
        hours: budget.
        steps: budget.
        seed: of weights, videos and noise.
        device: where to train.
        processes: how many share the work.
        init_from: checkpoint or run whose model and weights to start from.
        digits: which digits to make videos from.
        mnist_root: folder of the full MNIST.
    """

    family: str
    out: str
    recipe: str = ""
    resume: bool = False
    data: str | None = None
    dataset: str | None = None
    preset: str | None = None
    assignments: tuple[str, ...] = ()
    hours: float | None = None
    steps: int | None = None
    seed: int | None = None
    device: str | None = None
    processes: int | None = None
    init_from: str | None = None
    digits: str | None = None
    mnist_root: str | None = None


def resolve(request: Request) -> tuple[Plan, list[str]]:
    """The plan to carry out, and lines to show to the user.

    Args:
        request: the options as given.

    Raises:
        UsageError: a value that cannot be, or that contradicts the run to go on with.
        DataError: the run to go on with cannot be read.
    """
    if request.resume:
        stored = resumable_plan(request.out)
        _check_same(stored, request)
        plan = _checked(_changed(stored, request))
        changes = stored.differences(plan)
        notices = [f"changed on resuming: {', '.join(changes)}"] if changes else []
        if plan.n_processes == stored.n_processes > 1 and request.processes is None:
            notices.append(f"in {plan.n_processes} processes, as before")
        return plan, notices
    plan = _fresh(request)
    # The videos may be named by an option or by --set; what the model needs depends on them.
    looks = looks_of(_changed(plan, request).data)
    plan = replace(plan, model=load_family(plan.family).adapted(plan.model, looks))
    return _checked(_changed(plan, request)), []


def preset_plan(family: str, preset: str, data: DataConfig) -> Plan:
    """The plan that a preset stands for.

    Raises:
        UsageError: no such family or preset, or not for this data set.
    """
    found = load_family(family).preset(preset, data.dataset)
    return Plan(
        family=family,
        preset=preset,
        model=found.model,
        train=TrainConfig(**found.train),
        validation=ValidationConfig(**found.validation),
        data=data,
    )


def resumable_plan(out: str) -> Plan:
    """The plan of the run in a folder.

    Raises:
        UsageError: there is no run.
        DataError: there is one, but none of its states can be read.
    """
    folder = RunFolder(out)
    if not folder.holds_run:
        raise UsageError(f"--resume: there is no run in {out}")
    checkpoint, path = folder.latest(lambda _: None)
    return stored_plan(checkpoint, str(path))


def stored_plan(checkpoint: Checkpoint, where: str) -> Plan:
    """The plan of the run that wrote a checkpoint.

    Raises:
        DataError: weights only, or settings that this version does not know.
    """
    training = checkpoint.training
    if not training:
        raise DataError(f"{where}: holds weights only; a run cannot be resumed from it")
    extra = training.get("extra", {})
    family = load_family(checkpoint.about.family)
    return Plan(
        family=checkpoint.about.family,
        preset=str(extra.get("preset", "")),
        model=family.settings(checkpoint.model, what=f"{where}: model"),
        train=stored_config(training.get("config", {}), what=f"{where}: train"),
        validation=from_plain(
            ValidationConfig, extra.get("validation", {}), what=f"{where}: validation"
        ),
        data=from_plain(DataConfig, extra.get("data", {}), what=f"{where}: data"),
        n_processes=int(extra.get("processes", 0)),
    )


def usual_processes(train: TrainConfig) -> int:
    """On a CPU as many processes as there are cores and as divide the batch; on a GPU one.

    Source: ours. Most operations of these models are too small to share among threads, while
    processes with a part of the batch each meet once an update (benchmarks/silot_step.py).
    """
    if train.device != "cpu":
        return 1
    return max(n for n in range(1, available_cores() + 1) if train.batch_size % n == 0)


def _fresh(request: Request) -> Plan:
    dataset = request.dataset
    if dataset is None:
        dataset = dataset_of(request.data) if request.data else USUAL_DATASET
    family = load_family(request.family)
    name = request.preset or family.default_preset
    plan = preset_plan(request.family, name, DataConfig(dataset=dataset))
    preset = family.preset(name, dataset)
    if request.init_from:
        return _continued(plan, Path(request.init_from), preset.continued)
    if preset.needs_weights:
        raise UsageError(f"preset {name!r} goes on from weights: name them with --init-from")
    return plan


def _continued(plan: Plan, origin: Path, changes: Mapping[str, Any]) -> Plan:
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
    model = load_family(plan.family).settings(checkpoint.model, what=f"{path}: model settings")
    return replace(
        plan,
        model=replace(model, **changes),
        train=replace(plan.train, init_from=str(path.resolve())),
    )


def _changed(plan: Plan, request: Request) -> Plan:
    """The plan with the options that were given; `--set` has the last word."""
    train = {
        "max_hours": request.hours,
        "max_steps": request.steps,
        "seed": request.seed,
        "device": request.device,
    }
    data = {"file": request.data, "digits": request.digits, "mnist_root": request.mnist_root}
    plan = replace(plan, train=_given(plan.train, train), data=_given(plan.data, data))
    plan = plan.with_settings(request.assignments)
    n_processes = request.processes or plan.n_processes or usual_processes(plan.train)
    return replace(plan, n_processes=n_processes)


def _given(config: Any, changes: Mapping[str, Any]) -> Any:
    return replace(config, **{name: each for name, each in changes.items() if each is not None})


def _checked(plan: Plan) -> Plan:
    """Refuse a plan that would never end, or whose batches cannot be divided.

    Raises:
        UsageError: neither steps, nor hours, nor early stopping; or an uneven batch.
    """
    train = plan.train
    if not (train.max_steps or train.max_hours or train.patience_steps):
        raise UsageError("a run needs an end: --steps, --hours, or train.patience_steps")
    if train.batch_size % plan.n_processes:
        raise UsageError(
            f"train.batch_size must be a multiple of the {plan.n_processes} processes, "
            f"not {train.batch_size}"
        )
    return plan


def _check_same(stored: Plan, request: Request) -> None:
    """Refuse to go on as something else.

    Raises:
        UsageError: another family, preset or data set than the run in the folder has.
    """
    pairs = {
        "family": (request.family, stored.family),
        "preset": (request.preset, stored.preset),
        "dataset": (request.dataset, stored.data.dataset),
    }
    for name, (wanted, found) in pairs.items():
        if wanted is not None and wanted != found:
            raise UsageError(f"the run in {request.out} has {name} {found!r}, not {wanted!r}")
