"""`smot show`, `smot trackers` and `smot weights`: look at videos, trackers and what ships."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smot.cli.options import (
    CKPT_OPTION,
    DATASET_OPTIONS,
    SET_OPTION,
    OutputFile,
    Request,
    find_videos,
    tracker_options,
    with_options,
)

if TYPE_CHECKING:
    from smot.evaluation.testsets import VideoSource
    from smot.filmstrips import AnyRow, Span
    from smot.tracks import Contestant
    from smot.videos import Videos

_STILL, _MOVING = (".png", ".pdf", ".svg"), (".gif", ".mp4")
_OPTIONS = (
    click.option("--video", type=int, default=0, help="Which of the group."),
    click.option("--group", help="train, val or test/NN [val, else the first]."),
    click.option("--tracker", "name", help="A name that `smot trackers` lists, or module:Class."),
    CKPT_OPTION,
    SET_OPTION,
    click.option("--masks", is_flag=True, help="Colour the pixels of each object."),
    click.option("--predict", is_flag=True, help="Let the tracker predict the later frames."),
    click.option("--observe", type=click.IntRange(1), default=3, help="Frames seen ..."),
    click.option("--horizon", type=click.IntRange(1), default=5, help="... and then predicted."),
    *DATASET_OPTIONS,
    click.option(
        "--out",
        type=OutputFile(*_STILL, *_MOVING),
        help="PNG, PDF, SVG, GIF or MP4 [DATA-GROUP-VIDEO-TRACKER.png].",
    ),
    click.option("--gif", is_flag=True, help="Write a GIF beside the PNG."),
    click.option("--scale", type=int, default=4, help="Size of a pixel."),
    click.option("--quiet", is_flag=True, help="Nothing on the way."),
)


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@with_options(_OPTIONS)
def show(**typed: Any) -> None:
    """Draw a video of FILE, or of the canonical data set, as a filmstrip.

    With a tracker, also what it makes of the video: boxes coloured by identity, dashed where an
    object was discovered in the frame; and for models with objects, their appearances and the
    reconstruction.

    \b
    smot show data/demo.h5 --video 3
    smot show --ckpt runs/a --group test/06 --video 3 --out silot.png
    smot show --ckpt runs/a --group test/06 --predict --out silot.gif
    smot show data/demo.h5 --tracker conncomp --group test/03
    smot show data/masks.h5 --tracker silot --masks
    """  # noqa: D301
    request = Request(**typed)
    _check(request)
    source = _source(request)
    usual = "val" if "val" in source.groups else next(iter(source.groups))
    group = request.group or usual
    video = source.read(group, request.video, request.video + 1, masks=request.masks)
    said = f"{group}, video {request.video}, {video.count[0]} objects"
    tracker = _tracker(request, source)
    rows, spans = _rows(request, tracker, video, group)
    if tracker is None:
        _write(request, rows, spans, _path(request, source, group), said)
    else:
        path = _path(request, source, group, tracker.name)
        _write(request, rows, spans, path, f"{tracker.name} on {said}")


@click.command()
def trackers() -> None:
    """List every tracker that can be named, and any plug-in that is broken."""
    from smot.trackers import list_trackers

    rows = list_trackers()
    width = max(len(row.name) for row in rows)
    for row in rows:
        state = f"broken: {row.problem}" if row.problem else row.summary
        click.echo(f"{row.name:<{width}}  {row.origin:<10}  {state}")


@click.command()
def weights() -> None:
    """List the weights that ship: trained on what, with which validation score, in what time.

    The hash is SHA-256 of the file. All are under the licence of the package, MIT.
    """
    import hashlib

    from smot.models.checkpoints import load_checkpoint
    from smot.models.packaged import FOLDER

    rows = [("file", "trained on", "validation score", "hours", "MB", "hash")]
    for path in sorted(FOLDER.glob("*.pt")):
        about, content = load_checkpoint(path).about, path.read_bytes()
        seen = about.data
        videos = f"1-{seen.max_objects} {seen.digit_source or seen.dataset}" if seen else "unknown"
        score = "none" if about.score is None else f"{about.score_name} {about.score:.3f}"
        size, digest = f"{len(content) / 1e6:.1f}", hashlib.sha256(content).hexdigest()[:16]
        rows.append((path.name, videos, score, f"{about.hours:.2f}", size, digest))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
    click.echo("licence: MIT, as the package; cards: docs/results.md")


def _check(request: Request) -> None:
    if request.name is None and request.ckpt is None:
        for given, option in ((request.predict, "--predict"), (request.assignments, "--set")):
            if given:
                raise click.UsageError(f"{option} needs a tracker: give --ckpt or --tracker")
    if request.predict and request.masks:
        raise click.UsageError("predictions have no masks: --masks is not for --predict")


def _source(request: Request) -> "VideoSource":
    """The videos, among them those of the group that is wanted."""
    tests = re.fullmatch(r"test/(\d+)", request.group or "")
    return find_videos(
        request.file,
        request,
        counts=[int(tests[1])] if tests else [],
        n_videos=max(request.video + 1, 1) if tests else None,
        quiet=request.quiet or request.file is not None,
    )


def _tracker(request: Request, source: "VideoSource") -> "Contestant | None":
    """The tracker that is named, or the one whose weights the checkpoint holds."""
    from smot.trackers import build_tracker

    name: str | None = request.name
    if name is None and request.ckpt is not None:
        from smot.models.checkpoints import load_checkpoint

        name = load_checkpoint(request.ckpt).about.family
    if name is None:
        return None
    options = tracker_options(request.ckpt, request.assignments)
    return build_tracker(name, options, source.description)


def _rows(
    request: Request, tracker: "Contestant | None", video: "Videos", group: str
) -> tuple["Sequence[AnyRow]", "Sequence[Span]"]:
    """What to draw, and which frames were seen and which predicted."""
    from smot.evaluation.report.gallery import follow, foresee, segment
    from smot.filmstrips import Span, masked, rows_of, trace_rows, track_rows

    frames, truth = video.frames[0], video.truth
    if tracker is None:
        return [masked(row) for row in rows_of(frames, truth=truth)], []
    n_seen, n_frames, spans = None, len(frames), []
    if request.predict:
        n_seen, n_frames = request.observe, request.observe + request.horizon
        shown = foresee(tracker, video, n_seen, request.horizon, group, request.video)
        spans = [
            Span(label="seen", start=0, stop=n_seen),
            Span(label="predicted without seeing the frames", start=n_seen, stop=n_frames),
        ]
    else:
        shown = follow(tracker, video, group, request.video)
    frames, truth = frames[:n_frames], truth[:, :n_frames]
    rows: Sequence[AnyRow]
    if shown.trace is None:
        rows = track_rows(frames, shown.tracks, truth=truth, n_seen=n_seen)
    else:
        rows = trace_rows(frames, shown.trace, truth=truth, n_seen=n_seen)
    if request.masks:
        tracks = segment(tracker, video, group, request.video)
        true, found = map(masked, track_rows(frames, tracks, truth=truth))
        rows = [true, *rows[1:], replace(found, label="masks")]
    return rows, spans


def _path(request: Request, source: "VideoSource", group: str, tracker: str = "") -> Path:
    """Where the picture goes."""
    if request.out is not None:
        return Path(request.out)
    stem = request.file.stem if request.file else source.metadata.name
    parts = [stem, group, str(request.video), tracker, "predicted" if request.predict else ""]
    return Path(re.sub(r"[^\w.-]+", "-", "-".join(part for part in parts if part)) + ".png")


def _write(
    request: Request, rows: "Sequence[AnyRow]", spans: "Sequence[Span]", path: Path, said: str
) -> None:
    from smot.filmstrips import animation, save_gif, save_strip, save_video

    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix in _STILL:
        save_strip(path, rows, scale=request.scale, spans=spans)
    if suffix in _MOVING or request.gif:
        pictures = animation(rows, scale=request.scale, spans=spans)
        (save_video if suffix == ".mp4" else save_gif)(
            path if suffix in _MOVING else path.with_suffix(".gif"), pictures
        )
    click.echo(f"{path}: {said}")
    if request.gif and suffix != ".gif":
        click.echo(str(path.with_suffix(".gif")))
