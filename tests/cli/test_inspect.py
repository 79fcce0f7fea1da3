import json
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner, Result

from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.generators import ShapesSettings, generate
from smot.generators.synthesis import group_sizes


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "shapes.h5"
    settings = ShapesSettings(max_objects=3)
    groups = group_sizes(settings, n_train=4, n_val=0, n_test=2, counts=(1, 3))
    generate(settings, None, path, groups=groups)
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_inspection_says_what_is_in_the_file(shapes: Path) -> None:
    out = _run("inspect", shapes).stdout
    assert "scattered-shapes-48-1-3" in out
    assert "8 frames of 48 x 48 x 3" in out
    assert "max_objects 3" in out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith("test/")]
    assert [row[:4] for row in rows] == [
        ["test/01", "2", "1-1", "1.00"],
        ["test/03", "2", "3-3", "3.00"],
    ]
    assert rows[0][6] == "1.000"  # a single object is always seen


def test_inspection_as_json_has_the_same(shapes: Path) -> None:
    found = json.loads(_run("inspect", shapes, "--json").stdout)
    assert found["name"] == "scattered-shapes-48-1-3"
    assert found["groups"]["train"]["n_videos"] == 4
    assert found["groups"]["test/03"]["mean_count"] == 3
    assert len(found["content_fingerprint"]) == 64
    assert found["digit_source"] is None


def test_sound_file_is_verified(shapes: Path) -> None:
    outcome = _run("verify", shapes)
    assert outcome.exit_code == 0
    assert outcome.stdout == f"{shapes}: 8 videos, all sound\n"


def test_masks_are_made_on_request_and_inspected(tmp_path: Path) -> None:
    path = tmp_path / "masks.h5"
    sizes = ["--n-train", 2, "--n-val", 0, "--n-test", 1, "--counts", 2]
    _run("generate", "shapes", *sizes, "--masks", "--quiet", "--out", path)
    found = json.loads(_run("inspect", path, "--json").stdout)
    assert (found["format_version"], found["masks"]) == (2, True)
    assert _run("verify", path).stdout == f"{path}: 3 videos, all sound\n"


def test_damage_is_an_error_that_names_the_video(shapes: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    path.write_bytes(shapes.read_bytes())
    with h5py.File(path, "r+") as file:
        file["train/frames"][2, 5] = 0
    outcome = _run("verify", path)
    assert isinstance(outcome.exception, DataError)
    assert str(outcome.exception) == (
        f"{path}: train, video 2: its content is not what was written"
    )


@pytest.mark.parametrize("command", ["inspect", "verify", "show"])
def test_missing_file_is_an_error(command: str, tmp_path: Path) -> None:
    outcome = _run(command, tmp_path / "nothing.h5")
    assert isinstance(outcome.exception, DataError)
    assert "no such file" in str(outcome.exception)


def test_incomplete_merge_is_refused(shapes: Path, tmp_path: Path) -> None:
    outcome = _run("merge", shapes, shapes, "--out", tmp_path / "all.h5")
    assert isinstance(outcome.exception, UsageError)
    assert "one is given twice" in str(outcome.exception)


@pytest.mark.parametrize(("options", "n_workers"), [((), 7), (("--workers", "3"), 3)])
def test_merging_takes_a_thread_for_each_core(
    shapes: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], n_workers: int
) -> None:
    found: list[int] = []

    def stop(*_: object, workers: int, **__: object) -> None:
        found.append(workers)
        raise DataError("enough")

    monkeypatch.setattr("smot.videos.verification.merge", stop)
    monkeypatch.setattr("smot.files.available_cores", lambda: 7)
    CliRunner().invoke(cli, ["merge", str(shapes), "--out", "all.h5", *options])
    assert found == [n_workers]
