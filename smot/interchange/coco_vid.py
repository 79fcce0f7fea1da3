"""COCO-VID JSON: COCO's tables with `videos`, and images and annotations that point to them.

    videos       id, name, width, height
    images       id, video_id, frame_id (from 0), file_name, width, height
    annotations  id, image_id, video_id, category_id, bbox (left, top, width, height), area,
                 iscrowd, instance_id (unique over the file), track_id (the identity, unique within
                 its video), visibility
    categories   id, name

That is truth. Predictions are the list that COCO's `loadRes` wants: image_id, category_id, bbox
and score, with video_id, instance_id and track_id beside them.

This is the layout of MMTracking's CocoVID; YouTube-VIS, which is called by the same name, has one
annotation per track with a list of boxes instead.

Source: MMTracking 0.14, docs/en/tutorials/customize_dataset.md; pycocotools 2.0, coco.py.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.files import write_text
from smot.interchange.annotation import Annotation
from smot.interchange.flat import to_arrays
from smot.tracks import Tracks

Places: TypeAlias = Mapping[int, tuple[str, int]]
"""The video and the frame, from 0, of each image."""


def read_coco_vid(
    path: str | os.PathLike[str], places: Places | None = None
) -> tuple[dict[str, Annotation], Places]:
    """Read truth, or predictions of the truth's images.

    Args:
        path: JSON: tables, or a list of predictions.
        places: of the truth's images; without them a list cannot be read.

    Returns:
        The boxes of each video by its name, and the place of each image. Frames are numbered from
        0 in the order of `frame_id`. Boxes with `iscrowd` are regions, those with `ignore` do not
        count.

    Raises:
        DataError: not such a file, or an entry that cannot be; names it.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    sizes: dict[str, tuple[int, int] | None] = {}
    if isinstance(content, dict):
        names, sizes = _videos(path, content)
        places = _places(path, _entries(path, content, "images"), names)
        entries = _entries(path, content, "annotations")
    else:
        entries = _entries(path, {"predictions": content}, "predictions")
        if places is None:
            raise DataError(f"{path}: a list of predictions is read beside its truth in COCO-VID")
    lengths: dict[str, int] = {}
    for video, frame in places.values():
        lengths[video] = max(lengths.get(video, 0), frame + 1)
    rows: dict[str, list[list[float]]] = {video: [] for video in lengths}
    for number, entry in enumerate(entries):
        video, row = _row(f"{path}, box {number}", entry, places)
        rows[video].append(row)
    read = {
        video: _annotation(video, lengths[video], sizes.get(video), some)
        for video, some in rows.items()
    }
    return read, places


def _annotation(
    name: str, n_frames: int, frame_size: tuple[int, int] | None, rows: list[list[float]]
) -> Annotation:
    table = np.array(rows, np.float64).reshape(-1, 11)
    seen = table[:, 10]
    return Annotation(
        name=name,
        frame=table[:, 0].astype(np.int64),
        identity=table[:, 1].astype(np.int64),
        box=np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], 1),
        confidence=table[:, 6],
        category=table[:, 7].astype(np.int64),
        counts=table[:, 8] == 0,
        is_region=table[:, 9] != 0,
        visibility=seen if len(seen) and 0 <= seen.min() <= seen.max() <= 1 else None,
        n_frames=n_frames,
        frame_size=frame_size,
    )


def _row(where: str, entry: Any, places: Places) -> tuple[str, list[float]]:
    """The video of a box, and its row: frame, identity, left, top, width, height and the rest."""
    image = _value(where, entry, "image_id")
    if image not in places:
        raise DataError(f"{where}: there is no image {image:g}")
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"{where}: bbox must be left, top, width, height")
    sides = [_value(where, {"bbox": side}, "bbox") for side in box]
    is_region = _value(where, entry, "iscrowd", 0)
    # Regions need no identity, and others may have it under its other name.
    other = entry.get("instance_id", 0 if is_region else None)
    identity = _value(where, entry, "track_id", other)
    if identity != int(identity) or not 0 <= identity < 2**31 or min(sides[2:]) < 0:
        raise DataError(f"{where}: an impossible identity, or a negative width or height")
    score = _value(where, entry, "score", 1)
    if not 0 <= score <= 1:
        raise DataError(f"{where}: score {score:g} must be from 0 to 1")
    category = _value(where, entry, "category_id", 1)
    if category != int(category):
        raise DataError(f"{where}: category_id {category:g} must be a whole number")
    rest = [_value(where, entry, "ignore", 0), is_region, _value(where, entry, "visibility", -1)]
    video, frame = places[int(image)]
    return video, [frame, identity, *sides, score, category, *rest]


