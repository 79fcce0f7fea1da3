from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.evaluation.results import read_results
from smot.generators import ShapesSettings, generate
from smot.models.checkpoints import About, Checkpoint, save_checkpoint
from smot.models.sqair import SqairConfig, build

COUNTS = (1, 3, 4)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["eval", "sqair", *map(str, arguments)])


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """A checkpoint with two slots whose model, left alone, finds nothing."""
    config = SqairConfig(frame_size=(48, 48), n_slots=2, glimpse_size=6, n_what=5, n_hidden=8)
    model = build(config, 0)
    with torch.no_grad():
        last = model.inference.discovery.presence.linear[-1]
        assert last.bias is not None
        last.bias.fill_(-20.0)
    about = About(family="sqair", data=ShapesSettings(max_objects=2).describe(""))
    weights = model.state_dict()
    path = tmp_path / "blind.pt"
    save_checkpoint(path, Checkpoint(about=about, model=asdict(config), weights=weights))
    return path


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A file of two test videos for each of three counts."""
    path = tmp_path / "shapes.h5"
    settings = ShapesSettings(frame_size=(48, 48), max_objects=4)
    generate(settings, None, path, groups={f"test/{n:02d}": 2 for n in COUNTS}, workers=1)
    return path


def test_one_evaluation_tells_every_count_and_keeps_apart_from_the_normal_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blind: Path, shapes: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = ("--ckpt", blind, "--data", shapes, "--no-report", "--quiet")
    for mode, name in (("normal", "sqair"), ("oracle-count", "sqair (oracle count)")):
        ran = invoke(*usual, "--set", f"mode={mode}")
        assert ran.exit_code == 0, ran.output
        assert f"{name} on" in ran.stdout
        (folder,) = (tmp_path / "results").glob(f"sqair-{mode}-on-*")
        results = read_results(folder / "results.json")
        assert (results.tracker.name, results.tracker.is_oracle) == (name, mode != "normal")
        assert results.prediction is not None
        for count in COUNTS:
            for scores in (results.tracking[count], results.prediction[count]):
                assert scores["count_error"] == (count if mode == "normal" else 0)
                assert scores["counting_accuracy"] == (0 if mode == "normal" else 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("mode=oracle",), "mode must be one of normal, oracle-count, not 'oracle'"),
        (("mode=oracle-count", "count=2"), "count is not for mode 'oracle-count'"),
    ],
)
def test_a_mode_that_cannot_be_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    blind: Path,
    shapes: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = invoke("--ckpt", blind, "--data", shapes, *(f"--set={each}" for each in options))
    assert message in str(ran.exception)
