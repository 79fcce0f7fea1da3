import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.experiments.plans import Request
from smot.experiments.recipes import FILE, recipe_stages
from smot.experiments.runs import Outcome
from smot.experiments.training_data import DataConfig
from smot.models.checkpoints import load_checkpoint
from smot.training.run_folder import RunFolder
from tests.training import with_toy


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    with_toy.register(monkeypatch.setitem)
    monkeypatch.setattr(RunFolder, "draw_curves", lambda *_, **__: None)


def train(out: Path, *arguments: str) -> Result:
    command = ("train", "toy", "--out", str(out), "--processes", "1", *arguments)
    return CliRunner().invoke(cli, command)


def begun(out: Path) -> Path:
    done = train(out, "--dataset", "toy")
    assert done.exit_code == 0, done.output
    return out


def test_a_run_that_describes_nothing_is_the_whole_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def expected(tracker: str, preset: str, _: DataConfig) -> list[str]:
        asked.append((tracker, preset))
        return ["to expect: much"]

    monkeypatch.setattr("smot.experiments.recipes.expected_score", expected)
    done = train(tmp_path / "a", "--dataset", "toy")
    assert asked == [("toy", "again")]
    assert "\nto expect: much\n" in done.stderr
    assert "toy on toy: small 3.00 h, again 1.00 h; 4.00 h in all" in done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'a'}: 12 steps")
    first, second = RunFolder(tmp_path / "a/1-small"), RunFolder(tmp_path / "a/2-again")
    settings = json.loads((second.path / "config.json").read_text())
    assert settings["train"]["init_from"] == str(first.best)
    assert (tmp_path / "a/best.pt").read_bytes() == second.best.read_bytes()


def test_options_of_a_single_run_mean_a_single_run(tmp_path: Path) -> None:
    for number, arguments in enumerate([("--preset", "small"), ("--steps", "2")]):
        out = tmp_path / str(number)
        assert train(out, "--dataset", "toy", *arguments).exit_code == 0
        assert (out / "last.pt").exists()
        assert not (out / FILE).exists()


def test_a_stopped_recipe_goes_on_where_it_was(tmp_path: Path) -> None:
    out = begun(tmp_path / "a")
    first = load_checkpoint(out / "1-small/last.pt").about
    shutil.rmtree(out / "2-again")
    (out / "best.pt").unlink()
    moved = out.rename(tmp_path / "elsewhere")
    assert train(moved, "--resume").exit_code == 0
    again = load_checkpoint(moved / "1-small/last.pt").about
    assert (again.step, again.seed) == (first.step, first.seed)
    assert load_checkpoint(moved / "2-again/last.pt").about.step == 12
    assert (moved / "best.pt").read_bytes() == (moved / "2-again/best.pt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "toy"), "--resume goes on, --force restarts"),
        (("--resume", "--seed", "3"), "give --resume and --out alone"),
    ],
)
def test_a_recipe_is_neither_overwritten_nor_changed(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    out = begun(tmp_path / "a")
    kept = (out / "best.pt").read_bytes()
    refused = train(out, *arguments).exception
    assert isinstance(refused, UsageError)
    assert message in str(refused)
    assert (out / "best.pt").read_bytes() == kept


@pytest.mark.parametrize("text", ["", "[]", '{"family": "toy", "out": 3}', '{"nonsense": 1}'])
def test_a_damaged_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    out = begun(tmp_path / "a")
    (out / FILE).write_text(text)
    refused = train(out, "--resume").exception
    assert isinstance(refused, DataError)
    assert FILE in str(refused)


def test_nothing_is_written_for_options_that_cannot_be(tmp_path: Path) -> None:
    refused = train(tmp_path / "a", "--dataset", "none").exception
    assert isinstance(refused, UsageError)
    assert not (tmp_path / "a").exists()


def test_hours_in_which_nothing_is_learned_are_said_to_be_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Outcome(
        folder=tmp_path, step=0, hours=1.0, score=None, best_step=0, leads=True, stopped=False
    )
    monkeypatch.setattr("smot.experiments.recipes.launch", lambda plan, options: nothing)
    done = train(tmp_path / "a", "--dataset", "toy", "--hours", "0.004")
    assert isinstance(done.exception, UsageError)
    assert "1-small: its 0.003 h were over before the first update" in str(done.exception)


def test_hours_are_divided_in_proportion() -> None:
    stages = recipe_stages(Request(family="silot", out="a", hours=6.0))
    hours = [stage.hours or 0 for stage in stages]
    assert sum(hours) == pytest.approx(6)
    assert hours[0] / hours[2] == pytest.approx(1.2 / 0.5)
    assert [stage.init_from for stage in stages] == [
        None,
        "a/1-fast",
        "a/2-refine",
        "a/3-follow",
    ]