def _value(where: str, entry: Any, name: str, default: Any = None) -> float:
    value = entry.get(name, default) if isinstance(entry, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise DataError(f"{where}: {name} must be a number, not {str(value)[:40]!r}")
    return value


def _entries(path: Any, content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    entries = content.get(name)
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise DataError(f"{path}: {name} must be a list of tables: is it COCO-VID?")
    return entries


def _videos(
    path: Any, content: Mapping[str, Any]
) -> tuple[dict[float, str], dict[str, tuple[int, int] | None]]:
    """The name of each video by its id, and the size of its frames by its name."""
    names: dict[float, str] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    for entry in _entries(path, content, "videos"):
        identity = _value(f"{path}, videos", entry, "id")
        name = entry.get("name", f"{int(identity):05d}")
        if not isinstance(name, str) or not name.isprintable():
            raise DataError(f"{path}, videos: name must be text, not {str(name)[:40]!r}")
        names[identity] = name
        height, width = (_value(f"{path}, videos", entry, key, 0) for key in ("height", "width"))
        sizes[names[identity]] = (int(height), int(width)) if height > 0 < width else None
    if len(sizes) < len(content["videos"]):
        raise DataError(f"{path}: two videos have one name or id")
    return names, sizes


def _places(
    path: Any, images: Sequence[Mapping[str, Any]], names: Mapping[float, str]
) -> dict[int, tuple[str, int]]:
    found: dict[float, list[tuple[float, int]]] = {}
    for entry in images:
        keys = ("video_id", "frame_id", "id")
        video, frame, image = (_value(f"{path}, images", entry, key) for key in keys)
        if video not in names:
            raise DataError(f"{path}, images: there is no video {video:g}")
        if image != int(image):
            raise DataError(f"{path}, images: id {image:g} must be a whole number")
        found.setdefault(video, []).append((frame, int(image)))
    for video, frames in found.items():
        if len({frame for frame, _ in frames}) < len(frames):
            raise DataError(f"{path}, images: two of video {names[video]} have one frame_id")
    places = {
        image: (names[video], place)
        for video, frames in found.items()
        for place, (_, image) in enumerate(sorted(frames))
    }
    if len(places) < len(images):
        raise DataError(f"{path}, images: two have one id")
    return places


def write_coco_vid(
    path: str | os.PathLike[str],
    tracks: Tracks,
    *,
    frame_size: tuple[int, int],
    visibility: FloatArray | None = None,
    label: IntArray | None = None,
    file_name: str = "{video:05d}/{frame:06d}.png",
    names: Sequence[str] | None = None,
) -> None:
    """Write truth or predictions of all videos as one JSON file.

    Args:
        path: written whole or not at all.
        tracks: [B, T, K].
        frame_size: H, W, pixels.
        visibility: of the truth, [B, T, K]; makes it a truth file.
        label: class of each slot of the truth, [B, K], from 0, such as its digit; makes it a truth
            file. Its category has the id label + 1, and the label as its name.
        file_name: where an image would be, from the numbers (from 0) of its video and frame.
        names: of the videos of the truth; their numbers if not given.

    Raises:
        DataError: visibility or labels of another shape than the tracks.
        OSError: the file cannot be written.
    """
    B, T, K = tracks.shape
    for name, given, shape in (("visibility", visibility, [B, T, K]), ("label", label, [B, K])):
        if given is not None and list(given.shape) != shape:
            raise DataError(f"{name} must be {shape} like the tracks, not {list(given.shape)}")
    if visibility is None and label is None:
        content: Any = _boxes(tracks, "score", tracks.confidence, None)
    else:
        seen = np.ones((B, T, K)) if visibility is None else visibility
        content = _truth(tracks, frame_size, seen, label, file_name)
        for entry, name in zip(content["videos"], names or (), strict=False):
            entry["name"] = name
    write_text(path, json.dumps(content))


def _truth(
    tracks: Tracks,
    frame_size: tuple[int, int],
    visibility: FloatArray,
    label: IntArray | None,
    file_name: str,
) -> dict[str, Any]:
    """The tables of a truth file; ids of videos, images and annotations count from 1."""
    (B, T, _), (height, width) = tracks.shape, frame_size
    size = {"width": width, "height": height}
    annotations = _boxes(tracks, "visibility", visibility, label)
    for number, box in enumerate(annotations, 1):
        _, _, box_width, box_height = box["bbox"]
        box |= {"id": number, "area": box_width * box_height, "iscrowd": 0}
    categories = [{"id": 1, "name": "object"}]
    if label is not None:
        kinds = range(int(label.max(initial=-1)) + 1)
        categories = [{"id": 1 + kind, "name": str(kind)} for kind in kinds]
    images = [
        {
            "id": 1 + b * T + t,
            "video_id": 1 + b,
            "frame_id": t,
            "file_name": file_name.format(video=b, frame=t),
            **size,
        }
        for b in range(B)
        for t in range(T)
    ]
    return {
        "videos": [{"id": 1 + b, "name": f"{b:05d}", **size} for b in range(B)],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _boxes(
    tracks: Tracks, kind: str, values: FloatArray, label: IntArray | None
) -> list[dict[str, Any]]:
    """One entry for each box, with what truth and predictions share and one value more."""
    _, T, _ = tracks.shape
    rows = to_arrays(tracks)
    pairs = np.stack([rows.video, rows.identity], axis=1)
    _, instance = np.unique(pairs, axis=0, return_inverse=True)
    classes = np.zeros(len(pairs), np.int64) if label is None else label[rows.video, rows.slot]
    columns = {
        "image_id": 1 + rows.video * T + rows.frame,
        "video_id": 1 + rows.video,
        "category_id": 1 + classes.astype(np.int64),
        "bbox": np.concatenate([rows.box[:, :2], rows.box[:, 2:] - rows.box[:, :2]], axis=1),
        "instance_id": 1 + instance.reshape(-1),
        "track_id": rows.identity,
        kind: values[rows.video, rows.frame, rows.slot].astype(np.float64),
    }
    lists = [column.tolist() for column in columns.values()]
    return [dict(zip(columns, entry, strict=True)) for entry in zip(*lists, strict=True)]
