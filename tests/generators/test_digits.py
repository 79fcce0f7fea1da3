import gzip
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smot.errors import DataError, UsageError
from smot.generators import DigitSource, load_digits

RAW = Path("MNIST") / "raw"


def _write_idx(path: Path, array: np.ndarray, *, packed: bool = False) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    content = header + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


@pytest.fixture
def mnist_root(tmp_path: Path) -> Path:
    """Twenty made-up digits where torchvision would have put the real ones."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    _write_idx(tmp_path / RAW / "train-images-idx3-ubyte", images)
    _write_idx(tmp_path / RAW / "train-labels-idx1-ubyte", np.arange(20, dtype=np.uint8) % 10)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchvision that makes its folders and then fails, as the real one does."""

    def fail(root: Path, train: bool, download: bool) -> None:
        (root / RAW).mkdir(parents=True, exist_ok=True)
        raise RuntimeError("Error downloading train-images:\nGot: <no route to host>")

    datasets: Any = types.ModuleType("torchvision.datasets")
    datasets.MNIST = fail
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_embedded_digits_are_five_hundred_of_each_kind(digits: DigitSource) -> None:
    assert digits.images.shape == (5000, 28, 28)
    assert np.bincount(digits.labels).tolist() == [500] * 10
    assert digits.fingerprint == (
        "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"
    )


def test_embedded_digits_are_checked_when_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smot.generators.digits.EMBEDDED_FINGERPRINT", "0" * 64)
    with pytest.raises(DataError, match=r"mnist-5k\.npz is not what the package came with"):
        load_digits("mnist-5k")


def test_no_digit_is_in_two_splits(digits: DigitSource) -> None:
    parts = [digits.members(split) for split in ("train", "val", "test/07")]
    assert [len(part) for part in parts] == [4000, 500, 500]
    assert sorted(np.concatenate(parts).tolist()) == list(range(5000))


def test_all_counts_of_a_test_share_their_digits(digits: DigitSource) -> None:
    np.testing.assert_array_equal(digits.members("test/01"), digits.members("test/12"))


def test_split_of_digits_is_fixed_for_ever(digits: DigitSource) -> None:
    assert digits.members("test")[:8].tolist() == [1, 5, 19, 23, 30, 41, 60, 61]


def test_only_the_digits_of_mnist_are_called_so(
    mnist_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="the 20 digits in .* are not MNIST's"):
        custom = load_digits("mnist", mnist_root)
    assert custom.name == "custom"
    monkeypatch.setattr("smot.generators.digits.MNIST_FINGERPRINT", custom.fingerprint)
    assert load_digits("mnist", mnist_root).name == "mnist"


CUSTOM = pytest.mark.filterwarnings("ignore:.*are not MNIST's")


@CUSTOM
def test_digits_on_disk_are_read_packed_or_not(mnist_root: Path, tmp_path: Path) -> None:
    plain = load_digits("mnist", mnist_root)
    packed_root = tmp_path / "packed"
    _write_idx(packed_root / RAW / "train-images-idx3-ubyte", plain.images, packed=True)
    _write_idx(packed_root / RAW / "train-labels-idx1-ubyte", plain.labels, packed=True)
    packed = load_digits("mnist", packed_root)
    assert plain.name == packed.name == "custom"
    assert plain.fingerprint == packed.fingerprint


@CUSTOM
def test_folder_comes_from_the_environment(
    mnist_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOT_MNIST_ROOT", str(mnist_root))
    assert len(load_digits("auto").labels) == 20


@CUSTOM
def test_folder_of_the_user_comes_last(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMOT_MNIST_ROOT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(mnist_root / "cache"))
    own = mnist_root / "cache" / "smot" / "mnist"
    own.mkdir(parents=True)
    (mnist_root / "MNIST").rename(own / "MNIST")
    assert len(load_digits("mnist").labels) == 20


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03\0\0",
        b"<!DOCTYPE html><html></html>",
        b"\0\0\x0d\x01\0\0\0\0",
    ],
)
def test_files_that_are_no_digits_are_refused(mnist_root: Path, content: bytes) -> None:
    (mnist_root / RAW / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match="train-images-idx3-ubyte is damaged"):
        load_digits("mnist", mnist_root)


@pytest.mark.parametrize("place", [0, 1, 30, -20, -5])
def test_damaged_packed_digits_are_refused(mnist_root: Path, place: int) -> None:
    path = mnist_root / RAW / "train-images-idx3-ubyte"
    content = bytearray(gzip.compress(path.read_bytes()))
    path.unlink()
    packed = path.with_name(f"{path.name}.gz")
    for damaged in (content[:place], content[:place] + b"?" + content[place:][1:]):
        packed.write_bytes(damaged)
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is damaged"):
            load_digits("mnist", mnist_root)


def test_digits_cut_short_or_without_labels_are_refused(mnist_root: Path) -> None:
    path = mnist_root / RAW / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte is damaged"):
        load_digits("mnist", mnist_root)
    path.write_bytes(whole)
    _write_idx(mnist_root / RAW / "train-labels-idx1-ubyte", np.zeros(19, np.uint8))
    with pytest.raises(DataError, match=r"raw: digits 'custom' must be uint8 \[n, 28, 28\]"):
        load_digits("mnist", mnist_root)


def test_missing_digits_that_cannot_be_downloaded_say_what_to_do(
    tmp_path: Path, no_network: None
) -> None:
    root = tmp_path / "new" / "folder"
    with pytest.raises(DataError, match=r"no route to host.*--digits mnist-5k"):
        load_digits("mnist", root)
    assert not root.exists()


def test_auto_falls_back_with_one_notice(tmp_path: Path, no_network: None) -> None:
    with pytest.warns(UserWarning, match="using the 5,000 embedded digits") as notices:
        source = load_digits("auto", tmp_path)
    assert source.name == "mnist-5k"
    assert len(notices) == 1


def test_unknown_source_is_refused() -> None:
    with pytest.raises(UsageError, match="digits must be one of auto, mnist, mnist-5k"):
        load_digits("emnist")


def test_digits_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"must be uint8 \[n, 28, 28\]"):
        DigitSource(
            name="mine", images=np.zeros((20, 8, 8), np.uint8), labels=np.zeros(20, np.uint8)
        )


@CUSTOM
def test_missing_digits_are_downloaded_once(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(root: Path, train: bool, download: bool) -> None:
        calls.append(root)
        assert train
        assert download
        (mnist_root / "MNIST").rename(root / "MNIST")

    datasets: Any = types.ModuleType("torchvision.datasets")
    datasets.MNIST = fetch
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    new = tmp_path / "new"
    new.mkdir()
    assert len(load_digits("auto", new).labels) == len(load_digits("mnist", new).labels) == 20
    assert calls == [new]
