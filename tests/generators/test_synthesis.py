import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from smot.errors import DataError, UsageError
from smot.generators import (
    CANONICAL,
    DigitSource,
    MnistSettings,
    Settings,
    ShapesSettings,
    generate,
)
from smot.generators.synthesis import check_space, expect, group_sizes, origin
from smot.videos import Shard, open_videos
from smot.videos.content import settings_fingerprint
from smot.videos.verification import merge
from tests.videos.sameness import contents

SETTINGS = MnistSettings(max_objects=3)
GROUPS = {"train": 300, "val": 7, "test/02": 20, "test/11": 1}

# What a data set looks like must never change, on any machine and with any library: these are
# fingerprints of content. Changing one means a new format version.
GOLDEN: dict[str, Settings] = {
    "de68bee999e5f1ef943ce75bc4af1e8891651730bedd80788122fe0e59c5e29d": MnistSettings(),
    "fe641248ae84f72e431ea32d4a785aaee7b82123648ff6f2cb08713d29fe3720": MnistSettings(
        max_objects=6
    ),
    "b2fa43469cb817e3550c6574b72543d7147534a307798b76dc5e7f893bfcd19e": MnistSettings(
        max_objects=4,
        coloured=True,
        object_size=20,
        frame_size=(60, 56),
        n_frames=5,
        appearance=0.4,
        disappearance=0.1,
        speed=3.5,
        background=(20, 30, 40),
        background_noise=5,
        pixel_noise=9,
    ),
    "991b8c3dd857aab1e2e72c86d722fa4cdd8069954dbb06315ab8e91e211980af": MnistSettings(
        max_objects=2, frame_size=(50, 50), object_size=28, speed=10, acceleration=3, overlap=0
    ),
    "b392b3ea845207c5c14de895d5c2add6ead462634ecfec9b867461fb3f2618c4": ShapesSettings(),
    "7bd647c87bf6edaa00e5e133f5bb6b115e69d400627cd962b48bc2abc31dfe18": ShapesSettings(
        frame_size=(96, 96), max_objects=10
    ),
    "04d1eafb0194915e29f113f12493a94c1f507ab701e04a659e55ec6dff291eb2": ShapesSettings(
        frame_size=(96, 96), min_objects=21, max_objects=30
    ),
    "c886a515f45dd406777561ce186efc06b2498bcc4e9beef06528cfd9c6c63046": CANONICAL["mnist-mot"],
    "30f2b5f5d83ca49d943cd2bb4fffdbcbc472c1caee39d7e93119bf279c5e5d09": CANONICAL["sprites-mot"],
}


def _small(settings: Settings) -> dict[str, int]:
    return group_sizes(settings, n_train=6, n_val=2, n_test=2, counts=(1, settings.max_objects))


