"""Benchmarks run as printed, from the root or from anywhere."""

import ast
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_a_benchmark_needs_nothing_but_the_package_and_its_neighbours(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = ast.parse(path.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(source) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in modules if module and module.split(".")[0] == "tests"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    if "argparse" in path.read_text(encoding="utf-8"):
        with pytest.raises(SystemExit, match="0"):
            runpy.run_path(str(path), run_name="__main__")
    else:
        assert runpy.run_path(str(path))["__doc__"]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_the_usage_that_a_benchmark_prints_names_options_that_it_has(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    usage = [
        line for line in (ast.get_docstring(ast.parse(text)) or "").splitlines() if "[--" in line
    ]
    options = {
        word.strip("[]") for line in usage for word in line.split() if word.startswith("[--")
    }
    assert all(f'"{option}"' in text for option in options), options
