"""Score tracks against the truth: count errors per video, then sum, then divide.

    counts = count_errors(truth, predicted, MatchSettings())
    summarise(counts)["mota"]
    intervals(counts, generator=np.random.default_rng(0))["mota"]

The metrics and their conventions are in docs/definitions.md, one module here for each family.
"""

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.evaluation.metrics.average_precision import N_LEVELS, detections, mean_average_precision
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.clear import NOBODY, correspond, lifetimes, matched_overlap
from smot.evaluation.metrics.counting import count_differences, exact_frames
from smot.evaluation.metrics.counts import SUMMED, VideoCounts, to_units
from smot.evaluation.metrics.events import Events, events
from smot.evaluation.metrics.hota import hota_sums
from smot.evaluation.metrics.identity import identity_matches
from smot.evaluation.metrics.matching import MatchSettings, Pairing, check_alike, pair_up
from smot.evaluation.metrics.occlusion import BINS, by_visibility
from smot.evaluation.metrics.ratios import RATIOS, detection_histogram, ratios
from smot.tracks import Tracks

__all__ = [
    "Events",
    "MatchSettings",
    "VideoCounts",
    "count_errors",
    "events",
    "intervals",
    "occlusion",
    "summarise",
]

# How many IoU values are held at once, twice (64 MiB in all).
_MOST_PAIRS = 2**22


