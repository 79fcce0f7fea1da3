"""COCO-VID JSON: COCO's tables with `videos`, and images and annotations that point to them.

    videos       id, name, width, height
    images       id, video_id, frame_id (from 0), file_name, width, height
    annotations  id, image_id, video_id, category_id, bbox (left, top, width, height), area,
                 iscrowd, instance_id, track_id (both the identity), score or visibility
    categories   id, name

This is the layout of MMTracking's CocoVID; YouTube-VIS, which is called by the same name, has one
annotation per track with a list of boxes instead. Identities are unique within a video only.

Source: MMTracking 0.14, docs/en/tutorials/customize_dataset.md.
"""

import json
import os
from typing import Any

from smot.arrays import FloatArray
from smot.errors import DataError
from smot.files import write_text
from smot.interchange.flat import Rows, to_arrays
from smot.tracks import Tracks


def write_coco_vid(
    path: str | os.PathLike[str],
    tracks: Tracks,
    *,
    frame_size: tuple[int, int],
    visibility: FloatArray | None = None,
    file_name: str = "{video:05d}/{frame:06d}.png",
) -> None:
    """Write truth or predictions of all videos as one JSON file.

    Args:
        path: written whole or not at all.
        tracks: [B, T, K].
        frame_size: H, W, pixels.
        visibility: makes it a truth file: annotations get `visibility` [B, T, K] instead of
            `score`.
        file_name: where an image would be, from the numbers (from 0) of its video and frame.

    Raises:
        DataError: visibility of another shape than the tracks.
        OSError: the file cannot be written.
    """
    if visibility is not None and visibility.shape != tracks.shape:
        expected, found = list(tracks.shape), list(visibility.shape)
        raise DataError(f"visibility must be {expected} like the tracks, not {found}")
    write_text(path, json.dumps(coco_vid(tracks, frame_size, visibility, file_name)))


def coco_vid(
    tracks: Tracks, frame_size: tuple[int, int], visibility: FloatArray | None, file_name: str
) -> dict[str, Any]:
    """The tables that `write_coco_vid` writes; ids of videos, images and annotations from 1."""
    (B, T, _), (height, width) = tracks.shape, frame_size
    size = {"width": width, "height": height}
    rows = to_arrays(tracks)
    kind, values = "score", rows.confidence
    if visibility is not None:
        kind, values = "visibility", visibility[rows.video, rows.frame, rows.slot]
    images: list[dict[str, Any]] = [
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
        "annotations": [
            _annotation(rows, i, T, kind, float(values[i])) for i in range(len(values))
        ],
        "categories": [{"id": 1, "name": "object"}],
    }


def _annotation(rows: Rows, i: int, T: int, kind: str, value: float) -> dict[str, Any]:
    x0, y0, x1, y1 = rows.box[i].tolist()
    video, frame, identity = (int(each[i]) for each in (rows.video, rows.frame, rows.identity))
    return {
        "id": 1 + i,
        "image_id": 1 + video * T + frame,
        "video_id": 1 + video,
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "instance_id": identity,
        "track_id": identity,
        kind: value,
    }
