import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(
        cli,
        [
            "generate",
            "mnist",
            "--digits",
            "mnist-5k",
            "--n-train",
            "0",
            "--n-val",
            "0",
            "--n-test",
            "50",
            "--counts",
            "1,6,12",
            "--out",
            "data/quick.h5",
            "--quiet",
        ],
    )
    assert made.exit_code == 0, made.output
    (lines,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(lines, "README.md", "exec"), {})
    mota, idf1 = map(float, capsys.readouterr().out.split())
    assert 0.2 < mota < 0.8
    assert 0.4 < idf1 < 0.9


@pytest.mark.slow
def test_python_lines_of_the_readme_pass_the_strict_type_checker(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    example = tmp_path / "example.py"
    example.write_text(lines, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(example)],  # strict in ROOT's settings
        capture_output=True,
        text=True,
        cwd=ROOT,  # where `make lint` has left what mypy found in smot
    )
    assert done.returncode == 0, done.stdout


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(targets) > 8
    assert [
        each for each in targets if not each.startswith("http") and not (ROOT / each).exists()
    ] == []
