"""Progress bars: on standard error, and only where someone may be looking."""

import sys
from contextlib import AbstractContextManager
from typing import Protocol


class Bar(Protocol):
    """What `progress_bar` gives: an object to be told how much more is done."""

    def update(self, n: int, /) -> object:
        """``n`` more are done."""
        ...


def progress_bar(total: int, unit: str, quiet: bool) -> AbstractContextManager[Bar]:
    """A bar that shows nothing unless standard error is a terminal.

    Args:
        total: how many there are to do.
        unit: what they are.
        quiet: whether to show nothing in any case.
    """
    from tqdm import tqdm

    hidden = quiet or not sys.stderr.isatty()
    bar: AbstractContextManager[Bar] = tqdm(
        total=total, unit=unit, unit_scale=True, disable=hidden, leave=False
    )
    return bar
