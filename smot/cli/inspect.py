"""`smot inspect`, `smot verify` and `smot merge`: look after files of videos."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smot.cli.options import interruptible_bar, progress_bar

if TYPE_CHECKING:
    from smot.videos import VideoFile
    from smot.videos.reading import GroupStatistics

_FILE = click.Path(path_type=Path)
_COLUMNS = ("group", "videos", "objects", "mean", "width", "height", "visible", "hidden")


@click.command("inspect")
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--croissant", "as_card", is_flag=True, help="As a data card: Croissant metadata.")
def inspect_file(file: Path, as_json: bool, as_card: bool) -> None:
    """Say what is in FILE: videos, sizes, source, fingerprints, and what the objects are like.

    Of each group: number of videos, objects per video (range and mean), mean width and height of
    boxes in pixels, mean share of an object that can be seen, and the share of objects of which
    less than half can be seen.
    """
    import json
    from dataclasses import asdict

    from smot.videos import open_videos
    from smot.videos.reading import group_statistics

    with open_videos(file) as videos:
        if as_card:
            from smot.cli.croissant import croissant

            click.echo(croissant(videos))
            return
        statistics = {group: group_statistics(videos, group) for group in videos.groups}
        if as_json:
            groups = {group: asdict(found) for group, found in statistics.items()}
            click.echo(json.dumps({**_about(videos), "groups": groups}, indent=2))
            return
        for name, value in _about(videos).items():
            text = textwrap.fill(_in_words(value), 76, subsequent_indent=" " * 22)
            click.echo(f"{name.replace('_', ' '):<22}{text}")
    click.echo()
    click.echo("  ".join(f"{name:>8}" for name in _COLUMNS))
    for group, found in statistics.items():
        click.echo("  ".join(f"{cell:>8}" for cell in _cells(group, found)))


@click.command()
@click.argument("file", type=_FILE)
@click.option("--quiet", is_flag=True, help="Nothing on the way.")
def verify(file: Path, quiet: bool) -> None:
    """Check all of FILE: layout, checksums, content hash, and boxes against pixels."""
    from smot.videos import open_videos
    from smot.videos.verification import verify as verify_videos

    with open_videos(file) as videos:
        with progress_bar(sum(videos.groups.values()), "video", quiet) as bar:
            n_videos = verify_videos(videos, bar.update)
        click.echo(f"{file}: {n_videos:,} videos, all sound")


@click.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--out", type=_FILE, required=True, help="File to write.")
@click.option("--workers", type=int, help="Threads [one for each core].")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--quiet", is_flag=True, help="Nothing on the way.")
def merge(
    files: tuple[Path, ...], out: Path, workers: int | None, force: bool, quiet: bool
) -> None:
    """Join the shards FILES of a data set into one; the same as if made at once.

    \b
    smot generate mnist --shard 0/2 --out part.h5
    smot generate mnist --shard 1/2 --out part.h5
    smot merge part-0000*.h5 --out data/scattered-mnist-12.h5
    """  # noqa: D301 - click wants the character itself
    from smot.files import available_cores
    from smot.videos import open_videos
    from smot.videos.verification import merge as merge_videos

    with open_videos(files[0]) as first:
        total = sum(first.metadata.totals.values())
    threads = available_cores() if workers is None else workers
    with interruptible_bar(total, quiet) as report:
        fingerprint = merge_videos(files, out, workers=threads, force=force, report=report)
    click.echo(f"{out}: {total:,} videos, content {fingerprint[:16]}")


def _about(videos: "VideoFile") -> dict[str, Any]:
    said, description = videos.metadata, videos.description
    H, W = description.frame_size
    return {
        "name": said.name,
        "file": str(videos.path),
        "bytes": videos.path.stat().st_size,
        "format_version": said.format_version,
        "shard": f"{said.shard.index} of {said.shard.total}",
        "masks": videos.has_masks,
        "video": f"{description.n_frames} frames of {H} x {W} x 3",
        "digit_source": said.digit_source or None,
        "seed": said.seed,
        "settings": dict(said.settings),
        "settings_fingerprint": said.settings_fingerprint,
        "content_fingerprint": said.content_fingerprint,
        "versions": dict(said.versions),
    }


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    text = "none" if value is None else str(value)
    return text if text.isprintable() else repr(text)


def _cells(group: str, found: "GroupStatistics") -> tuple[str, ...]:
    return (
        group,
        f"{found.n_videos:,}",
        f"{found.fewest}-{found.most}",
        f"{found.mean_count:.2f}",
        f"{found.mean_width:.1f}",
        f"{found.mean_height:.1f}",
        f"{found.mean_visibility:.3f}",
        f"{found.hidden:.3f}",
    )