@pytest.fixture(scope="module")
def whole(few_digits: DigitSource, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("whole") / "whole.h5"
    return path, generate(SETTINGS, few_digits, path, groups=GROUPS, workers=1)


@pytest.mark.parametrize(("expected", "settings"), GOLDEN.items())
def test_content_is_what_it_has_always_been(
    expected: str, settings: Settings, digits: DigitSource, tmp_path: Path
) -> None:
    source = digits if isinstance(settings, MnistSettings) else None
    path = tmp_path / "golden.h5"
    found = generate(settings, source, path, seed=0, groups=_small(settings), workers=2)
    assert found == expected


def test_content_is_the_same_at_any_number_of_workers(
    whole: tuple[Path, str], few_digits: DigitSource, tmp_path: Path
) -> None:
    path = tmp_path / "four.h5"
    assert generate(SETTINGS, few_digits, path, groups=GROUPS, workers=4) == whole[1]
    assert contents(path) == contents(whole[0])


@pytest.mark.parametrize("total", [2, 5])
def test_merged_shards_are_the_whole(
    total: int, whole: tuple[Path, str], few_digits: DigitSource, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{index}.h5" for index in range(total)]
    for index, path in enumerate(paths):
        shard = Shard(index=index, total=total)
        generate(SETTINGS, few_digits, path, groups=GROUPS, shard=shard)
    merged = tmp_path / "merged.h5"
    assert merge(paths[::-1], merged, workers=2) == whole[1]
    assert contents(merged) == contents(whole[0])


def test_videos_do_not_depend_on_how_many_there_are(
    whole: tuple[Path, str], few_digits: DigitSource, tmp_path: Path
) -> None:
    path = tmp_path / "fewer.h5"
    generate(SETTINGS, few_digits, path, groups={"train": 5})
    with open_videos(path) as fewer, open_videos(whole[0]) as more:
        assert (fewer.read("train", 3, 5).frames == more.read("train", 3, 5).frames).all()
        assert fewer.metadata.settings_fingerprint == more.metadata.settings_fingerprint
        assert fewer.metadata.content_fingerprint != more.metadata.content_fingerprint


def test_settings_fingerprint_tells_settings_seeds_and_digits_apart(
    digits: DigitSource, few_digits: DigitSource
) -> None:
    made = [
        origin(MnistSettings(), digits, 0),
        origin(MnistSettings(speed=3), digits, 0),
        origin(MnistSettings(), digits, 1),
        origin(MnistSettings(), few_digits, 0),
        origin(ShapesSettings(max_objects=12), None, 0),
    ]
    assert len({settings_fingerprint(each) for each in made}) == 5


def test_default_sizes_are_the_papers() -> None:
    sizes = group_sizes(MnistSettings(max_objects=6))
    assert sizes["train"] == 60_000
    assert sizes["val"] == 1_000
    assert [sizes[f"test/{count:02d}"] for count in range(1, 13)] == [1_000] * 12
    assert len(sizes) == 14


def test_groups_without_videos_are_left_out() -> None:
    sizes = group_sizes(SETTINGS, n_train=0, n_val=0, n_test=5, counts=[0, 3])
    assert sizes == {"test/00": 5, "test/03": 5}


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"n_train": -1}, "n_train must not be negative, and is -1"),
        ({"n_train": 0, "n_val": 0, "n_test": 0}, "there is nothing to make"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        group_sizes(SETTINGS, **sizes)


def test_videos_without_objects_can_be_stored(few_digits: DigitSource, tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    generate(SETTINGS, few_digits, path, groups={"test/00": 3})
    with open_videos(path) as file:
        videos = file.read("test/00", 0, 3)
    assert not videos.frames.any()
    assert not videos.present.any()


def test_existing_file_is_replaced_only_by_force(few_digits: DigitSource, tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"mine.h5 exists: .*--force"):
        generate(SETTINGS, few_digits, path, groups={"val": 1})
    assert path.read_bytes() == b"precious"
    generate(SETTINGS, few_digits, path, groups={"val": 1}, force=True)
    with open_videos(path) as file:
        assert file.groups == {"val": 1}


def test_impossible_settings_leave_no_file(few_digits: DigitSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not fit"):
        generate(SETTINGS, few_digits, tmp_path / "a.h5", groups={"val": 500, "test/70": 1})
    assert list(tmp_path.iterdir()) == []


def test_failure_in_a_thread_leaves_an_old_file_alone(
    whole: tuple[Path, str], few_digits: DigitSource, tmp_path: Path
) -> None:
    path = tmp_path / "old.h5"
    shutil.copy(whole[0], path)
    with pytest.raises(UsageError, match="do not fit"):
        generate(SETTINGS, few_digits, path, groups={"test/70": 1}, force=True)
    assert [each.name for each in tmp_path.iterdir()] == ["old.h5"]
    assert path.read_bytes() == whole[0].read_bytes()


def test_no_workers_are_refused(few_digits: DigitSource, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers must be at least 1, not 0"):
        generate(SETTINGS, few_digits, tmp_path / "a.h5", groups=GROUPS, workers=0)


def test_estimate_of_size_is_near_the_size(
    whole: tuple[Path, str], few_digits: DigitSource
) -> None:
    expected = expect(SETTINGS, few_digits, GROUPS, seed=0)
    assert expected.n_videos == sum(GROUPS.values())
    assert 0.7 < expected.n_bytes / whole[0].stat().st_size < 1.4
    part = expect(SETTINGS, few_digits, GROUPS, seed=0, shard=Shard(index=1, total=4))
    assert part.n_videos == 75 + 2 + 5 + 0


def test_lack_of_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_space(tmp_path / "new" / "a.h5", 1e3)
    with pytest.raises(DataError, match=r"a.h5 needs about .* MB, and .* has .* MB free"):
        check_space(tmp_path / "new" / "a.h5", free * 2.0)


def test_unwritable_folder_gives_one_line(few_digits: DigitSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"a.h5 cannot be written: (Not a directory|File exists)"):
        generate(SETTINGS, few_digits, tmp_path / "file" / "a.h5", groups={"val": 1})
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208
