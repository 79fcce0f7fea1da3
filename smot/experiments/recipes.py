"""Whole recipes: several runs, each from the best weights of the one before, as one command."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from smot.errors import DataError, UsageError
from smot.experiments.forecast import expected_score
from smot.experiments.plans import USUAL_DATASET, Request, resolve
from smot.experiments.runs import Outcome, RunOptions, launch
from smot.experiments.training_data import dataset_of
from smot.files import atomic_path, from_plain, write_text
from smot.models.family import load_family
from smot.training.run_folder import RunFolder

FILE = "recipe.json"
"""What a recipe's folder is known by: the options that it was begun with."""


def asks_for_recipe(request: Request) -> bool:
    """Whether these options mean the family's whole recipe: no single run is described."""
    if request.resume:
        return (Path(request.out) / FILE).exists()
    single = (request.preset, request.steps, request.init_from)
    return bool(_recipe(request)) and not any(single) and not request.assignments


def run_recipe(
    request: Request, options: RunOptions, notice: Callable[[str], None]
) -> tuple[Outcome, str]:
    """Carry out all runs of a recipe; those that are over are passed by.

    Args:
        request: the options; with `resume` those that the recipe was begun with are used.
        options: how, for each run; `out` is the recipe's folder.
        notice: called with lines for the user.

    Returns:
        How the last run ended, and the name of its score.

    Raises:
        UsageError: a folder that holds a run or a recipe already, options that cannot be, or
            hours in which a run makes no update.
        DataError: a recipe that cannot be read, or training that broke.
    """
    folder = Path(request.out)
    if request.resume:
        request = _stored(folder, request)
    elif not options.force and ((folder / FILE).exists() or RunFolder(folder).holds_run):
        raise UsageError(f"{folder} holds a run: --resume goes on, --force restarts")
    stages = recipe_stages(request)
    leads = os.environ.get("RANK", "0") == "0"
    trains = request.recipe or request.family
    expected: list[str] = []
    if not request.resume:
        plan, _ = resolve(stages[0])  # refuses what cannot be before anything is written
        if leads:
            for stage in stages:
                shutil.rmtree(stage.out, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / FILE, json.dumps(asdict(request), indent=2) + "\n")
        expected = expected_score(trains, stages[-1].preset or "", plan.data)
    hours = {stage.preset: stage.hours or 0.0 for stage in stages}
    parts = ", ".join(f"{preset} {each:.2f} h" for preset, each in hours.items())
    total = sum(hours.values())
    notice(f"{trains} on {stages[0].dataset}: {parts}; {total:.2f} h in all")
    for line in expected:
        notice(line)
    for stage in stages:
        resume = RunFolder(stage.out).holds_run
        given = replace(stage, resume=True, init_from=None) if resume else stage
        plan, notices = resolve(given)
        for line in notices:
            notice(line)
        outcome = launch(plan, replace(options, out=stage.out, resume=resume))
        if outcome.stopped:
            return outcome, plan.validation.score
        if not RunFolder(stage.out).best.exists():
            raise UsageError(
                f"{stage.out}: its {stage.hours:.3g} h were over before the first update; "
                "start it over with more hours (--force), or go on by single runs, "
                f"--preset {stage.preset} --init-from the last folder that has a best.pt"
            )
    if leads:
        with atomic_path(folder / "best.pt") as path:
            shutil.copyfile(RunFolder(stages[-1].out).best, path)
    return replace(outcome, folder=folder), plan.validation.score


def recipe_stages(request: Request) -> list[Request]:
    """The options of each run of a recipe, their hours in proportion to the hours asked for."""
    recipe = _recipe(request)
    dataset = request.dataset or (dataset_of(request.data) if request.data else USUAL_DATASET)
    usual = sum(hours for _, hours in recipe)
    scale = 1.0 if request.hours is None else request.hours / usual
    stages: list[Request] = []
    for number, (preset, hours) in enumerate(recipe, 1):
        stage = replace(
            request,
            out=str(Path(request.out) / f"{number}-{preset}"),
            resume=False,
            dataset=dataset,
            preset=preset,
            hours=scale * hours,
            init_from=stages[-1].out if stages else None,
        )
        stages.append(stage)
    return stages


def _recipe(request: Request) -> tuple[tuple[str, float], ...]:
    recipes = load_family(request.family).recipes
    return recipes.get(request.recipe or request.family, ())


def _stored(folder: Path, request: Request) -> Request:
    """The options that a recipe was begun with, in the folder where it is now.

    Raises:
        UsageError: another family, or options that a recipe cannot change.
        DataError: what is stored cannot be read.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: holds no options")
    stored: Request = from_plain(Request, values, what=str(path))
    asked, begun = (each.recipe or each.family for each in (request, stored))
    if asked != begun:
        raise UsageError(f"the recipe in {folder} trains {begun}, not {asked}")
    same = replace(request, resume=False, processes=None, device=None, mnist_root=None)
    if same != Request(family=request.family, recipe=request.recipe, out=request.out):
        raise UsageError(
            "a recipe goes on with the options it was begun with: give --resume and --out alone"
        )
    return replace(
        stored,
        out=str(folder),
        resume=True,
        processes=request.processes or stored.processes,
        device=request.device or stored.device,
        mnist_root=request.mnist_root or stored.mnist_root,
    )
