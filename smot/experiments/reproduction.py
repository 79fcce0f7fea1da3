"""The work behind the paper's figures: jobs, each a training and an evaluation or only the latter.

A job is done when the folder of its results says that they are of the same weights, videos and
settings, so that any number of calls on any number of machines work on one folder.
"""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from smot.errors import UsageError
from smot.evaluation.protocols import DEFAULTS
from smot.evaluation.protocols import Job as Evaluation
from smot.evaluation.results import write_results
from smot.evaluation.run import Progress, run
from smot.evaluation.testsets import SEED, VideoSource, canonical_videos, make_plan
from smot.experiments.paper import FIGURES, SYSTEMS, System
from smot.experiments.plans import Request, resolve
from smot.experiments.recipes import FILE as RECIPE
from smot.experiments.recipes import asks_for_recipe, run_recipe
from smot.experiments.runs import RunOptions, launch
from smot.experiments.training_data import DATASETS
from smot.files import available_cores, to_plain, write_text
from smot.models.checkpoints import load_checkpoint
from smot.models.packaged import FOLDER
from smot.trackers import Recipe
from smot.training.run_folder import RunFolder

RESULTS = "results.json"
RECORD = "evaluated.json"
"""Beside results.json: what it is of, and its hash; a job whose record is the same is done."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What may differ from one reproduction to another.

    Attributes:
        out: folder of results, figures and tables.
        runs: folder of trained weights: STEM/seed-0/best.pt.
        weights: folders where weights are looked for that neither were trained nor ship.
        n_videos: test videos of each count.
        quick: whether fewer counts.
        n_seeds: runs of each system that are trained.
        trains: whether jobs train.
        hours: of each training; None for its usual ones.
        digits: "auto", "mnist" or "mnist-5k".
        mnist_root: folder of the MNIST files.
        seed: of the test videos; 0 for the canonical ones.
        workers: processes of an evaluation; None for one on each core.
        device: where learned trackers train and track, "cuda"; None for the CPU.
    """

    out: Path
    runs: Path
    weights: tuple[Path, ...] = ()
    n_videos: int = 1_000
    quick: bool = False
    n_seeds: int = 3
    trains: bool = False
    hours: float | None = None
    digits: str = "auto"
    mnist_root: Path | None = None
    seed: int = SEED
    workers: int | None = None
    device: str | None = None

    def words(self, *, shows_digits: bool = True) -> list[str]:
        """The options of `smot reproduce` that say the same; training left out.

        Args:
            shows_digits: whether the videos do; False leaves out where digits are from.
        """
        words = ["--quick"] if self.quick else []
        words += ["--n-videos", str(self.n_videos)]
        words += ["--out", str(self.out), "--runs", str(self.runs)]
        words += ["--workers", str(self.workers)] if self.workers else []
        words += ["--device", self.device] if self.device else []
        for folder in self.weights:
            words += ["--weights", str(folder)]
        if shows_digits:
            words += ["--digits", self.digits]
            words += ["--mnist-root", str(self.mnist_root)] if self.mnist_root else []
        return words + (["--test-seed", str(self.seed)] if self.seed != SEED else [])