def count_errors(
    truth: Tracks,
    predicted: Tracks,
    settings: MatchSettings,
    *,
    visibility: FloatArray | None = None,
) -> VideoCounts:
    """Count everything that any metric needs, for each video on its own.

    Args:
        truth: [B, T, K]; every present entry is an object, whatever its confidence.
        predicted: [B, T, K'] of the same videos and frames.
        settings: what counts as a prediction and as a match.
        visibility: of the true boxes, in their slots, in [0, 1], [B, T, K]; without it the
            counts by visibility are 0.

    Raises:
        DataError: different numbers of videos or frames, or visibility of another shape than the
            truth.
    """
    check_alike(truth, predicted)
    if visibility is not None and visibility.shape != truth.shape:
        raise DataError(
            f"visibility must be {list(truth.shape)} like the truth, not {list(visibility.shape)}"
        )
    B, T, K = truth.shape
    step = max(1, _MOST_PAIRS // max(1, T * K * predicted.shape[2]))
    parts = []
    for start in range(0, max(B, 1), step):
        some = slice(start, start + step)
        seen = None if visibility is None else visibility[some]
        parts.append(_count(truth[some], predicted[some], settings, seen))
    return VideoCounts.stack(parts)


def summarise(counts: VideoCounts) -> dict[str, float | None]:
    """Metrics of all rows pooled: counts are added up first and divided once.

    Args:
        counts: of V videos.

    Returns:
        The ratios (mota, motp, recall, precision, idf1, idp, idr, hota, deta, assa, loca, ap,
        count_error, counting_accuracy; None where not defined) and the counts (n_videos,
        n_frames, n_truth, n_predicted, n_truth_tracks, matches, misses, false_positives, switches,
        mostly_tracked, partly_tracked, mostly_lost, fragmentations), by name.
    """
    pool = counts.pooled()
    sums = {name: getattr(pool, name).astype(np.float64) for name in SUMMED}
    values = ratios(sums) | {"ap": _average_precision(pool)}
    summary: dict[str, float | None] = {
        name: None if np.isnan(values[name][0]) else float(values[name][0]) for name in RATIOS
    }
    return summary | {name: int(getattr(pool, name)[0]) for name in _REPORTED_COUNTS}


def occlusion(counts: VideoCounts) -> dict[str, dict[str, float | None]]:
    """Recall and switches against visibility.

    Args:
        counts: made with visibility.

    Returns:
        For each bin of visibility n_truth, matches and switches, recall = matches / n_truth and
        switch_rate = switches / matches (None where not defined).
    """
    pool = counts.pooled()
    table: dict[str, dict[str, float | None]] = {}
    for place, name in enumerate(BINS):
        n_truth, matches, switches = (
            int(each[0, place])
            for each in (pool.visible_truth, pool.visible_matches, pool.visible_switches)
        )
        table[name] = {
            "n_truth": n_truth,
            "matches": matches,
            "switches": switches,
            "recall": matches / n_truth if n_truth else None,
            "switch_rate": switches / matches if matches else None,
        }
    return table


_REPORTED_COUNTS = (
    "n_videos", "n_frames", "n_truth", "n_predicted", "n_truth_tracks", "matches", "misses",
    "false_positives", "switches", "mostly_tracked", "partly_tracked", "mostly_lost",
    "fragmentations",
)  # fmt: skip


def _count(
    truth: Tracks, predicted: Tracks, settings: MatchSettings, visibility: FloatArray | None
) -> VideoCounts:
    B, T, _ = truth.shape
    pairing = pair_up(truth, predicted, settings.confidence)
    hota_matches, hota_association, hota_overlap = hota_sums(pairing)
    everything = pair_up(truth, predicted, 0.0)
    level, first, last = detections(everything, predicted.confidence)
    return VideoCounts(
        settings=settings,
        n_videos=np.ones(B, np.int64),
        n_frames=np.full(B, T, np.int64),
        n_truth_tracks=pairing.truth.n_identities,
        **_clear(pairing, settings, visibility),
        id_matches=identity_matches(pairing, settings.iou_threshold),
        count_difference=count_differences(pairing),
        exact_frames=exact_frames(pairing),
        n_counted=np.full(B, T, np.int64),
        hota_matches=hota_matches,
        hota_association=to_units(hota_association),
        hota_overlap=to_units(hota_overlap),
        detection_level=level,
        detection_first=first,
        detection_last=last,
        n_detections=(level > 0).astype(np.int64),
    )


def _clear(
    pairing: Pairing, settings: MatchSettings, visibility: FloatArray | None
) -> dict[str, IntArray]:
    """What comes from CLEAR-MOT matches, by the names of ``VideoCounts``."""
    found = correspond(pairing, settings)
    n_truth, n_predicted = (side.n_entries.sum(-1) for side in (pairing.truth, pairing.predicted))
    matches = (found.partner != NOBODY).sum((1, 2))
    mostly_tracked, partly_tracked, mostly_lost, fragmentations = lifetimes(
        pairing, found, settings
    )
    no_bins = np.zeros((3, len(n_truth), len(BINS)), np.int64)
    visible = no_bins if visibility is None else by_visibility(pairing, found, visibility)
    return {
        "n_truth": n_truth,
        "n_predicted": n_predicted,
        "matches": matches,
        "misses": n_truth - matches,
        "false_positives": n_predicted - matches,
        "switches": found.switched.sum((1, 2)),
        "overlap": to_units(matched_overlap(pairing, found).sum((1, 2))),
        "mostly_tracked": mostly_tracked,
        "partly_tracked": partly_tracked,
        "mostly_lost": mostly_lost,
        "fragmentations": fragmentations,
        "visible_truth": visible[0],
        "visible_matches": visible[1],
        "visible_switches": visible[2],
    }


def _average_precision(pool: VideoCounts) -> FloatArray:
    """AP of a single row, [1]."""
    level = pool.detection_level
    occurring = np.unique(level)
    n_places = len(occurring)
    descending = np.zeros(N_LEVELS + 1, np.int64)
    descending[occurring] = n_places - 1 - np.arange(n_places)
    row = np.zeros(1, np.int64)
    kinds = level, pool.detection_first, pool.detection_last
    counts = detection_histogram(*kinds, pool.n_detections, row, 1, descending, max(n_places, 1))
    return np.asarray(mean_average_precision(counts, pool.n_truth.astype(np.float64)))
