import os
import pickle
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from smot.errors import DataError, UsageError
from smot.videos import VideoFile, Videos, open_videos, write_videos
from smot.videos.content import FIELDS, FORMAT_VERSION, content_fingerprint, digests
from smot.videos.verification import verify
from smot.videos.writing import encode, fletcher32
from tests.videos.conftest import GROUPS, made_origin, made_videos


def _same(first: Videos, second: Videos) -> bool:
    return all(
        np.array_equal(getattr(first, each.name), getattr(second, each.name)) for each in FIELDS
    )


def test_what_was_written_is_read(squares: Path) -> None:
    with open_videos(squares) as file:
        assert dict(file.groups) == GROUPS
        for group, n_videos in GROUPS.items():
            assert _same(file.read(group, 0, n_videos), made_videos(group, 0, n_videos))
        assert _same(file.read("train", 17, 19), made_videos("train", 17, 19))


def test_file_says_what_it_is(squares: Path) -> None:
    with open_videos(squares) as file:
        said, origin = file.metadata, made_origin()
        assert file.description == origin.description
        assert (said.name, said.seed, said.settings) == ("squares", 5, {"speed": 1.0})
        assert (said.format_version, said.digit_source) == (FORMAT_VERSION, "mnist-5k")
        assert (said.shard.index, said.shard.total, said.totals) == (0, 1, GROUPS)
        assert {"smot", "numpy", "h5py", "hdf5"} <= set(said.versions)
        assert len(said.settings_fingerprint) == len(said.content_fingerprint) == 64


def test_groups_come_in_the_order_of_work(tmp_path: Path) -> None:
    path = tmp_path / "order.h5"
    groups = {"test/12": 1, "val": 1, "test/02": 1, "train": 1}
    write_videos(path, made_origin(), groups, made_videos, workers=1)
    with open_videos(path) as file:
        assert list(file.groups) == ["train", "val", "test/02", "test/12"]


def test_hdf5_itself_decodes_our_chunks(squares: Path) -> None:
    with h5py.File(squares) as file:
        frames = file["train/frames"]
        assert frames.chunks == (1, 4, 10, 12, 3)
        assert frames.compression == "gzip"
        assert frames.fletcher32
        np.testing.assert_array_equal(frames[...], made_videos("train", 0, 20).frames)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 719, 720, 721, 4097, 300_001])
@pytest.mark.parametrize("highest", [0, 1, 254, 255])
def test_checksum_is_that_of_hdf5(n: int, highest: int, tmp_path: Path) -> None:
    content = np.random.default_rng(n).integers(max(highest - 1, 0), highest + 1, n, np.uint8)
    with h5py.File(tmp_path / "sum.h5", "w") as file:
        stored = file.create_dataset("x", data=content, chunks=(n,), fletcher32=True)
        file.flush()
        _, chunk = stored.id.read_direct_chunk((0,))
    assert fletcher32(content.tobytes()) == int.from_bytes(chunk[-4:], "little")


def test_last_chunk_is_filled_up() -> None:
    boxes = next(field for field in FIELDS if field.name == "boxes")
    chunks = list(encode(boxes, np.ones((20, 4, 2, 4), np.float32)))
    assert [at for at, _ in chunks] == [(0, 0, 0, 0), (16, 0, 0, 0)]


