import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.errors import UsageError
from smot.evaluation.report.figures import N_STYLES
from smot.evaluation.results import read_results
from smot.evaluation.run import run
from smot.experiments.paper import FIGURES, SYSTEMS
from smot.experiments.reproduction import Choices, weights_of
from smot.experiments.training_data import DATASETS
from smot.models.family import load_family
from smot.models.packaged import FOLDER
from tests.test_pages import parse


def reproduce(*words: str) -> Result:
    return CliRunner().invoke(cli, ["reproduce", *words, "--digits", "mnist-5k", "--quiet"])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_figure_can_be_drawn_and_every_system_trained() -> None:
    for figure in FIGURES.values():
        assert len(figure.systems) <= N_STYLES
        assert set(figure.systems) <= set(SYSTEMS)
    for system in SYSTEMS.values():
        training = system.training
        if training:
            family = load_family(training.family)
            assert training.dataset in DATASETS
            assert family.preset(training.preset or family.default_preset, training.dataset)


def test_a_dry_run_names_what_is_missing_and_what_makes_it() -> None:
    done = reproduce("fig5", "--quick", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "mnist-12 conncomp" in done.stdout
    assert "missing: sqair-aaai2020-mnist-6.pt; about 96 h of smot train sqair" in done.stdout
    assert not Path("results").exists()


def test_jobs_are_commands_that_are_understood_and_independent() -> None:
    done = reproduce("fig5", "--quick", "--jobs", "--train", "--seeds", "2")
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)) == 14
    assert sum("smot train" in line for line in lines) == 12
    (shared,) = (line for line in lines if "--only sqair-6-told/seed-0" in line)
    assert "--only sqair-6/seed-0" in shared  # one training, two evaluations
    assert shared.count("smot train") == 1
    for line in lines:
        for command in line.split(" && "):
            parse(command)
    alone = reproduce("fig5", "--quick", "--jobs", "--workers", "1").stdout.splitlines()
    assert all("--workers 1" in line for line in alone)
    on_gpu = reproduce("fig5", "--quick", "--jobs", "--train", "--device", "cuda").stdout
    assert all(
        "--device cuda" in command
        for line in on_gpu.splitlines()
        for command in line.split(" && ")
    )


def test_weights_of_further_seeds_are_runs_of_the_same_system() -> None:
    Path("more").mkdir()
    for seed in (1, 2):
        Path(f"more/silot-mnist-6-seed-{seed}.pt").touch()
    choices = Choices(out=Path("out"), runs=Path("runs"), weights=(Path("more"),))
    found = {name: weights for name, weights, _ in weights_of("silot-6", choices)}
    assert list(found) == ["silot-6/seed-0", "silot-6/seed-1", "silot-6/seed-2"]
    assert found["silot-6/seed-0"] == FOLDER / "silot-mnist-6.pt"
    assert found["silot-6/seed-2"] == Path("more/silot-mnist-6-seed-2.pt")
    assert [name for name, *_ in weights_of("silot-12", choices)] == ["silot-12/seed-1"]
    Path("more/silot-mnist-12-seed-0.pt").touch()
    found = {name: weights for name, weights, _ in weights_of("silot-12", choices)}
    assert list(found) == ["silot-12/seed-0", "silot-12/seed-1"]
    assert found["silot-12/seed-1"] == FOLDER / "silot-mnist-12.pt"  # the seed that ships
    assert [name for name, *_ in weights_of("conncomp", choices)] == ["conncomp"]


@pytest.mark.slow
def test_what_is_done_is_passed_by_and_the_rest_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = replace(FIGURES["figG3"], systems=("sqair-mlp", "still", "motion"))
    monkeypatch.setitem(FIGURES, "figG3", figure)  # type: ignore[misc]
    first = reproduce("figG3", "--quick", "--n-videos", "2", "--workers", "1")
    assert first.exit_code == 0, first.output
    out = Path("results/paper-quick")
    file = out / "mnist-12-mnist-5k-2-videos/motion/results.json"
    results = read_results(file)
    assert {each.n_videos for each in results.dataset.videos.values()} == {2}
    page = (out / "figG3.html").read_text(encoding="utf-8")
    assert "Not in it: SQAIR (mlp), 1-6. smot reproduce figG3 --dry-run says" in page
    assert "not in the paper" in page
    for suffix in (".pdf", ".svg", ".md", ".tex"):
        assert (out / f"figG3{suffix}").stat().st_size > 0
    assert f"{results.prediction[3]['mota']:.3f}" in (out / "figG3.md").read_text("utf-8")
    written = file.stat().st_mtime_ns
    again = ("figG3", "--quick", "--n-videos", "2", "--workers", "1")
    assert reproduce(*again).exit_code == 0
    assert file.stat().st_mtime_ns == written
    other = reproduce("figG3", "--quick", "--n-videos", "3", "--dry-run").stdout.splitlines()
    assert sum("evaluate, about" in line for line in other) == 2
    (out / "mnist-12-mnist-5k-2-videos/still/results.json").write_bytes(file.read_bytes())
    states = reproduce(*again, "--dry-run").stdout.splitlines()
    assert [
        line.split("  ")[-1].strip() for line in states if "still" in line or "motion" in line
    ] == [
        "evaluate, about 1 min",  # somebody else's results
        "done",
    ]
    assert reproduce(*again).exit_code == 0
    assert file.stat().st_mtime_ns == written
    assert reproduce(*again, "--dry-run").stdout.count("  done\n") == 2
    file.unlink()
    assert reproduce(*again, "--dry-run").stdout.count("  done\n") == 1


