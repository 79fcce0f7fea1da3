"""CLEAR-MOT correspondences, frame by frame, in the conventions of two libraries.

Both count a switch when an object is matched to another prediction than the one it was last
matched to, however long ago. They differ in whom a frame is matched with first:

- py-motmetrics keeps each object's *last ever* partner while the pair is valid, and then assigns
  the others, as many as possible at the lowest total 1 - IoU;
- TrackEval solves one assignment, in which the partner of the *previous* frame is worth more
  than any IoU.

Source: Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR
MOT metrics", 2008; py-motmetrics 1.4.0; TrackEval 1.3.0.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.evaluation.metrics.assignment import assign
from smot.evaluation.metrics.matching import MatchSettings, Pairing, check_alike, pair_up
from smot.tracks import ABSENT, Tracks

NOBODY = -1
KINDS = ("miss", "false positive", "switch")
# TrackEval's bonus for the previous frame's partner, and its slack in comparing with thresholds.
LOYALTY = 1000.0
SLACK = float(np.finfo(np.float64).eps)
# Shares of an object's frames from which it is mostly tracked, and below which mostly lost.
MOSTLY, HARDLY = 0.8, 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Correspondence:
    """Who was matched with whom.

    Attributes:
        partner: place among the frame's packed predictions, [B, T, N], int32; -1 for a miss.
        switched: the partner is another than the last one, [B, T, N].
    """

    partner: IntArray
    switched: BoolArray


def correspond(pairing: Pairing, settings: MatchSettings) -> Correspondence:
    """Match truth and predictions frame by frame.

    Args:
        pairing: entries of B videos of T frames.
        settings: threshold and convention.
    """
    truth, predicted = pairing.truth, pairing.predicted
    follow = _follow_trackeval if settings.convention == "trackeval" else _follow_motmetrics
    partner, switched = follow(
        truth.identity,
        truth.n_entries,
        truth.n_identities,
        predicted.identity,
        predicted.n_entries,
        pairing.iou,
        settings.iou_threshold,
    )
    return Correspondence(partner=partner, switched=switched)


def matched_overlap(pairing: Pairing, found: Correspondence) -> FloatArray:
    """IoU of every true box with its partner, 0 for a miss, [B, T, N]."""
    if pairing.iou.shape[3] == 0:
        return np.zeros(found.partner.shape)
    place = np.maximum(found.partner, 0)[..., None]
    overlap = np.take_along_axis(pairing.iou, place, axis=3)[..., 0]
    return np.where(found.partner != NOBODY, overlap, 0.0)


def lifetimes(
    pairing: Pairing, found: Correspondence, settings: MatchSettings
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """How much of each object's life was tracked, and how often tracking broke off.

    Returns:
        Numbers of objects mostly tracked, partly tracked and mostly lost, and of fragmentations,
        each [B], int64.

    Source: an object tracked in exactly 80% of its frames is mostly tracked in py-motmetrics,
    partly in TrackEval. A fragmentation is a stretch of misses between two matches; TrackEval
    counts the object's absence as a stretch as well.
    """
    truth = pairing.truth
    tracked, lived, breaks = _lives(
        truth.identity,
        truth.n_entries,
        int(truth.n_identities.max(initial=0)),
        pairing.predicted.n_entries,
        found.partner,
        settings.convention == "trackeval",
    )
    share = tracked / np.maximum(lived, 1)
    exists = lived > 0
    mostly = share > MOSTLY if settings.convention == "trackeval" else share >= MOSTLY
    n_mostly = (exists & mostly).sum(-1)
    n_lost = (exists & (share < HARDLY)).sum(-1)
    return n_mostly, exists.sum(-1) - n_mostly - n_lost, n_lost, breaks.sum(-1)


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


@njit(cache=True, nogil=True)
def _follow_motmetrics(
    truth_identity: IntArray,
    n_truth: IntArray,
    n_truth_identities: IntArray,
    predicted_identity: IntArray,
    n_predicted: IntArray,
    iou: FloatArray,
    threshold: float,
) -> tuple[IntArray, BoolArray]:
    B, T, N = truth_identity.shape
    M = predicted_identity.shape[2]
    partner = np.full((B, T, N), NOBODY, np.int32)
    switched = np.zeros((B, T, N), np.bool_)
    taken = np.empty(M, np.bool_)
    for b in range(B):
        last = np.full(n_truth_identities[b], NOBODY, np.int64)
        for t in range(T):
            n, m = n_truth[b, t], n_predicted[b, t]
            objects, others = truth_identity[b, t, :n], predicted_identity[b, t, :m]
            overlap, chosen = iou[b, t, :n, :m], partner[b, t, :n]
            taken[:] = False
            for i in range(n):
                for j in range(m):
                    kept = others[j] == last[objects[i]] and not taken[j]
                    if kept and overlap[i, j] >= threshold:
                        chosen[i] = j
                        taken[j] = True
            _assign_rest(overlap, threshold, chosen, taken[:m])
            _remember(objects, others, chosen, last, switched[b, t, :n])
    return partner, switched


@njit(cache=True, nogil=True)
def _assign_rest(
    overlap: FloatArray, threshold: float, chosen: IntArray, taken: BoolArray
) -> None:
    """Match the objects and predictions that are still free, at the lowest total 1 - IoU.

    A forbidden pair costs more than all allowed ones together, and free and taken entries stay
    in one matrix: the same matrix that py-motmetrics solves, so that ties end alike.
    """
    n, m = overlap.shape
    allowed = np.zeros((n, m), np.bool_)
    dearest = -1.0
    for i in range(n):
        for j in range(m):
            if chosen[i] == NOBODY and not taken[j] and overlap[i, j] >= threshold:
                allowed[i, j] = True
                dearest = max(dearest, 1 - overlap[i, j])
    if dearest < 0 or _take_only_choices(allowed, chosen):
        return
    cost = np.full((n, m), 2 * min(n, m) * (dearest + 1) + 1)
    for i in range(n):
        for j in range(m):
            if allowed[i, j]:
                cost[i, j] = 1 - overlap[i, j]
    column_of = assign(cost)
    for i in range(n):
        if column_of[i] >= 0 and allowed[i, column_of[i]]:
            chosen[i] = column_of[i]


@njit(cache=True, nogil=True)
def _take_only_choices(allowed: BoolArray, chosen: IntArray) -> bool:
    """Match without any search if no row and no column has two allowed pairs; else say False."""
    n, m = allowed.shape
    n_in_column = np.zeros(m, np.int64)
    for i in range(n):
        n_in_row = 0
        for j in range(m):
            n_in_row += allowed[i, j]
            n_in_column[j] += allowed[i, j]
            if allowed[i, j] and (n_in_row > 1 or n_in_column[j] > 1):
                return False
    for i in range(n):
        for j in range(m):
            if allowed[i, j]:
                chosen[i] = j
    return True


@njit(cache=True, nogil=True)
def _remember(
    objects: IntArray, others: IntArray, chosen: IntArray, last: IntArray, switched: BoolArray
) -> None:
    """Note each object's partner in `last`, and whether it is a new one."""
    for i in range(len(objects)):
        if chosen[i] != NOBODY:
            before, now = last[objects[i]], others[chosen[i]]
            switched[i] = before != NOBODY and before != now
            last[objects[i]] = now


