import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.generators import ShapesSettings, generate
from smot.models.checkpoints import About, Checkpoint, load_checkpoint, save_checkpoint
from smot.models.packaged import FOLDER
from smot.models.silot import SilotConfig, build
from smot.videos import open_videos


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shapes.h5"
    generate(ShapesSettings(n_frames=4), None, path, groups={"train": 2, "test/02": 3})
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A checkpoint of a small SILOT that learned nothing."""
    config = SilotConfig(
        n_channels=3,
        n_slots=4,
        n_backbone_filters=8,
        n_features=8,
        glimpse_size=6,
        what_size=5,
        hidden_size=7,
    )
    path = tmp_path / "run.pt"
    state = build(config, 0).state_dict()
    save_checkpoint(
        path, Checkpoint(about=About(family="silot"), model=asdict(config), weights=state)
    )
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


def test_checkpoint_says_which_tracker_to_show(shapes: Path, weights: Path) -> None:
    outcome = _run("show", shapes, "--ckpt", weights, "--group", "test/02")
    assert outcome.stdout == "shapes-test-02-0-silot.png: silot on test/02, video 0, 2 objects\n"
    width, height = _size(shapes)
    with Image.open("shapes-test-02-0-silot.png") as model:
        assert model.height > 2.5 * height
        assert model.width > width  # labels


def _size(shapes: Path, *options: object) -> tuple[int, int]:
    """Width and height of the picture of a test video."""
    outcome = _run("show", shapes, "--group", "test/02", "--out", "picture.png", *options)
    assert outcome.exit_code == 0, outcome.output
    with Image.open("picture.png") as picture:
        return picture.size


def test_prediction_stands_beside_what_was_seen(shapes: Path, weights: Path) -> None:
    options = ("--predict", "--observe", 2, "--horizon", 2, "--ckpt", weights)
    seen, predicted = _size(shapes, "--ckpt", weights), _size(shapes, *options)
    assert predicted[0] > seen[0]


def test_any_tracker_shows_its_tracks(shapes: Path) -> None:
    plain, tracked = _size(shapes), _size(shapes, "--tracker", "conncomp")
    assert 1.7 < tracked[1] / plain[1] < 2
    options = ("--predict", "--observe", 2, "--horizon", 2, "--set", "threshold=0.3")
    assert _size(shapes, "--tracker", "conncomp", *options)[0] > tracked[0]


@pytest.fixture
def with_masks(shapes: Path) -> Path:
    path = shapes.with_name("masks.h5")
    generate(ShapesSettings(n_frames=4), None, path, groups={"val": 1}, masks=True)
    return path


def test_masks_are_coloured_in_the_truth_and_in_a_row_of_the_trackers(
    with_masks: Path, weights: Path
) -> None:
    shown = {}
    for name, words in {"truth": [], "conncomp": ["--tracker", "conncomp"]}.items():
        for masks in ([], ["--masks"]):
            outcome = _run("show", with_masks, "--out", "a.png", "--scale", 2, *words, *masks)
            assert outcome.exit_code == 0, outcome.output
            with Image.open("a.png") as picture:
                shown[name, len(masks)] = np.asarray(picture)
    plain, masked = shown["truth", 0], shown["truth", 1]
    assert plain.shape == masked.shape
    assert (plain != masked).any()
    with open_videos(with_masks) as file:
        owned = (file.read("val", 0, 1, masks=True).owner > 0).sum()
    assert (plain != masked).any(-1).sum() == pytest.approx(4 * owned, rel=0.05)
    assert len(shown["conncomp", 1]) > 1.3 * len(shown["conncomp", 0])  # one row more
    assert _run("show", with_masks, "--masks", "--ckpt", weights, "--out", "a.svg").exit_code == 0
    assert 'id="text' in Path("a.svg").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["masks.h5", "--tracker", "oracle-jitter"], "oracle-jitter gives no masks"),
        (["masks.h5", "--tracker", "conncomp", "--predict"], "predictions have no masks"),
        (["shapes.h5"], "has no masks: smot generate --masks"),
    ],
)
def test_masks_that_there_are_not_are_refused(
    words: list[str], complaint: str, with_masks: Path
) -> None:
    assert with_masks.exists()
    outcome = _run("show", "--masks", *words)
    assert complaint in outcome.output + str(outcome.exception)
    assert outcome.exit_code != 0


def test_gif_alone_is_written_where_it_is_named(shapes: Path, weights: Path) -> None:
    outcome = _run("show", shapes, "--ckpt", weights, "--out", "new/run.gif")
    assert outcome.stdout == "new/run.gif: silot on train, video 0, 2 objects\n"
    assert [path.name for path in Path("new").iterdir()] == ["run.gif"]
    with Image.open("new/run.gif") as picture:
        assert picture.n_frames == 4  # type: ignore[attr-defined]


def test_without_a_file_the_canonical_videos_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--dataset", "shapes-48", "--group", "test/02", "--out", "a.png")
    outcome = _run("show", "--video", 3, *options)
    assert outcome.stdout == "a.png: test/02, video 3, 2 objects\n"
    assert "made on the spot" in outcome.stderr
    first = Path("a.png").read_bytes()
    assert _run("show", "--video", 3, "--quiet", *options).stderr == ""
    assert Path("a.png").read_bytes() == first
    _run("show", "--video", 2, *options)
    assert Path("a.png").read_bytes() != first


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--out", "a.jpg"], "'a.jpg' must end in .png, .pdf, .svg, .gif or .mp4"),
        (["--predict"], "--predict needs a tracker: give --ckpt or --tracker"),
        (["--set", "a=b"], "--set needs a tracker"),
        (["--tracker", "conncomp", "--predict"], "no prediction: the videos have 4 frames"),
        (["--tracker", "nobody"], "no tracker 'nobody'"),
    ],
)
def test_what_makes_no_picture_is_refused(
    arguments: list[str], complaint: str, shapes: Path
) -> None:
    outcome = _run("show", shapes, *arguments)
    said = outcome.output if isinstance(outcome.exception, SystemExit) else str(outcome.exception)
    assert complaint in said
    assert outcome.exit_code != 0
    assert not list(Path().glob("*.png"))


def test_device_that_is_not_there_is_refused(shapes: Path, weights: Path) -> None:
    outcome = _run("show", shapes, "--ckpt", weights, "--set", "device=")
    assert isinstance(outcome.exception, UsageError)
    assert "device must be cpu, cuda or cuda:N, not ''" in str(outcome.exception)


def test_checkpoint_that_is_none_is_named(shapes: Path) -> None:
    Path("run.pt").write_bytes(b"no")
    outcome = _run("show", shapes, "--ckpt", "run.pt")
    assert isinstance(outcome.exception, DataError)
    assert "run.pt" in str(outcome.exception)


def test_the_weights_that_ship_are_listed_with_score_and_hash() -> None:
    lines = _run("weights").stdout.splitlines()
    listed = {line.split()[0]: line for line in lines[1:-1]}
    assert set(listed) == {path.name for path in FOLDER.glob("*.pt")}
    for path in FOLDER.glob("*.pt"):
        about = load_checkpoint(path).about
        assert f"{about.score_name} {about.score:.3f}" in listed[path.name]
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in listed[path.name]
    assert "MIT" in lines[-1]
