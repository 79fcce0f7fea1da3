from dataclasses import replace
from pathlib import Path

import pytest

from smot.errors import UsageError
from smot.models import packaged
from smot.models.checkpoints import About, Checkpoint, save_checkpoint
from smot.models.packaged import packaged_weights
from smot.tracks import DataDescription

WHITE = (255, 255, 255)
RED, BLUE = (255, 0, 0), (0, 0, 255)
DIGITS = DataDescription(
    dataset="mnist", frame_size=(48, 48), n_frames=8, max_objects=6, palette=(WHITE,)
)
SHAPES = replace(DIGITS, dataset="shapes", max_objects=8, palette=(RED, BLUE))

TRAINED = {
    "silot-mnist-6": DIGITS,
    "silot-mnist-12": replace(DIGITS, max_objects=12),
    "silot-mnist-20-grey": replace(DIGITS, max_objects=20, background=(9, 9, 9)),
    "silot-shapes-48": SHAPES,
    "silot-shapes-96": replace(SHAPES, frame_size=(96, 96), max_objects=10),
    "silot-plus-mnist-12": replace(DIGITS, max_objects=12),
    "sqair-mnist-2": replace(DIGITS, max_objects=2),
}
"""What is packaged, as the tests pretend."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, data in TRAINED.items():
        about = About(family=name.partition("-")[0], data=data)
        save_checkpoint(tmp_path / f"{name}.pt", Checkpoint(about=about, model={}, weights={}))
    unsaid = Checkpoint(about=About(family="silot"), model={}, weights={})
    save_checkpoint(tmp_path / "silot-unsaid.pt", unsaid)
    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("family", "data", "name"),
    [
        ("silot", DIGITS, "silot-mnist-6"),
        ("silot", replace(DIGITS, max_objects=5), "silot-mnist-6"),
        ("silot", replace(DIGITS, max_objects=7), "silot-mnist-12"),
        ("silot", replace(DIGITS, max_objects=13), "silot-mnist-12"),
        ("silot", replace(DIGITS, frame_size=(96, 96)), "silot-mnist-6"),
        ("silot", replace(DIGITS, n_frames=20, digit_source="mnist-5k"), "silot-mnist-6"),
        ("silot", replace(DIGITS, background=(9, 9, 9)), "silot-mnist-20-grey"),
        ("silot", replace(SHAPES, max_objects=10), "silot-shapes-48"),
        ("silot", replace(SHAPES, frame_size=(96, 96)), "silot-shapes-96"),
        ("silot", replace(SHAPES, palette=(RED,)), "silot-shapes-48"),
        ("silot-plus", DIGITS, "silot-plus-mnist-12"),
        ("sqair", DIGITS, "sqair-mnist-2"),
    ],
)
def test_weights_are_those_of_the_most_similar_videos(
    folder: Path, family: str, data: DataDescription, name: str
) -> None:
    assert packaged_weights(family, data) == folder / f"{name}.pt"


@pytest.mark.parametrize(
    ("family", "data", "kind"),
    [
        ("silot", replace(DIGITS, palette=(RED,)), "mnist"),
        ("silot", replace(DIGITS, background=(9, 9, 10)), "mnist"),
        ("silot", replace(SHAPES, palette=(RED, WHITE)), "shapes"),
        ("silot", None, "unknown"),
        ("sqair", SHAPES, "shapes"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_no_weights_fit_other_objects_colours_or_backgrounds(
    family: str, data: DataDescription | None, kind: str
) -> None:
    with pytest.raises(UsageError, match=f"no weights of {family} are packaged for {kind} videos"):
        packaged_weights(family, data)


def test_what_ships_fits_the_canonical_data_sets() -> None:
    for family in ("silot", "sqair"):
        assert packaged_weights(family, DIGITS).name == f"{family}-mnist-6.pt"
    assert packaged_weights("silot", SHAPES).name == "silot-shapes-48.pt"
