"""Every single error: which video, which frame, who."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smot.arrays import FloatArray, IntArray
from smot.evaluation.metrics.clear import NOBODY, correspond
from smot.evaluation.metrics.matching import MatchSettings, check_alike, pair_up
from smot.tracks import ABSENT, Tracks

KINDS = ("miss", "false positive", "switch")


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """E errors, ordered by video, frame, kind and identity.

    Attributes:
        video: [E], int64.
        frame: [E], int64.
        kind: one of ``KINDS``, [E], str.
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


def events(truth: Tracks, predicted: Tracks, settings: MatchSettings) -> Events:
    """List every miss, false positive and identity switch.

    Args:
        truth: [B, T, K].
        predicted: [B, T, K'].
        settings: what counts as a match.

    Raises:
        DataError: different numbers of videos or frames.
    """
    check_alike(truth, predicted)
    pairing = pair_up(truth, predicted, settings.confidence)
    found = correspond(pairing, settings)
    matched = found.partner != NOBODY
    missed = np.argwhere((pairing.truth.entry >= 0) & ~matched)
    strayed = np.argwhere((pairing.predicted.entry >= 0) & ~_hit(found.partner, pairing.iou))
    switched = np.argwhere(found.switched)
    objects = np.concatenate([missed, switched])
    to = found.partner[tuple(switched.T)]
    others = np.concatenate([strayed, np.column_stack([switched[:, :2], to])])
    entry = pairing.truth.entry[tuple(objects.T)], pairing.predicted.entry[tuple(others.T)]
    truth_place = (*objects[:, :2].T, entry[0])
    predicted_place = (*others[:, :2].T, entry[1])
    n_missed, n_strayed, n_switched = len(missed), len(strayed), len(switched)
    truth_id, predicted_id = truth.ids[truth_place], predicted.ids[predicted_place]
    truth_box, predicted_box = truth.boxes[truth_place], predicted.boxes[predicted_place]
    kind = np.repeat(np.arange(len(KINDS)), [n_missed, n_strayed, n_switched])
    place = np.concatenate([missed[:, :2], strayed[:, :2], switched[:, :2]])
    blank = np.full(max(n_missed, n_strayed), ABSENT, np.int32)
    truth_id = np.concatenate([truth_id[:n_missed], blank[:n_strayed], truth_id[n_missed:]])
    predicted_id = np.concatenate([blank[:n_missed], predicted_id])
    box = np.concatenate([truth_box[:n_missed], predicted_box[:n_strayed], truth_box[n_missed:]])
    order = np.lexsort((predicted_id, truth_id, kind, place[:, 1], place[:, 0]))
    return Events(
        video=place[order, 0],
        frame=place[order, 1],
        kind=np.array(KINDS)[kind[order]],
        truth_id=truth_id[order],
        predicted_id=predicted_id[order],
        box=box[order],
    )


def _hit(partner: IntArray, iou: FloatArray) -> NDArray[np.bool_]:
    """Which predictions are somebody's partner, [B, T, M]."""
    B, T, _, M = iou.shape
    hit = np.zeros((B, T, M), np.bool_)
    video, frame, place = np.nonzero(partner != NOBODY)
    hit[video, frame, partner[video, frame, place]] = True
    return hit