@njit(cache=True, nogil=True)
def _follow_trackeval(
    truth_identity: IntArray,
    n_truth: IntArray,
    n_truth_identities: IntArray,
    predicted_identity: IntArray,
    n_predicted: IntArray,
    iou: FloatArray,
    threshold: float,
) -> tuple[IntArray, BoolArray]:
    B, T, N = truth_identity.shape
    partner = np.full((B, T, N), NOBODY, np.int32)
    switched = np.zeros((B, T, N), np.bool_)
    for b in range(B):
        last = np.full(n_truth_identities[b], NOBODY, np.int64)
        previous = np.full(n_truth_identities[b], NOBODY, np.int64)
        for t in range(T):
            n, m = n_truth[b, t], n_predicted[b, t]
            if n == 0 or m == 0:
                continue  # TrackEval keeps the memory of the previous frame here
            objects, others = truth_identity[b, t, :n], predicted_identity[b, t, :m]
            chosen = partner[b, t, :n]
            _assign_loyally(objects, others, iou[b, t, :n, :m], threshold, previous, chosen)
            _remember(objects, others, chosen, last, switched[b, t, :n])
            previous[:] = NOBODY
            for i in range(n):
                if chosen[i] != NOBODY:
                    previous[objects[i]] = others[chosen[i]]
    return partner, switched


@njit(cache=True, nogil=True)
def _assign_loyally(
    objects: IntArray,
    others: IntArray,
    overlap: FloatArray,
    threshold: float,
    previous: IntArray,
    chosen: IntArray,
) -> None:
    """Match at the highest total of IoU and loyalty to the previous frame's partner."""
    n, m = overlap.shape
    allowed = np.empty((n, m), np.bool_)
    for i in range(n):
        for j in range(m):
            allowed[i, j] = overlap[i, j] >= threshold - SLACK
    if _take_only_choices(allowed, chosen):
        return
    cost = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            if allowed[i, j]:
                loyal = previous[objects[i]] == others[j]
                cost[i, j] = -(LOYALTY * loyal + overlap[i, j])
    column_of = assign(cost)
    for i in range(n):
        if column_of[i] >= 0 and allowed[i, column_of[i]]:
            chosen[i] = column_of[i]


@njit(cache=True, nogil=True)
def _lives(
    truth_identity: IntArray,
    n_truth: IntArray,
    width: int,
    n_predicted: IntArray,
    partner: IntArray,
    absence_breaks: bool,
) -> tuple[IntArray, IntArray, IntArray]:
    """Frames tracked, frames lived and breaks of every object, each [B, width].

    With `absence_breaks` a frame breaks the track of everybody who is not matched in it (frames
    without truth or predictions are passed over, as in TrackEval), else only of those present.
    """
    B, T, _ = truth_identity.shape
    tracked = np.zeros((B, width), np.int64)
    lived = np.zeros((B, width), np.int64)
    breaks = np.zeros((B, width), np.int64)
    for b in range(B):
        held = np.zeros(width, np.bool_)
        for t in range(T):
            n = n_truth[b, t]
            before = held.copy()
            if absence_breaks and n > 0 and n_predicted[b, t] > 0:
                held[:] = False
            for i in range(n):
                who = truth_identity[b, t, i]
                lived[b, who] += 1
                if partner[b, t, i] != NOBODY:
                    breaks[b, who] += tracked[b, who] > 0 and not before[who]
                    tracked[b, who] += 1
                    held[who] = True
                elif not absence_breaks:
                    held[who] = False
    return tracked, lived, breaks
