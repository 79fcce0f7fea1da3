"""The command line: parses, imports its worker inside the body, calls it, prints."""

import importlib
import signal
import sys
from typing import NoReturn

import click

from smot.errors import SmotError, UsageError, was_interrupted

COMMANDS = {
    "generate": ("smot.cli.generate:generate", "Make a data set of videos."),
    "inspect": ("smot.cli.inspect:inspect_file", "Say what is in a file of videos."),
    "verify": ("smot.cli.inspect:verify", "Check a file of videos to the last byte."),
    "merge": ("smot.cli.inspect:merge", "Join shards into one file."),
    "show": ("smot.cli.show:show", "Draw a video, or a tracker at work on it."),
    "trackers": ("smot.cli.show:trackers", "List the trackers that can be named."),
    "baseline": ("smot.cli.evaluate:baseline", "Score a tracker that does not learn."),
    "eval": ("smot.cli.evaluate:evaluate", "Score a tracker by number of objects."),
    "compare": ("smot.cli.evaluate:compare", "Put several results on one set of curves."),
    "train": ("smot.cli.train:train", "Train a learned tracker."),
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="smot")
def cli() -> None:
    """Data sets, trackers and metrics for unsupervised multi-object tracking."""


def main() -> NoReturn:
    """Run the command line; errors become one line on stderr and exit code 2 (usage) or 1."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except SystemError as error:
        if not was_interrupted(error):
            raise
        _fail("interrupted", 130)
    except SmotError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}", 1)


def _terminate(signum: int, frame: object) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"smot: {message}", err=True)
    sys.exit(code)
