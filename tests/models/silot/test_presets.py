from pathlib import Path

import pytest

from smot.errors import UsageError
from smot.experiments.plans import Request, resolve
from smot.models.packaged import FOLDER
from smot.models.silot import FAMILY, SilotConfig
from smot.training.config import TrainConfig

WEIGHTS = FOLDER / "silot-mnist-6.pt"


def request(preset: str, init_from: Path | None, *assignments: str) -> Request:
    return Request(
        family="silot",
        out="none",
        dataset="mnist-6",
        preset=preset,
        init_from=str(init_from) if init_from else None,
        assignments=assignments,
    )


def test_the_schedule_of_the_paper_is_that_of_the_supplement() -> None:
    preset = FAMILY.preset("paper", "mnist-12")
    train = TrainConfig(**preset.train)
    assert train.curriculum == ((0, 2), (40_000, 4), (80_000, 6), (120_000, 8))
    assert (train.lr, train.batch_size, train.clip_norm, train.optimiser) == (1e-4, 16, 10, "adam")
    assert (train.patience_start, train.patience_steps, train.n_stages) == (160_000, 30_000, 3)
    assert (train.precision, train.ema_decay, train.schedule) == ("float32", 0.0, "constant")
    assert preset.model == SilotConfig(n_channels=1)


@pytest.mark.parametrize("preset", ["fast", "refine"])
def test_continuing_from_weights_changes_what_the_preset_says_and_nothing_else(
    preset: str,
) -> None:
    changes = FAMILY.preset(preset, "mnist-6").continued
    plan = resolve(request(preset, WEIGHTS))[0]
    assert changes
    assert {name: getattr(plan.model, name) for name in changes} == dict(changes)
    assert plan.model.n_backbone_filters == 64
    assert plan.train.init_from == str(WEIGHTS.resolve())


def test_a_setting_on_the_command_line_overrides_the_preset() -> None:
    plan = resolve(request("refine", WEIGHTS, "model.end_below_training=0.2"))[0]
    assert plan.model.end_below_training == 0.2


def test_a_preset_that_continues_a_run_needs_its_weights() -> None:
    with pytest.raises(UsageError, match="'refine' goes on from weights: name them with --init"):
        resolve(request("refine", None))


def test_settings_of_older_checkpoints_keep_their_meaning() -> None:
    stored = {"training_wheels": 7, "deaf_at_first": True, "n_slots": 3}
    found = FAMILY.settings(stored, what="a.pt")
    assert found == SilotConfig(freeze_attributes=7, zero_init_interaction=True, n_slots=3)
