"""Files that are damaged, cut off, of another version, or made to do harm."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from smot.errors import DataError
from smot.videos import open_videos, write_videos
from smot.videos.verification import verify
from tests.videos.conftest import GROUPS, made_origin, made_videos

Harm = Callable[[h5py.File], object]


def _silent(n_videos: int) -> None:
    del n_videos


def _refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_videos(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def _replace(file: h5py.File, name: str, **options: object) -> None:
    """Put another array of the same name in an array's place."""
    old = file[name]
    usual = {
        "shape": old.shape,
        "dtype": old.dtype,
        "chunks": old.chunks,
        "compression": 1,
        "fletcher32": True,
        "maxshape": old.maxshape,
    }
    content = old[...]
    del file[name]
    new = file.create_dataset(name, **{**usual, **options})
    if new.shape == content.shape:
        new[...] = content


def _external_link(file: h5py.File) -> None:
    del file["train/boxes"]
    file["train/boxes"] = h5py.ExternalLink("/etc/other.h5", "/boxes")


def _external_group(file: h5py.File) -> None:
    del file["test"]
    file["test"] = h5py.ExternalLink("/etc/other.h5", "/test")


def _soft_link(file: h5py.File) -> None:
    del file["train/label"]
    file["train/label"] = h5py.SoftLink("/test/02/label")


