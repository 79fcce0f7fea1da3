"""`smot score`: score predictions in files against truth in files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smot.cli.options import (
    CONVENTION_OPTION,
    FIRST_FRAME_OPTION,
    RESULT_OPTIONS,
    Request,
    interruptible_bar,
    read_name,
    results_folder,
    show_results,
    warnings_as_lines,
    with_options,
)

if TYPE_CHECKING:
    from smot.interchange.scoring import ScoreSettings
    from smot.interchange.sources import Source

_PATH = click.Path(path_type=Path)
# Another process takes seconds to start: less to read is not worth one.
_BYTES_PER_WORKER = 4 << 20

_OPTIONS = (
    click.option("--truth", required=True, type=_PATH, help="File or folder of the true tracks."),
    click.option("--pred", "found", required=True, type=_PATH, help="The predicted ones."),
    click.option(
        "--name", callback=read_name, help="What to call the tracker [name of the predictions]."
    ),
    click.option(
        "--classes",
        type=click.Choice(["motchallenge", "together", "apart"]),
        help="motchallenge: pedestrians alone [for MOTChallenge text, else together].",
    ),
    click.option(
        "--by",
        "groups",
        type=click.Choice(["all", "sequence", "count"]),
        default="all",
        help="A row for each video, or for each number of objects.",
    ),
    click.option("--iou", type=float, default=0.5, help="Least of a match."),
    click.option(
        "--confidence",
        type=float,
        help="Predictions count above it [0.5 for smot's own, else all count].",
    ),
    CONVENTION_OPTION,
    FIRST_FRAME_OPTION,
    click.option("--workers", type=click.IntRange(1), help="Processes [one for each core]."),
    *RESULT_OPTIONS,
)


@click.command()
@with_options(_OPTIONS)
def score(**typed: Any) -> None:
    """Score predicted tracks against true ones, whatever made them.

    Both may be MOTChallenge text, folders as MOTChallenge and TrackEval have them, COCO-VID JSON,
    tables with named columns (CSV, Parquet), npz, or files of smot. Videos are matched by name.

    \b
    smot score --truth gt/MOT17-train --pred trackers/MOT17-train/mine --by sequence
    smot score --truth truth.json --pred mine.json --classes apart
    smot score --truth data/demo.h5 --pred results/conncomp/tracks.npz --by count
    """  # noqa: D301
    request = Request(**typed)
    import time

    from smot.interchange.scoring import pair_up_sources, results_of, score_pairs
    from smot.interchange.sources import open_source

    began, first = time.perf_counter(), request.first_frame
    with warnings_as_lines():
        truth = open_source(request.truth, is_truth=True, first_frame=first)
        found = open_source(
            request.found, is_truth=False, places=truth.places or None, first_frame=first
        )
        settings = _settings(request, truth, found)
        pairs, notices = pair_up_sources(truth, found)
        workers = _workers(request, len(pairs))
        with interruptible_bar(len(pairs), request.quiet) as report:
            scored = score_pairs(pairs, settings, workers=workers, progress=report)
    notices += [doubt for each in scored for doubt in each.doubts]
    classes = sorted(set().union(*(each.classes for each in scored)))
    if settings.classes == "motchallenge" and classes not in ([], [1]):
        notices.append(
            f"of the classes {', '.join(map(str, classes))} pedestrians (1) are scored, as "
            "MOTChallenge has it; --classes together or apart takes all"
        )
    for notice in notices if not request.quiet else ():
        click.echo(f"smot: {notice}", err=True)
    name = request.name or _stem(request.found)
    results = results_of(
        scored,
        settings,
        names=(name, _stem(request.truth)),
        origin=request.truth,
        began=began,
        workers=workers,
    )
    show_results(results, results_folder(request, name, results.dataset.name), request)


def _settings(request: Request, truth: "Source", found: "Source") -> "ScoreSettings":
    from smot.evaluation.metrics.matching import MatchSettings
    from smot.evaluation.protocols import EvaluationSettings
    from smot.interchange.scoring import ScoreSettings

    usual = MatchSettings().confidence if found.has_threshold else None
    return ScoreSettings(
        evaluation=EvaluationSettings(
            iou_threshold=request.iou,
            convention=request.convention,
            confidence=request.confidence or 0.0,
        ),
        confidence=usual if request.confidence is None else request.confidence,
        classes=request.classes or ("motchallenge" if truth.is_motchallenge else "together"),
        groups=request.groups,
    )


def _workers(request: Request, n_videos: int) -> int:
    from smot.files import available_cores

    if request.workers is not None:
        return int(request.workers)
    sides = (request.truth, request.found)
    files = [file for side in sides for file in ([side] if side.is_file() else side.rglob("*.*"))]
    size: int = sum(
        file.stat().st_size for file in files if file.suffix in (".txt", ".csv", ".h5")
    )
    return max(1, min(available_cores(), n_videos, size // _BYTES_PER_WORKER))


def _stem(path: Path) -> str:
    """A name for tables: that of the file or folder, or of what holds it if it says nothing."""
    path = path.resolve()
    name, is_plain = (path.stem, "tracks") if path.is_file() else (path.name, "data")
    name = path.parent.name if name in (is_plain, "gt") else name
    return name.encode(errors="replace").decode()  # names of files may be any bytes
