"""What commands share: options, what they lead to, readers of their values, progress bars."""

import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smot.interruption import catch_signals

if TYPE_CHECKING:
    from tqdm import tqdm

    from smot.evaluation.report.gallery import Picture
    from smot.evaluation.results import Results
    from smot.evaluation.testsets import VideoSource

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]
Shape = tuple[int, int]
Colour = tuple[int, int, int]
Request = SimpleNamespace
"""What was typed, by the names of the options."""


class NumberRange(click.FloatRange):
    """A range of numbers, of which "nan" and "inf" are none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number; refuses what is none."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number that can be used.", param, ctx)
        return number


def digits_options(meaning: str) -> tuple[Option[Any], ...]:
    """--digits, with the words that --help has for it, and --mnist-root."""
    return (
        click.option(
            "--digits",
            type=click.Choice(["auto", "mnist", "mnist-5k"]),
            default="auto",
            help=meaning,
        ),
        click.option(
            "--mnist-root",
            type=click.Path(path_type=Path),
            help="Folder of MNIST [SMOT_MNIST_ROOT, else the user's cache].",
        ),
    )


FIRST_FRAME_OPTION = click.option(
    "--first-frame",
    type=click.IntRange(0, 1),
    help="Number of the first frame in text [1, or 0 if a box has it] and tables [0].",
)

DATASET_OPTIONS = (
    click.option(
        "--dataset",
        default="mnist-12",
        metavar="NAME",
        help="Without a file: mnist-12, mnist-6, shapes-48, shapes-96, mnist-mot or sprites-mot, "
        "from data/ or made now.",
    ),
    *digits_options("What the videos must show."),
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


CONVENTION_OPTION = click.option(
    "--convention",
    type=click.Choice(["py-motmetrics", "trackeval"]),
    default="py-motmetrics",
    help="Whose CLEAR-MOT.",
)

RESULT_OPTIONS = (
    click.option("--out", type=click.Path(path_type=Path), help="Folder [results/NAME-on-DATA]."),
    click.option("--json", "as_json", is_flag=True, help="Print results.json, not the table."),
    click.option("--no-report", is_flag=True, help="Do not write report.html."),
    click.option("--quiet", is_flag=True, help="Nothing on the way."),
)
"""For `results_folder` and `show_results`."""


class OutputFile(click.Path):
    """A file to write whose name must end in one of a few ways, whatever the case."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self._suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse other endings."""
        from smot.files import check_suffix

        return check_suffix(Path(os.fsdecode(super().convert(value, param, ctx))), self._suffixes)


