"""Entry point of `smot` and `python -m smot`."""

import sys
from typing import NoReturn

from smot.interruption import catch_signals


def main() -> NoReturn:
    """Run the command line, ready for signals from the first import on."""
    with catch_signals(deferred=False):
        try:
            from smot.cli import main as run
        except KeyboardInterrupt:
            print("smot: interrupted", file=sys.stderr)
            sys.exit(130)
        run()


if __name__ == "__main__":
    main()
