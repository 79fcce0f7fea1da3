import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.generators import ShapesSettings, generate


def test_a_card_says_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "shapes.h5"
    generate(ShapesSettings(max_objects=2), None, path=path, groups={"train": 3, "test/01": 2})
    done = CliRunner().invoke(cli, ["inspect", str(path), "--croissant"])
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert card["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert "coloured shapes" in card["description"]
    assert "train 3, test/01 2" in card["description"]
    (file,) = card["distribution"]
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file["contentUrl"] == "shapes.h5"
    mlcroissant = pytest.importorskip("mlcroissant")
    written = path.with_suffix(".json")
    written.write_text(done.stdout)
    assert mlcroissant.Dataset(str(written)).metadata.name == card["name"]
