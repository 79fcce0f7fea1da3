import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smot.trackers import build_tracker
from smot.tracks import DataDescription

EXAMPLE = Path(__file__).parents[1] / "examples" / "centroid_tracker"
DATA = DataDescription(
    dataset="mnist", frame_size=(24, 24), n_frames=3, max_objects=2, palette=((255, 255, 255),)
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The example as pip would install it: the package, and metadata with the entry point."""
    (tmp_path / "centroid_tracker").symlink_to(EXAMPLE / "centroid_tracker")
    metadata = tmp_path / "centroid_tracker-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: centroid-tracker\nVersion: 0.1.0\n"
    )
    text = (EXAMPLE / "pyproject.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("centroid = "))
    (metadata / "entry_points.txt").write_text("[smot.trackers]\n" + line.replace('"', "") + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("centroid_tracker", None)


@pytest.mark.posix("makes a link")
def test_the_example_is_found_by_name_and_tracks(installed: None) -> None:
    videos = np.zeros((2, 3, 24, 24, 3), np.uint8)
    for t in range(3):
        videos[0, t, 2:8, 2 + 2 * t : 8 + 2 * t] = 255
        videos[0, t, 14:20, 14 - 2 * t : 18 - 2 * t] = 255
    tracks = build_tracker("centroid", {"reach": "6"}, DATA).track(videos)
    assert tracks.ids[0].tolist() == [[0, 1]] * 3
    assert tracks.ids[1].tolist() == [[-1, -1]] * 3
    np.testing.assert_array_equal(tracks.boxes[0, 2, 0], [6, 2, 12, 8])
