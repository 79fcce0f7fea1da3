"""Tables with a row for each box and named columns (CSV, Parquet), and arrays in npz files."""

import csv
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError, first_line
from smot.files import atomic_path
from smot.interchange.annotation import Annotation
from smot.interchange.flat import LARGEST, from_arrays
from smot.interchange.motchallenge import text_of
from smot.tracks import Tracks

NAMES: Mapping[str, tuple[str, ...]] = {
    "video": ("video", "sequence", "seq", "video_id", "video_name"),
    "frame": ("frame", "frame_id", "frame_index", "t"),
    "identity": ("identity", "id", "track_id", "object_id", "track"),
    "x0": ("x0", "left", "x", "xmin", "x_min", "bb_left", "x1"),
    "y0": ("y0", "top", "y", "ymin", "y_min", "bb_top", "y1"),
    "x1": ("x1", "right", "xmax", "x_max", "x2"),
    "y1": ("y1", "bottom", "ymax", "y_max", "y2"),
    "width": ("width", "w", "bb_width"),
    "height": ("height", "h", "bb_height"),
    "confidence": ("confidence", "conf", "score"),
    "category": ("category", "category_id", "class", "class_id", "label"),
    "counts": ("counts", "considered"),
    "is_region": ("is_region", "iscrowd", "crowd"),
    "visibility": ("visibility", "visible"),
}
"""The names that a column may have, by what it holds."""


def is_named_table(path: Path) -> bool:
    """Whether the first line of a text file that is no comment names columns."""
    try:
        heads = next(csv.reader(_lines(path)[:1]), [])
    except csv.Error:
        return False
    return bool(heads) and heads[0].strip(" \"'")[:1].isalpha()


def read_table(path: Path, first_frame: int | None = None) -> dict[str, Annotation]:
    """Read the boxes of all videos of a table.

    Args:
        path: CSV with a line of names, or Parquet (which needs pandas and pyarrow).
        first_frame: the number of the first frame; if not given, 0, with a warning where no box
            is in it.

    Returns:
        By the name of the video; the file's where no column says it.

    Raises:
        DataError: columns that are missing, or values that are no numbers or cannot be.
    """
    columns = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    places = _found(list(columns))
    missing = [name for name in ("frame", "identity", "x0", "y0") if name not in places]
    if missing:
        raise DataError(f"{path}: no column for {', '.join(missing)}; it has {list(columns)}")
    values = {
        name: _numbers(path, head, columns[head])
        for name, head in places.items()
        if name != "video"
    }
    n = len(values["frame"])
    videos = np.full(n, path.stem, object)
    if "video" in places:
        videos = np.array([str(each) for each in columns[places["video"]]], object)
    if first_frame is None and n and values["frame"].min() == 1:
        text = "frames are taken as numbered from 0, but the first with a box is 1"
        warnings.warn(f"{path}: {text}: --first-frame 1 counts from there", stacklevel=3)
    everything = _annotation(path, values, first_frame or 0)
    return {name: everything[videos == name].called(name) for name in dict.fromkeys(videos)}


