"""Every single error of tracking: what was missed, strayed or switched, when and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.evaluation.metrics.clear import NOBODY, correspond
from smot.evaluation.metrics.matching import MatchSettings, Side, check_alike, pair_up
from smot.files import csv_text
from smot.tracks import ABSENT, Tracks

KINDS = ("miss", "false positive", "switch")


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """E errors, ordered by video, frame, kind and identity.

    Attributes:
        video: [E], int64.
        frame: [E], int64.
        kind: one of `KINDS`, [E], str.
        truth_id: the object's identity, [E], int32; -1 for a false positive.
        predicted_id: the prediction's identity, [E], int32; -1 for a miss.
        box: of the object, for a false positive of the prediction, [E, 4], pixels.
    """

    video: IntArray
    frame: IntArray
    kind: NDArray[np.str_]
    truth_id: IntArray
    predicted_id: IntArray
    box: FloatArray

    def __len__(self) -> int:
        """E, the number of errors."""
        return len(self.video)

    @classmethod
    def stack(cls, parts: Sequence["Events"]) -> Self:
        """Put the errors of successive videos one after another; at least one part."""
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
            }
        )


def events(
    truth: Tracks, predicted: Tracks, settings: MatchSettings, *, first_video: int = 0
) -> Events:
    """List every miss, false positive and identity switch.

    Args:
        truth: [B, T, K].
        predicted: [B, T, K'].
        settings: what counts as a match.
        first_video: number of the first of the B videos.

    Raises:
        DataError: different numbers of videos or frames.
    """
    check_alike(truth, predicted)
    pairing = pair_up(truth, predicted, settings.confidence)
    partner, is_switched = correspond(pairing, settings)
    missed = np.argwhere((pairing.truth.entry >= 0) & (partner == NOBODY))
    strayed = np.argwhere((pairing.predicted.entry >= 0) & ~_hit(partner, pairing.iou))
    switched = np.argwhere(is_switched)
    switched_to = np.column_stack([switched[:, :2], partner[is_switched]])
    missed_id, missed_box = _entries(truth, pairing.truth, missed)
    strayed_id, strayed_box = _entries(predicted, pairing.predicted, strayed)
    switched_id, switched_box = _entries(truth, pairing.truth, switched)
    partner_id, _ = _entries(predicted, pairing.predicted, switched_to)
    truth_id = np.concatenate([missed_id, np.full_like(strayed_id, ABSENT), switched_id])
    predicted_id = np.concatenate([np.full_like(missed_id, ABSENT), strayed_id, partner_id])
    video, frame, _ = np.concatenate([missed, strayed, switched]).T
    kind = np.repeat(np.arange(len(KINDS)), [len(missed), len(strayed), len(switched)])
    order = np.lexsort((predicted_id, truth_id, kind, frame, video))
    return Events(
        video=video[order] + first_video,
        frame=frame[order],
        kind=np.array(KINDS)[kind[order]],
        truth_id=truth_id[order],
        predicted_id=predicted_id[order],
        box=np.concatenate([missed_box, strayed_box, switched_box])[order],
    )


def _hit(partner: IntArray, iou: FloatArray) -> BoolArray:
    """Which predictions are somebody's partner, [B, T, M]."""
    B, T, _, M = iou.shape
    hit = np.zeros((B, T, M), np.bool_)
    video, frame, place = np.nonzero(partner != NOBODY)
    hit[video, frame, partner[video, frame, place]] = True
    return hit


def _entries(tracks: Tracks, side: Side, places: IntArray) -> tuple[IntArray, FloatArray]:
    """Identities [E] and boxes [E, 4] at packed places, rows of video, frame and place."""
    entry = side.entry[tuple(places.T)]
    where = (*places[:, :2].T, entry)
    return tracks.ids[where], tracks.boxes[where]


def events_csv(errors: Mapping[int, Events]) -> str:
    """One line for each error in tracking: count, video and frame (from 0), kind, who, where.

    Args:
        errors: for each number of objects; videos numbered within the test group.
    """
    names = ["video", "frame", "kind", "truth_id", "predicted_id"]
    rows: list[Sequence[object]] = [["count", *names, "x0", "y0", "x1", "y1"]]
    for count, found in sorted(errors.items()):
        columns = [getattr(found, name).tolist() for name in names]
        sides = found.box.T.tolist()
        rows += zip([count] * len(found), *columns, *sides, strict=True)
    return csv_text(rows)
