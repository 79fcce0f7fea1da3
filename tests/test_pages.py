"""What the pages say can be typed as it stands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from smot.cli import cli
from smot.filmstrips import save_video

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "release/README.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUN = [ROOT / name for name in ("README.md", "docs/add-a-tracker.md", "docs/masks.md")]
PLACEHOLDER = re.compile(r"\b[A-Z]+\b|\.\.\.|\$")
# What takes minutes or hours is made short; nothing else of a command changes.
SHORTER = {
    "generate": "--dry-run",
    "train": "--steps 1 --processes 1 --digits mnist-5k --set validation.n_videos=2 "
    "--set train.batch_size=2",
    "eval": "--n-videos 2 --counts 1,6 --no-report",
    "baseline": "--n-videos 2 --counts 1,6 --no-report",
}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8").replace("\\\n", " ")


def commands(page: Path) -> Iterator[str]:
    """Every whole command of `smot` on a page: in blocks, indented, and within a sentence."""
    for line in text_of(page).splitlines():
        block = re.match(r"(?:\$ |    (?:\$ )?)?(smot .*)", line)
        for command in [block[1]] if block else re.findall(r"`(smot [^`]+ --[^`]+)`", line):
            if not PLACEHOLDER.search(command):
                yield from (one for one in command.split(" && ") if one.startswith("smot "))


def parse(command: str) -> None:
    """Parse a command without running it."""
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = cli
    while isinstance(found, click.Group) and not words[0].startswith("-"):
        name = words.pop(0)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None, f"{name}: no such command"
        found = inner
    if "--help" not in words:
        found.make_context("smot", words)


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    docs = ROOT / "docs"
    assert {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} <= menu


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'id="smot.evaluation.run.evaluate"' in (tmp_path / "api.html").read_text(
        encoding="utf-8"
    )
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="results.html"' in home
    assert 'src="pictures/curves.png"' in home


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for command in commands(page):
        try:
            parse(command)
        except click.MissingParameter:
            assert f"`{command}`" in text_of(page), command  # a sentence may leave the file out
        except click.BadParameter as error:
            if "does not exist" not in error.message:  # files that another command makes
                raise


def shortened(command: str) -> list[str]:
    """The words of a command, with what makes it short."""
    words = shlex.split(command, comments=True)[1:]
    words = [each for word in words for each in (sorted(map(str, Path().glob(word))) or [word])]
    short = {"--n-test", "--dry-run", "--steps", "--counts", "export"}
    if words[0] == "generate" and "--quick" in words:
        words += ["--n-train", "10", "--n-val", "10", "--n-test", "4"]
    elif not short & set(words):
        words += SHORTER.get(words[0], "").split()
    if words[0] in ("eval", "baseline") and "--data" not in words:
        words += ["--digits", "mnist-5k"]
    return words


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=named)
def test_every_command_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (module, *_) = re.findall(
        r"```python\n(.*?)```", text_of(ROOT / "docs/add-a-tracker.md"), re.S
    )
    (tmp_path / "my_module.py").write_text(module)
    save_video(tmp_path / "clip.mp4", [Image.new("RGB", (48, 48))] * 3)
    blocks = re.findall(r"```console\n(.*?)```", text_of(page), re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    typed = [line[2:] for line in lines if line.startswith("$ smot ") and "&&" not in line]
    assert len(typed) > 1
    for command in typed:
        done = CliRunner().invoke(cli, shortened(command))
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception!r}"
