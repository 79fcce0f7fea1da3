"""What SQAIR makes of videos, for pictures: objects, their patches, and the frames painted."""

from collections.abc import Sequence

import numpy as np
import torch

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.models.sqair.course import tracks_of
from smot.models.sqair.model import Sqair
from smot.models.sqair.slots import Slots
from smot.tracks import ABSENT, Trace


def explained(model: Sqair, frames: Sequence[Slots], *, told: bool = False) -> Trace:
    """The tracks of objects in consecutive frames, and how the model paints them.

    Patches are opaque: the model adds them up, and black adds nothing.

    Args:
        model: decodes them.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
        told: whether the number of objects was given.
    """
    tracks = tracks_of(model, frames, told=told)
    whole = [each.padded(tracks.shape[2]) for each in frames]
    what, where, present, ids = (
        torch.stack([getattr(each, name) for each in whole]).transpose(1, 2)
        for name in ("what", "where", "present", "ids")
    )
    decoder = model.generative.decoder
    painted = decoder(what.flatten(0, 1), where.flatten(0, 1), present.flatten(0, 1))
    patches = decoder.patches(what.flatten(0, 2)).unflatten(0, present.shape)

    def by_video(part: torch.Tensor) -> np.ndarray:
        return part.transpose(0, 1).numpy(force=True)

    pictures = by_video(painted.unflatten(0, present.shape[:2]))
    return Trace(
        tracks=tracks,
        is_new=_first_seen(by_video(ids)) & tracks.present,
        appearances=_opaque(by_video(patches)),
        reconstruction=np.moveaxis(_rgb(pictures, axis=2), 2, -1),
    )


def _first_seen(ids: IntArray) -> BoolArray:
    """Which entries of ids [B, T, K] were not in the frame before."""
    before = np.pad(ids, ((0, 0), (1, 0), (0, 0)), constant_values=ABSENT)[:, :-1]
    known = (ids[..., :, None] == before[..., None, :]).any(-1)
    first: BoolArray = (ids >= 0) & ~known
    return first


def _opaque(patches: FloatArray) -> FloatArray:
    """Patches [B, T, K, C, G, G] as colours in [0, 1] with full opacity, [B, T, K, 4, G, G]."""
    colours = _rgb(patches, axis=3)
    return np.concatenate([colours, np.ones_like(colours[:, :, :, :1])], axis=3)


def _rgb(values: FloatArray, axis: int) -> FloatArray:
    """Three colours in [0, 1] from one or three along an axis."""
    clipped = values.clip(0, 1)
    return clipped if values.shape[axis] == 3 else clipped.repeat(3, axis=axis)
