"""Files that know which object each pixel belongs to."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from smot.errors import DataError, UsageError
from smot.videos import Shard, VideoDataset, Videos, open_videos, write_videos
from smot.videos.content import digests, layout
from smot.videos.verification import merge, verify
from tests.videos.conftest import GROUPS, made_origin, made_videos, masked_videos
from tests.videos.sameness import contents


def _silent(n_videos: int) -> None:
    del n_videos


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("masks") / "masked.h5"
    write_videos(path, made_origin(), GROUPS, masked_videos, workers=1)
    return path


@pytest.fixture
def masked(written: Path, tmp_path: Path) -> Path:
    """A file of one's own to damage."""
    path = tmp_path / "masked.h5"
    shutil.copy(written, path)
    return path


def test_masks_are_read_where_they_are_asked_for(written: Path) -> None:
    with open_videos(written) as file:
        assert file.has_masks
        assert file.metadata.format_version == 2
        assert file.read("train", 3, 5).owner is None
        owner = file.read("train", 3, 5, masks=True).owner
        np.testing.assert_array_equal(owner, masked_videos("train", 3, 5).owner)
        assert verify(file, _silent) == sum(GROUPS.values())


def test_files_without_masks_are_what_they_were(squares: Path, written: Path) -> None:
    with open_videos(squares) as plain, open_videos(written) as masked:
        assert (plain.metadata.format_version, plain.has_masks) == (1, False)
        with pytest.raises(UsageError, match="has no masks: smot generate --masks"):
            plain.read("train", 0, 1, masks=True)
        ours, theirs = plain.metadata, masked.metadata
        assert ours.settings_fingerprint == theirs.settings_fingerprint
        assert ours.content_fingerprint != theirs.content_fingerprint


def test_more_slots_than_a_byte_can_number_take_two() -> None:
    assert layout(255, masks=True)[-1].dtype == np.uint8
    assert layout(256, masks=True)[-1].dtype == np.uint16


def test_masks_have_a_part_in_the_digest_and_follow_the_videos() -> None:
    videos = masked_videos("train", 0, 4)
    assert videos.owner is not None
    again = Videos.stack([videos[:1], videos[1:]])
    np.testing.assert_array_equal(again.owner, videos.owner)
    assert not (digests(videos) == digests(made_videos("train", 0, 4))).all(1).any()
    with pytest.raises(DataError, match="agree in frames, frame size, slots and masks"):
        Videos.stack([videos, made_videos("train", 0, 4)])


def test_merging_keeps_masks(written: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for n, path in enumerate(parts):
        part = Shard(index=n, total=2)
        write_videos(path, made_origin(), GROUPS, masked_videos, workers=1, shard=part)
    merge(parts, tmp_path / "all.h5", workers=1)
    assert contents(tmp_path / "all.h5") == contents(written)
    write_videos(parts[1], made_origin(), GROUPS, made_videos, workers=1, shard=part, force=True)
    with pytest.raises(UsageError, match="differ in format_version"):
        merge(parts, tmp_path / "all.h5", workers=1, force=True)


@pytest.mark.parametrize("owner", [2, 3, 255])
def test_pixel_of_an_object_that_is_not_there_is_refused(owner: int, masked: Path) -> None:
    with h5py.File(masked, "r+") as file:
        file["train/owner"][6, 0, 0, 0] = owner  # the second object comes in the second frame
    with open_videos(masked) as file:
        file.read("train", 0, 20)
        with pytest.raises(DataError, match="train, video 6: a pixel belongs to an object that"):
            file.read("train", 5, 8, masks=True)


@pytest.mark.parametrize(
    ("place", "owner", "complaint"),
    [
        ((9, 11), 1, "the mask of object 0 leaves its box"),
        ((slice(None), 3), 0, "the box of object 0 is not that of its mask"),
        ((slice(None), slice(None)), 0, "object 0 is visible without a mask"),
    ],
)
def test_verification_holds_masks_against_boxes(
    place: tuple[object, ...], owner: int, complaint: str, tmp_path: Path
) -> None:
    def askew(group: str, start: int, stop: int) -> Videos:
        videos = masked_videos(group, start, stop)
        if start < stop:
            assert videos.owner is not None
            videos.owner[2, 1][place] = owner
        return videos

    path = tmp_path / "askew.h5"
    write_videos(path, made_origin(), {"train": 5}, askew, workers=1)
    with (
        open_videos(path) as file,
        pytest.raises(DataError, match=f"train, video 2, frame 1: {complaint}"),
    ):
        verify(file, _silent)


def test_data_set_gives_masks_boxes_or_nothing(written: Path) -> None:
    video, target = VideoDataset(written, "train", target="masks")[7]
    assert target["owner"].dtype == torch.int16
    np.testing.assert_array_equal(target["owner"], masked_videos("train", 7, 8).owner[0])
    assert "boxes" in target
    assert "owner" not in VideoDataset(written, "train")[7][1]
    alone = VideoDataset(written, "train", target="none", as_floats=True)[7]
    assert (alone.shape, alone.dtype) == ((4, 3, 10, 12), torch.float32)
    assert torch.equal(alone, video.permute(0, 3, 1, 2) / 255)


def test_data_set_refuses_targets_that_there_are_not(squares: Path) -> None:
    with pytest.raises(UsageError, match="has no masks"):
        VideoDataset(squares, "train", target="masks")
    with pytest.raises(UsageError, match="target must be boxes, masks or none, not 'all'"):
        VideoDataset(squares, "train", target="all")  # type: ignore[arg-type]
