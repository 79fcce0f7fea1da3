"""What commands share: readers of option values that click has no type for, and progress bars."""

import re
import sys
import threading
from contextlib import AbstractContextManager
from typing import Protocol

import click

Shape = tuple[int, int]
Colour = tuple[int, int, int]


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


class Bar(Protocol):
    """What `progress_bar` gives."""

    def update(self, n: int, /) -> object:
        """`n` more are done."""
        ...


def progress_bar(total: int, unit: str, quiet: bool) -> AbstractContextManager[Bar]:
    """A bar that shows nothing unless standard error is a terminal.

    Args:
        total: how many there are to do.
        unit: what they are.
        quiet: whether to show nothing in any case.
    """
    from tqdm import tqdm

    # tqdm's own lock is a semaphore of the system, which a killed process leaves behind.
    tqdm.set_lock(threading.RLock())
    hidden = quiet or not sys.stderr.isatty()
    bar: AbstractContextManager[Bar] = tqdm(
        total=total, unit=unit, unit_scale=True, disable=hidden, leave=False
    )
    return bar
