import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.generators import ShapesSettings, generate


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what mlcroissant stands on
def test_a_card_is_valid_to_the_reference_library(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    path, card = tmp_path / "shapes.h5", tmp_path / "card.json"
    generate(ShapesSettings(max_objects=2), None, path=path, groups={"train": 3, "test/01": 2})
    card.write_text(CliRunner().invoke(cli, ["inspect", str(path), "--croissant"]).stdout)
    metadata = mlcroissant.Dataset(str(card)).metadata  # raises where the card is not valid
    assert metadata.name == "scattered-shapes-48-1-2"
    assert not metadata.ctx.issues.errors
    card.write_text(card.read_text().replace('"sha256"', '"sha257"'))
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        mlcroissant.Dataset(str(card))


def test_a_card_says_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "shapes.h5"
    generate(
        ShapesSettings(max_objects=2),
        None,
        path=path,
        groups={"train": 3, "test/01": 2},
        masks=True,
    )
    done = CliRunner().invoke(cli, ["inspect", str(path), "--croissant"])
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (
        "coloured shapes with boxes, identities and visibility, and masks" in card["description"]
    )
    assert "synthetic videos" in card["keywords"]
    assert "train 3, test/01 2" in card["description"]
    (file,) = card["distribution"]
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["contentUrl"] == "shapes.h5"


def test_a_card_of_converted_footage_does_not_call_it_made_here(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 8, 8), np.uint8))
    (tmp_path / "a.txt").write_text("1,1,1,1,4,4,1,1,1\n")
    typed = ["convert", "a.npy", "--truth", "a.txt", "--out", "a.h5"]
    typed = [word if word[0] != "a" else str(tmp_path / word) for word in typed]
    assert CliRunner().invoke(cli, typed).exit_code == 0
    card = json.loads(CliRunner().invoke(cli, ["inspect", typed[-1], "--croissant"]).stdout)
    assert "creator" not in card
    assert card["keywords"] == ["multi-object tracking"]
