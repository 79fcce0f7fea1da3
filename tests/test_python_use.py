import ast
import base64
import io
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smot
from smot.generators import ShapesSettings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    groups = {"test/01": 3, "test/02": 3}
    smot.generate(ShapesSettings(), None, tmp_path / "shapes.h5", groups=groups)
    return tmp_path / "shapes.h5"


def test_a_data_set_a_tracker_and_its_score_take_four_lines(path: Path) -> None:
    with smot.open_videos(path) as data:
        tracker = smot.build_tracker("conncomp", {}, data.description)
        results = smot.evaluate(tracker, data, counts=[1, 2])
    assert results.tracking[1]["mota"] > 0.9
    smot.write_results(results, path.with_name("results.json"))
    assert smot.read_results(path.with_name("results.json")) == results


def test_names_paths_and_videos_are_evaluated_as_open_files_are(path: Path) -> None:
    with smot.open_videos(path) as data:
        tracker = smot.build_tracker("conncomp", {}, data.description)
        results = smot.evaluate(tracker, data, counts=[2])
        videos = data.read("test/02", 0, 3)
    for given in (path, str(path), videos):
        again = smot.evaluate("conncomp", given, counts=[2])
        assert again.tracking == results.tracking
        assert again.dataset.videos == results.dataset.videos
        assert again.tracker.target == "conncomp"
    assert again.dataset.origin == "videos in memory"
    assert smot.Results.from_json(again.to_json()) == again


def test_what_cannot_be_evaluated_is_refused(path: Path) -> None:
    with pytest.raises(smot.UsageError, match="did you mean 'conncomp'"):
        smot.evaluate("concomp", path)
    with pytest.raises(smot.DataError, match="no such file"):
        smot.evaluate("conncomp", path.with_name("none.h5"))
    with pytest.raises(smot.UsageError, match="data must be a path, an open file or Videos"):
        smot.evaluate("conncomp", [path])
    with pytest.raises(smot.UsageError, match="tracker must be a name, or have name and track"):
        smot.evaluate(3, path)  # type: ignore[arg-type]
    with smot.open_videos(path) as data, pytest.raises(smot.UsageError, match="no videos"):
        smot.evaluate("conncomp", data.read("test/01", 0, 0))


def test_every_object_says_in_a_line_what_it_is(path: Path) -> None:
    with smot.open_videos(path) as data:
        videos = data.read("test/02", 0, 3)
        silot = smot.build_tracker("silot", {}, data.description)
        shown = {
            "<Videos: 3 of 8 frames of 48 x 48 pixels, up to 2 objects>": videos,
            "<Tracks: 3 videos, 8 frames, 6 objects, up to 2 in a frame>": videos.truth,
            f"<VideoFile {path}: scattered-shapes-48, test/01: 3, test/02: 3>": data,
            f"<VideoDataset {path}, test/02: 3 videos>": smot.VideoDataset(path, "test/02"),
            "SilotTracker(name='silot', n_slots=None, refine=0, latents='mean')": silot,
        }
        results = smot.evaluate("oracle", data)
    shown["<Results: oracle on scattered-shapes-48, MOTA 1: 1.000, 2: 1.000>"] = results
    assert {repr(each) for each in shown.values()} == set(shown)


def test_notebooks_show_videos_tracks_and_results(path: Path) -> None:
    with smot.open_videos(path) as data:
        videos = data.read("test/02", 0, 2)
        results = smot.evaluate("oracle", data)
    for each in (videos, videos.truth):
        html = each._repr_html_()
        assert html.startswith(f"<code>{repr(each).replace('<', '&lt;').replace('>', '&gt;')}")
        (content,) = re.findall(r"base64,([\w+/=]+)", html)
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert picture.width > 8 * 48
    for empty in (videos[:0], videos.truth[:0]):
        assert "<img" not in empty._repr_html_()
    assert "oracle on scattered-shapes-48" in results._repr_html_()


def test_arrays_of_ones_own_are_scored_in_one_line() -> None:
    boxes = np.array([[[[0, 0, 10, 10], [20, 20, 30, 30]]] * 2], np.float32)
    ids = np.array([[[0, 1], [0, 1]]])
    swapped = np.array([[[0, 1], [1, 0]]])
    assert smot.score((boxes, ids), (boxes, ids))["mota"] == 1.0
    scores = smot.score((boxes, ids), (boxes, swapped))
    assert (scores["switches"], scores["mota"]) == (2, 0.5)
    unsure = smot.score((boxes, ids), (boxes, ids, np.full(ids.shape, 0.3)))
    assert (unsure["misses"], unsure["ap"]) == (4, 1.0)
    tracks = smot.Tracks(boxes=boxes, ids=ids, confidence=np.ones(ids.shape))
    assert smot.score(tracks, (boxes, ids))["idf1"] == 1.0


def test_arrays_that_are_no_tracks_are_refused() -> None:
    boxes = np.zeros((1, 2, 1, 4), np.float32)
    with pytest.raises(smot.DataError, match="ids must be integers"):
        smot.score((boxes, np.zeros((1, 2, 1))), (boxes, np.zeros((1, 2, 1), int)))
    with pytest.raises(smot.DataError, match=r"must be Tracks, \(boxes, ids\)"):
        smot.score(boxes, boxes)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, smot; assert 'open_videos' in dir(smot); "
        "heavy = {'numpy', 'torch', 'h5py', 'numba', 'scipy', 'matplotlib', 'click'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_every_public_name_is_there_for_type_checkers_too() -> None:
    source = ast.parse(Path(smot.__file__).read_text())
    imported = {
        alias.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("smot")
        for alias in node.names
    }
    assert imported | {"__version__"} == set(smot.__all__)
    for name in smot.__all__:
        assert getattr(smot, name) is not None


def test_the_version_is_that_of_the_installed_package() -> None:
    assert smot.__version__ == version("smot")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert smot.__version__ == project["version"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = smot.nothing
