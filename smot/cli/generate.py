"""`smot generate`: make a data set."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smot.cli.options import (
    Request,
    digits_options,
    interruptible_bar,
    read_colour,
    read_counts,
    read_shard,
    read_size,
    warnings_as_lines,
    with_options,
)
from smot.interruption import catch_signals

if TYPE_CHECKING:
    from smot.generators import DigitSource, Settings
    from smot.videos import Shard

QUICK = {"n_train": 1000, "n_val": 100, "n_test": 50}
LARGE_FRAME = 96  # pixels; from here on Scattered Shapes has the paper's larger numbers

_SCENE_OPTIONS = {
    "frame_size": click.option(
        "--frame-size", callback=read_size, metavar="SIDE|HxW", help="Pixels [48]."
    ),
    "n_frames": click.option("--n-frames", type=int, help="Frames per video [8]."),
    "speed": click.option("--speed", type=float, help="Pixels per frame [digits 2, shapes 5]."),
    "acceleration": click.option(
        "--acceleration", type=float, help="Largest, per frame; 0 for constant speed [0]."
    ),
    "object_size": click.option("--object-size", type=int, help="Nominal side, pixels [14]."),
    "overlap": click.option(
        "--overlap", type=float, help="Limit in frame 1, share of an object's area [0.5]."
    ),
    "appearance": click.option(
        "--appearance", type=float, help="Chance per frame that an absent object enters [1]."
    ),
    "disappearance": click.option(
        "--disappearance", type=float, help="Chance per frame that an object leaves [0]."
    ),
    "background": click.option(
        "--background", callback=read_colour, metavar="R,G,B", help="Colour [0,0,0]."
    ),
    "background_noise": click.option(
        "--background-noise", type=float, help="Still texture, deviation in grey levels [0]."
    ),
    "background_grain": click.option(
        "--background-grain", type=int, help="Pixels between points of that texture [1]."
    ),
    "pixel_noise": click.option(
        "--pixel-noise", type=float, help="New in every frame, deviation in grey levels [0]."
    ),
}
_WORK_OPTIONS = (
    click.option("--n-train", type=int, help="Training videos [60000]."),
    click.option("--n-val", type=int, help="Validation videos [1000]."),
    click.option("--n-test", type=int, help="Test videos for each count [1000]."),
    click.option(
        "--counts", callback=read_counts, metavar="1-6,12", help="Objects in test videos."
    ),
    click.option("--masks", is_flag=True, help="Keep the object of each pixel too."),
    click.option("--out", type=click.Path(path_type=Path), help="File to write [data/NAME.h5]."),
    click.option("--seed", type=int, default=0, help="Of the whole data set."),
    click.option("--workers", type=int, help="Threads [one for each core]."),
    click.option("--shard", callback=read_shard, metavar="I/N", help="One part; see smot merge."),
    click.option("--quick", is_flag=True, help="A small one: 1000, 100 and 50 videos."),
    click.option("--force", is_flag=True, help="Replace the file if it exists."),
    click.option("--dry-run", is_flag=True, help="Say what would be made, and stop."),
    click.option("--quiet", is_flag=True, help="Nothing on the way."),
)


@click.group()
def generate() -> None:
    """Make a data set: videos of moving digits or shapes, with ground truth."""


@generate.command()
@click.option("--max-digits", type=int, default=12, help="In training videos.")
@click.option("--min-digits", type=int, default=1, help="In training videos.")
@with_options(digits_options("All 60,000, or the 5,000 that need no download."))
@click.option("--coloured", is_flag=True, help="Digits in six colours instead of white.")
@with_options(_SCENE_OPTIONS.values())
@with_options(_WORK_OPTIONS)
def mnist(
    max_digits: int,
    min_digits: int,
    digits: str,
    mnist_root: Path | None,
    coloured: bool,
    **options: Any,
) -> None:
    """Scattered MNIST: white digits that drift through each other.

    \b
    smot generate mnist --max-digits 12
    smot generate mnist --max-digits 6 --digits mnist-5k --quick
    """  # noqa: D301 - click wants the character itself
    from smot.generators import MnistSettings, load_digits

    settings = MnistSettings(
        max_objects=max_digits, min_objects=min_digits, coloured=coloured, **_scene(options)
    )
    _run(settings, lambda: load_digits(digits, mnist_root), options)


@generate.command()
@click.option("--max-shapes", type=int, help="In training videos [8; 10 from 96 pixels on].")
@click.option("--min-shapes", type=int, default=1, help="In training videos.")
@click.option("--size-spread", type=float, default=0.1, help="Deviation of each side.")
@with_options(_SCENE_OPTIONS.values())
@with_options(_WORK_OPTIONS)
def shapes(max_shapes: int | None, min_shapes: int, size_spread: float, **options: Any) -> None:
    """Scattered Shapes: five shapes in six colours, faster than the digits.

    \b
    smot generate shapes
    smot generate shapes --frame-size 96 --min-shapes 21 --max-shapes 30
    """  # noqa: D301 - click wants the character itself
    from smot.generators import ShapesSettings

    scene = _scene(options)
    if max_shapes is None:
        max_shapes = 10 if min(scene.get("frame_size", (0,))) >= LARGE_FRAME else 8
    settings = ShapesSettings(
        max_objects=max_shapes, min_objects=min_shapes, size_spread=size_spread, **scene
    )
    _run(settings, lambda: None, options)


@generate.command("mnist-mot")
@with_options(digits_options("All 60,000, or the 5,000 that need no download."))
@with_options(_WORK_OPTIONS)
def mnist_mot(digits: str, mnist_root: Path | None, **options: Any) -> None:
    """MNIST-MOT: up to three digits cross frames of 128 x 128, after "Tracking by Animation".

    \b
    smot generate mnist-mot --digits mnist-5k --quick
    """  # noqa: D301 - click wants the character itself
    from smot.generators import CANONICAL, load_digits

    _run(CANONICAL["mnist-mot"], lambda: load_digits(digits, mnist_root), options)


@generate.command("sprites-mot")
@with_options(_WORK_OPTIONS)
def sprites_mot(**options: Any) -> None:
    """Sprites-MOT: up to three shapes cross frames of 128 x 128, after "Tracking by Animation".

    \b
    smot generate sprites-mot --quick
    """  # noqa: D301 - click wants the character itself
    from smot.generators import CANONICAL

    _run(CANONICAL["sprites-mot"], lambda: None, options)


def _scene(options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the scene that were given; the others keep the paper's values."""
    return {name: options[name] for name in _SCENE_OPTIONS if options[name] is not None}


