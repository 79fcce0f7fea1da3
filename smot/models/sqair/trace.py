"""What SQAIR makes of videos, for pictures: objects, their patches, and the frames painted."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.models.sqair.model import Sqair
from smot.models.sqair.prediction import Rollout
from smot.models.sqair.slots import Slots
from smot.tracks import ABSENT, Trace, Tracks


def explained(model: Sqair, frames: Sequence[Slots]) -> Trace:
    """The tracks of objects in consecutive frames, and how the model paints them.

    Patches are opaque: the model adds them up, and black adds nothing.

    Args:
        model: decodes them.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
    """
    n_slots = max(1, *(each.n_slots for each in frames))
    whole = [each.padded(n_slots) for each in frames]
    what, where, present, logit, ids = (
        torch.stack([getattr(each, name) for each in whole]).transpose(1, 2)
        for name in ("what", "where", "present", "logit", "ids")
    )
    decoder, geometry = model.generative.decoder, model.config.geometry
    painted = decoder(what.flatten(0, 1), where.flatten(0, 1), present.flatten(0, 1))
    patches = decoder.patches(what.flatten(0, 2)).unflatten(0, ids.shape)

    def by_video(part: torch.Tensor) -> np.ndarray:
        return part.transpose(0, 1).numpy(force=True)

    tracks = Tracks(
        boxes=by_video(geometry.object_boxes(where)),
        ids=by_video(ids),
        confidence=by_video(logit.sigmoid()).clip(0, 1),
    )
    pictures = by_video(painted.unflatten(0, ids.shape[:2]))
    return Trace(
        tracks=tracks,
        is_new=_first_seen(tracks.ids),
        appearances=_opaque(by_video(patches)),
        reconstruction=np.moveaxis(_rgb(pictures, axis=2), 2, -1),
    )


def following(slots: Slots, rollout: Rollout) -> list[Slots]:
    """The objects of the frames that a prior made up, with their identities.

    Args:
        slots: of the last frame seen, [N, B, ...].
        rollout: of T frames, [T, N, B, ...].
    """
    parts = zip(rollout.what, rollout.where, rollout.present, rollout.logit, strict=True)
    return [
        replace(
            slots,
            what=what,
            where=where,
            present=present,
            logit=logit,
            ids=torch.where(present > 0.5, slots.ids, ABSENT),
        )
        for what, where, present, logit in parts
    ]


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
