"""What a file must be before anything in it is believed: files may be damaged, or hostile."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from smot.arrays import BoolArray, IntArray
from smot.errors import DataError, first_line
from smot.files import from_plain
from smot.seeding import SPLITS
from smot.tracks import DataDescription
from smot.videos.content import (
    DIGEST,
    FORMAT_VERSION,
    GROUP_NAME,
    LARGEST_CHUNK,
    MASKED_VERSION,
    Field,
    Metadata,
    Videos,
    layout,
)

PATIENCE = 30.0  # seconds for reading a few short texts; starting Python takes most of it
LARGEST_TEXT = 1 << 20  # bytes of an attribute
MOST_OBJECTS = np.iinfo(np.int16).max  # which is what their number is stored in
ALLOWED_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32})

_TEXTS = (
    "name",
    "digit_source",
    "digit_fingerprint",
    "settings_fingerprint",
    "content_fingerprint",
)
_TABLES = ("settings", "description", "versions", "shard", "totals")
_JSON = {list: "list", dict: "object"}

_READER = """
import json, sys, h5py
with h5py.File(sys.argv[1], "r", locking=False) as file:
    json.dump({name: file.attrs[name] for name in sys.argv[2:]}, sys.stdout, default=bytes.decode)
"""

Checked = tuple[Metadata, dict[str, int]]


def check_file(file: h5py.File, path: Path) -> Checked:
    """Check everything but the content of arrays; see `check_content` for that.

    Args:
        file: open for reading.
        path: what messages call it.

    Returns:
        Metadata, and the number of videos of each group.

    Raises:
        DataError: what is wrong, and where.
    """
    try:
        return _checked(file, path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # whatever h5py raises where HDF5 meets damage
        raise DataError(f"{path} is damaged: {first_line(error)}") from error


def check_content(videos: Videos, where: str, first: int) -> None:
    """Check that what was decoded can be the truth about videos.

    Args:
        videos: decoded.
        where: file and group, for messages.
        first: index of the first video, for messages.

    Raises:
        DataError: names the first video in which something is wrong.
    """
    _, _, H, W, _ = videos.frames.shape
    K = videos.present.shape[2]
    boxes, present, visibility = videos.boxes, videos.present, videos.visibility
    unused = np.arange(K) >= videos.count[:, None]
    with np.errstate(invalid="ignore"):
        in_frame = (boxes >= 0).all(-1) & (boxes[..., 2] <= W) & (boxes[..., 3] <= H)
        sound = (boxes[..., 2:] > boxes[..., :2]).all(-1)
        shares = (visibility >= 0) & (visibility <= 1)
    faults = {
        f"a box lies outside the {W} x {H} frame": (present & ~in_frame).any((1, 2)),
        "a box is empty or turned round": (present & in_frame & ~sound).any((1, 2)),
        "an absent object has a box": (~present[..., None] & (boxes != 0)).any((1, 2, 3)),
        "a visibility is outside [0, 1]": ~shares.all((1, 2)),
        f"its count is outside 0 to {K}": (videos.count < 0) | (videos.count > K),
        "an object beyond its count is present": (present & unused[:, None]).any((1, 2)),
        "a velocity is not finite": ~np.isfinite(videos.velocity).all((1, 2)),
    }
    if videos.owner is not None:
        faults["a pixel belongs to an object that is not there"] = _strays(videos.owner, present)
    for fault, wrong in faults.items():
        if wrong.any():
            raise DataError(f"{where}, video {first + int(np.argmax(wrong))}: {fault}")


def _strays(owner: IntArray, present: BoolArray) -> BoolArray:
    """Which videos have pixels of an object that is absent, or of none of the slots, [N]."""
    N, T, K = present.shape
    # Nobody, the slots, and a place for all that lies beyond them.
    there = np.pad(present, ((0, 0), (0, 0), (1, 1)))
    there[..., 0] = True
    frame = np.arange(N * T).reshape(N, T, 1, 1) * (K + 2)
    sound: BoolArray = there.ravel()[frame + np.minimum(owner.astype(np.int32), K + 1)]
    return np.asarray(~sound.all((1, 2, 3)))


def _checked(file: h5py.File, path: Path) -> Checked:
    metadata, groups = _root(file, path), {}
    for name, group in _groups(file):
        if not GROUP_NAME.fullmatch(name) or name not in metadata.totals:
            raise DataError(f"unknown group {name!r}")
        groups[name] = _check_group(name, group, metadata, file.id.get_filesize())
    for name, total in metadata.totals.items():
        start, stop = metadata.shard.span(total)
        if groups.get(name) != stop - start:
            raise DataError(
                f"group {name!r} must have {stop - start} videos, not {groups.get(name)}"
            )
    ordered = sorted(groups, key=lambda name: (SPLITS.index(name.partition("/")[0]), name))
    return metadata, {name: groups[name] for name in ordered}


def _groups(file: h5py.File) -> Iterator[tuple[str, h5py.Group]]:
    for name in file:
        child = _own(file, name, h5py.Group)
        if name != "test":
            yield name, child
            continue
        for count in child:
            yield f"test/{count}", _own(child, count, h5py.Group)


def _own(parent: h5py.Group, name: str, kind: type) -> Any:
    """A member that lies in this very file: no link leads out of it."""
    link = parent.get(name, getlink=True)
    where = f"{parent.name.rstrip('/')}/{name}"
    if type(link) is not h5py.HardLink:
        raise DataError(f"{where} is a link to elsewhere ({type(link).__name__}): refused")
    member = parent[name]
    if not isinstance(member, kind):
        raise DataError(f"{where} must be a {kind.__name__}, not a {type(member).__name__}")
    return member


def _check_group(name: str, group: h5py.Group, metadata: Metadata, file_size: int) -> int:
    masks = metadata.format_version == MASKED_VERSION
    known = [field.name for field in (*layout(0, masks=masks), DIGEST)]
    for member in group:
        if member not in known:
            raise DataError(f"{name}: unknown array {member!r}")
    arrays = {}
    for member in known:
        if member not in group:
            raise DataError(f"{name}: no array {member!r}")
        arrays[member] = _own(group, member, h5py.Dataset)
    axes = _axes(name, arrays, metadata.description)
    if sum(array.id.get_storage_size() for array in arrays.values()) > file_size:
        raise DataError(f"{name}: arrays claim more than the file's {file_size} bytes")
    for field in (*layout(axes["K"], masks=masks), DIGEST):
        _check_array(f"{name}/{field.name}", arrays[field.name], field, axes)
    return axes["N"]


def _axes(
    name: str, arrays: Mapping[str, h5py.Dataset], description: DataDescription
) -> dict[str, int]:
    H, W = description.frame_size
    present = arrays["present"].shape
    if len(present) != 3:
        raise DataError(f"{name}/present must be [N, T, K], not {list(present)}")
    N, T, K = present
    if description.n_frames != T:
        raise DataError(f"{name}: {T} frames where the description has {description.n_frames}")
    # A chunk of frames holds one at least.
    if H * W * 3 > LARGEST_CHUNK or K > MOST_OBJECTS:
        raise DataError(f"{name}: frames of {H} x {W} with {K} objects are too large")
    return {"N": N, "T": T, "H": H, "W": W, "K": K}


def _check_array(where: str, array: h5py.Dataset, field: Field, axes: Mapping[str, int]) -> None:
    expected = field.shape(axes)
    if array.shape != expected:
        raise DataError(f"{where} must be {list(expected)}, not {list(array.shape)}")
    if array.dtype != field.dtype:
        raise DataError(f"{where} must hold {field.dtype}, not {array.dtype}")
    # A file must not show what is in other files of the machine that reads it.
    if array.is_virtual or array.external is not None:
        raise DataError(f"{where} takes its content from another file: refused")
    chunks = field.chunks(expected)
    if array.chunks != chunks:
        raise DataError(f"{where} must have chunks of {list(chunks)}, not {array.chunks}")
    creation = array.id.get_create_plist()
    filters = {creation.get_filter(place)[0] for place in range(creation.get_nfilters())}
    if not filters <= ALLOWED_FILTERS:
        raise DataError(f"{where} uses filters other than gzip and fletcher32: refused")
    # HDF5 invents zeros for chunks that are missing.
    n_chunks = math.prod(-(-size // part) for size, part in zip(expected, chunks, strict=True))
    if array.id.get_num_chunks() != n_chunks:
        stored = array.id.get_num_chunks()
        raise DataError(f"{where} has {stored} of {n_chunks} chunks: not whole")


def _root(file: h5py.File, path: Path) -> Metadata:
    texts = _texts(file, path)
    if texts.get("format") != "smot videos":
        raise DataError("not a file of smot videos")
    version = _number(file, "format_version")
    if version not in (FORMAT_VERSION, MASKED_VERSION):
        readable = f"{FORMAT_VERSION} and {MASKED_VERSION}"
        raise DataError(f"format version {version}, where this smot reads {readable}")
    if "content_fingerprint" not in texts:
        raise DataError("not whole: its writing was not finished")
    for name in (*_TEXTS, *_TABLES):
        if name not in texts:
            raise DataError(f"no attribute {name!r}")
    tables = {name: _table(texts, name) for name in _TABLES}
    plain: dict[str, object] = {**tables, **{name: texts[name] for name in _TEXTS}}
    plain |= {"format_version": version, "seed": _number(file, "seed")}
    plain["shard"] = dict(zip(("index", "total"), tables["shard"], strict=True))
    digits = plain.pop("digit_source")
    metadata = from_plain(Metadata, plain, what="attributes", complete=True)
    if metadata.digit_source != digits:
        raise DataError("attribute 'digit_source' is not that of the description")
    return metadata


def _texts(file: h5py.File, path: Path) -> dict[str, str]:
    """Those attributes of the root that must be text, as far as they are there."""
    here = [name for name in ("format", *_TEXTS, *_TABLES) if name in file.attrs]
    if any(_is_variable(file, name) for name in here):
        state = path.stat()
        texts = _read_apart(path, tuple(here), (state.st_mtime_ns, state.st_size, state.st_ino))
    else:
        texts = {name: file.attrs[name].decode() for name in here}
    for name, text in texts.items():
        if len(text) > LARGEST_TEXT or not text.isprintable():
            raise DataError(f"attribute {name!r} must be short, printable text")
    return texts


def _is_variable(file: h5py.File, name: str) -> bool:
    """Whether a text was stored with variable length, as files of smot 0.1 have it."""
    info = h5py.check_string_dtype(_attribute(file, name).dtype)
    if info is None:
        raise DataError(f"attribute {name!r} must be text")
    return info.length is None


@lru_cache(maxsize=64)
def _read_apart(path: Path, names: tuple[str, ...], state: tuple[int, ...]) -> dict[str, str]:  # noqa: ARG001
    """Texts of variable length, read by another process.

    They lie in a heap, and HDF5 reads some damaged heaps for ever, beyond the reach of Ctrl-C.

    Args:
        path: the file.
        names: of attributes of its root.
        state: whatever changes when the file does, so that nothing old is remembered.
    """
    command = [sys.executable, "-P", "-c", _READER, str(path), *names]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
        texts = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise DataError(f"damaged: its attributes are not read in {PATIENCE:g} s") from None
    except (subprocess.CalledProcessError, ValueError):
        raise DataError("damaged: its attributes cannot be read") from None
    return {name: str(texts[name]) for name in names}


def _attribute(file: h5py.File, name: str) -> h5py.h5a.AttrID:
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != () or attribute.get_storage_size() > LARGEST_TEXT:
        raise DataError(f"attribute {name!r} must be one value")
    return attribute


def _number(file: h5py.File, name: str) -> int:
    if not np.issubdtype(_attribute(file, name).dtype, np.integer):
        raise DataError(f"attribute {name!r} must be an integer")
    return int(file.attrs[name])


def _table(texts: Mapping[str, str], name: str) -> Any:
    value = json.loads(texts[name])
    expected = list if name == "shard" else dict
    if not isinstance(value, expected):
        raise DataError(f"attribute {name!r} must be a JSON {_JSON[expected]}")
    return value
