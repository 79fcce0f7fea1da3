import pytest

from smot.errors import UsageError
from smot.experiments.training_data import DATASETS
from smot.experiments.validation import ValidationConfig
from smot.models.family import FAMILIES, load_family
from smot.training.config import TrainConfig


@pytest.mark.parametrize("name", FAMILIES)
def test_every_preset_builds_a_run_on_its_data_set(name: str) -> None:
    family = load_family(name)
    assert family.name == name
    assert family.default_preset in family.presets
    for preset_name, by_dataset in family.presets.items():
        for dataset, preset in by_dataset.items():
            assert dataset in DATASETS, preset_name
            assert isinstance(preset.model, family.config_type)
            assert TrainConfig(**preset.train).n_frames == DATASETS[dataset].n_frames
            assert ValidationConfig(**preset.validation).n_videos >= 1


def test_an_unknown_family_or_preset_says_what_there_is() -> None:
    with pytest.raises(UsageError, match="no family of models 'yolo': there are silot, sqair"):
        load_family("yolo")
    family = load_family("silot")
    with pytest.raises(UsageError, match=r"silot has no preset 'quick': there are .*paper, fast"):
        family.preset("quick", "mnist-6")
    with pytest.raises(UsageError, match=r"silot has no preset 'fats': did you mean 'fast'\?"):
        family.preset("fats", "mnist-6")
    with pytest.raises(UsageError, match=r"'refine' is for mnist-6, .*, not 'cats'"):
        family.preset("refine", "cats")
