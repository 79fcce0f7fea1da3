from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.evaluation.results import Results, read_results
from smot.generators import ShapesSettings, generate
from smot.models.checkpoints import About, Checkpoint, save_checkpoint
from smot.models.silot import SilotConfig, build

N_SLOTS = 4
Evaluate = Callable[..., Results]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["eval", "silot", *map(str, arguments)])


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """What ``smot eval silot`` writes into results.json."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Results:
        ran = invoke(*arguments, "--out", "r", "--no-report", "--quiet")
        assert ran.exit_code == 0, ran.output
        assert "silot on" in ran.stdout
        return read_results(tmp_path / "r" / "results.json")

    return run


@pytest.fixture
def eager_run(tmp_path: Path) -> Path:
    """A run's folder; its model, trained with up to two objects, sees one in every cell."""
    config = SilotConfig(
        n_slots=N_SLOTS,
        n_backbone_filters=8,
        n_features=8,
        glimpse_size=6,
        what_size=5,
        hidden_size=7,
    )
    model = build(config, 0)
    with torch.no_grad():
        model.discovery.pres.output_bias.fill_(20.0)
    folder = tmp_path / "run"
    folder.mkdir()
    about = About(family="silot", data=ShapesSettings(max_objects=2).describe(""))
    weights = model.state_dict()
    save_checkpoint(
        folder / "best.pt", Checkpoint(about=about, model=asdict(config), weights=weights)
    )
    return folder


def shapes(path: Path, side: int, n_objects: int, grey: int = 0) -> Path:
    """A file of two test videos."""
    settings = ShapesSettings(
        frame_size=(side, side), max_objects=n_objects, background=(grey, grey, grey)
    )
    generate(settings, None, path, groups={f"test/{n_objects:02d}": 2}, workers=1)
    return path


@pytest.mark.parametrize(
    ("side", "n_objects", "n_cells"), [(48, 2, 16), (48, 7, 16), (96, 2, 64), (96, 12, 64)]
)
def test_a_checkpoint_carries_an_object_for_each_cell_of_any_frame(
    evaluate: Evaluate, tmp_path: Path, eager_run: Path, side: int, n_objects: int, n_cells: int
) -> None:
    data = shapes(tmp_path / "a.h5", side, n_objects)
    results = evaluate("--ckpt", eager_run, "--data", data)
    assert set(results.tracking) == set(results.prediction) == {n_objects}
    assert results.tracking[n_objects]["count_error"] == n_cells - n_objects
    assert results.tracker.options == {"checkpoint": str(eager_run)}


def test_the_number_of_slots_is_an_option(
    evaluate: Evaluate, tmp_path: Path, eager_run: Path
) -> None:
    data = shapes(tmp_path / "a.h5", 48, 2)
    slots = ("--set", "n_slots=6")
    results = evaluate("--ckpt", eager_run / "best.pt", "--data", data, *slots)
    assert results.tracking[2]["count_error"] == 6 - 2


def test_without_a_checkpoint_the_packaged_weights_find_and_foresee_digits(
    evaluate: Evaluate,
) -> None:
    videos = ("--dataset", "mnist-6", "--digits", "mnist-5k", "--counts", "1-2", "--n-videos", 5)
    results = evaluate(*videos)
    for count in (1, 2):
        mota, foreseen = results.tracking[count]["mota"], results.prediction[count]["mota"]
        assert mota is not None
        assert foreseen is not None
        assert mota > 0.6
        assert foreseen > 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--set", "device=gpu9"), UsageError, "device must be cpu, cuda or cuda:N, not 'gpu9'"),
        (("--set", "n_slots=0"), UsageError, "silot: n_slots is 0, must be at least 1"),
        (("--ckpt", "."), DataError, "best.pt: no such checkpoint"),
        ((), UsageError, "no weights of silot are packaged for shapes videos like these"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eager_run: Path,
    arguments: tuple[str, ...],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = ("--ckpt", eager_run) if "--set" in arguments else ()
    ran = invoke("--data", shapes(tmp_path / "a.h5", 48, 2, grey=60), *weights, *arguments)
    assert isinstance(ran.exception, error), ran.exception
    assert message in str(ran.exception)
