import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli, main
from smot.errors import DataError
from smot.evaluation.results import read_results
from smot.videos import open_videos
from tests import processes
from tests.processes import PATIENCE, wait_until
from tests.videos.sameness import contents

SMALL = ["--n-train", "3", "--n-val", "2", "--n-test", "2", "--counts", "1-2,4"]
EMBEDDED = ["--digits", "mnist-5k"]
ENDLESS = ["generate", "mnist", *EMBEDDED, "--n-train", "300000", "--workers", "1"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str) -> str:
    outcome = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def _endless() -> subprocess.Popen[str]:
    """A process that has begun to write a.h5 and would go on for long."""
    process = processes.start("-m", "smot", *ENDLESS, "--out", "a.h5", cwd=Path.cwd())
    wait_until(lambda: list(Path().glob(".a.h5.*.tmp")), process)
    return process


def test_data_set_goes_to_its_canonical_place() -> None:
    out = _run("generate", "mnist", "--max-digits", "6", *EMBEDDED, *SMALL)
    assert out.startswith("data/scattered-mnist-6.h5: 11 videos")
    with open_videos("data/scattered-mnist-6.h5") as file:
        assert dict(file.groups) == {
            "train": 3,
            "val": 2,
            "test/01": 2,
            "test/02": 2,
            "test/04": 2,
        }
        assert file.metadata.name == "scattered-mnist-6"
        assert file.metadata.digit_source == "mnist-5k"


def test_size_and_time_are_said_first() -> None:
    outcome = CliRunner().invoke(cli, ["generate", "shapes", *SMALL, "--workers", "1"])
    first, second = outcome.stderr.splitlines()
    assert first == "data/scattered-shapes-48.h5: 3 training, 2 validation, 3 x 2 test videos"
    assert second == "about 0 MB, 0 s with 1 workers"
    quiet = CliRunner().invoke(cli, ["generate", "shapes", *SMALL, "--force", "--quiet"])
    assert quiet.stderr == ""


def test_dry_run_makes_nothing() -> None:
    out = _run("generate", "shapes", "--frame-size", "96", "--dry-run")
    assert "data/scattered-shapes-96.h5: 60,000 training, 1,000 validation, 35 x 1,000" in out
    assert list(Path().iterdir()) == []


def test_quick_set_has_a_name_of_its_own() -> None:
    out = _run("generate", "shapes", "--quick", "--n-train", "0", "--n-val", "0", "--counts", "3")
    assert out.startswith("data/scattered-shapes-48-quick.h5: 50 videos")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "options"), [("mnist-mot", EMBEDDED), ("sprites-mot", ["--masks"])]
)
def test_every_command_takes_objects_that_come_and_go(world: str, options: list[str]) -> None:
    sizes = ["--n-train", "0", "--n-val", "4", "--n-test", "4"]
    out = _run("generate", world, *sizes, *options)
    path = f"data/{world}.h5"
    assert out.startswith(f"{path}: 16 videos")
    assert _run("verify", path) == f"{path}: 16 videos, all sound\n"
    assert "motion cross" in " ".join(_run("inspect", path).split())
    _run("show", path, "--group", "test/03", "--scale", "1", "--out", "strip.png")
    _run("eval", "conncomp", "--dataset", world, "--n-videos", "4", "--out", "r", "--no-report")
    results = read_results("r/results.json")
    assert results.counts == [1, 2, 3]
    assert results.dataset.origin == path
    assert results.tracking[1]["mota"] > 0.5


def test_every_stress_axis_reaches_the_settings() -> None:
    options = {
        "--frame-size": "40x56",
        "--n-frames": "3",
        "--speed": "4",
        "--acceleration": "1",
        "--object-size": "10",
        "--overlap": "0.25",
        "--appearance": "0.5",
        "--disappearance": "0.1",
        "--background": "1,2,3",
        "--background-noise": "2",
        "--pixel-noise": "3",
        "--min-digits": "2",
        "--max-digits": "3",
        "--out": "a.h5",
        "--seed": "9",
    }
    flat = [part for pair in options.items() for part in pair]
    _run("generate", "mnist", *EMBEDDED, *SMALL, "--coloured", *flat)
    with open_videos("a.h5") as file:
        assert file.metadata.seed == 9
        assert file.metadata.settings == {
            "dataset": "mnist",
            "frame_size": [40, 56],
            "n_frames": 3,
            "speed": 4.0,
            "acceleration": 1.0,
            "object_size": 10,
            "overlap": 0.25,
            "appearance": 0.5,
            "disappearance": 0.1,
            "background": [1, 2, 3],
            "background_noise": 2.0,
            "pixel_noise": 3.0,
            "min_objects": 2,
            "max_objects": 3,
            "coloured": True,
        }


