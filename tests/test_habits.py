"""What is said in more than one place of the repository is said alike."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_make_precommit_and_the_workflow_run_the_same_checks() -> None:
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    checks = [line.strip().removeprefix("$(BIN)/") for line in recipe.splitlines()]
    hooks = re.findall(r"entry: (.*)", read(".pre-commit-config.yaml"))
    (steps,) = re.findall(r"run: (ruff check.*)", read(".github/workflows/ci.yml"))
    assert len(checks) == 4
    assert [check.removesuffix(" .") for check in checks] == hooks
    assert checks == steps.split(" && ")


def test_the_workflow_runs_every_python_that_the_package_names() -> None:
    classifiers = tomllib.loads(read("pyproject.toml"))["project"]["classifiers"]
    named = [each for line in classifiers for each in re.findall(r"Python :: (3\.\d+)", line)]
    (matrix,) = re.findall(r"python: \[(.*)\]", read(".github/workflows/ci.yml"))
    assert named
    assert re.findall(r"3\.\d+", matrix) == named


def test_the_citation_names_the_version_and_the_licence_of_the_package() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    citation = read("CITATION.cff")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation
    assert f"version = {{{project['version']}}}" in read("README.md")


def test_docstrings_mark_code_with_single_backticks_and_the_formatter_lays_code_out() -> None:
    files = sorted((ROOT / "smot").rglob("*.py"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert "`" * 2 not in text, file
        assert "fmt: " + "skip" not in text, file
