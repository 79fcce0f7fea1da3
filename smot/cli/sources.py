"""Which videos and which tracker a command is about: the options, and what they lead to."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from smot.evaluation.testsets import VideoSource

DATASET_OPTIONS = (
    click.option(
        "--dataset",
        default="mnist-12",
        show_default=True,
        metavar="NAME",
        help="Without a file: mnist-12, mnist-6, shapes-48 or shapes-96, from data/ or made now.",
    ),
    click.option(
        "--digits",
        type=click.Choice(["auto", "mnist", "mnist-5k"]),
        default="auto",
        show_default=True,
        help="What the videos must show.",
    ),
    click.option(
        "--mnist-root",
        type=click.Path(path_type=Path),
        help="Folder of MNIST [SMOT_MNIST_ROOT, else the user's cache].",
    ),
)
"""For what `find_videos` needs to know."""

CKPT_OPTION = click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    help="Weights of a learned tracker: a file, or a run's folder.",
)

SET_OPTION = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Option of the tracker."
)


def tracker_options(checkpoint: Path | None, assignments: Sequence[str]) -> dict[str, str]:
    """A tracker's options by name; --ckpt is one of them.

    Args:
        checkpoint: of --ckpt.
        assignments: of --set, key=value each.
    """
    options = {} if checkpoint is None else {"checkpoint": str(checkpoint)}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{assignment!r} is not key=value", param_hint="'--set'")
        if key in options:
            raise click.BadParameter(f"{key} is set twice", param_hint="'--set'")
        options[key] = value
    return options


def find_videos(
    path: Path | None,
    *,
    dataset: str,
    digits: str,
    mnist_root: Path | None,
    counts: Sequence[int] | None,
    n_videos: int | None,
    quiet: bool,
) -> "VideoSource":
    """The videos of a file, or canonical ones; says which they are.

    Args:
        path: the file; None for the canonical data set.
        dataset: of --dataset.
        digits: of --digits.
        mnist_root: of --mnist-root.
        counts: numbers of objects that are wanted; None for the paper's.
        n_videos: videos of each count that are wanted; None for as many as there are.
        quiet: whether to say nothing but warnings.
    """
    from smot.evaluation.testsets import canonical_videos, check_digits
    from smot.videos import open_videos

    source: VideoSource
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        if path is not None:
            source, said = open_videos(path), f"test videos from {path}"
            check_digits(source, digits)
        else:
            source, said = canonical_videos(
                dataset, digits=digits, mnist_root=mnist_root, counts=counts, n_videos=n_videos
            )
    for notice in notices:
        click.echo(f"smot: {notice.message}", err=True)
    shown = source.metadata.digit_source
    if not quiet:
        click.echo(f"smot: {said}{f', digits {shown}' if shown else ''}", err=True)
    return source