def with_options(options: Iterable[Option[Command]]) -> Option[Command]:
    """Add options to a command, in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(list(options)):
            command = option(command)
        return command

    return decorate


def read_counts(
    _ctx: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Numbers and ranges, such as `1-6,12`; sorted."""
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        matched = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if not matched:
            raise click.BadParameter(f"{text!r} is not numbers and ranges such as 1-6,12")
        low, high = int(matched[1]), int(matched[2] or matched[1])
        if low > high:
            raise click.BadParameter(f"{text!r} has a range that goes down: {part.strip()}")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def read_name(_ctx: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """What stands in tables and files: nothing that cannot be printed or encoded."""
    if text is not None and not text.isprintable():
        raise click.BadParameter(f"{text!a} is not printable text")
    return text


def read_size(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Shape | None:
    """A side, such as `96`, or height x width, such as `48x64`; becomes H, W."""
    if text is None:
        return None
    matched = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    if not matched:
        raise click.BadParameter(f"{text!r} is neither a side such as 96 nor HxW such as 48x64")
    return int(matched[1]), int(matched[2] or matched[1])


def read_colour(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Colour | None:
    """Red, green and blue from 0 to 255, such as `20,20,40`."""
    if text is None:
        return None
    matched = re.fullmatch(r"(\d{1,3}),(\d{1,3}),(\d{1,3})", text)
    if not matched or max(int(part) for part in matched.groups()) > 255:
        raise click.BadParameter(f"{text!r} is not red,green,blue, each from 0 to 255")
    red, green, blue = (int(part) for part in matched.groups())
    return red, green, blue


def read_shard(_ctx: click.Context, _option: click.Parameter, text: str | None) -> Shape:
    """A part of a whole, `i/n` with i from 0 to n - 1; 0/1 where nothing is given."""
    if text is None:
        return 0, 1
    matched = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
    if not matched or int(matched[1]) >= int(matched[2]):
        raise click.BadParameter(f"{text!r} is not i/n with i from 0 to n - 1, such as 0/4")
    return int(matched[1]), int(matched[2])


def progress_bar(total: int | None, unit: str, quiet: bool) -> AbstractContextManager["tqdm[Any]"]:
    """A bar that shows nothing unless standard error is a terminal.

    Args:
        total: how many there are to do; None if that is not known.
        unit: what they are.
        quiet: whether to show nothing in any case.
    """
    from tqdm import tqdm

    # tqdm's own lock is a semaphore of the system, which a killed process leaves behind.
    tqdm.set_lock(threading.RLock())
    hidden = quiet or not sys.stderr.isatty()
    bar: AbstractContextManager[tqdm[Any]] = tqdm(
        total=total, unit=unit, unit_scale=True, disable=hidden, leave=False
    )
    return bar


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


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print what is warned of inside the block as a line each, after it: an error may follow."""
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for notice in notices:
                click.echo(f"smot: {notice.message}", err=True)


def find_videos(
    path: Path | None,
    request: Request,
    *,
    counts: Sequence[int] | None,
    n_videos: int | None,
    quiet: bool,
) -> "VideoSource":
    """The videos of a file, or canonical ones; says which they are.

    Args:
        path: the file; None for the canonical data set.
        request: the values of `DATASET_OPTIONS`.
        counts: numbers of objects that are wanted; None for the paper's.
        n_videos: videos of each count that are wanted; None for as many as there are.
        quiet: whether to say nothing but warnings.
    """
    from smot.errors import UsageError
    from smot.evaluation.testsets import canonical_videos
    from smot.videos import open_videos

    source: VideoSource
    with warnings_as_lines():
        if path is not None:
            source, said = open_videos(path), f"test videos from {path}"
        else:
            source, said = canonical_videos(
                request.dataset,
                digits=request.digits,
                mnist_root=request.mnist_root,
                counts=counts,
                n_videos=n_videos,
            )
    shown = source.metadata.digit_source
    if shown and request.digits not in ("auto", shown):
        raise UsageError(
            f"digits={request.digits!r} were asked for, and the videos show {shown!r}"
        )
    if not quiet:
        click.echo(f"smot: {said}{f', digits {shown}' if shown else ''}", err=True)
    return source


def results_folder(request: Request, name: str, dataset: str) -> Path:
    """Where results go: --out, or a folder called after a tracker and a data set."""
    usual = Path("results") / re.sub(r"[^\w.-]+", "-", f"{name}-on-{dataset}")
    folder: Path = request.out or usual
    return folder


def show_results(
    results: "Results",
    folder: Path,
    request: Request,
    *,
    pictures: "Callable[[], Sequence[Picture]]" = tuple,
    more: Mapping[str, Callable[[Path], object]] = MappingProxyType({}),
) -> None:
    """Write results.json, results.csv and the report, say so, and print the table.

    Args:
        results: what to write.
        folder: where to.
        request: the values of `RESULT_OPTIONS`.
        pictures: makes those of the report, if there is to be one.
        more: what else to write, by the names of files.
    """
    from smot.evaluation.report.page import render_report
    from smot.evaluation.report.tables import terminal_table, to_csv
    from smot.evaluation.results import dumped, write_results
    from smot.files import write_text

    writers: dict[str, Callable[[Path], object]] = {
        "results.json": lambda path: write_results(results, path),
        "results.csv": lambda path: write_text(path, to_csv(results)),
        **more,
    }
    if not request.no_report:
        writers["report.html"] = lambda path: write_text(path, render_report(results, pictures()))
    for name, write in writers.items():
        write(folder / name)
    if not request.quiet:
        click.echo(f"smot: {folder}: {', '.join(writers)} written", err=True)
    click.echo(dumped(results).rstrip() if request.as_json else terminal_table(results))


@contextmanager
def stage_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage of some work, one after the other.

    Yields:
        To be called with what is done, how much of it, and of how much.
    """
    bars: dict[str, tqdm[Any]] = {}
    with ExitStack() as shown:

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                shown.close()
                bars[what] = shown.enter_context(progress_bar(total, f" {what}", quiet))
            bars[what].update(done - bars[what].n)

        yield report


@contextmanager
def interruptible_bar(
    total: int | None, quiet: bool, unit: str = "video"
) -> Iterator[Callable[[int], None]]:
    """A bar that, being told how much more is done, also looks at signals.

    Signals are looked at between units of work, where nothing drops them.
    """
    with progress_bar(total, unit, quiet) as bar, catch_signals(deferred=True) as interruption:

        def report(n_more: int) -> None:
            bar.update(n_more)
            interruption.check()

        yield report
