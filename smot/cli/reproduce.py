"""`smot reproduce`: the figures of the SILOT paper, from what ships or from nothing."""

from pathlib import Path
from typing import Any

import click

from smot.cli.options import (
    NumberRange,
    Request,
    digits_options,
    stage_bars,
    warnings_as_lines,
    with_options,
)
from smot.errors import UsageError

FIGURES = ("fig5", "fig6", "figG3", "figF1", "figF2", "all")

_OPTIONS = (
    click.option("--quick", is_flag=True, help="100 videos of each count; fig6: of 8 counts."),
    click.option(
        "--n-videos", type=click.IntRange(min=1), help="Of each count [1,000; 100 with --quick]."
    ),
    click.option("--dry-run", is_flag=True, help="Say what there is to do, and what is missing."),
    click.option("--jobs", is_flag=True, help="Print what there is to do, one command a line."),
    click.option("--train", "trains", is_flag=True, help="Train what the figure needs."),
    click.option(
        "--seeds",
        "n_seeds",
        type=click.IntRange(min=1),
        default=3,
        help="Runs of each system that are trained.",
    ),
    click.option(
        "--hours",
        type=NumberRange(min=0, min_open=True),
        help="Of each training [what the paper's figures need; see --dry-run].",
    ),
    click.option("--only", metavar="JOB", help="One system, or one of its runs; draws nothing."),
    *digits_options("What the videos must show."),
    click.option(
        "--test-seed",
        "seed",
        type=click.IntRange(min=0),
        default=0,
        help="Of the test videos; 0 for the canonical ones.",
    ),
    click.option("--out", type=click.Path(path_type=Path), help="Folder [results/paper]."),
    click.option(
        "--runs",
        type=click.Path(path_type=Path),
        default=Path("runs/paper"),
        help="Folder of trained weights.",
    ),
    click.option(
        "--weights",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder with weights that do not ship, such as release.",
    ),
    click.option("--workers", type=click.IntRange(min=1), help="Processes [one for each core]."),
    click.option("--device", help="Where learned trackers run: cuda, cuda:N [cpu]."),
    click.option("--quiet", is_flag=True, help="Nothing on the way."),
)


@click.command()
@click.argument("figure", type=click.Choice(FIGURES))
@with_options(_OPTIONS)
def reproduce(**typed: Any) -> None:
    """Evaluate what a FIGURE of the SILOT paper shows, and draw it.

    What is done already is passed by, so the same command goes on, and collects what jobs did
    elsewhere.

    \b
    smot reproduce fig5 --quick
    smot reproduce all --dry-run
    smot reproduce fig5 --train --jobs > jobs.txt    # then: parallel < jobs.txt
    smot reproduce fig5
    """  # noqa: D301
    from smot.files import limit_threads

    limit_threads(1)  # before torch is loaded; see `smot eval`
    from smot.experiments.reproduction import (
        dry_run_lines,
        plan_jobs,
        select_jobs,
        shell_commands,
    )

    request = Request(**typed)
    names = FIGURES[:-1] if request.figure == "all" else (request.figure,)
    choices = _choices(request)
    with warnings_as_lines():
        jobs = plan_jobs(names, choices)
    jobs = select_jobs(jobs, request.only)
    if request.dry_run or request.jobs:
        for line in shell_commands(jobs) if request.jobs else dry_run_lines(jobs):
            click.echo(line)
        return
    _work(request, jobs)
    if request.only is None:
        from smot.experiments.paper_page import draw

        with warnings_as_lines():
            jobs = plan_jobs(names, choices)
        for path in draw(names, jobs, choices, request.figure):
            click.echo(str(path))


def _choices(request: Request) -> Any:
    from smot.experiments.reproduction import Choices

    usual = Path("results/paper-quick" if request.quick else "results/paper")
    names = "runs weights quick n_seeds trains hours digits mnist_root seed workers device"
    return Choices(
        out=request.out or usual,
        n_videos=request.n_videos or (100 if request.quick else 1_000),
        **{name: getattr(request, name) for name in names.split()},
    )


def _work(request: Request, jobs: Any) -> None:
    """Train and evaluate what is not done yet."""

    def notice(line: str) -> None:
        if not request.quiet:
            click.echo(f"smot: {line}", err=True)

    for job in jobs:
        if job.is_missing:
            fault = f"no weights ({job.system.weights}.pt)"
            if request.only:
                raise UsageError(f"{job.name}: {fault}")
            notice(f"{job.name} is left out: {fault}")
            continue
        if job.trains:
            if not job.train(notice, quiet=request.quiet):
                raise KeyboardInterrupt
            job = job.trained()
        elif job.run and not job.is_trained:
            notice(f"{job.run}: its training has not come to its end; --train goes on with it")
        if not job.is_done:
            with stage_bars(request.quiet) as progress:
                job.evaluate(progress)
            notice(f"{job.folder}: evaluated")
