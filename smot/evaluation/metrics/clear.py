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

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.evaluation.metrics.assignment import assign
from smot.evaluation.metrics.matching import MatchSettings, Pairing

NOBODY = -1
# TrackEval's bonus for the previous frame's partner, and its slack in comparing with thresholds.
LOYALTY = 1000.0
SLACK = float(np.finfo(np.float64).eps)
# Shares of an object's frames from which it is mostly tracked, and below which mostly lost.
MOSTLY, HARDLY = 0.8, 0.2


def correspond(pairing: Pairing, settings: MatchSettings) -> tuple[IntArray, BoolArray]:
    """Match truth and predictions frame by frame.

    Returns:
        Of every true box the place of its partner among the frame's packed predictions, int32,
        -1 for a miss; and whether the partner is another than the last one. Both [B, T, N].
    """
    follow = _follow_trackeval if settings.convention == "trackeval" else _follow_motmetrics
    partner, switched = follow(pairing, settings.iou_threshold)
    return partner, switched


def clear_counts(
    pairing: Pairing, partner: IntArray, switched: BoolArray, settings: MatchSettings
) -> dict[str, IntArray | FloatArray]:
    """What CLEAR-MOT counts in each of B videos, by the names of `VideoCounts`, [B] each."""
    n_truth, n_predicted = (side.n_entries.sum(-1) for side in (pairing.truth, pairing.predicted))
    matches = (partner != NOBODY).sum((1, 2))
    return {
        "n_truth": n_truth,
        "n_predicted": n_predicted,
        "n_truth_tracks": pairing.truth.n_identities,
        "matches": matches,
        "misses": n_truth - matches,
        "false_positives": n_predicted - matches,
        "switches": switched.sum((1, 2)),
        "overlap": _matched_overlap(pairing.iou, partner).sum((1, 2)),
        **_lifetimes(pairing, partner, settings.convention == "trackeval"),
    }


def _matched_overlap(iou: FloatArray, partner: IntArray) -> FloatArray:
    """IoU of every true box with its partner, 0 for a miss, [B, T, N]."""
    if iou.shape[3] == 0:
        return np.zeros(partner.shape)
    overlap = np.take_along_axis(iou, np.maximum(partner, 0)[..., None], axis=3)[..., 0]
    return np.where(partner != NOBODY, overlap, 0.0)


def _lifetimes(pairing: Pairing, partner: IntArray, as_trackeval: bool) -> dict[str, IntArray]:
    """How much of each object's life was tracked, and how often tracking broke off, [B] each.

    Source: an object tracked in exactly 80% of its frames is mostly tracked in py-motmetrics,
    partly in TrackEval. A fragmentation is a stretch of misses between two matches; TrackEval
    counts the object's absence as a stretch as well.
    """
    width = int(pairing.truth.n_identities.max(initial=0))
    tracked, lived, breaks = _lives(pairing, partner, width, as_trackeval)
    share = tracked / np.maximum(lived, 1)
    exists = lived > 0
    mostly = (exists & (share > MOSTLY if as_trackeval else share >= MOSTLY)).sum(-1)
    lost = (exists & (share < HARDLY)).sum(-1)
    return {
        "mostly_tracked": mostly,
        "partly_tracked": exists.sum(-1) - mostly - lost,
        "mostly_lost": lost,
        "fragmentations": breaks.sum(-1),
    }


@njit(cache=True, nogil=True)
def _follow_motmetrics(pairing: Pairing, threshold: float) -> tuple[IntArray, BoolArray]:
    truth, predicted = pairing.truth, pairing.predicted
    B, T, N = truth.identity.shape
    partner = np.full((B, T, N), NOBODY, np.int32)
    switched = np.zeros((B, T, N), np.bool_)
    for b in range(B):
        last = np.full(truth.n_identities[b], NOBODY, np.int64)
        for t in range(T):
            n, m = truth.n_entries[b, t], predicted.n_entries[b, t]
            objects, others = truth.identity[b, t, :n], predicted.identity[b, t, :m]
            overlap, chosen = pairing.iou[b, t, :n, :m], partner[b, t, :n]
            taken = np.zeros(m, np.bool_)
            for i in range(n):
                for j in range(m):
                    kept = others[j] == last[objects[i]] and not taken[j]
                    if kept and 1 - overlap[i, j] <= 1 - threshold:
                        chosen[i] = j
                        taken[j] = True
            _assign_rest(overlap, threshold, chosen, taken)
            _remember(objects, others, chosen, last, switched[b, t, :n])
    return partner, switched


@njit(cache=True, nogil=True)
def _assign_rest(
    overlap: FloatArray, threshold: float, chosen: IntArray, taken: BoolArray
) -> None:
    """Match the objects and predictions that are still free, at the lowest total 1 - IoU.

    A forbidden pair costs more than all allowed ones together, and free and taken entries stay
    in one matrix: the same matrix that py-motmetrics solves, so that ties end alike. It compares
    distances, whose rounding decides about boxes with decimals that meet the threshold exactly.
    """
    n, m = overlap.shape
    allowed = np.zeros((n, m), np.bool_)
    dearest = -1.0
    for i in range(n):
        for j in range(m):
            is_near = 1 - overlap[i, j] <= 1 - threshold
            if chosen[i] == NOBODY and not taken[j] and is_near:
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
def _follow_trackeval(pairing: Pairing, threshold: float) -> tuple[IntArray, BoolArray]:
    truth, predicted = pairing.truth, pairing.predicted
    B, T, N = truth.identity.shape
    partner = np.full((B, T, N), NOBODY, np.int32)
    switched = np.zeros((B, T, N), np.bool_)
    for b in range(B):
        last = np.full(truth.n_identities[b], NOBODY, np.int64)
        previous = last.copy()
        for t in range(T):
            n, m = truth.n_entries[b, t], predicted.n_entries[b, t]
            if n == 0 or m == 0:
                continue  # TrackEval keeps the memory of the previous frame here
            objects, others = truth.identity[b, t, :n], predicted.identity[b, t, :m]
            overlap, chosen = pairing.iou[b, t, :n, :m], partner[b, t, :n]
            _assign_loyally(objects, others, overlap, threshold, previous, chosen)
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
    pairing: Pairing, partner: IntArray, width: int, absence_breaks: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Frames tracked, frames lived and breaks of every object, each [B, width].

    With `absence_breaks` a frame breaks the track of everybody who is not matched in it (frames
    without truth or predictions are passed over, as in TrackEval), else only of those present.
    """
    truth = pairing.truth
    B, T = truth.n_entries.shape
    tracked = np.zeros((B, width), np.int64)
    lived = np.zeros((B, width), np.int64)
    breaks = np.zeros((B, width), np.int64)
    for b in range(B):
        held = np.zeros(width, np.bool_)
        for t in range(T):
            n = truth.n_entries[b, t]
            before = held.copy()
            if absence_breaks and n > 0 and pairing.predicted.n_entries[b, t] > 0:
                held[:] = False
            for i in range(n):
                who = truth.identity[b, t, i]
                lived[b, who] += 1
                if partner[b, t, i] != NOBODY:
                    breaks[b, who] += tracked[b, who] > 0 and not before[who]
                    tracked[b, who] += 1
                    held[who] = True
                elif not absence_breaks:
                    held[who] = False
    return tracked, lived, breaks
