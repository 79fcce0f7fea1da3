import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.errors import DataError, SmotError, UsageError
from smot.experiments.plans import Plan
from smot.experiments.runs import RunOptions
from smot.models.checkpoints import load_checkpoint
from smot.training.run_folder import RunFolder
from tests import processes
from tests.processes import PATIENCE, wait_until
from tests.training import with_toy

TOY = ("train", "toy", "--dataset", "toy", "--preset", "small")
SLOWLY = ("--set", "train.max_steps=100000", "--set", "train.checkpoint_minutes=1e-6")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    with_toy.register(monkeypatch.setitem)
    # Drawing takes ten times as long as the toy's training.
    monkeypatch.setattr(RunFolder, "draw_curves", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def start(out: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """``smot train toy`` in processes of its own."""
    command = (*launcher, "-m", "tests.training.with_toy", *TOY)
    return processes.start(*command, "--out", str(out), *arguments)


def wait_for_steps(folder: RunFolder, n_steps: int, process: subprocess.Popen[str]) -> None:
    wait_until(
        lambda: folder.last.exists() and load_checkpoint(folder.last).about.step >= n_steps,
        process,
    )


def assert_equal_weights(first: Path, second: Path, *, tolerance: float) -> None:
    left, right = load_checkpoint(first).weights, load_checkpoint(second).weights
    for name, weight in left.items():
        torch.testing.assert_close(weight, right[name], rtol=tolerance, atol=tolerance, msg=name)


def test_help_names_families_and_the_export() -> None:
    text = invoke("train", "--help").output
    assert all(name in text for name in ("silot", "sqair", "export"))
    assert "--init-from" in invoke("train", "silot", "--help").output


def test_a_run_prints_its_outcome_alone_on_stdout(tmp_path: Path) -> None:
    result = invoke(*TOY, "--out", str(tmp_path), "--processes", "1", "--steps", "6")
    assert result.exit_code == 0, result.output
    assert re.match(rf"{tmp_path}: 6 steps, \d\.\d\d h, best mota", result.stdout)
    assert result.stdout.count("\n") == 1
    assert "step 6  T=4" in result.stderr
    silent = invoke(
        *TOY, "--out", str(tmp_path), "--processes", "1", "--steps", "6", "--force", "--quiet"
    )
    assert silent.stderr == ""


def test_export_writes_the_best_weights_of_a_run(tmp_path: Path) -> None:
    invoke(*TOY, "--out", str(tmp_path / "run"), "--processes", "1", "--steps", "6")
    result = invoke("train", "export", str(tmp_path / "run"), "--out", str(tmp_path / "w.pt"))
    assert "w.pt: toy, step 6, mota" in result.stdout
    exported = load_checkpoint(tmp_path / "w.pt")
    assert not exported.training
    assert exported.weights["picture"].dtype == torch.float16


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--dataset", "moon"), UsageError, "is for toy, not 'moon'"),
        (("--preset", "huge"), UsageError, "no preset 'huge': there are small"),
        (("--set", "train.lr=fast"), UsageError, "lr must be float, not 'fast'"),
        (("--data", "none.h5"), DataError, "none.h5"),
        (("--device", "tpu9"), UsageError, "device must be cpu, cuda or cuda:N"),
        (("--processes", "3"), UsageError, "multiple of the 3 processes, not 4"),
        (("--set", "train.objective=best"), UsageError, "Toy has no 'best'; there are"),
        (("--init-from", "none.pt"), DataError, "none.pt: no such checkpoint"),
        (("--hours", "0", "--steps", "0"), UsageError, "a run needs an end"),
        (("--resume",), UsageError, "--resume: there is no run in"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], error: type[SmotError], message: str
) -> None:
    result = invoke(*TOY, "--out", str(tmp_path), "--processes", "1", *arguments)
    assert isinstance(result.exception, error), result.exception
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_gpu_that_is_too_small_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def carry_out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\n...")

    monkeypatch.setattr("smot.experiments.runs.carry_out", carry_out)
    result = invoke(*TOY, "--out", str(tmp_path), "--processes", "1")
    assert isinstance(result.exception, DataError), result.exception
    assert "out of memory with train.batch_size 4: set a smaller one" in str(result.exception)


def test_tensorboard_without_its_package_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if not installed
    out = tmp_path / "run"
    result = invoke(*TOY, "--out", str(out), "--processes", "1", "--tensorboard")
    assert isinstance(result.exception, UsageError), result.exception
    assert "pip install 'smot[tensorboard]'" in str(result.exception)
    assert not out.exists()


def test_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    arguments = (*TOY, "--out", str(tmp_path), "--processes", "1", "--steps", "6", "--quiet")
    invoke(*arguments)
    assert "holds a run" in str(invoke(*arguments).exception)
    assert "6 steps" in invoke(*arguments, "--resume").stdout


@pytest.mark.slow
@pytest.mark.posix("signals stop a process")
def test_kill_9_costs_nothing_that_was_saved_and_resuming_repeats_the_rest(
    tmp_path: Path,
) -> None:
    process = start(tmp_path / "killed", *SLOWLY, "--processes", "1", "--quiet")
    folder = RunFolder(tmp_path / "killed")
    wait_for_steps(folder, 5, process)
    process.kill()
    process.communicate()
    reached = load_checkpoint(folder.last).about.step
    (folder.path / ".last.pt.1.tmp").write_bytes(b"a state cut short")
    more = ("--processes", "1", "--quiet", "--steps", str(reached + 5))
    assert invoke("train", "toy", "--out", str(folder.path), "--resume", *more).exit_code == 0
    assert invoke(*TOY, "--out", str(tmp_path / "whole"), *more).exit_code == 0
    assert_equal_weights(folder.last, tmp_path / "whole" / "last.pt", tolerance=0)
    assert list(folder.path.glob(".*")) == []


@pytest.mark.slow
@pytest.mark.posix("signals stop a process")
def test_two_processes_learn_what_one_learns_and_leave_together_when_asked(
    tmp_path: Path,
) -> None:
    silent = ("--set", "model.noise=0", "--quiet")
    process = start(tmp_path / "pair", *SLOWLY, "--processes", "2", *silent)
    pair = RunFolder(tmp_path / "pair")
    wait_for_steps(pair, 5, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    reached = load_checkpoint(pair.last).about.step
    assert process.returncode == 130, errors
    assert errors.startswith(f"smot: stopped at step {reached}, 0.")
    assert errors.endswith(f"to go on: smot train toy --out {pair.path} --resume\n")
    assert errors.count("\n") == 1
    steps = ("--processes", "1", "--steps", str(reached))
    assert invoke(*TOY, "--out", str(tmp_path / "one"), *steps, *silent).exit_code == 0
    assert_equal_weights(pair.last, tmp_path / "one" / "last.pt", tolerance=1e-4)


@pytest.mark.posix("has no SIGHUP")
def test_a_closed_terminal_saves_the_run(tmp_path: Path) -> None:
    hung_up = ("--set", "model.interrupt_at=5", "--set", "model.interrupt_by=SIGHUP")
    result = invoke(*TOY, "--out", str(tmp_path), "--processes", "1", "--quiet", *hung_up)
    assert result.exit_code == 130, result.output
    assert "smot: stopped at step 6, " in result.stderr
    assert load_checkpoint(tmp_path / "last.pt").about.step == 6


@pytest.mark.slow
def test_torchrun_learns_what_one_process_learns(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
    silent = ("--set", "model.noise=0", "--quiet")
    pair = start(tmp_path / "pair", *silent, launcher=launcher)
    invoke(*TOY, "--out", str(tmp_path / "alone"), "--processes", "1", *silent)
    output, errors = pair.communicate(timeout=PATIENCE)
    assert pair.returncode == 0, errors
    assert output.count("12 steps") == 1
    assert_equal_weights(
        tmp_path / "pair" / "last.pt", tmp_path / "alone" / "last.pt", tolerance=1e-5
    )


@pytest.mark.parametrize(
    ("options", "n_processes", "n_threads"),
    [((), 4, 1), (("--processes", "2", "--threads", "3"), 2, 3)],
)
def test_processes_that_divide_the_batch_with_one_thread_each_are_usual(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    n_processes: int,
    n_threads: int,
) -> None:
    found: list[int] = []

    def stop(plan: Plan, options: RunOptions) -> None:
        found.extend((plan.n_processes, options.n_threads))
        raise DataError("enough")

    monkeypatch.setattr("smot.experiments.runs.launch", stop)
    monkeypatch.setattr("smot.experiments.plans.available_cores", lambda: 7)
    invoke(*TOY, "--out", str(tmp_path), *options)
    assert found == [n_processes, n_threads]


@pytest.mark.slow
def test_silot_learns_from_a_file_of_objects_that_come_and_go(tmp_path: Path) -> None:
    data, out = str(tmp_path / "sprites.h5"), str(tmp_path / "run")
    few = ("--n-train", "8", "--n-val", "2", "--n-test", "0", "--quiet")
    assert invoke("generate", "sprites-mot", *few, "--out", data).exit_code == 0
    command = ("train", "silot", "--data", data, "--preset", "fast", "--out", out)
    refused = invoke(*command).exception
    assert isinstance(refused, UsageError)
    assert "no preset for shapes of 128x128 pixels; name one with --dataset" in str(refused)
    small = ("--steps", "2", "--processes", "1", "--set", "train.batch_size=2")
    done = invoke(*command, "--dataset", "shapes-48", *small, "--set", "validation.n_videos=2")
    assert done.exit_code == 0, done.output
    assert "2 steps" in done.output


def test_a_seed_beyond_63_bits_is_refused(tmp_path: Path) -> None:
    words = ["train", "silot", "--out", str(tmp_path / "run"), "--seed", str(2**63)]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, (tmp_path / "run").exists()) == (2, False)
    assert "not in the range" in done.output
