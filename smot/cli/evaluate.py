"""`smot eval` and `smot baseline`: score trackers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smot.cli.options import (
    CKPT_OPTION,
    DATASET_OPTIONS,
    SET_OPTION,
    Request,
    find_videos,
    read_counts,
    stage_bars,
    tracker_options,
    with_options,
)

if TYPE_CHECKING:
    from smot.evaluation.protocols import Job
    from smot.evaluation.run import Outcome

BASELINES = ("conncomp", "oracle", "oracle-jitter", "oracle-motion")
# Another process takes seconds to start: fewer videos are not worth one.
_VIDEOS_PER_WORKER = 200

_OPTIONS = (
    SET_OPTION,
    click.option("--data", type=click.Path(path_type=Path), help="File of videos."),
    *DATASET_OPTIONS,
    click.option(
        "--counts", callback=read_counts, metavar="1-6,12", help="Numbers of objects [all]."
    ),
    click.option("--n-videos", type=int, help="The first so many of each count [all]."),
    click.option(
        "--tune",
        type=click.Choice(["global", "per-count", "off"]),
        help="On the validation videos [per-count, where there is something to tune].",
    ),
    click.option("--observe", type=int, default=3, show_default=True, help="Frames seen ..."),
    click.option(
        "--horizon", type=int, default=5, show_default=True, help="... and then predicted."
    ),
    click.option(
        "--convention",
        type=click.Choice(["py-motmetrics", "trackeval"]),
        default="py-motmetrics",
        show_default=True,
        help="Whose CLEAR-MOT.",
    ),
    click.option(
        "--backend",
        type=click.Choice(["smot", "motmetrics"]),
        default="smot",
        show_default=True,
        help="motmetrics: the library itself; slow, and without HOTA and AP.",
    ),
    click.option("--workers", type=int, help="Processes [one for each core and 200 videos]."),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads of each process.",
    ),
    click.option("--out", type=click.Path(path_type=Path), help="Folder [results/NAME-on-DATA]."),
    click.option("--json", "as_json", is_flag=True, help="Print results.json, not the table."),
    click.option("--events", "with_events", is_flag=True, help="Write every error: events.csv."),
    click.option("--save-tracks", is_flag=True, help="Write what was tracked: tracks.npz."),
    click.option("--no-report", is_flag=True, help="Do not write report.html."),
    click.option("--quiet", is_flag=True, help="Nothing on the way."),
)


@click.command("eval")
@click.argument("name")
@CKPT_OPTION
@with_options(_OPTIONS)
def evaluate(**typed: Any) -> None:
    """Evaluate the tracker NAME: a name that `smot trackers` lists, or module:Class.

    Writes results.json, results.csv and report.html, and prints a table.

    \b
    smot eval silot --ckpt runs/a
    smot eval conncomp --data data/demo.h5 --counts 1-6 --set threshold=0.5
    smot eval my_package.trackers:MyTracker --n-videos 100 --workers 2
    """  # noqa: D301
    _evaluate(Request(**typed))


@click.command()
@click.argument("name", type=click.Choice(BASELINES))
@with_options(_OPTIONS)
def baseline(**typed: Any) -> None:
    """Evaluate a tracker that does not learn; otherwise the same as `smot eval`.

    The oracles are shown the ground truth: marks to read the curves of others against.

    \b
    smot baseline conncomp --out results/conncomp
    smot baseline oracle-motion
    """  # noqa: D301
    _evaluate(Request(**typed))


def _evaluate(request: Request) -> None:
    from smot.files import available_cores, limit_threads

    # Before numpy and torch are loaded. Threads that wait for each other are slow on a machine
    # that does other work too; processes are not.
    limit_threads(request.threads)
    from smot.evaluation.protocols import EvaluationSettings, Job
    from smot.evaluation.report.tables import terminal_table
    from smot.evaluation.results import dumped
    from smot.evaluation.run import run
    from smot.evaluation.testsets import make_plan
    from smot.trackers import Recipe

    settings = EvaluationSettings(
        convention=request.convention,
        backend=request.backend,
        observe=request.observe,
        horizon=request.horizon,
    )
    options = tracker_options(getattr(request, "ckpt", None), request.assignments)
    source = find_videos(
        request.data,
        request,
        counts=request.counts,
        n_videos=request.n_videos,
        quiet=request.quiet,
    )
    plan = make_plan(source, request.counts, request.n_videos)
    workers = request.workers
    if workers is None:
        n_videos = sum(plan.n_videos.values())
        workers = max(1, min(available_cores(), n_videos // _VIDEOS_PER_WORKER))
    job = Job(
        tracker=Recipe(target=request.name, options=options, data=source.description),
        data=source,
        plan=plan,
        settings=settings,
        tune=request.tune,
        workers=workers,
        with_events=request.with_events,
        with_tracks=request.save_tracks,
    )
    folder = request.out or _usual_folder(request.name, options, source.metadata.name)
    folder.mkdir(parents=True, exist_ok=True)
    with stage_bars(request.quiet) as progress:
        outcome = run(job, progress)
    _write(request, job, outcome, folder)
    results = outcome.results
    click.echo(dumped(results).rstrip() if request.as_json else terminal_table(results))


def _usual_folder(name: str, options: Mapping[str, str], dataset: str) -> Path:
    """The folder of a tracker's results; one for each of its modes, if it has such."""
    mode = f"-{options['mode']}" if "mode" in options else ""
    return Path("results") / re.sub(r"[^\w.-]+", "-", f"{name}{mode}-on-{dataset}")


def _write(request: Request, job: "Job", outcome: "Outcome", folder: Path) -> None:
    from smot.evaluation.metrics.events import events_csv
    from smot.evaluation.report.tables import to_csv
    from smot.evaluation.results import write_results
    from smot.files import write_text

    write_results(outcome.results, folder / "results.json")
    write_text(folder / "results.csv", to_csv(outcome.results))
    names = ["results.json", "results.csv"]
    if request.with_events:
        write_text(folder / "events.csv", events_csv(outcome.errors))
        names.append("events.csv")
    if request.save_tracks:
        from smot.interchange import write_npz

        write_npz(folder / "tracks.npz", outcome.tracks)
        names.append("tracks.npz")
    if not request.no_report:
        from smot.evaluation.report.gallery import gallery
        from smot.evaluation.report.page import render_report

        page = render_report(outcome.results, gallery(outcome, job.data))
        write_text(folder / "report.html", page)
        names.append("report.html")
    if not request.quiet:
        click.echo(f"smot: {folder}: {', '.join(names)} written", err=True)
