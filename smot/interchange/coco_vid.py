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
from typing import Any

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.files import write_text
from smot.interchange.flat import to_arrays
from smot.tracks import Tracks


def write_coco_vid(
    path: str | os.PathLike[str],
    tracks: Tracks,
    *,
    frame_size: tuple[int, int],
    visibility: FloatArray | None = None,
    label: IntArray | None = None,
    file_name: str = "{video:05d}/{frame:06d}.png",
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
