"""Identities that survive a gap: lost objects are taken up again where they would be by now."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from smot.arrays import FloatArray, IntArray
from smot.tracks import ABSENT, Tracks


def linked(tracks: Tracks, *, reach: float, memory: int, confidence: float) -> Tracks:
    """The same boxes, their identities given anew by how objects move.

    Slots lose an object for a frame when another covers it, and discovery then finds it under a
    new identity; or two objects that cross change slots. Each frame's objects are joined with
    those of the last frames, moved on at their own speed, at the least sum of distances
    (Hungarian method). No frame is looked at before its time.

    Args:
        tracks: identities as slots give them.
        reach: largest distance to where an object should be, pixels.
        memory: frames for which an object is looked for after it was last seen, at least 1.
        confidence: entries that do not exceed it are not linked; they keep identities of their
            own, different from those of the others.

    Source: ours; the paper's identities are those of slots.
    """
    sure = tracks.present & (tracks.confidence > confidence)
    centres = (tracks.boxes[..., :2] + tracks.boxes[..., 2:]) / 2
    ids = [_linked(*video, reach, memory) for video in zip(centres, sure, strict=True)]
    new = np.stack(ids) if ids else tracks.ids
    beyond = new.max(axis=(1, 2), keepdims=True, initial=ABSENT) + 1
    own = np.where(tracks.present, tracks.ids + beyond, ABSENT)
    return Tracks(
        boxes=tracks.boxes,
        ids=np.where(sure, new, own).astype(np.int32),
        confidence=tracks.confidence,
    )


def _linked(centres: FloatArray, sure: FloatArray, reach: float, memory: int) -> IntArray:
    """Identities of one video: centres [T, K, 2], which entries are linked [T, K] -> [T, K]."""
    ids = np.full(sure.shape, ABSENT, np.int32)
    # Of each identity: where it was last seen, when, its velocity, and in how many frames.
    place, velocity = np.zeros((0, 2)), np.zeros((0, 2))
    seen, n_seen = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for t, entries in enumerate(map(np.flatnonzero, sure)):
        found = centres[t, entries]
        live = np.flatnonzero(t - seen <= memory)
        ahead = place[live] + velocity[live] * (t - seen[live])[:, None]
        distance = np.linalg.norm(ahead[:, None] - found, axis=-1)
        rows, columns = linear_sum_assignment(distance.clip(max=3 * reach))
        near = distance[rows, columns] < reach
        old, again = live[rows[near]], columns[near]
        step = (found[again] - place[old]) / (t - seen[old])[:, None]
        speed = np.linalg.norm(step, axis=-1, keepdims=True)
        step *= np.minimum(1, reach / 2 / speed.clip(min=1e-9))
        # The first step is all that is known; later ones are averaged with what was known.
        first = (n_seen[old] == 1)[:, None]
        velocity[old] = np.where(first, step, (velocity[old] + step) / 2)
        place[old], seen[old] = found[again], t
        n_seen[old] += 1
        ids[t, entries[again]] = old
        new = np.setdiff1d(np.arange(len(entries)), again)
        ids[t, entries[new]] = len(place) + np.arange(len(new))
        place = np.concatenate([place, found[new]])
        velocity = np.concatenate([velocity, np.zeros((len(new), 2))])
        seen = np.concatenate([seen, np.full(len(new), t)])
        n_seen = np.concatenate([n_seen, np.ones(len(new), np.int64)])
    return ids
