"""``smot`` with one family, preset and data set more: the toy. For tests in other processes."""

import signal
from collections.abc import Callable
from typing import Any

import smot.__main__ as entry

if __name__ == "__main__":  # from the first, as `python -m smot` has it
    signal.signal(signal.SIGINT, entry._leave)

from smot.cli import main
from smot.experiments import training_data
from smot.generators.settings import ShapesSettings
from smot.models.family import FAMILIES
from smot.training.run_folder import RunFolder

VIDEOS = ShapesSettings(frame_size=(24, 24), n_frames=6, max_objects=2, object_size=8)


def register(put: Callable[[dict[str, Any], str, Any], None]) -> None:
    """Enter the toy into every table, with whatever sets an item."""
    put(FAMILIES, "toy", "tests.training.toy:FAMILY")
    put(training_data.DATASETS, "toy", VIDEOS)


if __name__ in ("__main__", "__mp_main__"):  # the second is what spawned processes import
    register(dict.__setitem__)
    # Drawing takes ten times as long as the toy's training.
    setattr(RunFolder, "draw_curves", lambda *_, **__: None)  # noqa: B010

if __name__ == "__main__":
    main()
