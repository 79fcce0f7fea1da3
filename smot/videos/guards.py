"""What a file must be before anything in it is believed: files may be damaged, or hostile."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from smot.errors import DataError
from smot.tracks import DataDescription
from smot.videos.content import Videos
from smot.videos.schema import DIGEST, FIELDS, FORMAT_VERSION, GROUP_NAME, Field, Metadata, Shard

LARGEST_TEXT = 1 << 20  # bytes of an attribute
LARGEST_CHUNK = 1 << 30  # bytes of frames or boxes that are decoded at once
ALLOWED_FILTERS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32})

Checked = tuple[Metadata, DataDescription, dict[str, int]]


def check_file(file: h5py.File, path: Path) -> Checked:
    """Check everything but the content of arrays; see `check_content` for that.

    Args:
        file: open for reading.
        path: what messages call it.

    Returns:
        Metadata, description, and the number of videos of each group.

    Raises:
        DataError: what is wrong, and where.
    """
    try:
        return _checked(file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


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
    for fault, wrong in faults.items():
        if wrong.any():
            raise DataError(f"{where}, video {first + int(np.argmax(wrong))}: {fault}")


def _checked(file: h5py.File) -> Checked:
    metadata, description = _root(file)
    groups = {}
    for name, group in _groups(file):
        if not GROUP_NAME.fullmatch(name) or name not in metadata.totals:
            raise DataError(f"unknown group {name!r}")
        groups[name] = _check_group(name, group, description, file.id.get_filesize())
    for name, total in metadata.totals.items():
        start, stop = metadata.shard.span(total)
        if groups.get(name) != stop - start:
            raise DataError(
                f"group {name!r} must have {stop - start} videos, not {groups.get(name)}"
            )
    return metadata, description, {name: groups[name] for name in _in_order(groups)}


def _in_order(names: Mapping[str, int]) -> list[str]:
    return sorted(
        names, key=lambda name: (("train", "val", "test").index(name.split("/")[0]), name)
    )


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


def _check_group(
    name: str, group: h5py.Group, description: DataDescription, file_size: int
) -> int:
    known = {field.name: field for field in (*FIELDS, DIGEST)}
    for member in group:
        if member not in known:
            raise DataError(f"{name}: unknown array {member!r}")
    arrays = {}
    for member in known:
        if member not in group:
            raise DataError(f"{name}: no array {member!r}")
        arrays[member] = _own(group, member, h5py.Dataset)
    axes = _axes(name, arrays, description)
    if sum(array.id.get_storage_size() for array in arrays.values()) > file_size:
        raise DataError(f"{name}: arrays claim more than the file's {file_size} bytes")
    for member, field in known.items():
        _check_array(f"{name}/{member}", arrays[member], field, axes)
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
    if max(T * H * W * 3, FIELDS[1].chunk * T * K * 16) > LARGEST_CHUNK:
        size = f"{T} frames of {H} x {W} with {K} objects"
        raise DataError(f"{name}: videos of {size} are too large")
    return {"N": N, "T": T, "H": H, "W": W, "K": K}


def _check_array(where: str, array: h5py.Dataset, field: Field, axes: Mapping[str, int]) -> None:
    expected = field.shape(axes)
    if array.shape != expected:
        raise DataError(f"{where} must be {list(expected)}, not {list(array.shape)}")
    if array.dtype != field.dtype:
        raise DataError(f"{where} must hold {field.dtype}, not {array.dtype}")
    if array.is_virtual or array.external is not None:
        raise DataError(f"{where} takes its content from another file: refused")
    if array.chunks != (field.chunk, *expected[1:]):
        raise DataError(f"{where} must have chunks of {field.chunk} videos, not {array.chunks}")
    creation = array.id.get_create_plist()
    filters = {creation.get_filter(place)[0] for place in range(creation.get_nfilters())}
    if not filters <= ALLOWED_FILTERS:
        raise DataError(f"{where} uses filters other than gzip and fletcher32: refused")
    n_chunks = -(-expected[0] // field.chunk)
    if array.id.get_num_chunks() != n_chunks:
        stored = array.id.get_num_chunks()
        raise DataError(f"{where} has {stored} of {n_chunks} chunks: not whole")


def _root(file: h5py.File) -> tuple[Metadata, DataDescription]:
    if "format" not in file.attrs or _text(file, "format") != "smot videos":
        raise DataError("not a file of smot videos")
    version = _number(file, "format_version")
    if version != FORMAT_VERSION:
        raise DataError(f"format version {version}, where this smot reads {FORMAT_VERSION}")
    if "content_fingerprint" not in file.attrs:
        raise DataError("not whole: its writing was not finished")
    described = _mapping(file, "description")
    description = DataDescription(
        dataset=str(described["dataset"]),
        frame_size=(int(described["frame_size"][0]), int(described["frame_size"][1])),
        n_frames=int(described["n_frames"]),
        max_objects=int(described["max_objects"]),
        palette=tuple(_colour(each) for each in described["palette"]),
        digit_source=str(described["digit_source"]),
        background=_colour(described["background"]),
    )
    index, total = json.loads(_text(file, "shard"))
    metadata = Metadata(
        format_version=version,
        name=_text(file, "name"),
        seed=_number(file, "seed"),
        settings=_mapping(file, "settings"),
        digit_source=_text(file, "digit_source"),
        digit_fingerprint=_text(file, "digit_fingerprint"),
        settings_fingerprint=_text(file, "settings_fingerprint"),
        content_fingerprint=_text(file, "content_fingerprint"),
        versions=_mapping(file, "versions"),
        shard=Shard(index=int(index), total=int(total)),
        totals={str(name): int(n) for name, n in _mapping(file, "totals").items()},
    )
    return metadata, description


def _colour(values: Sequence[Any]) -> tuple[int, int, int]:
    r, g, b = values
    return int(r), int(g), int(b)


def _attribute(file: h5py.File, name: str) -> h5py.h5a.AttrID:
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != () or attribute.get_storage_size() > LARGEST_TEXT:
        raise DataError(f"attribute {name!r} must be one value")
    return attribute


def _text(file: h5py.File, name: str) -> str:
    if h5py.check_string_dtype(_attribute(file, name).dtype) is None:
        raise DataError(f"attribute {name!r} must be text")
    value = file.attrs[name]
    if not isinstance(value, str) or len(value) > LARGEST_TEXT or not value.isprintable():
        raise DataError(f"attribute {name!r} must be short, printable text")
    return value


def _number(file: h5py.File, name: str) -> int:
    if not np.issubdtype(_attribute(file, name).dtype, np.integer):
        raise DataError(f"attribute {name!r} must be an integer")
    return int(file.attrs[name])


def _mapping(file: h5py.File, name: str) -> dict[str, Any]:
    value = json.loads(_text(file, name))
    if not isinstance(value, dict):
        raise DataError(f"attribute {name!r} must be a JSON object")
    return value
