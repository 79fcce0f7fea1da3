import pytest
import torch

from smot.experiments.training_data import DATASETS
from smot.files import from_plain, to_plain
from smot.models.sqair import FAMILY, PRESETS, SqairConfig, build
from smot.training.config import TrainConfig

ALL = [(name, dataset) for name, table in PRESETS.items() for dataset in table]


@pytest.mark.parametrize(("name", "dataset"), ALL)
def test_a_preset_reads_the_frames_of_its_data(name: str, dataset: str) -> None:
    preset = FAMILY.preset(name, dataset)
    settings = DATASETS[dataset]
    assert preset.model.frame_size == settings.frame_size
    assert preset.model.n_slots >= settings.max_objects
    assert TrainConfig(**preset.train).n_frames == settings.n_frames


@pytest.mark.parametrize(("name", "dataset"), ALL)
def test_settings_survive_a_checkpoint(name: str, dataset: str) -> None:
    config = FAMILY.preset(name, dataset).model
    assert from_plain(SqairConfig, to_plain(config), what="settings") == config


def test_the_comparison_has_its_published_constants() -> None:
    six, twelve = PRESETS["aaai2020"]["mnist-6"], PRESETS["aaai2020"]["mnist-12"]
    assert (six.model.n_slots, six.model.step_success) == (6, 0.516)
    assert (twelve.model.n_slots, twelve.model.step_success) == (12, 0.4)
    for preset in (six, twelve):
        assert (preset.model.channels, preset.model.output_std) == (3, 0.3)
        assert (preset.model.n_particles, preset.model.discovery_bias) == (2, 5.0)
        assert (preset.model.estimator, preset.model.count_prior) == ("code", "geom")
        assert (preset.train["optimiser"], preset.train["lr"]) == ("tf_rmsprop", 1e-5)
        assert preset.train["curriculum"] == ((0, 2), (20_000, 4), (40_000, 6), (60_000, 8))
        assert (preset.train["patience_start"], preset.train["patience_steps"]) == (80_000, 30_000)
        assert preset.validation["score"] == "mota+prior"
        assert preset.validation["by_count"]


def test_the_original_has_its_published_constants() -> None:
    preset = PRESETS["original"]["mnist-original"]
    assert (preset.model.frame_size, preset.model.glimpse_size) == ((50, 50), 20)
    assert (preset.model.n_slots, preset.model.n_particles) == (3, 5)
    assert (preset.model.count_prior, preset.model.discovery_bias) == ("cat", 1.0)
    assert (preset.train["batch_size"], preset.train["lr"]) == (32, 1e-5)
    assert preset.train["curriculum"][:2] == ((0, 3), (100_000, 4))
    assert preset.train["curriculum"][-1] == (700_000, 10)


@pytest.mark.parametrize(
    ("change", "millions"), [({}, (2.7, 2.9)), ({"encoder": "conv"}, (2.9, 3.6))]
)
def test_models_are_as_large_as_counted(
    change: dict[str, str], millions: tuple[float, float]
) -> None:
    model = build(SqairConfig(channels=1, **change), 0)  # type: ignore[arg-type]
    n_weights = sum(each.numel() for each in model.parameters()) / 1e6
    assert millions[0] < n_weights < millions[1]


def test_convolutions_give_four_by_four_cells_of_48_pixels() -> None:
    encoder = build(SqairConfig(encoder="conv"), 0).inference.frame_encoder
    assert encoder.n_features == 2048
    assert encoder(torch.zeros(2, 3, 48, 48)).shape == (2, 2048)
    wide = build(SqairConfig(encoder="conv", frame_size=(50, 50)), 0).inference.frame_encoder
    assert wide(torch.zeros(1, 3, 50, 50)).shape == (1, 3200)


def test_a_gain_keeps_what_convolutions_say_from_vanishing() -> None:
    frames = torch.rand(8, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    spreads = {}
    for gain in (1.0, 1.6):
        config = SqairConfig(encoder="conv", channels=1, n_filters=32, filter_gain=gain)
        spreads[gain] = build(config, 0).inference.frame_encoder(frames).std().item()
    assert spreads[1.6] == pytest.approx(1.6**6 * spreads[1.0], rel=1e-3)