@dataclass(frozen=True, kw_only=True)
class Job:
    """One system, from one set of weights, on one data set.

    Attributes:
        name: "silot-6", or "silot-6/seed-1" where it was or will be trained here.
        figure: the first one that needs it.
        system: what is evaluated.
        dataset: name of the test videos.
        counts: numbers of objects; () where a film is drawn and nothing evaluated.
        weights: the file; None where there is none (yet).
        run: folder of the training that makes it; None where it ships or nothing is trained.
        choices: of the reproduction.
        source: the test videos.
    """

    name: str
    figure: str
    system: System
    dataset: str
    counts: tuple[int, ...]
    weights: Path | None
    run: Path | None
    choices: Choices
    source: VideoSource

    @property
    def folder(self) -> Path:
        """Of its results; other videos, or fewer, have a folder of their own."""
        metadata = self.source.metadata
        digits = metadata.digit_source if metadata.digit_source != "mnist" else ""
        seed = f"seed-{metadata.seed}" if metadata.seed != SEED else ""
        fewer = len(self.counts) < len(_test_counts(self.source))
        amount = f"{self.choices.n_videos}-videos"
        counts = f"{len(self.counts)}-counts" if fewer else ""
        kind = "-".join(part for part in (self.dataset, digits, seed, amount, counts) if part)
        return self.choices.out / kind / self.name

    @property
    def is_missing(self) -> bool:
        """Whether there are no weights, and none are to be made."""
        return bool(self.system.weights) and self.weights is None and self.run is None

    @property
    def is_trained(self) -> bool:
        """Whether its training came to its end; a run in between has weights too."""
        if self.run is None or self.weights is None:
            return False
        return (self.run / RECIPE).exists() or RunFolder(self.run).is_over

    @property
    def trains(self) -> bool:
        """Whether to train, or to go on with training."""
        trainable = self.run is not None and self.system.training is not None
        return trainable and self.choices.trains and not self.is_trained

    def _record(self, weights: str) -> bytes:
        """The content of `RECORD`: what decides the results, and the hash of those that there are.

        Args:
            weights: their hash; a training elsewhere may replace the file at any time.
        """
        decisive = {
            "tracker": self.system.tracker,
            "options": dict(self.system.options),
            "weights": weights,
            "videos": self.source.metadata.settings_fingerprint,
            "counts": list(self.counts),
            "n_videos": self.choices.n_videos,
            "scoring": to_plain(DEFAULTS),
            "smot": version("smot"),
            "results": _hash_of(self.folder / RESULTS),
        }
        return (json.dumps(decisive, indent=2) + "\n").encode()

    @cached_property
    def is_done(self) -> bool:
        """Whether there are results of just this, or none are needed."""
        if self.system.weights and self.weights is None:
            return False
        if not self.counts:
            return True
        record, results = self.folder / RECORD, self.folder / RESULTS
        if not (record.is_file() and results.is_file()):
            return False
        return record.read_bytes() == self._record(_hash_of(self.weights))

    @property
    def training_minutes(self) -> float:
        """Of its whole training on two cores, about; 0 where it does not train."""
        training = self.system.training
        usual = training.hours if training else 0.0
        return 60 * (self.choices.hours or usual) if self.trains else 0.0

    @property
    def evaluation_minutes(self) -> float:
        """Of its evaluation on two cores, about; 0 where it is done or cannot be."""
        minutes = len(self.counts) * self.choices.n_videos / self.system.rate / 60
        idle = not self.counts or self.is_missing or (self.is_done and not self.trains)
        return 0.0 if idle else max(1.0, minutes)

    def evaluate(self, progress: Progress) -> None:
        """Score the system, and write results.json and the record of what it is of.

        Raises:
            OSError: the folder cannot be made; before anything is evaluated.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        weights = _hash_of(self.weights)
        named = {"checkpoint": str(self.weights)} if self.weights else {}
        if self.weights and self.choices.device:
            named["device"] = self.choices.device
        options = {**self.system.options, **named}
        description = self.source.description
        job = Evaluation(
            tracker=Recipe(target=self.system.tracker, options=options, data=description),
            data=self.source,
            plan=make_plan(self.source, self.counts, self.choices.n_videos),
            workers=self.choices.workers or available_cores(),
        )
        results = run(job, progress).results
        if self.weights:
            # The record has the weights' hash; where they lie on this machine says nothing.
            options["checkpoint"] = self.weights.name if self.run is None else self.run.name
            results = replace(results, tracker=replace(results.tracker, options=options))
        write_results(results, self.folder / RESULTS)
        write_text(self.folder / RECORD, self._record(weights).decode())

    def train(self, notice: Callable[[str], None], *, quiet: bool) -> bool:
        """Train, or go on with training; returns whether it came to its end."""
        request = self.training_request()
        options = RunOptions(out=request.out, resume=request.resume, quiet=quiet)
        if asks_for_recipe(request):
            return not run_recipe(request, options, notice)[0].stopped
        return not launch(resolve(request)[0], options).stopped

    def trained(self) -> "Job":
        """The same job with the weights that its training has made."""
        assert self.run is not None
        return replace(self, weights=RunFolder(self.run).best)

    def training_request(self) -> Request:
        """The options of the training: of a new run, or to go on with one."""
        training, run_folder = self.system.training, self.run
        assert training is not None
        assert run_folder is not None
        begun = Request(family=training.family, recipe=training.recipe, out=str(run_folder))
        if (run_folder / RECIPE).exists():
            return replace(begun, resume=True)
        if RunFolder(run_folder).holds_run:
            return replace(begun, resume=True, hours=self.choices.hours)
        root = self.choices.mnist_root
        shows_digits = DATASETS[training.dataset].dataset == "mnist"
        return replace(
            begun,
            dataset=training.dataset,
            preset=training.preset or None,
            hours=self.choices.hours,
            seed=int(run_folder.name.removeprefix("seed-")),
            device=self.choices.device,
            digits=self.choices.digits if shows_digits else None,
            mnist_root=str(root) if root and shows_digits else None,
        )

    def evaluation_command(self) -> str:
        """What evaluates it alone, in any shell on any machine that sees the same folders."""
        shows_digits = self.source.description.dataset == "mnist"
        words = self.choices.words(shows_digits=shows_digits)
        return shlex.join(["smot", "reproduce", self.figure, "--only", self.name, *words])


def _hash_of(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def training_command(request: Request) -> str:
    """`smot train` with the options of a request."""
    words = ["smot", "train", request.recipe or request.family]
    for name in ("dataset", "preset", "hours", "seed", "device", "digits", "mnist_root", "out"):
        value = getattr(request, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *(["--resume"] if request.resume else [])])


def shell_commands(jobs: Sequence[Job]) -> list[str]:
    """Lines that do what is left to do, each on its own; what one training is for is one line."""
    lines: dict[object, list[str]] = {}
    for job in jobs:
        line = lines.setdefault(job.run or (job.dataset, job.name), [])
        if job.trains and not line:
            line.append(training_command(job.training_request()))
        if job.evaluation_minutes:
            line.append(job.evaluation_command())
    return [" && ".join(line) for line in lines.values() if line]


def plan_jobs(names: Sequence[str], choices: Choices) -> list[Job]:
    """Everything that figures need, done or not, each job once.

    Args:
        names: keys of `FIGURES`.
        choices: of the reproduction.

    Raises:
        UsageError, DataError: of the test videos.
    """
    jobs: dict[tuple[str, str], Job] = {}
    sources: dict[str, VideoSource] = {}
    for figure_name in names:
        figure = FIGURES[figure_name]
        if figure.dataset not in sources:
            sources[figure.dataset] = videos_of(figure.dataset, choices)
        source = sources[figure.dataset]
        counts = _test_counts(source)
        if figure.protocol == "show":
            counts = ()
        elif choices.quick and figure.quick_counts:
            counts = figure.quick_counts
        for system in (*figure.systems, *figure.judged):
            runs = list(weights_of(system, choices))
            for name, weights, run_folder in runs if counts else runs[:1]:
                job = Job(
                    name=name,
                    figure=figure_name,
                    system=SYSTEMS[system],
                    dataset=figure.dataset,
                    counts=counts,
                    weights=weights,
                    run=run_folder,
                    choices=choices,
                    source=source,
                )
                jobs.setdefault((figure.dataset, name), job)
    return list(jobs.values())


def _test_counts(source: VideoSource) -> tuple[int, ...]:
    """Its numbers of objects."""
    return tuple(sorted(int(name[5:]) for name in source.groups if name.startswith("test/")))


def videos_of(dataset: str, choices: Choices) -> VideoSource:
    """The test videos of a data set: a file of data/, or made on the spot.

    Raises:
        UsageError, DataError: as `smot.evaluation.testsets.canonical_videos`.
    """
    return canonical_videos(
        dataset,
        digits=choices.digits,
        mnist_root=choices.mnist_root,
        n_videos=choices.n_videos,
        seed=choices.seed,
    )[0]


def weights_of(name: str, choices: Choices) -> Iterator[tuple[str, Path | None, Path | None]]:
    """A system's jobs: name, weights, and the training that makes or made them.

    Runs that were trained here come before weights that were found.
    """
    system = SYSTEMS[name]
    folder = choices.runs / system.weights
    trained = {path.parent: path for path in sorted(folder.glob("seed-*/best.pt"))}
    runs: dict[Path, Path | None] = {}
    if choices.trains and system.training:
        runs = dict.fromkeys(folder / f"seed-{seed}" for seed in range(choices.n_seeds))
    runs |= trained
    if system.weights and runs:
        for run_folder, path in sorted(runs.items()):
            yield f"{name}/{run_folder.name}", path, run_folder
    else:
        for seed, path in found_weights(system, choices).items():
            yield f"{name}/{seed}" if seed else name, path, None


def found_weights(system: System, choices: Choices) -> dict[str, Path | None]:
    """Files of a system's weights, in the package or a folder that was named, by seed.

    `WEIGHTS.pt` has the seed it was trained with, or is "shipped" where `WEIGHTS-seed-N.pt` has
    that one; where there are no weights, or none are needed, there is one run without a seed ("").
    """
    if not system.weights:
        return {"": None}
    folders = (FOLDER, *choices.weights)
    places = (folder / f"{system.weights}.pt" for folder in folders)
    first = next((place for place in places if place.is_file()), None)
    seeds: dict[str, Path | None] = {
        path.stem.removeprefix(f"{system.weights}-"): path
        for folder in folders
        for path in sorted(folder.glob(f"{system.weights}-seed-*.pt"))
    }
    if first:
        seed = f"seed-{load_checkpoint(first).about.seed}"
        seeds["shipped" if seed in seeds else seed] = first
    return dict(sorted(seeds.items())) or {"": None}


def select_jobs(jobs: Sequence[Job], only: str | None) -> list[Job]:
    """The jobs of one system, or of one of its runs; all without a name.

    Raises:
        UsageError: no such job.
    """
    found = [job for job in jobs if only in (None, job.name, job.name.partition("/")[0])]
    if not found:
        raise UsageError(f"no job {only!r}: there are {', '.join(job.name for job in jobs)}")
    return found


def dry_run_lines(jobs: Sequence[Job]) -> list[str]:
    """A line for each job: its state, its minutes, and how to get what is missing."""
    width = max(len(f"{job.dataset} {job.name}") for job in jobs)
    lines = []
    for job in jobs:
        state = f"evaluate, about {job.evaluation_minutes:.0f} min"
        training = job.system.training
        if job.trains:
            minutes = job.training_minutes + job.evaluation_minutes
            state = f"train{' and evaluate' if job.counts else ''}, about {minutes:.0f} min"
        elif job.is_done:
            state = "done" if job.counts else "ready to be drawn"
            state += ", of a training that is not over" if job.run and not job.is_trained else ""
        elif job.is_missing and training is None:
            state = f"missing: {job.system.weights}.pt"
        elif job.is_missing and training is not None:
            run_folder = job.choices.runs / job.system.weights / "seed-0"
            command = training_command(replace(job, run=run_folder).training_request())
            state = f"missing: {job.system.weights}.pt; about {training.hours:g} h of {command}"
        lines.append(f"{f'{job.dataset} {job.name}':<{width}}  {state}")
    trainings = {job.run: job.training_minutes for job in jobs}  # one may be for several jobs
    total = sum(trainings.values()) + sum(job.evaluation_minutes for job in jobs)
    return [*lines, f"in all about {total:.0f} minutes on two cores"]
