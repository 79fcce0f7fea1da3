"""Entry point of ``smot`` and ``python -m smot``."""

from smot.cli import main

if __name__ == "__main__":
    main()
