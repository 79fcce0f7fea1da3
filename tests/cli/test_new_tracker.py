import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.cli.new_tracker import TEMPLATES, write_package
from smot.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # runs pytest
def test_a_new_package_passes_its_own_tests_and_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(cli, ["new-tracker", "blob-2"])
    assert made.exit_code == 0, made.output
    assert made.stdout.splitlines() == [
        str(Path("blob-2", each.format(module="blob_2"))) for each in TEMPLATES
    ]
    project = tomllib.loads((tmp_path / "blob-2/pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"smot.trackers": {"blob-2": "blob_2:Blob2"}}
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path / "blob-2", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_what_is_written_is_laid_out_as_the_linters_want_it(tmp_path: Path) -> None:
    write_package("my-tracker", tmp_path / "made")
    ruff = [sys.executable, "-m", "ruff"]
    for check in (["check"], ["format", "--check"]):
        rules = ["--config", str(ROOT / "pyproject.toml")]
        command = [*ruff, *check, *rules, "--no-cache", str(tmp_path / "made/my_tracker")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Tracker", "small letters, digits, -; not 'My Tracker'"),
        ("../up", "must be like my-tracker"),
        ("class", "must be like my-tracker"),
        ("silot", "'silot' is taken"),
        ("json", "'json' is taken"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_package(name, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_package("mine", tmp_path)
