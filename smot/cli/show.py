"""``smot show``: look at a video."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--video", type=int, default=0, show_default=True, help="Which of the group.")
@click.option("--group", help="train, val or test/NN [val, else the first].")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write [FILE-GROUP-VIDEO.png]."
)
@click.option("--gif", is_flag=True, help="Write a GIF beside it.")
@click.option("--scale", type=int, default=4, show_default=True, help="Size of a pixel.")
def show(
    file: Path, video: int, group: str | None, out: Path | None, gif: bool, scale: int
) -> None:
    """Draw a video of FILE as a filmstrip, with boxes coloured by identity."""
    from smot.filmstrips import animation, rows_of, save_gif, strip
    from smot.videos import open_videos

    with open_videos(file) as videos:
        chosen = group or ("val" if "val" in videos.groups else next(iter(videos.groups)))
        shown = videos.read(chosen, video, video + 1)
    picture = out or Path(f"{file.stem}-{chosen.replace('/', '-')}-{video}.png")
    rows = rows_of(shown.frames[0], truth=shown.truth)
    picture.parent.mkdir(parents=True, exist_ok=True)
    strip(rows, scale=scale).save(picture)
    click.echo(f"{picture}: {chosen}, video {video}, {shown.count[0]} objects")
    if gif:
        moving = picture.with_suffix(".gif")
        save_gif(moving, animation(rows, scale=scale))
        click.echo(str(moving))