def test_a_record_that_is_no_text_is_of_nothing_that_is_done() -> None:
    folder = Path("results/paper-quick/mnist-12-mnist-5k-100-videos/conncomp")
    folder.mkdir(parents=True)
    (folder / "evaluated.json").write_bytes(b"\xff\xfe{")
    (folder / "results.json").write_bytes(b"{")
    done = reproduce("fig5", "--quick", "--dry-run")
    assert done.exit_code == 0, done.output


def test_an_unknown_job_is_refused() -> None:
    done = reproduce("fig5", "--quick", "--only", "nothing")
    assert isinstance(done.exception, UsageError)
    assert "no job 'nothing': there are conncomp, silot-6" in str(done.exception)


def test_what_has_no_weights_is_an_error_where_it_alone_was_asked_for() -> None:
    done = reproduce("fig5", "--quick", "--only", "sqair-mlp")
    assert isinstance(done.exception, UsageError)
    assert "no weights (sqair-aaai2020-mnist-6.pt)" in str(done.exception)


def test_films_have_weights_that_can_be_trained() -> None:
    assert reproduce("figF2", "--dry-run").stdout.count("  ready to be drawn") == 3
    lines = reproduce("figF2", "--jobs", "--train").stdout.splitlines()
    assert len(lines) == 3  # a film is of one run
    for line in lines:
        assert line.startswith("smot train silot ")
        parse(line)
    assert isinstance(reproduce("figF1", "--only", "nothing").exception, UsageError)


def test_a_training_goes_on_until_its_end_though_it_has_weights() -> None:
    """A run has its best weights from its first validation on."""
    run_folder = Path("runs/paper/sqair-mnist-6/seed-0")
    run_folder.mkdir(parents=True)
    shutil.copyfile(FOLDER / "sqair-mnist-6.pt", run_folder / "best.pt")
    words = ["fig5", "--quick", "--train", "--seeds", "1", "--only", "sqair-6", "--hours", "2"]
    line = reproduce(*words, "--jobs").stdout
    assert "smot train sqair --hours 2.0 --out runs/paper/sqair-mnist-6/seed-0 --resume" in line
    (run_folder / "metrics.jsonl").write_bytes(b"5\n\xff")  # damaged
    assert "smot train" in reproduce(*words, "--jobs").stdout
    with (run_folder / "metrics.jsonl").open("w") as file:
        file.write('{"kind": "end", "step": 1}\n')
    assert "smot train" not in reproduce(*words, "--jobs").stdout
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 2}\n')
    assert "smot train" in reproduce(*words, "--jobs").stdout


def test_minutes_are_of_the_hours_that_were_asked_for_and_of_each_training_once() -> None:
    words = ["fig5", "--quick", "--train", "--seeds", "1", "--dry-run"]
    lines = reproduce(*words, "--hours", "0.5").stdout.splitlines()
    n_trainings = len({"silot-6", "silot-12", "silot-plus-12", "sqair-6", "mlp", "conv"})
    total = float(lines[-1].split()[3])
    assert 30 * n_trainings < total < 30 * n_trainings + 15
    assert reproduce("fig5", "--hours", "nan").exit_code == 2


def test_weights_of_the_seed_that_ships_do_not_hide_it() -> None:
    Path("more").mkdir()
    Path("more/silot-mnist-6-seed-0.pt").touch()
    choices = Choices(out=Path("out"), runs=Path("runs"), weights=(Path("more"),))
    found = {name: weights for name, weights, _ in weights_of("silot-6", choices)}
    assert found == {
        "silot-6/seed-0": Path("more/silot-mnist-6-seed-0.pt"),
        "silot-6/shipped": FOLDER / "silot-mnist-6.pt",
    }


def test_results_are_of_the_weights_that_were_read_though_a_training_replaces_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    best = Path("runs/paper/silot-mnist-6/seed-0/best.pt")
    best.parent.mkdir(parents=True)
    shutil.copyfile(FOLDER / "silot-mnist-6.pt", best)
    words = ["fig5", "--only", "silot-6", "--n-videos", "1", "--workers", "1"]

    def run_and_replace(*given: Any) -> Any:
        outcome = run(*given)
        shutil.copyfile(FOLDER / "silot-mnist-12.pt", best)
        return outcome

    monkeypatch.setattr("smot.experiments.reproduction.run", run_and_replace)
    assert reproduce(*words).exit_code == 0
    assert "evaluate, about" in reproduce(*words, "--dry-run").stdout
    shutil.copyfile(FOLDER / "silot-mnist-6.pt", best)
    assert "done, of a training that is not over" in reproduce(*words, "--dry-run").stdout
