"""`smot convert` and `smot export`: data and tracks from and to other tools."""

from pathlib import Path
from typing import Any

import click

from smot.cli.options import (
    FIRST_FRAME_OPTION,
    OutputFile,
    Request,
    interruptible_bar,
    read_size,
    warnings_as_lines,
    with_options,
)

_PATH = click.Path(path_type=Path)
CLASSES_OPTION = click.option(
    "--classes",
    type=click.Choice(["motchallenge", "together"]),
    help="motchallenge: pedestrians alone [for MOTChallenge text, else together].",
)


@click.command()
@click.argument("videos", type=_PATH)
@with_options(
    (
        click.option("--truth", type=_PATH, help="True tracks [gt/gt.txt beside the videos]."),
        click.option(
            "--out", required=True, type=OutputFile(".h5", ".hdf5"), help="File to write."
        ),
        click.option("--n-frames", type=int, help="Of the clips [the shortest video's]."),
        click.option("--resize", callback=read_size, metavar="HxW", help="Size of the frames."),
        click.option(
            "--by",
            "groups",
            type=click.Choice(["count", "video"]),
            default="count",
            help="Clips with as many objects are a group, or those of a video.",
        ),
        click.option(
            "--split",
            type=click.Choice(["test", "val", "train"]),
            default="test",
            help="What the clips are for.",
        ),
        CLASSES_OPTION,
        FIRST_FRAME_OPTION,
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
        click.option("--quiet", is_flag=True, help="Nothing on the way."),
    )
)
def convert(**typed: Any) -> None:
    """Make a file of smot from VIDEOS and their true tracks.

    VIDEOS is a folder of MOTChallenge sequences (img1/, gt/gt.txt), or of videos and folders of
    frames with --truth: text or tables of the same names, or COCO-VID. Videos are cut into clips
    of equal length.

    \b
    smot convert MOT17/train --out mot17.h5 --n-frames 30 --resize 135x240
    smot convert clips --truth truth.json --out clips.h5 --by video
    """  # noqa: D301
    request = Request(**typed)
    from smot.interchange.converting import ConvertSettings
    from smot.interchange.converting import convert as convert_videos
    from smot.interchange.footage import open_footage, total_frames
    from smot.interchange.sources import open_source

    with warnings_as_lines():
        footage = open_footage(request.videos)
        truth = open_source(
            request.truth or request.videos, is_truth=True, first_frame=request.first_frame
        )
        usual = "motchallenge" if truth.is_motchallenge else "together"
        settings = ConvertSettings(
            n_frames=request.n_frames,
            frame_size=request.resize,
            groups=request.groups,
            split=request.split,
            classes=request.classes or usual,
        )
        with interruptible_bar(total_frames(footage), request.quiet, "frame") as report:
            found = convert_videos(
                footage, truth, request.out, settings, force=request.force, report=report
            )
    held = ", ".join(f"{group} {n_clips:,}" for group, n_clips in found.items())
    click.echo(f"{request.out}: {sum(found.values()):,} clips: {held}")


@click.command()
@click.argument("tracks", type=_PATH)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mot", "trackeval", "coco"]),
    required=True,
    help="MOTChallenge text, TrackEval's folders, COCO-VID JSON.",
)
@click.option("--out", required=True, type=_PATH, help="New folder, or for coco new file.")
@click.option("--truth", type=_PATH, help="For trackeval and coco: the truth of the predictions.")
@click.option("--group", help="Videos of one group alone, such as test/06.")
@click.option(
    "--confidence", type=float, help="Predictions above it [0.5 for smot's own, else all]."
)
@FIRST_FRAME_OPTION
@click.option("--name", help="What TrackEval calls the tracker [the file's name].")
def export(
    tracks: Path,
    kind: Any,
    out: Path,
    truth: Path | None,
    group: str | None,
    confidence: float | None,
    first_frame: int | None,
    name: str | None,
) -> None:
    """Write TRACKS (a file of smot, npz, or whatever `smot score` reads) for another tool.

    \b
    smot export data/demo.h5 --group test/06 --format coco --out truth.json
    smot export results/conncomp/tracks.npz --format mot --out mine
    smot export tracks.npz --truth data/demo.h5 --format trackeval --out both
    """  # noqa: D301
    from smot.interchange.exporting import chosen
    from smot.interchange.exporting import export as export_tracks
    from smot.interchange.sources import open_source

    with warnings_as_lines():
        source = chosen(open_source(tracks, is_truth=False, first_frame=first_frame), group)
        if confidence is None and source.has_threshold:
            confidence = 0.5
        n_videos = export_tracks(
            source,
            out,
            kind,
            truth=None
            if truth is None
            else open_source(truth, is_truth=True, first_frame=first_frame),
            confidence=confidence,
            name=name or tracks.stem,
        )
    click.echo(f"{out}: {n_videos:,} videos")