def _external_storage(file: h5py.File) -> None:
    del file["train/count"]
    file.create_dataset("train/count", (20,), np.int16, external=[("/etc/passwd", 0, 40)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((20,), np.int16)
    layout[:] = h5py.VirtualSource("/etc/other.h5", "count", (20,))
    del file["train/count"]
    file.create_virtual_dataset("train/count", layout)


def _bomb(file: h5py.File) -> None:
    """Declare ten million videos and store none."""
    for name in list(file["train"]):
        shape = (10_000_000, *file["train"][name].shape[1:])
        _replace(file, f"train/{name}", shape=shape, maxshape=shape)
    file.attrs["totals"] = '{"train": 10000000, "test/02": 3}'


def _described(old: str, new: str) -> Harm:
    """Change the text of the description."""

    def harm(file: h5py.File) -> None:
        text = file.attrs["description"].decode()
        assert old in text
        file.attrs["description"] = text.replace(old, new)

    return harm


def _many_objects(file: h5py.File) -> None:
    """A small chunk that becomes large when it is decoded."""
    del file["train/present"]
    shape = (20, 4, 2_000_000)
    file.create_dataset("train/present", shape, bool, chunks=(16, 4, 1))


def _flat(file: h5py.File) -> None:
    del file["train/present"]
    file.create_dataset("train/present", (20, 8), bool)


HARMS: dict[str, tuple[Harm, str]] = {
    "other length": (
        _described('"n_frames": 4', '"n_frames": 5'),
        "test/02: 4 frames where the description has 5",
    ),
    "wrong number of axes": (_flat, "train/present must be [N, T, K], not [20, 8]"),
    "external link": (_external_link, "train/boxes is a link to elsewhere (ExternalLink)"),
    "external group": (_external_group, "/test is a link to elsewhere (ExternalLink)"),
    "soft link": (_soft_link, "train/label is a link to elsewhere (SoftLink)"),
    "external storage": (_external_storage, "train/count takes its content from another file"),
    "virtual data set": (_virtual, "train/count takes its content from another file"),
    "shape bomb": (_bomb, "0 of 10000000 chunks: not whole"),
    "huge videos": (
        _described("[10, 12]", "[1000000, 1200]"),
        "frames of 1000000 x 1200 with 2 objects are too large",
    ),
    "many objects": (_many_objects, "with 2000000 objects are too large"),
    "wrong type": (
        lambda file: _replace(file, "train/boxes", dtype=np.float64),
        "train/boxes must hold float32, not float64",
    ),
    "wrong shape": (
        lambda file: _replace(file, "train/label", shape=(19, 2)),
        "train/label must be [20, 2], not [19, 2]",
    ),
    "wrong chunks": (
        lambda file: _replace(file, "train/frames", chunks=(20, 4, 10, 12, 3)),
        "train/frames must have chunks of [1, 4, 10, 12, 3], not (20, 4, 10, 12, 3)",
    ),
    "strange filter": (
        lambda file: _replace(file, "train/frames", compression="lzf"),
        "train/frames uses filters other than gzip and fletcher32",
    ),
    "missing array": (lambda file: file.__delitem__("train/present"), "no array 'present'"),
    "array too many": (lambda file: file.create_group("train/extra"), "unknown array 'extra'"),
    "group too many": (lambda file: file.create_group("evil"), "unknown group 'evil'"),
    "group instead of array": (
        lambda file: (file.__delitem__("train/count"), file.create_group("train/count")),
        "train/count must be a Dataset, not a Group",
    ),
    "missing group": (lambda file: file.__delitem__("train"), "must have 20 videos, not None"),
    "other format": (
        lambda file: file.attrs.__setitem__("format", "something"),
        "not a file of smot videos",
    ),
    "other version": (
        lambda file: file.attrs.__setitem__("format_version", 3),
        "format version 3, where this smot reads 1 and 2",
    ),
    "masks promised": (
        lambda file: file.attrs.__setitem__("format_version", 2),
        "no array 'owner'",
    ),
    "not finished": (
        lambda file: file.attrs.__delitem__("content_fingerprint"),
        "its writing was not finished",
    ),
    "attribute missing": (lambda file: file.attrs.__delitem__("seed"), "is damaged"),
    "text for a number": (
        lambda file: file.attrs.__setitem__("seed", "zero"),
        "'seed' must be an integer",
    ),
    "number for a text": (
        lambda file: file.attrs.__setitem__("name", 3),
        "'name' must be text",
    ),
    "text that rules the terminal": (
        lambda file: file.attrs.__setitem__("name", "\x1b[2J"),
        "'name' must be short, printable text",
    ),
    "list for a text": (
        lambda file: file.attrs.__setitem__("name", ["a", "b"]),
        "'name' must be one value",
    ),
    "settings not JSON": (
        lambda file: file.attrs.__setitem__("settings", "{"),
        "is damaged",
    ),
    "settings not an object": (
        lambda file: file.attrs.__setitem__("settings", "[1]"),
        "'settings' must be a JSON object",
    ),
    "shard out of range": (
        lambda file: file.attrs.__setitem__("shard", "[3, 2]"),
        "shard 3 of 2",
    ),
    "shard of three numbers": (
        lambda file: file.attrs.__setitem__("shard", "[0, 1, 1]"),
        "is damaged",
    ),
    "text missing": (
        lambda file: file.attrs.__delitem__("versions"),
        "no attribute 'versions'",
    ),
    "settings without end": (
        lambda file: file.attrs.__setitem__("settings", '{"speed": 1e999}'),
        "settings.speed must be float, not inf",
    ),
    "settings not a number": (
        lambda file: file.attrs.__setitem__("settings", '{"speed": NaN}'),
        "settings.speed must be float, not nan",
    ),
    "settings too deep": (
        lambda file: file.attrs.__setitem__("settings", 900 * "[" + 900 * "]"),
        "must be a JSON object",
    ),
    "settings far too deep": (
        lambda file: file.attrs.__setitem__("settings", 90_000 * "["),
        "is damaged",
    ),
    "colour beyond 255": (
        _described('"background": [0, 0, 0]', '"background": [0, 0, 999]'),
        "999",
    ),
    "colour of two numbers": (
        _described("[255, 255, 255]", "[255, 255]"),
        "palette[0] must be 3 values",
    ),
    "no colours": (
        _described("[[255, 255, 255]]", "[]"),
        "palette must have at least one colour",
    ),
    "digits of another source": (
        lambda file: file.attrs.__setitem__("digit_source", "mnist"),
        "attribute 'digit_source' is not that of the description",
    ),
    "no frame size": (
        _described("[10, 12]", "[]"),
        "description.frame_size must be 2 values, not []",
    ),
    "frame size without end": (
        _described("[10, 12]", "[Infinity, 12]"),
        "frame_size[0] must be int, not inf",
    ),
    "key too many": (
        _described('"n_frames"', '"more": 1, "n_frames"'),
        "description has unknown 'more'",
    ),
}


@pytest.mark.parametrize("kind", HARMS)
def test_file_that_is_not_as_it_should_be_is_refused(kind: str, squares: Path) -> None:
    harm, complaint = HARMS[kind]
    with h5py.File(squares, "r+") as file:
        harm(file)
        for name, value in dict(file.attrs).items():
            # Of variable length they would be read by another process, which takes its time.
            if isinstance(value, str) and len(value) < 60_000:
                file.attrs[name] = np.bytes_(value.encode())
    assert complaint in _refusal(squares)


def test_texts_have_a_fixed_length(squares: Path) -> None:
    with h5py.File(squares) as file:
        kinds = {name: file.attrs.get_id(name).dtype.kind for name in file.attrs}
    assert set(kinds.values()) == {"S", "i"}, kinds


def test_files_with_texts_of_variable_length_are_read(squares: Path) -> None:
    with open_videos(squares) as file:
        expected = file.metadata, file.description
    with h5py.File(squares, "r+") as file:
        for name, value in dict(file.attrs).items():
            if isinstance(value, bytes):
                file.attrs[name] = value.decode()
    with open_videos(squares) as file:
        assert (file.metadata, file.description) == expected


def test_texts_that_take_for_ever_to_read_are_given_up(
    squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(squares, "r+") as file:
        file.attrs["name"] = "squares"
    monkeypatch.setattr("smot.videos.guards._READER", "import time; time.sleep(60)")
    monkeypatch.setattr("smot.videos.guards.PATIENCE", 0.2)
    assert "its attributes are not read in 0.2 s" in _refusal(squares)


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "no such file" in _refusal(tmp_path / "nothing.h5")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    path.write_text("Dear Sir or Madam")
    assert "is not a whole HDF5 file" in _refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_file_that_was_cut_off_is_refused(share: float, squares: Path) -> None:
    content = squares.read_bytes()
    squares.write_bytes(content[: int(share * len(content))])
    assert "is not a whole HDF5 file" in _refusal(squares)


def test_flipped_byte_is_found_and_placed(squares: Path) -> None:
    with h5py.File(squares) as file:
        place = file["train/frames"].id.get_chunk_info_by_coord((11, 0, 0, 0, 0)).byte_offset
    content = bytearray(squares.read_bytes())
    content[place + 20] ^= 1
    squares.write_bytes(content)
    with open_videos(squares) as file:
        file.read("train", 0, 11)
        with pytest.raises(DataError, match="train, video 11: frames is damaged"):
            file.read("train", 8, 14)
        with pytest.raises(DataError, match="train, video 11: frames is damaged"):
            verify(file, _silent)


def _rewritten(path: Path, group: str, name: str, video: int, value: object) -> None:
    """Change stored content with right checksums, as HDF5 would."""
    with h5py.File(path, "r+") as file:
        file[f"{group}/{name}"][video] = value


FALSEHOODS = {
    "box outside": ("boxes", (9, 0, 13, 3), "a box lies outside the 12 x 10 frame"),
    "box not finite": ("boxes", np.nan, "a box lies outside"),
    "box turned round": ("boxes", (5, 5, 2, 8), "a box is empty or turned round"),
    "box of nobody": ("present", False, "an absent object has a box"),
    "visibility above 1": ("visibility", 1.5, r"a visibility is outside \[0, 1\]"),
    "visibility not a number": ("visibility", np.nan, r"a visibility is outside \[0, 1\]"),
    "count too large": ("count", 3, "its count is outside 0 to 2"),
    "object beyond the count": ("count", 1, "an object beyond its count is present"),
    "velocity not finite": ("velocity", np.inf, "a velocity is not finite"),
}


@pytest.mark.parametrize("kind", FALSEHOODS)
def test_content_that_cannot_be_is_refused_with_its_place(kind: str, squares: Path) -> None:
    name, value, complaint = FALSEHOODS[kind]
    _rewritten(squares, "train", name, 13, value)
    with open_videos(squares) as file:
        file.read("train", 0, 13)
        with pytest.raises(DataError, match=f"train, video 13: {complaint}"):
            file.read("train", 10, 15)


def test_verification_counts_the_videos_of_a_sound_file(squares: Path) -> None:
    seen: list[int] = []
    with open_videos(squares) as file:
        assert verify(file, seen.append) == sum(GROUPS.values()) == sum(seen)


def test_verification_notices_changed_pixels(squares: Path) -> None:
    _rewritten(squares, "test/02", "frames", 1, 7)
    with open_videos(squares) as file:
        file.read("test/02", 0, 3)  # nothing that cannot be
        with pytest.raises(DataError, match="test/02, video 1: its content is not what was"):
            verify(file, _silent)


@pytest.mark.parametrize("name", ["content_fingerprint", "settings_fingerprint"])
def test_verification_recomputes_the_fingerprints(name: str, squares: Path) -> None:
    with h5py.File(squares, "r+") as file:
        file.attrs[name] = "0" * 64
    with open_videos(squares) as file, pytest.raises(DataError, match=name.replace("_", " ")):
        verify(file, _silent)


@pytest.mark.parametrize(
    ("shift", "share", "complaint"),
    [
        ((0, 0, -1, 0), 0.5, "pixels outside all boxes"),
        ((0, 0, 1, 0), 1, "the box of object 0 is not tight"),
    ],
)
def test_verification_holds_boxes_against_pixels(
    shift: tuple[int, ...], share: float, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "askew.h5"

    def askew(group: str, start: int, stop: int):  # type: ignore[no-untyped-def]
        videos = made_videos(group, start, stop)
        if start < stop:
            videos.boxes[2, 1, 0] += shift
            videos.visibility[2, 1, 0] = share
        return videos

    write_videos(path, made_origin(), {"train": 5}, askew, workers=1)
    with (
        open_videos(path) as file,
        pytest.raises(DataError, match=f"train, video 2, frame 1: {complaint}"),
    ):
        verify(file, _silent)
