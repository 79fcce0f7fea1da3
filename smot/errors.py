"""The errors that the command line turns into one line and an exit code."""

import traceback
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class SmotError(Exception):
    """Something that the user can put right; the message is one line and says what and where."""


class UsageError(SmotError):
    """An argument or setting that cannot be: names it, its value and what is allowed (exit 2)."""


class DataError(SmotError):
    """A file or array that cannot be used: names it and what is wrong with it (exit 1)."""


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest that there is, or all of them."""
    import difflib

    known = list(names)
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(wrong.strip().lower(), lower, n=1)
    if near:
        return f": did you mean {lower[near[0]]!r}?"
    return f": there are {', '.join(known)}" if known else ""


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: one that meets a compiled kernel arrives wrapped."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__
    return False


def first_line(error: BaseException) -> str:
    """What an error says, as far as it fits a message; its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def described(error: BaseException) -> str:
    """An error of somebody else's code in one line: its kind, what it says, file and line.

    One of smot's own that this code brought about needs no kind, and the line is not smot's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    outside = [each for each in frames if not each.filename.startswith((_PACKAGE, "<"))]
    if isinstance(error, SmotError):
        said, shown = str(error), outside
    else:
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        shown = frames
    return f"{said} ({shown[-1].filename}, line {shown[-1].lineno})" if shown else said
