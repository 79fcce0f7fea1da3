from pathlib import Path

import h5py
import pytest

from smot.errors import DataError, UsageError
from smot.videos import Origin, Shard, open_videos, write_videos
from smot.videos.reading import group_statistics
from smot.videos.verification import merge
from tests.videos.conftest import GROUPS, made_origin, made_videos
from tests.videos.sameness import contents


def _shards(folder: Path, total: int, origin: Origin | None = None) -> list[Path]:
    paths = [folder / f"{index}-of-{total}.h5" for index in range(total)]
    for index, path in enumerate(paths):
        write_videos(
            path,
            origin or made_origin(),
            GROUPS,
            made_videos,
            workers=1,
            shard=Shard(index=index, total=total),
        )
    return paths


def test_merging_is_the_same_as_writing_at_once(pristine: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.h5"
    merge(_shards(tmp_path, 3), out, workers=1)
    assert contents(out) == contents(pristine)


def test_shards_divide_every_group(tmp_path: Path) -> None:
    found = []
    for path in _shards(tmp_path, 7):
        with open_videos(path) as file:
            found.append(dict(file.groups))
            assert file.metadata.totals == GROUPS
    assert [each["train"] for each in found] == [2, 3, 3, 3, 3, 3, 3]
    assert sum(each["test/02"] for each in found) == 3


def test_missing_shard_is_named(tmp_path: Path) -> None:
    first, _, third, _ = _shards(tmp_path, 4)
    with pytest.raises(UsageError, match="shards of 4 missing: 1, 3"):
        merge([first, third], tmp_path / "all.h5", workers=1)


def test_shard_given_twice_is_refused(tmp_path: Path) -> None:
    first, second = _shards(tmp_path, 2)
    with pytest.raises(UsageError, match="3 files for 2 shards: one is given twice"):
        merge([first, second, first], tmp_path / "all.h5", workers=1)


def test_shards_of_different_data_are_refused(tmp_path: Path) -> None:
    usual = made_origin()
    other = Origin(name=usual.name, seed=6, settings=usual.settings, description=usual.description)
    (tmp_path / "other").mkdir()
    ours, theirs = _shards(tmp_path, 2), _shards(tmp_path / "other", 2, other)
    with pytest.raises(UsageError, match="differ in settings_fingerprint"):
        merge([ours[0], theirs[1]], tmp_path / "all.h5", workers=1)


def test_nothing_cannot_be_merged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no files to merge"):
        merge([], tmp_path / "all.h5", workers=1)


def test_shards_of_different_divisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is one of 2 shards, .* one of 3"):
        merge([_shards(tmp_path, 2)[0], _shards(tmp_path, 3)[1]], tmp_path / "a.h5", workers=1)


def test_merging_does_not_launder_damage(tmp_path: Path) -> None:
    paths = _shards(tmp_path, 2)
    with h5py.File(paths[1], "r+") as file:
        file["train/frames"][4] = 9
    with pytest.raises(DataError, match=r"1-of-2.h5: train, video 4: its content is not"):
        merge(paths, tmp_path / "all.h5", workers=1)
    assert not (tmp_path / "all.h5").exists()


def test_statistics_are_those_of_the_objects(pristine: Path) -> None:
    with open_videos(pristine) as file:
        found = group_statistics(file, "train")
    assert (found.n_videos, found.fewest, found.most, found.mean_count) == (20, 2, 2, 2)
    assert (found.mean_width, found.mean_height) == (3, 3)
    assert (found.mean_visibility, found.hidden, found.present) == (1, 0, 7 / 8)
