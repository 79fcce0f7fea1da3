"""Where digits come from, and which of them may appear in which split."""

import gzip
import hashlib
import io
import math
import os
import socket
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from smot.arrays import IntArray, UInt8Array
from smot.errors import DataError, UsageError
from smot.seeding import mixed

SOURCES = ("auto", "mnist", "mnist-5k")
ROOT_VARIABLE = "SMOT_MNIST_ROOT"
SHARES = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}

MNIST_FINGERPRINT = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"
"""Of the 60,000 training digits of MNIST; other digits under their name are "custom"."""
EMBEDDED_FINGERPRINT = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"
"""Of the 5,000 digits in the package; mnist-5k.md says where they come from."""

_SPLIT_SEED = np.uint64(0x5C477E5ED)  # fixed for ever: which digits belong to which split
_FOLDER = Path("MNIST") / "raw"
_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
_PATIENCE = 5.0  # seconds without an answer before a download is given up


@dataclass(frozen=True, kw_only=True, eq=False)
class DigitSource:
    """Handwritten digits to make videos from.

    Attributes:
        name: "mnist", "mnist-5k", or "custom" for any others.
        images: opacity, [n, 28, 28], uint8.
        labels: which digit, [n], uint8.

    Raises:
        DataError: arrays that do not fit each other.
    """

    name: str
    images: UInt8Array = field(repr=False)
    labels: UInt8Array = field(repr=False)

    def __post_init__(self) -> None:
        n = len(self.labels)
        sound = self.images.dtype == self.labels.dtype == np.uint8
        if not sound or self.images.shape != (n, 28, 28) or n < 10:
            found = f"{self.images.dtype} {list(self.images.shape)}"
            raise DataError(f"digits {self.name!r} must be uint8 [n, 28, 28], not {found}")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the digits and their labels, SHA-256."""
        content = hashlib.sha256(np.ascontiguousarray(self.images).data)
        content.update(np.ascontiguousarray(self.labels).data)
        return content.hexdigest()

    def members(self, split: str) -> IntArray:
        """Which digits the videos of a split may show: no digit is in two splits.

        Args:
            split: "train", "val" or "test/NN".

        Returns:
            Places in `images`, sorted.

        Source: supplement D.1 (80/10/10); the permutation is ours and fixed.
        """
        n = len(self.labels)
        # Sorting by scrambled places is a permutation that no library version changes.
        order = np.argsort(mixed(np.arange(n, dtype=np.uint64) ^ _SPLIT_SEED))
        low, high = SHARES[split.partition("/")[0]]
        return np.sort(order[round(low * n) : round(high * n)])


def load_digits(source: str = "auto", root: Path | str | None = None) -> DigitSource:
    """Load the digits of a source.

    Args:
        source: "mnist" (60,000 training digits; downloaded if they are missing; a warning if the
            files hold others, whose name is then "custom"), "mnist-5k"
            (5,000 of them that come with this package), or "auto" (the first if it is to be had,
            else the second, with a warning).
        root: folder as torchvision.datasets.MNIST has it; without it the environment variable
            SMOT_MNIST_ROOT, else a folder in the user's cache.

    Raises:
        UsageError: no such source.
        DataError: MNIST is wanted and is damaged, or neither on disk nor to be downloaded.
    """
    if source not in SOURCES:
        raise UsageError(f"digits must be one of {', '.join(SOURCES)}, not {source!r}")
    if source == "mnist-5k":
        return _embedded()
    folder = _mnist_root(root)
    try:
        return _from_disk(folder) or _downloaded(folder)
    except DataError as error:
        if source == "mnist":
            raise
        warnings.warn(f"using the 5,000 embedded digits: {error}", stacklevel=2)
        return _embedded()


def digits_at_hand(fingerprint: str) -> DigitSource | None:
    """The digits with a fingerprint, if they are on this machine: nothing is downloaded."""
    if fingerprint == EMBEDDED_FINGERPRINT:
        return _embedded()
    with warnings.catch_warnings(), suppress(DataError):
        warnings.simplefilter("ignore")
        found = _from_disk(_mnist_root(None))
        if found is not None and found.fingerprint == fingerprint:
            return found
    return None


def _mnist_root(root: Path | str | None) -> Path:
    chosen = root or os.environ.get(ROOT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "smot" / "mnist"


def _embedded() -> DigitSource:
    content = files("smot.generators").joinpath("mnist-5k.npz").read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        source = DigitSource(name="mnist-5k", images=arrays["images"], labels=arrays["labels"])
    if source.fingerprint != EMBEDDED_FINGERPRINT:
        raise DataError("smot/generators/mnist-5k.npz is not what the package came with")
    return source


def _from_disk(root: Path) -> DigitSource | None:
    """What torchvision has put there; read without it, for importing it takes seconds."""
    images, labels = _idx(root / _FOLDER / _IMAGES), _idx(root / _FOLDER / _LABELS)
    if images is None or labels is None:
        return None
    try:
        source = DigitSource(name="custom", images=images, labels=labels)
    except DataError as error:
        raise DataError(f"{root / _FOLDER}: {error}") from None
    if source.fingerprint == MNIST_FINGERPRINT:
        return replace(source, name="mnist")
    notice = f"the {len(labels):,} digits in {root / _FOLDER} are not MNIST's: they are 'custom'"
    warnings.warn(notice, stacklevel=4)
    return source


def _idx(path: Path) -> UInt8Array | None:
    """An array of bytes in the IDX format, packed or not; None if there is no such file."""
    packed = path.with_name(f"{path.name}.gz")
    if path.is_file():
        content = path.read_bytes()
    elif packed.is_file():
        path = packed
        try:
            content = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{path} is damaged: delete it to load it again") from None
    else:
        return None
    # Two zeros, the code for bytes, the number of axes; then their lengths.
    n_axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * n_axes
    shape = [int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4)]
    if not n_axes or len(content) != start + math.prod(shape):
        raise DataError(f"{path} is damaged: not an IDX file of bytes; delete it to load it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _downloaded(root: Path) -> DigitSource:
    from torchvision.datasets import MNIST

    made = [folder for folder in (root / _FOLDER, root / "MNIST", root) if not folder.exists()]
    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        MNIST(root, train=True, download=True)
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].removeprefix("Got: ")
        for folder in made:  # innermost first; what has been loaded stays
            with suppress(OSError):
                folder.rmdir()
        raise DataError(
            f"MNIST is not in {root} and cannot be downloaded ({reason}); "
            "give --mnist-root DIR or --digits mnist-5k"
        ) from error
    finally:
        socket.setdefaulttimeout(usual)
    found = _from_disk(root)
    if found is None:
        raise DataError(f"MNIST was downloaded to {root}, but {root / _FOLDER} lacks it")
    return found
