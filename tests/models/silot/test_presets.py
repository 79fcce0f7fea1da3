from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smot.errors import UsageError
from smot.experiments.plans import Request, resolve
from smot.experiments.training_data import DATASETS
from smot.models.packaged import FOLDER
from smot.models.silot import FAMILY, SilotConfig, build
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
    preset = FAMILY.preset("original", "mnist-12")
    assert preset == FAMILY.preset("paper", "mnist-12")  # as it was called before
    train = TrainConfig(**preset.train)
    assert train.curriculum == ((0, 2), (40_000, 4), (80_000, 6), (120_000, 8))
    assert (train.lr, train.batch_size, train.clip_norm, train.optimiser) == (1e-4, 16, 10, "adam")
    assert (train.patience_start, train.patience_steps, train.n_stages) == (160_000, 30_000, 3)
    assert (train.precision, train.ema_decay, train.schedule) == ("float32", 0.0, "constant")
    assert preset.model == SilotConfig(n_channels=1)


@pytest.mark.parametrize("dataset", ["mnist-6", "shapes-48"])
def test_the_preset_of_the_supplement_says_what_the_supplement_says(dataset: str) -> None:
    preset = FAMILY.preset("supplement", dataset)
    train, model = TrainConfig(**preset.train), preset.model
    assert train.patience_start == 120_000  # the first on whole videos
    assert train.curriculum[-1] == (120_000, 8)
    # Interaction for all data, its reach, scales of appearances, priors of sizes, slots.
    assert (model.interacting, model.sigma, model.n_slots) == (True, 0.1, 16)
    assert model.zero_init_interaction  # of which the supplement says nothing
    assert (model.colour_scale, model.alpha_scale, model.alpha_bias) == (2.0, 0.1, 5.0)
    assert (model.size_prior_mean, model.size_prior_std) == (-2.2, 0.5)
    assert (model.size_prior_on_increment, model.where_prior_std) == (True, 0.3)
    assert (model.exponential_importance, model.importance_temperature) == (True, 0.25)
    # The backbone's last layer, and two layers of 100 in all networks of discovery.
    network = build(model, 0)
    assert network.backbone.convolutions[-1].out_channels == 128
    found = network.discovery
    assert found.fuse is not None
    assert found.fuse.layers[0].in_features == 64 + 128
    for part in (found.fuse, found.where, found.what, found.depth, found.pres):
        assert [layer.out_features for layer in part.layers[:-1]] == [100, 100]


def test_the_model_of_the_supplement_begins_where_it_can_be_trained(
    generator: torch.Generator,
) -> None:
    model = build(replace(FAMILY.preset("supplement", "mnist-6").model, n_channels=3), 0)
    frames = torch.randint(0, 255, (2, 2, 48, 48, 3), generator=generator, dtype=torch.uint8)
    loss = model.objective(frames, step=0, generator=generator).total
    assert loss.item() < 1e6


@pytest.mark.parametrize(
    ("dataset", "crop", "n_slots", "n_slots_fast"),
    [
        ("shapes-96-crops", 60, 16, 8),
        ("shapes-96-crops-21-30", 60, 25, 20),
        ("shapes-96-whole", 0, 16, 12),
        ("shapes-96-whole-21-30", 0, 36, 36),
    ],
)
def test_large_frames_have_as_many_slots_as_the_experiment_needs(
    dataset: str, crop: int, n_slots: int, n_slots_fast: int
) -> None:
    for preset in ("supplement", "original", "fast"):
        model = FAMILY.preset(preset, dataset).model
        expected = n_slots_fast if preset == "fast" else n_slots
        assert (model.crop, model.n_slots) == (crop, expected)
    stages = {stage for recipe in FAMILY.recipes.values() for stage, _ in recipe}
    assert all(FAMILY.preset(stage, dataset) for stage in stages)
    counts = DATASETS[dataset].min_objects, DATASETS[dataset].max_objects
    assert counts == ((21, 30) if dataset.endswith("21-30") else (1, 10))


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
