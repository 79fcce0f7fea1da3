"""Random sequences in which everything goes wrong: misses, strays, swaps, duplicates and ties."""

from dataclasses import fields, replace

import numpy as np

from smot.arrays import IntArray
from smot.evaluation.metrics.counts import VideoCounts
from smot.tracks import Tracks

SIDE = 6.0
FRAME = 26


def untidy_sequences(
    generator: np.random.Generator, n_videos: int, n_frames: int = 8, n_objects: int = 5
) -> tuple[Tracks, Tracks]:
    """Truth and predictions on a grid so coarse that many IoU are equal, some exactly 1/2.

    Shifting a box of side 6 by 2 leaves an IoU of 24 / 48.
    """
    B, T, K = n_videos, n_frames, n_objects
    start = 2.0 * generator.integers(0, 7, (B, 1, K, 2))
    velocity = 2.0 * generator.integers(-1, 2, (B, 1, K, 2))
    corner = start + velocity * np.arange(T)[:, None, None]
    present = generator.random((B, T, K)) < generator.choice([0.7, 1.0], (B, 1, 1))
    truth = Tracks.from_slots(_boxes(corner), present)
    return truth, _predictions(generator, corner, present)


def _predictions(
    generator: np.random.Generator, corner: np.ndarray, present: np.ndarray
) -> Tracks:
    """Two jittered copies of every object, and strays; identities change now and then."""
    B, T, K, _ = corner.shape
    copies = np.concatenate([corner, corner, 2.0 * generator.integers(0, 7, (B, T, 2, 2))], axis=2)
    n = copies.shape[2]
    jitter = generator.choice([-2.0, 0.0, 0.0, 2.0], copies.shape)
    kept = generator.random((B, T, n)) < np.repeat([0.85, 0.3, 0.3], [K, K, 2])
    kept[..., : 2 * K] &= np.concatenate([present, present], -1) | (
        generator.random((B, T, 2 * K)) < 0.1
    )
    ids = np.broadcast_to(np.arange(n), (B, T, n)).copy()
    for b, t in np.argwhere(generator.random((B, T)) < 0.25):
        ids[b, t:] = ids[b, t:][:, generator.permutation(n)]
    ids[generator.random((B, 1, 1)).repeat(T, 1).repeat(n, 2) < 0.2] += 7
    confidence = generator.choice([0.2, 0.6, 0.6, 0.9], (B, T, n)).astype(np.float32)
    confidence[generator.random(B) < 0.7] = 1.0
    slots = generator.permuted(np.broadcast_to(np.arange(n), (B, T, n)), axis=-1)
    ids = np.where(kept, ids, -1)
    return Tracks(
        boxes=np.take_along_axis(_boxes(copies + jitter), slots[..., None], 2),
        ids=np.take_along_axis(ids, slots, 2),
        confidence=np.take_along_axis(confidence, slots, 2),
    )


def _boxes(corner: np.ndarray) -> np.ndarray:
    return np.concatenate([corner, corner + SIDE], -1).astype(np.float32)


def crowded_sequence(
    generator: np.random.Generator, n_frames: int, n_objects: int
) -> tuple[Tracks, Tracks]:
    """One video in which everything overlaps and every object is predicted in two mirrored ways.

    Here matches hang on the last bit of sums of IoU, and so on the order of summing.
    """
    corner = generator.integers(0, 12, (1, 1, n_objects, 2))
    corner = corner + generator.integers(-1, 2, (1, n_frames, n_objects, 2))
    other = np.concatenate([corner, corner[:, :, ::-1]], axis=2)
    other += generator.integers(-1, 2, (1, n_frames, 1, 2))
    ids = np.broadcast_to(np.arange(2 * n_objects), other.shape[:3]).copy()
    for t in np.flatnonzero(generator.random(n_frames) < 0.5):
        ids[0, t] = generator.permutation(ids[0, t])
    boxes, others = (np.concatenate([low, low + 9], -1) for low in (corner, other))
    truth = Tracks.from_slots(boxes, np.ones(boxes.shape[:3], np.bool_))
    return truth, Tracks(boxes=others, ids=ids, confidence=np.ones(ids.shape))


def painted(tracks: Tracks) -> Tracks:
    """With masks: each box its own, later entries over earlier ones, some hidden for good."""
    masks = np.zeros((*tracks.shape[:2], FRAME, FRAME), np.uint8)
    for b, t, k in np.ndindex(tracks.shape):
        x0, y0, x1, y1 = (max(0, int(side)) for side in tracks.boxes[b, t, k])
        masks[b, t, y0:y1, x0:x1] = 1 + k  # of entries that are not used an empty place
    return replace(tracks, masks=masks)


def some_of(counts: VideoCounts, rows: IntArray | slice) -> VideoCounts:
    """Some rows, in the order asked for."""
    names = [field.name for field in fields(counts) if field.name != "settings"]
    return replace(counts, **{name: getattr(counts, name)[rows] for name in names})
