import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smot.tracks import DataDescription
from smot.videos import Origin, Videos, write_videos

GROUPS = {"train": 20, "test/02": 3}


def made_videos(group: str, start: int, stop: int) -> Videos:
    """Two objects, white squares of 3 pixels, that step to the right; the second comes late."""
    n = stop - start
    frames = np.zeros((n, 4, 10, 12, 3), np.uint8)
    boxes = np.zeros((n, 4, 2, 4), np.float32)
    present = np.ones((n, 4, 2), bool)
    present[:, 0, 1] = False
    for place, video in enumerate(range(start, stop)):
        for t, k in np.argwhere(present[place]):
            x, y = t + 4 * k, video % 4 + 3 * k
            frames[place, t, y : y + 3, x : x + 3] = 255 - 100 * k
            boxes[place, t, k] = x, y, x + 3, y + 3
    return Videos(
        frames=frames,
        boxes=boxes,
        present=present,
        visibility=present.astype(np.float32),
        velocity=np.tile(np.float32([1, 0]), (n, 2, 1)),
        label=np.tile(np.int16([3, 4]), (n, 1)),
        source_index=np.arange(start * 2, stop * 2, dtype=np.int32).reshape(n, 2),
        count=np.full(n, 2, np.int16),
    )


def masked_videos(group: str, start: int, stop: int) -> Videos:
    """The same with masks: each square's pixels are its own."""
    videos = made_videos(group, start, stop)
    owner = np.zeros(videos.frames.shape[:4], np.uint8)
    for n, t, k in np.argwhere(videos.present):
        x0, y0, x1, y1 = videos.boxes[n, t, k].astype(int)
        owner[n, t, y0:y1, x0:x1] = 1 + k
    return replace(videos, owner=owner)


def made_origin() -> Origin:
    description = DataDescription(
        dataset="mnist",
        frame_size=(10, 12),
        n_frames=4,
        max_objects=2,
        palette=((255, 255, 255),),
        digit_source="mnist-5k",
    )
    return Origin(name="squares", seed=5, settings={"speed": 1.0}, description=description)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "squares.h5"
    write_videos(path, made_origin(), GROUPS, made_videos, workers=1)
    return path


@pytest.fixture
def squares(pristine: Path, tmp_path: Path) -> Path:
    """A file of one's own to damage."""
    path = tmp_path / "squares.h5"
    shutil.copy(pristine, path)
    return path
