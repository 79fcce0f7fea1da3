"""Flat arrays, one row for each box: how most tools and data frames hold tracks."""

from dataclasses import dataclass

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.tracks import ABSENT, Tracks

LARGEST = 10_000_000  # places for boxes, most of them empty, that are made without question


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """N boxes, ordered by video, frame and identity.

    Attributes:
        video: [N], int64, from 0.
        frame: [N], int64, from 0.
        identity: unique within a frame, constant through the video, [N], int64.
        box: x0, y0, x1, y1, [N, 4], float64, pixels.
        confidence: in [0, 1], [N], float64.
        slot: where along K the box stood in its Tracks, [N], int64.
        n_videos: B; the last ones may have no boxes.
        n_frames: T; the last ones may have no boxes.
    """

    video: IntArray
    frame: IntArray
    identity: IntArray
    box: FloatArray
    confidence: FloatArray
    slot: IntArray
    n_videos: int
    n_frames: int


def from_arrays(
    *,
    frame: IntArray,
    identity: IntArray,
    box: FloatArray,
    confidence: FloatArray | None = None,
    video: IntArray | None = None,
    n_frames: int | None = None,
    n_videos: int | None = None,
) -> Tracks:
    """Tracks from flat arrays, in any order of rows.

    Args:
        frame: from 0, [N], integers.
        identity: within the video, from 0 to 2 ** 31 - 1, [N], integers.
        box: x0, y0, x1, y1, [N, 4], pixels.
        confidence: in [0, 1], [N]; 1 if not given.
        video: from 0, [N], integers; all one video if not given.
        n_frames: T; the last frame with a box if not given. To score predictions against truth,
            give both the same: a frame without any box has no row.
        n_videos: B; if not given, the last video with a box, or 1 if `video` is not given either.

    Returns:
        Tracks [B, T, K], K the most boxes in a frame.

    Raises:
        DataError: arrays of different lengths, a negative number, a frame or video beyond those
            there are, an identity twice in a frame, or a box that cannot be.
    """
    if video is None and n_videos is None:
        n_videos = 1
    identity = _integers("identity", identity, None)
    n = len(identity)
    frame = _integers("frame", frame, n)
    video = _integers("video", np.zeros(n, np.int64) if video is None else video, n)
    confidence = np.ones(n) if confidence is None else np.asarray(confidence)
    box = np.asarray(box, np.float64).reshape(-1, 4) if n == 0 else np.asarray(box)
    if box.shape != (n, 4) or confidence.shape != (n,):
        found = f"box {list(box.shape)} and confidence {list(confidence.shape)}"
        raise DataError(f"box must be [{n}, 4] and confidence [{n}] like identity, not {found}")
    B, T = _extent("video", video, n_videos), _extent("frame", frame, n_frames)
    order = np.lexsort((identity, frame, video))  # the last key counts most
    where = (video * T + frame)[order]
    # The place of each row among those of its frame.
    slot = np.arange(n) - np.searchsorted(where, where)
    K = int(slot.max(initial=-1)) + 1
    if max(LARGEST, 100 * n) < max(B, 1) * max(T, 1) * max(K, 1):
        raise DataError(
            f"{B} videos of {T} frames with room for {K} boxes each are too many for {n} boxes: "
            "are frames numbered one by one?"
        )
    place = video[order], frame[order], slot
    boxes, ids = np.zeros((B, T, K, 4)), np.full((B, T, K), ABSENT, np.int64)
    sure = np.zeros((B, T, K))
    boxes[place], ids[place], sure[place] = box[order], identity[order], confidence[order]
    return Tracks(boxes=boxes, ids=ids, confidence=sure)


def to_arrays(tracks: Tracks) -> Rows:
    """Flat arrays from tracks."""
    video, frame, slot = np.nonzero(tracks.present)
    order = np.lexsort((tracks.ids[video, frame, slot], frame, video))
    place = video[order], frame[order], slot[order]
    return Rows(
        video=place[0],
        frame=place[1],
        identity=tracks.ids[place].astype(np.int64),
        box=tracks.boxes[place].astype(np.float64),
        confidence=tracks.confidence[place].astype(np.float64),
        slot=place[2],
        n_videos=tracks.shape[0],
        n_frames=tracks.shape[1],
    )


def _integers(name: str, values: IntArray, n: int | None) -> IntArray:
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name} must be integers [N], not {array.dtype} {list(array.shape)}")
    if n is not None and len(array) != n:
        raise DataError(f"{name} has {len(array)} rows, but identity has {n}")
    if len(array) and array.min() < 0:
        raise DataError(f"{name} must not be negative, but row {array.argmin()} has {array.min()}")
    if len(array) and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"{name} must fit 63 bits, but row {array.argmax()} has {array.max()}")
    return array.astype(np.int64)


def _extent(name: str, values: IntArray, n: int | None) -> int:
    needed = int(values.max(initial=-1)) + 1
    if n is None:
        return needed
    if needed > n:
        raise DataError(f"{name} {needed - 1} is beyond the last, {n - 1}")
    return n
