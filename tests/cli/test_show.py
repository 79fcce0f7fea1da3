from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from smot.cli import cli
from smot.errors import UsageError
from smot.generators import ShapesSettings, generate


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shapes.h5"
    generate(ShapesSettings(n_frames=4), None, path, groups={"train": 2, "test/02": 3})
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_video_becomes_a_filmstrip(shapes: Path) -> None:
    outcome = _run("show", shapes, "--group", "test/02", "--video", 2, "--scale", 2)
    assert outcome.stdout == "shapes-test-02-2.png: test/02, video 2, 2 objects\n"
    with Image.open("shapes-test-02-2.png") as picture:
        assert picture.width > 4 * 96
        assert 96 < picture.height < 160


def test_animation_is_written_beside_it(shapes: Path) -> None:
    outcome = _run("show", shapes, "--out", "new/a.png", "--gif")
    assert outcome.stdout.splitlines() == ["new/a.png: train, video 0, 2 objects", "new/a.gif"]
    with Image.open("new/a.gif") as picture:
        assert picture.n_frames == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--video", 3, "--group", "test/02"], "test/02 has videos 0 to 2, not 3"),
        (["--video", -1], "train has videos 0 to 1, not -1"),
        (["--group", "val"], "has no group 'val'"),
        (["--scale", 0], "scale must be at least 1"),
    ],
)
def test_what_is_not_there_cannot_be_shown(
    arguments: list[object], complaint: str, shapes: Path
) -> None:
    outcome = _run("show", shapes, *arguments)
    assert isinstance(outcome.exception, UsageError)
    assert complaint in str(outcome.exception)
