"""``smot`` with one family, preset and data set more: the toy. For tests in other processes."""

from collections.abc import Callable
from typing import Any

from smot.cli import main
from smot.experiments import data, presets
from smot.experiments.presets import Preset, ValidationConfig
from smot.generators.settings import ShapesSettings
from smot.models import families
from smot.training.config import TrainConfig
from tests.training.toy import ToyConfig

TRAIN = TrainConfig(
    batch_size=4,
    lr=1e-2,
    warmup_steps=3,
    ema_decay=0.9,
    curriculum=((0, 2), (5, 4)),
    max_steps=12,
    eval_steps=6,
    log_steps=1,
)
VIDEOS = ShapesSettings(frame_size=(24, 24), n_frames=6, max_objects=2, object_size=8)
PRESETS = {
    "small": {
        "toy": Preset(
            model=ToyConfig(),
            train=TRAIN,
            validation=ValidationConfig(n_videos=6, batch_size=2),
        )
    }
}


def register(put: Callable[[dict[str, Any], str, Any], None]) -> None:
    """Enter the toy into every table, with whatever sets an item."""
    put(families.FAMILIES, "toy", "tests.training.toy:FAMILY")
    put(presets.TABLES, "toy", "tests.training.with_toy:PRESETS")
    put(data.DATASETS, "toy", VIDEOS)


if __name__ in ("__main__", "__mp_main__"):  # the second is what spawned processes import
    register(dict.__setitem__)

if __name__ == "__main__":
    main()
