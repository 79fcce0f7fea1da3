"""The command line: parses, imports its worker inside the body, calls it, prints."""

import importlib
import io
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from smot.errors import SmotError, UsageError, first_line, was_interrupted
from smot.interruption import catch_signals

COMMANDS = {
    "generate": ("smot.cli.generate:generate", "Make a data set of videos."),
    "inspect": ("smot.cli.inspect:inspect_file", "Say what is in a file of videos."),
    "verify": ("smot.cli.inspect:verify", "Check a file of videos to the last byte."),
    "merge": ("smot.cli.inspect:merge", "Join shards into one file."),
    "show": ("smot.cli.show:show", "Draw a video, or a tracker at work on it."),
    "trackers": ("smot.cli.show:trackers", "List the trackers that can be named."),
    "weights": ("smot.cli.show:weights", "List the weights that ship."),
    "baseline": ("smot.cli.evaluate:baseline", "Score a tracker that does not learn."),
    "eval": ("smot.cli.evaluate:evaluate", "Score a tracker by number of objects."),
    "compare": ("smot.cli.compare:compare", "Put several results on one set of curves."),
    "track": ("smot.cli.track:track", "Track the objects of videos of your own."),
    "score": ("smot.cli.score:score", "Score tracks in files, whatever made them."),
    "convert": ("smot.cli.convert:convert", "Make a file of videos with truth from elsewhere."),
    "export": ("smot.cli.convert:export", "Write tracks as the files of other tools."),
    "train": ("smot.cli.train:train", "Train a learned tracker."),
    "new-tracker": ("smot.cli.new_tracker:new_tracker", "Begin a tracker of your own."),
    "reproduce": ("smot.cli.reproduce:reproduce", "Draw the figures of the SILOT paper anew."),
}
"""By name: where the command is, and what --help says of it."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order in which one uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


cli = LazyGroup(
    "smot",
    help="Data sets, trackers and metrics for unsupervised multi-object tracking.",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
click.version_option(package_name="smot")(cli)
click.option("--debug", is_flag=True, help="Print the traceback of an error.")(cli)


def main() -> NoReturn:
    """Run the command line; errors become one line on stderr and exit code 2 (usage) or 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks is printed as "?"
            stream.reconfigure(errors="replace")
    if instruction := os.environ.get("_SMOT_COMPLETE"):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "smot", "_SMOT_COMPLETE", instruction))
    # Taken out here, so that it may stand anywhere, after a command's own options too.
    debug = "--debug" in sys.argv
    sys.argv = [each for each in sys.argv if each != "--debug"]
    code: int | str | None = 0
    try:
        # Not `cli.main`, which has messages of its own for Ctrl-C and broken pipes.
        with catch_signals(deferred=False) as interruption:
            with cli.make_context("smot", sys.argv[1:]) as context:
                cli.invoke(context)
            sys.stdout.flush()
            interruption.check()  # of a signal that came too late for the command
    except BaseException as error:
        # A signal may still be about to be raised again, or a second one come: report only one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = _report(error, debug=debug)
    # Nothing is left that could be interrupted but the end of Python, which prints tracebacks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # If an interrupt left an `exec`, of numba or dataclasses say, Python remembers it until the
    # next one, and `python -m` would end by SIGINT instead of with the code.
    exec("")
    sys.exit(code)


def _report(error: BaseException, *, debug: bool) -> int | str | None:
    """Print one line about what ended a command, and return its exit code."""
    match error:
        case SystemExit():
            return error.code
        case click.exceptions.Exit():
            return error.exit_code
        case BrokenPipeError():
            return _close_pipe()
        case click.ClickException():
            error.show()
            return error.exit_code
    if debug:
        traceback.print_exception(error)
    if isinstance(error, click.Abort) or was_interrupted(error):
        message, code = "interrupted", 130
    elif isinstance(error, SmotError):
        message, code = str(error), 2 if isinstance(error, UsageError) else 1
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        message, code = f"{where}{error.strerror or error}", 1
    else:
        hint = "" if debug else " (--debug prints the traceback)"
        message, code = f"unexpected {type(error).__name__}: {first_line(error)}{hint}", 1
    click.echo(f"smot: {message}", err=True)
    return code


def _close_pipe() -> int:
    """Leave quietly when whoever reads the output has gone, such as `head`."""
    # Python flushes stdout once more when it ends: that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + 13  # as if killed by SIGPIPE