def _run(
    settings: "Settings", load: Callable[[], "DigitSource | None"], options: Mapping[str, Any]
) -> None:
    """Make the data set; a signal is looked at between units of work, where nothing drops it."""
    from smot.files import available_cores
    from smot.generators.synthesis import check_space, expect, generate, group_sizes
    from smot.videos import Shard

    request = Request(**options)
    given = {name: options[name] for name in QUICK if options[name] is not None}
    sizes = QUICK | given if request.quick else given
    groups = group_sizes(settings, counts=request.counts, **sizes)
    shard = Shard(index=request.shard[0], total=request.shard[1])
    path = _path(settings, shard, request)
    workers = available_cores() if request.workers is None else request.workers
    part = f" (part {shard.index} of {shard.total})" if shard.total > 1 else ""
    _say(request, f"{path}: {_listed(groups)}{part}")
    with catch_signals(deferred=True) as interruption:
        with warnings_as_lines():  # where others than hoped for had to be taken
            source = load()
        interruption.check()
        about = {"seed": request.seed, "masks": request.masks, "shard": shard}
        expected = expect(settings, source, groups, **about)
        interruption.check()
        work = f"{expected.n_bytes / 1e6:.0f} MB, {expected.seconds / max(workers, 1):.0f} s"
        _say(request, f"about {work} with {workers} workers")
        if request.dry_run:
            return
        check_space(path, expected.n_bytes)
        make = partial(generate, settings, source, path, groups=groups, workers=workers)
        began = time.perf_counter()
        with interruptible_bar(expected.n_videos, request.quiet) as report:
            found = make(**about, force=request.force, report=report)
    size, took = path.stat().st_size / 1e6, time.perf_counter() - began
    click.echo(
        f"{path}: {expected.n_videos:,} videos, {size:.1f} MB, {took:.1f} s, content {found[:16]}"
    )


def _say(request: Request, text: str) -> None:
    """Messages on the way go to standard error; in a dry run they are the result."""
    if request.dry_run or not request.quiet:
        click.echo(text, err=not request.dry_run)


def _path(settings: "Settings", shard: "Shard", request: Request) -> Path:
    """Where the file goes: to --out, else to data/ under the data set's name."""
    from smot.generators.settings import dataset_name

    suffix = "-quick" if request.quick else ""
    path: Path = request.out or Path("data") / f"{dataset_name(settings)}{suffix}.h5"
    if shard.total == 1:
        return path
    return path.with_name(f"{path.stem}-{shard.index:05d}-of-{shard.total:05d}{path.suffix}")


def _listed(groups: Mapping[str, int]) -> str:
    """Such as "60,000 training, 1,000 validation, 12 x 1,000 test videos"."""
    parts = [
        f"{groups[name]:,} {called}"
        for name, called in (("train", "training"), ("val", "validation"))
        if name in groups
    ]
    tests = [number for name, number in groups.items() if name.startswith("test/")]
    if tests:
        parts.append(f"{len(tests)} x {tests[0]:,} test")
    return f"{', '.join(parts)} videos"