@pytest.mark.parametrize("largest", [1, 3 * 360, 720])
def test_long_videos_are_divided_and_read_as_they_were_written(
    largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.h5"
    monkeypatch.setattr("smot.videos.content.LARGEST_CHUNK", largest)
    write_videos(path, made_origin(), GROUPS, made_videos, workers=2)
    with h5py.File(path) as file:
        assert file["train/frames"].chunks == (1, max(1, largest // 360), 10, 12, 3)
    monkeypatch.setattr("smot.videos.guards.LARGEST_CHUNK", 360)
    with open_videos(path) as file:
        assert verify(file, lambda n: None) == sum(GROUPS.values())
        assert _same(file.read("train", 17, 20), made_videos("train", 17, 20))
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"must have chunks of \[1, 4, 10, 12, 3\]"):
        open_videos(path)


def test_digest_sees_every_array() -> None:
    videos = made_videos("train", 0, 1)
    usual = digests(videos)
    for field in FIELDS:
        changed = made_videos("train", 0, 1)
        getattr(changed, field.name).view(np.uint8).flat[0] ^= 1
        assert not np.array_equal(digests(changed), usual)


def test_content_fingerprint_depends_on_groups_and_order() -> None:
    hashes = digests(made_videos("train", 0, 3))
    found = {
        content_fingerprint({"train": hashes}),
        content_fingerprint({"val": hashes}),
        content_fingerprint({"train": hashes[::-1]}),
        content_fingerprint({"train": hashes[:2]}),
    }
    assert len(found) == 4


def test_nothing_but_the_file_is_left_behind(squares: Path) -> None:
    assert [each.name for each in squares.parent.iterdir()] == ["squares.h5"]


def test_progress_counts_every_video(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "a.h5"
    write_videos(path, made_origin(), {"train": 600}, made_videos, workers=2, report=seen.append)
    assert seen == [256, 256, 88]


def test_ranges_and_groups_that_do_not_exist_are_refused(squares: Path) -> None:
    with open_videos(squares) as file:
        with pytest.raises(UsageError, match="has no group 'val'; it has: train, test/02"):
            file.read("val", 0, 1)
        with pytest.raises(UsageError, match="train has videos 0 to 19, not 19 to 20"):
            file.read("train", 19, 21)


def test_truth_is_tracks_whose_identity_is_the_slot() -> None:
    truth = made_videos("train", 0, 2).truth
    assert truth.ids[0].tolist() == [[0, -1], [0, 1], [0, 1], [0, 1]]
    assert truth.boxes[1, 2, 1].tolist() == [6, 4, 9, 7]


def test_videos_can_be_sliced_and_stacked() -> None:
    whole = made_videos("train", 0, 6)
    assert len(whole[2:5]) == 3
    assert _same(Videos.stack([whole[:2], whole[2:]]), whole)


def test_arrays_that_do_not_fit_are_refused() -> None:
    videos = made_videos("train", 0, 2)
    arrays = {each.name: getattr(videos, each.name) for each in FIELDS}
    with pytest.raises(DataError, match=r"boxes must be float32 \[2, 4, 2, 4\], not float64"):
        Videos(**{**arrays, "boxes": videos.boxes.astype(np.float64)})
    with pytest.raises(DataError, match=r"frames must be \[N, T, H, W, 3\]"):
        Videos(**{**arrays, "frames": videos.frames[0]})
    with pytest.raises(DataError, match="videos to join must agree"):
        Videos.stack([videos, _wider(videos)])


def _wider(videos: Videos) -> Videos:
    arrays = {each.name: getattr(videos, each.name) for each in FIELDS}
    return Videos(**{**arrays, "frames": np.zeros((2, 4, 10, 13, 3), np.uint8)})


def test_pickled_file_opens_anew(squares: Path) -> None:
    with open_videos(squares) as file, pickle.loads(pickle.dumps(file)) as copy:
        assert _same(copy.read("train", 2, 4), file.read("train", 2, 4))


def test_pickled_file_notices_that_the_data_has_changed(squares: Path) -> None:
    with open_videos(squares) as file:
        packed = pickle.dumps(file)
    write_videos(squares, made_origin(), {"train": 2}, made_videos, workers=1, force=True)
    with pytest.raises(DataError, match="is not the file that it was"):
        pickle.loads(packed).read("train", 0, 1)


def _read_in_child(file: VideoFile, start: int) -> None:
    same = _same(file.read("train", start, start + 1), made_videos("train", start, start + 1))
    os._exit(0 if same else 1)


@pytest.mark.posix("forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_open_file_can_be_used_after_a_fork(squares: Path) -> None:
    with open_videos(squares) as file:
        file.read("train", 0, 1)
        fork = get_context("fork")
        children = [fork.Process(target=_read_in_child, args=(file, n)) for n in (3, 7)]
        for child in children:
            child.start()
        assert _same(file.read("train", 5, 6), made_videos("train", 5, 6))
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0]
        assert _same(file.read("train", 9, 10), made_videos("train", 9, 10))


def test_closed_file_opens_again_when_it_is_read(squares: Path) -> None:
    file = open_videos(squares)
    file.close()
    assert len(file.read("train", 0, 2)) == 2
    file.close()
