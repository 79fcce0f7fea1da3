"""The same scores by py-motmetrics itself, for whoever trusts only the library.

The library gets our IoU as its distance matrices, because its own `distances.iou_matrix` does
not run with numpy 2, and scipy as its solver, because ties depend on the solver. Per-video counts
are the library's; so are the ratios, but for MOTP, whose pooled value is NaN in the library as
soon as one video has no match.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.boxes import iou
from smot.errors import UsageError
from smot.evaluation.metrics.matching import MatchSettings, check_alike
from smot.tracks import Tracks

RATIOS = ("mota", "idf1", "idp", "idr", "recall", "precision")
COUNTS = {
    "n_frames": "num_frames",
    "n_truth": "num_objects",
    "n_predicted": "num_predictions",
    "n_truth_tracks": "num_unique_objects",
    "matches": "num_detections",
    "misses": "num_misses",
    "false_positives": "num_false_positives",
    "switches": "num_switches",
    "mostly_tracked": "mostly_tracked",
    "partly_tracked": "partially_tracked",
    "mostly_lost": "mostly_lost",
    "fragmentations": "num_fragmentations",
}


def summarise_by_motmetrics(
    truth: Tracks, predicted: Tracks, settings: MatchSettings
) -> dict[str, float | None]:
    """Metrics of all videos pooled, computed by py-motmetrics.

    Args:
        truth: [B, T, K].
        predicted: [B, T, K'].
        settings: what counts as a match; its convention must be "py-motmetrics".

    Returns:
        The same names and values as `summarise`, for the metrics that the library has.

    Raises:
        UsageError: another convention.
        DataError: different numbers of videos or frames.
    """
    import motmetrics

    if settings.convention != "py-motmetrics":
        raise UsageError(
            f"backend motmetrics has the convention py-motmetrics, not {settings.convention}"
        )
    check_alike(truth, predicted)
    host = motmetrics.metrics.create()
    names = [*RATIOS, "motp", *COUNTS.values()]
    kept = predicted.above(settings.confidence)
    with motmetrics.lap.set_default_solver("scipy"):
        videos = [
            host.compute(
                _accumulated(truth[video : video + 1], kept[video : video + 1], settings),
                metrics=names,
                return_dataframe=False,
                return_cached=True,
            )
            for video in range(truth.shape[0])
        ]
    pooled_names = [*RATIOS, *COUNTS.values()]
    pooled = host.compute_overall(videos, metrics=pooled_names, return_dataframe=False)
    # The library has NaN or minus infinity for what is not defined.
    summary = {
        name: float(pooled[name]) if math.isfinite(pooled[name]) else None for name in RATIOS
    }
    summary["motp"] = _pooled_motp(videos)
    counts = {name: int(pooled[theirs]) for name, theirs in COUNTS.items()}
    return {**summary, "n_videos": truth.shape[0], **counts}


def _accumulated(truth: Tracks, predicted: Tracks, settings: MatchSettings) -> Any:
    """The library's accumulator after all frames of one video."""
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for (ids, boxes), (others, theirs) in zip(_frames(truth), _frames(predicted), strict=True):
        overlap = iou(boxes, theirs)
        distance = np.where(1 - overlap <= 1 - settings.iou_threshold, 1 - overlap, np.nan)
        accumulator.update(ids, others, distance)
    return accumulator


def _frames(tracks: Tracks) -> Iterator[tuple[IntArray, FloatArray]]:
    """Identities, ascending, and boxes of every frame of the first video."""
    for ids, boxes in zip(tracks.ids[0], tracks.boxes[0], strict=True):
        order = np.argsort(ids)
        order = order[ids[order] >= 0]
        yield ids[order], boxes[order]


def _pooled_motp(videos: list[dict[str, Any]]) -> float | None:
    """Mean IoU of all matches; the library's MOTP is a mean distance per video."""
    matched = [video for video in videos if video["num_detections"] > 0]
    n_matches = sum(int(video["num_detections"]) for video in matched)
    if n_matches == 0:
        return None
    distance = sum(float(video["motp"]) * int(video["num_detections"]) for video in matched)
    return 1 - distance / n_matches
