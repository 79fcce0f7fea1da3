from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from smot.errors import UsageError
from smot.videos import VideoDataset
from tests.videos.conftest import made_videos


def test_item_is_a_video_and_its_truth(squares: Path) -> None:
    dataset = VideoDataset(squares, "train")
    assert len(dataset) == 20
    video, target = dataset[7]
    expected = made_videos("train", 7, 8)
    assert video.dtype == torch.uint8
    np.testing.assert_array_equal(video, expected.frames[0])
    assert set(target) == {
        "boxes",
        "present",
        "visibility",
        "velocity",
        "label",
        "source_index",
        "count",
    }
    for name, value in target.items():
        np.testing.assert_array_equal(value, getattr(expected, name)[0])


def test_items_count_from_the_end_too_and_have_an_end(squares: Path) -> None:
    dataset = VideoDataset(squares, "train")
    assert torch.equal(dataset[-1][0], dataset[19][0])
    with pytest.raises(IndexError, match="video 20 of 20"):
        dataset[20]
    assert sum(1 for _ in iter(dataset)) == 20


def test_several_items_come_in_the_order_asked_for(squares: Path) -> None:
    dataset = VideoDataset(squares, "train")
    wanted = [5, 3, 4, 17, 5]
    found = [int(target["source_index"][0]) // 2 for _, target in dataset.__getitems__(wanted)]
    assert found == wanted


def test_slices_are_read_at_once(squares: Path) -> None:
    frames = VideoDataset(squares, "train").read(3, 9)
    np.testing.assert_array_equal(frames, made_videos("train", 3, 9).frames)


def test_transforms_are_applied(squares: Path) -> None:
    dataset = VideoDataset(
        squares,
        "test/02",
        transform=lambda video: video[0].float().mean().item(),
        target_transform=lambda target: int(target["count"]),
    )
    assert dataset[1] == (pytest.approx(255 * 9 / 120), 2)


def test_missing_group_is_refused(squares: Path) -> None:
    with pytest.raises(UsageError, match="has no group 'val'"):
        VideoDataset(squares, "val")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "start",
    ["fork", *(pytest.param(each, marks=pytest.mark.slow) for each in ("spawn", "forkserver"))],
)
def test_loader_gives_the_right_videos_however_workers_start(start: str, squares: Path) -> None:
    dataset = VideoDataset(squares, "train")
    dataset[0]  # the parent's handle is open when the workers begin
    loader = DataLoader(
        dataset,
        batch_size=3,
        shuffle=True,
        num_workers=2 if start == "fork" else 1,  # the others import torch anew in each
        multiprocessing_context=start,
    )
    seen = []
    for frames, target in loader:
        for video, source in zip(frames, target["source_index"][:, 0], strict=True):
            index = int(source) // 2
            np.testing.assert_array_equal(video, made_videos("train", index, index + 1).frames[0])
            seen.append(index)
    assert sorted(seen) == list(range(20))


def test_indices_may_be_tensors_arrays_and_negative(squares: Path) -> None:
    dataset = VideoDataset(squares, "train")
    for index in (torch.tensor(3), np.int32(3), np.uint8(3), -17, torch.tensor(-17)):
        assert torch.equal(dataset[index][0], dataset[3][0])
    some = Subset(dataset, torch.randperm(20)[:6])  # type: ignore[arg-type]
    videos, _ = next(iter(DataLoader(some, batch_size=6)))
    for video, index in zip(videos, some.indices, strict=True):
        assert torch.equal(video, dataset[int(index)][0])
    assert torch.equal(Subset(dataset, [-1])[0][0], dataset[19][0])
    with pytest.raises(IndexError, match="video -21 of 20"):
        dataset.__getitems__([-21])
