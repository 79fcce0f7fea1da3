"""Entry point of `smot` and `python -m smot`."""

import os
import signal

TYPE_CHECKING = False  # as `typing` has it, without the time that loading it takes
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line."""
    # While the command line is being loaded nothing is at stake.
    signal.signal(signal.SIGINT, _leave)
    from smot.cli import main as run

    run()


def _leave(signum: int, frame: object) -> None:  # noqa: ARG001
    os.write(2, b"smot: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