def read_npz(path: Path) -> dict[str, Annotation]:
    """Read tracks that `write_npz` wrote, or arrays of that kind.

    Args:
        path: an npz with `boxes` [B, T, K, 4], `ids` [B, T, K] and perhaps `confidence`, or with
            flat arrays by the names that `from_arrays` has; names may stand behind a group,
            "test-03/boxes".

    Returns:
        By name: GROUP-NUMBER; that of the file where there is one video and no group.

    Raises:
        DataError: not such a file. Objects are never unpickled.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # whatever the libraries raise for a damaged file
        raise DataError(f"{path}: not an npz file of arrays: {first_line(error)}") from None
    groups: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a file in the archive that is no npy
            raise DataError(f"{path}: {name!r} is no array")
        group, _, short = name.rpartition("/")
        groups.setdefault(group, {})[short] = array
    found: dict[str, Annotation] = {}
    for group, given in groups.items():
        try:
            tracks = _tracks(given)
        except (DataError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: {group + ': ' if group else ''}{first_line(error)}"
            ) from None
        B, T, K = tracks.shape
        if K == 0 and B * max(T, 1) > LARGEST:  # which an array without boxes may say
            raise DataError(f"{path}: {B:,} videos of {T:,} frames without a box are too many")
        for index in range(tracks.shape[0]):
            stem = group or path.stem
            name = stem if not group and tracks.shape[0] == 1 else f"{stem}-{index:05d}"
            found[name] = Annotation.of(name, tracks[index : index + 1])
    return found


def write_npz(path: str | os.PathLike[str], tracks: Mapping[str, Tracks]) -> None:
    """Write tracks of groups of videos, whole or not at all.

    Args:
        path: the file.
        tracks: [B, T, K] of each group; "" for arrays without a group.
    """
    arrays = {
        f"{group.replace('/', '-')}/{name}" if group else name: getattr(each, name)
        for group, each in tracks.items()
        for name in ("boxes", "ids", "confidence")
    }
    with atomic_path(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _tracks(given: Mapping[str, Any]) -> Tracks:
    if "boxes" in given and "ids" in given:
        ids = given["ids"]
        return Tracks(
            boxes=given["boxes"], ids=ids, confidence=given.get("confidence", np.ones(ids.shape))
        )
    flat = ("frame", "identity", "box")
    if all(name in given for name in flat):
        more = {name: given[name] for name in ("video", "confidence") if name in given}
        more |= {name: int(given[name]) for name in ("n_videos", "n_frames") if name in given}
        return from_arrays(**{name: given[name] for name in flat}, **more)
    raise DataError(f"no boxes and ids, and no frame, identity and box, but {sorted(given)}")


def _annotation(path: Path, values: Mapping[str, FloatArray], first_frame: int) -> Annotation:
    n = len(values["frame"])
    frame = _whole(path, "frame", values["frame"] - first_frame)
    corner = np.stack([values["x0"], values["y0"]], 1)
    if "width" in values and "height" in values:
        end = corner + np.stack([values["width"], values["height"]], 1)
    elif "x1" in values and "y1" in values:
        end = np.stack([values["x1"], values["y1"]], 1)
    else:
        raise DataError(f"{path}: no columns for the other corner (x1, y1) or width and height")
    confidence = values.get("confidence", np.ones(n))
    if n and not 0 <= confidence.min() <= confidence.max() <= 1:
        raise DataError(f"{path}: confidences must be from 0 to 1")
    seen = values.get("visibility")
    if seen is not None and not ((seen >= 0) & (seen <= 1)).all():
        seen = None  # as in MOTChallenge text
    return Annotation(
        name="",
        frame=frame,
        identity=_whole(path, "identity", values["identity"]),
        box=np.concatenate([corner, end], 1),
        confidence=confidence,
        category=_whole(path, "category", values.get("category", np.ones(n))),
        counts=values.get("counts", np.ones(n)) != 0,
        is_region=values.get("is_region", np.zeros(n)) != 0,
        visibility=seen,
    )


def _heads(heads: list[str]) -> list[str]:
    return [head.strip().lower() for head in heads]


def _found(heads: list[str]) -> dict[str, str]:
    """The column of each kind; x1 is the left side only where there is an x2."""
    lowered = dict(zip(_heads(heads), heads, strict=True))
    found: dict[str, str] = {}
    for kind, names in NAMES.items():
        for name in names:
            swapped = name in ("x1", "y1") and (name[0] + "2" in lowered) != kind.endswith("0")
            if name in lowered and not swapped:
                found.setdefault(kind, lowered[name])
    return found


def _lines(path: Path) -> list[str]:
    """The lines of a text file, without empty ones and comments (#)."""
    lines = text_of(path).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _csv(path: Path) -> dict[str, list[str]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        heads, *rows = [row for row in csv.reader(_lines(path), delimiter=delimiter) if row]
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path}: not a table: {error}") from None
    for number, row in enumerate(rows, 2):
        if len(row) != len(heads):
            raise DataError(f"{path}, row {number}: {len(row)} values in {len(heads)} columns")
    _check_heads(path, heads)
    return {head: [row[place] for row in rows] for place, head in enumerate(heads)}


def _check_heads(path: Path, heads: list[str]) -> None:
    if len(set(_heads(heads))) < len(heads):
        raise DataError(f"{path}: two columns of one name among {heads}")


def _parquet(path: Path) -> dict[str, Any]:
    try:
        import pandas

        table = pandas.read_parquet(path)
        # Text is not looked at before it is asked for.
        columns = {str(head): table[head].to_numpy() for head in table.columns}
    except ImportError:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from None
    except Exception as error:  # whatever the library raises for a damaged file
        raise DataError(f"{path}: not a Parquet file: {first_line(error)}") from None
    _check_heads(path, list(columns))
    return columns


def _numbers(path: Path, head: str, column: Any) -> FloatArray:
    given = np.asarray(column)
    if given.dtype.kind in "mM":  # which numpy would take for a number of nanoseconds
        raise DataError(f"{path}: column {head!r} must hold numbers, not times")
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: column {head!r} must hold numbers: {error}") from None
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(f"{path}: column {head!r}, box {row + 1}: not a finite number")
    return values


def _whole(path: Path, name: str, values: FloatArray) -> IntArray:
    wrong = (values != np.rint(values)) | (values < 0) | (values >= 2.0**31)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}, box {row + 1}: {name} {values[row]:g} is no number from 0 on")
    whole: IntArray = values.astype(np.int64)
    return whole
