"""`smot track`: a tracker on videos of one's own."""

from pathlib import Path
from typing import Any

import click

from smot.cli.options import (
    CKPT_OPTION,
    SET_OPTION,
    OutputFile,
    Request,
    interruptible_bar,
    read_size,
    tracker_options,
    warnings_as_lines,
    with_options,
)


@click.command()
@click.argument("name", metavar="TRACKER")
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_options(
    (
        click.option(
            "--format",
            "kind",
            type=click.Choice(["mot", "coco", "npz"]),
            default="mot",
            help="MOTChallenge text, COCO-VID predictions, arrays.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default="tracks",
            help="Folder for a file of tracks for each video.",
        ),
        click.option(
            "--overlay",
            type=OutputFile(".mp4", ".gif"),
            help="Film with boxes; of several videos, one each: FILE-VIDEO.mp4.",
        ),
        click.option("--filmstrip", is_flag=True, help="Draw a strip beside the tracks."),
        click.option("--resize", callback=read_size, metavar="HxW", help="What the tracker sees."),
        click.option("--group", help="Of a file of smot."),
        CKPT_OPTION,
        SET_OPTION,
        click.option("--force", is_flag=True, help="Replace files that exist."),
        click.option("--quiet", is_flag=True, help="Nothing on the way."),
    )
)
def track(**typed: Any) -> None:
    """Track the objects of VIDEOS: video files, GIFs, folders of frames, npy, npz, files of smot.

    Boxes are in the pixels of the video, whatever the tracker sees. Objects with a confidence
    above 0.5 are written.

    \b
    smot track silot clip.mp4 --overlay seen.mp4
    smot track conncomp clips/ --format coco --out found --filmstrip
    """  # noqa: D301
    request = Request(**typed)
    from smot.errors import UsageError
    from smot.files import check_target
    from smot.interchange.footage import open_footage, total_frames
    from smot.interchange.sources import shown
    from smot.interchange.tracking import ENDINGS, Followed, run, save_filmstrip, write_tracks

    with warnings_as_lines():
        footage = [each for path in request.videos for each in open_footage(path, request.group)]
    names = [each.name for each in footage]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"several videos are called {shown(twice)}: track them one by one")
    with interruptible_bar(total_frames(footage), request.quiet, "frame") as report:
        for each in footage:
            path = request.out / f"{each.name}{ENDINGS[request.kind]}"
            film = request.overlay
            if film is not None and len(footage) > 1:
                film = film.with_name(f"{film.stem}-{each.name}{film.suffix}")
            strip = path.with_suffix(".png") if request.filmstrip else None
            for target in (path, film, strip):
                if target is not None:
                    check_target(target, replace=request.force)
            tracker, size = _tracker(request, each)
            followed = Followed(footage=each, tracker=tracker, size=request.resize, report=report)
            tracks = run(followed, film)
            write_tracks(tracks, path, request.kind, size)
            if strip is not None:
                save_filmstrip(followed, strip)
            _, n_frames, _ = tracks.shape
            n_objects = len({*tracks.ids.ravel().tolist()} - {-1})
            more = "".join(f", {other}" for other in (film, strip) if other is not None)
            click.echo(f"{path}: {n_frames:,} frames, {n_objects:,} objects{more}")


def _tracker(request: Request, footage: Any) -> tuple[Any, tuple[int, int]]:
    """The tracker for a video, and the video's H, W; says whether frames are resized."""
    from dataclasses import replace

    from smot.errors import UsageError
    from smot.interchange.footage import describe
    from smot.trackers import build_tracker
    from smot.tracks import Tracker

    description = describe(footage)
    (H, W), size = description.frame_size, request.resize
    if size is not None and size != (H, W):
        said = f"{footage.name}: {H} x {W} pixels, resized to {size[0]} x {size[1]}"
        click.echo(f"smot: {said} for the tracker", err=True)
        description = replace(description, frame_size=size)
    options = tracker_options(request.ckpt, request.assignments)
    tracker = build_tracker(request.name, options, description)
    if not isinstance(tracker, Tracker):
        raise UsageError(f"{request.name} needs the truth, which videos of one's own do not have")
    return tracker, (H, W)
