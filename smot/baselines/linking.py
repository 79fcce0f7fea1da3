"""Identities by the Hungarian algorithm between the components of successive frames."""

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

from smot.arrays import FloatArray, IntArray
from smot.baselines.components import Components


def link(components: Components, n_videos: int, max_distance: float) -> IntArray:
    """Give every component an identity, unique in its video.

    Components of successive frames are matched so that as many as possible find a partner of
    their colour within `max_distance`, at the least sum of centroid distances; a component
    without partner in the frame before gets a fresh identity.

    Args:
        components: of the frames of all videos, in order.
        n_videos: how many videos of equal length the frames are.
        max_distance: pixels.

    Returns:
        Identities, [M].

    Source: supplement C, whose cost across colours is infinite.
    """
    n_frames = (len(components.first) - 1) // n_videos
    # Of one layout and type, for which alone the kernel is compiled.
    centroids = np.ascontiguousarray(components.centroids)
    arrays = (components.first, centroids, components.colours)
    partner, ambiguous = _link_plain(*arrays, n_frames, float(max_distance))
    # Only frames in which two components want the same partner need the slow algorithm.
    for frame in ambiguous:
        _link_hungarian(components, int(frame), max_distance, partner)
    return _identities(components.first, partner, n_frames)


@njit(cache=True, nogil=True)
def _link_plain(
    first: IntArray,
    centroids: FloatArray,
    colours: IntArray,
    n_frames: int,
    max_distance: float,
) -> tuple[IntArray, IntArray]:
    """Partners in the frame before (-1: none), wherever everyone's nearest is a different one.

    When all components of one side that may match at all have different nearest partners, those
    pairs are the assignment that the Hungarian algorithm finds. The other frames are returned.
    """
    partner = np.full(first[-1], -1, np.int64)
    ambiguous = np.empty(len(first), np.int64)
    n_ambiguous = 0
    for frame in range(1, len(first) - 1):
        if frame % n_frames == 0:  # the first frame of a video follows none
            continue
        a, b, c = first[frame - 1], first[frame], first[frame + 1]
        forward = _nearest(centroids, colours, b, c, a, b, max_distance)
        if _distinct(forward):
            partner[b:c] = forward
            continue
        backward = _nearest(centroids, colours, a, b, b, c, max_distance)
        if _distinct(backward):
            for i in range(b - a):
                if backward[i] >= 0:
                    partner[backward[i]] = a + i
        else:
            ambiguous[n_ambiguous] = frame
            n_ambiguous += 1
    return partner, ambiguous[:n_ambiguous].copy()


@njit(cache=True, nogil=True)
def _nearest(
    centroids: FloatArray,
    colours: IntArray,
    start: int,
    stop: int,
    other_start: int,
    other_stop: int,
    max_distance: float,
) -> IntArray:
    nearest = np.full(stop - start, -1, np.int64)
    for i in range(start, stop):
        best = max_distance * max_distance
        for j in range(other_start, other_stop):
            dx, dy = centroids[i, 0] - centroids[j, 0], centroids[i, 1] - centroids[j, 1]
            if colours[i] == colours[j] and dx * dx + dy * dy <= best:
                best, nearest[i - start] = dx * dx + dy * dy, j
    return nearest


@njit(cache=True, nogil=True)
def _distinct(partners: IntArray) -> bool:
    for i in range(len(partners)):
        for j in range(i):
            if partners[i] >= 0 and partners[i] == partners[j]:
                return False
    return True


def _link_hungarian(
    components: Components, frame: int, max_distance: float, partner: IntArray
) -> None:
    a, b, c = (int(start) for start in components.first[frame - 1 : frame + 2])
    centroids, colours = components.centroids, components.colours
    step = centroids[a:b, None] - centroids[None, b:c]
    cost = np.sqrt((step.astype(np.float64) ** 2).sum(-1))
    forbidden = (colours[a:b, None] != colours[None, b:c]) | (cost > max_distance)
    # Dear enough that no sum of allowed distances is worth one pair less.
    rows, columns = linear_sum_assignment(np.where(forbidden, 1e3 * (1 + max_distance), cost))
    kept = ~forbidden[rows, columns]
    partner[b + columns[kept]] = a + rows[kept]


@njit(cache=True, nogil=True)
def _identities(first: IntArray, partner: IntArray, n_frames: int) -> IntArray:
    ids = np.empty(len(partner), np.int32)
    fresh = 0
    for frame in range(len(first) - 1):
        if frame % n_frames == 0:
            fresh = 0
        for i in range(first[frame], first[frame + 1]):
            if partner[i] >= 0:
                ids[i] = ids[partner[i]]
            else:
                ids[i] = fresh
                fresh += 1
    return ids