def test_large_shapes_have_the_papers_numbers() -> None:
    _run("generate", "shapes", "--frame-size", "96", *SMALL)
    with open_videos("data/scattered-shapes-96.h5") as file:
        assert file.description.max_objects == 10
        assert file.metadata.name == "scattered-shapes-96"


def test_shards_are_numbered_files() -> None:
    for index in range(2):
        _run("generate", "shapes", *SMALL, "--out", "a.h5", "--shard", f"{index}/2")
    names = sorted(path.name for path in Path().iterdir())
    assert names == ["a-00000-of-00002.h5", "a-00001-of-00002.h5"]
    whole = _run("generate", "shapes", *SMALL, "--out", "b.h5")
    merged = _run("merge", *names, "--out", "c.h5")
    assert merged.split("content ")[1] == whole.split("content ")[1]
    assert contents(Path("b.h5")) == contents(Path("c.h5"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--counts", "6-1"], "has a range that goes down: 6-1"),
        (["--counts", "1,x"], "is not numbers and ranges such as 1-6,12"),
        (["--shard", "2/2"], "is not i/n with i from 0 to n - 1"),
        (["--frame-size", "big"], "is neither a side such as 96 nor HxW"),
        (["--background", "0,0,300"], "is not red,green,blue"),
        (["--max-digits", "-1"], "max_objects must be from 0 to 500, not -1"),
        (["--digits", "emnist"], "'emnist' is not one of"),
        (["--n-train", "-4"], "n_train must not be negative, and is -4"),
        (["--seed", "-1"], "seed must be from 0 to 2**63 - 1, not -1"),
        (["--workers", "0", "--quick"], "workers must be at least 1, not 0"),
        (["--max-digits", "60", "--min-digits", "60"], "60 objects of about 14 x 14 pixels"),
    ],
)
def test_wrong_arguments_are_usage_errors_of_one_line(
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["smot", "generate", "mnist", *EMBEDDED, *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    assert list(Path().iterdir()) == []


def test_existing_file_is_kept_without_force() -> None:
    Path("a.h5").write_text("precious")
    outcome = CliRunner().invoke(cli, ["generate", "shapes", *SMALL, "--out", "a.h5"])
    assert "--force" in str(outcome.exception)
    assert Path("a.h5").read_text() == "precious"
    _run("generate", "shapes", *SMALL, "--out", "a.h5", "--force")
    assert Path("a.h5").read_bytes() != b"precious"


def test_notice_of_other_digits_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from smot.generators import digits

    def fail(root: Path) -> None:
        raise DataError("MNIST is not there")

    monkeypatch.setattr(digits, "_downloaded", fail)
    arguments = ["generate", "mnist", *SMALL, "--mnist-root", "nowhere", "--quiet"]
    outcome = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert outcome.stderr == "smot: using the 5,000 embedded digits: MNIST is not there\n"


@pytest.mark.slow
@pytest.mark.posix("Ctrl-C and kill reach a process as signals")
def test_killed_process_leaves_no_file_under_the_final_name() -> None:
    process = _endless()
    process.kill()
    process.communicate()
    assert not Path("a.h5").exists()
    _run("generate", "shapes", *SMALL, "--out", "a.h5")  # what is left is not in the way


@pytest.mark.posix("Ctrl-C and kill reach a process as signals")
def test_interrupted_process_cleans_up() -> None:
    process = _endless()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "smot: interrupted"
    assert list(Path().iterdir()) == []


@pytest.mark.posix("a limit on file sizes stands for a full disk")
@pytest.mark.parametrize("limit", [2_000, 200_000])
def test_full_disk_is_one_clear_line(limit: int) -> None:
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        outcome = CliRunner().invoke(cli, ["generate", "shapes", "--quick", "--out", "a.h5"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert isinstance(outcome.exception, DataError)
    assert str(outcome.exception) == "a.h5 cannot be written: File too large"
    assert list(Path().iterdir()) == []


def test_a_thread_for_each_core_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smot.files.available_cores", lambda: 7)
    for options, n_workers in (((), 7), (("--workers", "3"), 3)):
        said = _run("generate", "shapes", *SMALL, "--dry-run", *options)
        assert said.endswith(f"with {n_workers} workers\n")
