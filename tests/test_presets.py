from pathlib import Path

import pytest

from smot.errors import UsageError
from smot.experiments.presets import find_preset
from smot.experiments.requests import Request, resolve
from smot.models.packaged import FOLDER

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


@pytest.mark.parametrize("preset", ["fast", "refine"])
def test_going_on_from_weights_changes_what_the_preset_says_and_nothing_else(preset: str) -> None:
    changes = find_preset("silot", preset, "mnist-6").going_on
    plan = resolve(request(preset, WEIGHTS))[0]
    assert changes
    assert {name: getattr(plan.model, name) for name in changes} == dict(changes)
    assert plan.model.n_backbone_filters == 64
    assert plan.train.init_from == str(WEIGHTS.resolve())


def test_a_setting_that_was_typed_has_the_last_word() -> None:
    plan = resolve(request("refine", WEIGHTS, "model.end_below_training=0.2"))[0]
    assert plan.model.end_below_training == 0.2


def test_a_preset_that_goes_on_needs_weights() -> None:
    with pytest.raises(UsageError, match="'refine' goes on from weights: name them with --init"):
        resolve(request("refine", None))
