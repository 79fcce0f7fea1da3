"""What a run tells people while it goes on: a live line, notices, and TensorBoard."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from smot.errors import UsageError

SHOWN_TERMS = 4


class Progress:
    """Speaks on stderr; without a terminal it writes a line per evaluation instead of a live one.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        live = not quiet and sys.stderr.isatty()
        self._bar = tqdm(bar_format="{desc}", disable=not live, dynamic_ncols=True, leave=False)

    def live(self, line: str) -> None:
        """Replace the live line."""
        self._bar.set_description_str(line)

    def notice(self, line: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._bar.clear()
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Remove the live line."""
        self._bar.close()


class Board:
    """TensorBoard's log. Its file is made when there is something to write.

    Args:
        folder: where its event files go; None writes nothing.

    Raises:
        UsageError: the optional package is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._opened: Any = None
        if folder is None:
            return
        try:
            importlib.import_module("torch.utils.tensorboard")
        except ImportError:
            raise UsageError(
                "--tensorboard needs a package that is not installed: "
                "pip install 'smot[tensorboard]'"
            ) from None

    @property
    def is_open(self) -> bool:
        """Whether anything is written."""
        return self._folder is not None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add numbers by name."""
        if self.is_open:
            for name, value in values.items():
                self._writer().add_scalar(name, value, step)

    def images(self, images: Mapping[str, Tensor], step: int) -> None:
        """Add pictures by name, [H, W, 3], float in [0, 1]."""
        if self.is_open:
            for name, image in images.items():
                pixels = image.detach().float().cpu()
                self._writer().add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and end."""
        if self._opened is not None:
            self._opened.close()

    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if self._opened is None:
            self._opened = SummaryWriter(self._folder)
        return self._opened


def describe(
    *,
    step: int,
    n_frames: int,
    rate: float,
    terms: Mapping[str, float],
    score: float | None,
    seconds_left: float | None,
) -> str:
    """The live line.

    Args:
        step: updates made.
        n_frames: frames per clip.
        rate: videos per second.
        terms: parts of the objective; the largest few are shown.
        score: last validation score.
        seconds_left: until the budget is used up; None if there is no budget.
    """
    largest = sorted(terms, key=lambda name: -abs(terms[name]))[:SHOWN_TERMS]
    parts = [f"step {step}", f"T={n_frames}", f"{rate:.0f} videos/s"]
    parts += [f"{name} {terms[name]:.4g}" for name in largest]
    if score is not None:
        parts.append(f"score {score:.3f}")
    if seconds_left is not None:
        minutes, seconds = divmod(int(seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"left {hours}:{minutes:02d}:{seconds:02d}")
    return "  ".join(parts)
