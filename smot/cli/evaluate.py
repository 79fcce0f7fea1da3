"""`smot eval` and `smot baseline`: score trackers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from smot.cli.options import (
    CKPT_OPTION,
    CONVENTION_OPTION,
    DATASET_OPTIONS,
    RESULT_OPTIONS,
    SET_OPTION,
    Request,
    find_videos,
    read_counts,
    results_folder,
    show_results,
    stage_bars,
    tracker_options,
    with_options,
)

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
    click.option("--observe", type=int, default=3, help="Frames seen ..."),
    click.option("--horizon", type=int, default=5, help="... and then predicted."),
    CONVENTION_OPTION,
    click.option(
        "--backend",
        type=click.Choice(["smot", "motmetrics"]),
        default="smot",
        help="motmetrics: the library itself; slow, and without HOTA and AP.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Processes [one for each core and 200 videos].",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), default=1, help="Threads of each process."
    ),
    click.option("--events", "with_events", is_flag=True, help="Write every error: events.csv."),
    click.option("--save-tracks", is_flag=True, help="Write what was tracked: tracks.npz."),
    *RESULT_OPTIONS,
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
    from smot.evaluation.metrics.events import events_csv
    from smot.evaluation.protocols import EvaluationSettings, Job
    from smot.evaluation.report.gallery import gallery
    from smot.evaluation.run import run
    from smot.evaluation.testsets import make_plan
    from smot.files import write_text
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
    mode = f"-{options['mode']}" if "mode" in options else ""  # results of each of its modes
    folder = results_folder(request, f"{request.name}{mode}", source.metadata.name)
    folder.mkdir(parents=True, exist_ok=True)
    with stage_bars(request.quiet) as progress:
        outcome = run(job, progress)
    more: dict[str, Callable[[Path], object]] = {}
    if request.with_events:
        more["events.csv"] = lambda path: write_text(path, events_csv(outcome.errors))
    if request.save_tracks:
        from smot.interchange import write_npz

        more["tracks.npz"] = lambda path: write_npz(path, outcome.tracks)
    show_results(
        outcome.results,
        folder,
        request,
        pictures=lambda: gallery(outcome, job.data),
        more=more,
    )
