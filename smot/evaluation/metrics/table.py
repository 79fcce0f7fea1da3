"""The metrics: one row each with its name, formula, direction, edge case and meaning.

Results, tables, curves, CSV and docs/definitions.md all read this table. Formulas are ratios of
summed counts, and nothing is divided anywhere else: counts of videos are added up first. They take
R pools of videos at once: one for a table, a thousand for a bootstrap.

    counts = count_errors(truth, predicted, MatchSettings())
    summarise(counts)["mota"]

Source: docs/definitions.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.evaluation.metrics.average_precision import (
    DETECTIONS,
    N_LEVELS,
    curve_steps,
    detection_histogram,
    mean_average_precision,
)
from smot.evaluation.metrics.counts import SUMMED, UNIT, VideoCounts, count_errors
from smot.evaluation.metrics.matching import DEFAULTS, MatchSettings
from smot.tracks import Tracks

Sums: TypeAlias = Mapping[str, FloatArray]
"""The summed counts of `VideoCounts` by name, [R] or [R, A], float64."""

TrackArrays: TypeAlias = (
    Tracks | tuple[FloatArray, IntArray] | tuple[FloatArray, IntArray, FloatArray]
)
"""Tracks, or boxes [B, T, K, 4], identities [B, T, K] (-1: no entry) and maybe confidences."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        key: its name in results.json.
        label: its name in tables and pages.
        meaning: one line for those who meet it for the first time.
        formula: its values from summed counts, [R], NaN where not defined; None for AP, which
            needs the detections themselves, and for counts, which are summed as they are.
        undefined: why it can have no value; "" if it always has one.
        lower_is_better: true for errors.
        low: smallest possible value; None if there is none.
        high: largest possible value; None if there is none.
        digits: decimals shown; 0 for counts.
    """

    key: str
    label: str
    meaning: str
    formula: Callable[[Sums], FloatArray] | None = None
    undefined: str = ""
    lower_is_better: bool = False
    low: float | None = 0.0
    high: float | None = 1.0
    digits: int = 3

    def shown(self, value: float | None) -> str:
        """The value as text; a dash where there is none."""
        if value is None:
            return "–"
        if self.digits == 0:
            return f"{value:,.0f}"
        text = f"{value:.{self.digits}f}"
        return text.replace("-", "−") if float(text) else text.lstrip("-")


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """NaN where the denominator is 0."""
    blank = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=blank, where=denominator > 0)
    return blank


def _errors(sums: Sums) -> FloatArray:
    return sums["misses"] + sums["false_positives"] + sums["switches"]


def _mask_errors(sums: Sums) -> FloatArray:
    return sums["mask_misses"] + sums["mask_false_positives"] + sums["mask_switches"]


def _boxes(sums: Sums) -> FloatArray:
    return sums["n_truth"] + sums["n_predicted"]


def _detection(sums: Sums) -> FloatArray:
    """HOTA's TP / (TP + FN + FP) at each alpha, [R, A]; NaN without boxes."""
    matches = sums["hota_matches"]
    return _divide(matches, _boxes(sums)[:, None] - matches)


def _association(sums: Sums) -> FloatArray:
    """HOTA's mean of TPA / (TPA + FNA + FPA) at each alpha, [R, A]; NaN without boxes."""
    matches = sums["hota_matches"]
    mean = sums["hota_association"] * UNIT / np.maximum(matches, 1)
    # An alpha without a match counts as 0, as in TrackEval.
    mean = np.where(matches > 0, mean, 0.0)
    return np.where(_boxes(sums)[:, None] > 0, mean, np.nan)


def _localisation(sums: Sums) -> FloatArray:
    """Mean IoU of HOTA's matches, averaged over alphas, [R]; NaN without any match."""
    matches = sums["hota_matches"]
    mean = sums["hota_overlap"] * UNIT / np.maximum(matches, 1)
    # An alpha without a match counts as 1, as in TrackEval.
    mean = np.where(matches > 0, mean, 1.0).mean(-1)
    return np.where((matches > 0).any(-1), mean, np.nan)


_NO_TRUTH = "no object in the ground truth"
_NO_PREDICTION = "no prediction above the confidence"
_NO_MATCH = "no prediction was matched"
_NO_BOX = "neither an object nor a prediction"
_NO_FRAME = "no frames"
_NO_MASK = "no pixel of an object in the ground truth"

_RATIOS = (
    Metric(
        key="mota",
        label="MOTA",
        meaning="1 − (misses + false positives + switches) / boxes of the ground truth",
        formula=lambda sums: 1 - _divide(_errors(sums), sums["n_truth"]),
        undefined=_NO_TRUTH,
        low=None,
    ),
    Metric(
        key="ap",
        label="AP",
        meaning="average precision over IoU 0.1 to 0.9, 11 points, all confidences",
        undefined=_NO_TRUTH,
    ),
    Metric(
        key="count_error",
        label="Count error",
        meaning="mean absolute difference of predicted and present objects per frame",
        formula=lambda sums: _divide(sums["count_difference"], sums["n_frames"]),
        undefined=_NO_FRAME,
        lower_is_better=True,
        high=None,
    ),
    Metric(
        key="counting_accuracy",
        label="Counting accuracy",
        meaning="share of frames in which as many objects are predicted as there are",
        formula=lambda sums: _divide(sums["exact_frames"], sums["n_counted"]),
        undefined=_NO_FRAME,
    ),
    Metric(
        key="idf1",
        label="IDF1",
        meaning="F1 of boxes under the best pairing of identities",
        formula=lambda sums: _divide(2 * sums["id_matches"], _boxes(sums)),
        undefined=_NO_BOX,
    ),
    Metric(
        key="hota",
        label="HOTA",
        meaning="√(DetA × AssA), averaged over IoU 0.05 to 0.95",
        formula=lambda sums: np.sqrt(_detection(sums) * _association(sums)).mean(-1),
        undefined=_NO_BOX,
    ),
    Metric(
        key="deta",
        label="DetA",
        meaning="HOTA's detection accuracy",
        formula=lambda sums: np.asarray(_detection(sums).mean(-1)),
        undefined=_NO_BOX,
    ),
    Metric(
        key="assa",
        label="AssA",
        meaning="HOTA's association accuracy",
        formula=lambda sums: np.asarray(_association(sums).mean(-1)),
        undefined=_NO_BOX,
    ),
    Metric(
        key="loca",
        label="LocA",
        meaning="mean IoU of HOTA's matches",
        formula=_localisation,
        undefined=_NO_MATCH,
    ),
    Metric(
        key="motp",
        label="MOTP",
        meaning="mean IoU of the matched boxes",
        formula=lambda sums: _divide(sums["overlap"] * UNIT, sums["matches"]),
        undefined=_NO_MATCH,
    ),
    Metric(
        key="recall",
        label="Recall",
        meaning="share of the ground truth that is matched",
        formula=lambda sums: _divide(sums["matches"], sums["n_truth"]),
        undefined=_NO_TRUTH,
    ),
    Metric(
        key="precision",
        label="Precision",
        meaning="share of the predictions that match",
        formula=lambda sums: _divide(sums["matches"], sums["n_predicted"]),
        undefined=_NO_PREDICTION,
    ),
    Metric(
        key="idp",
        label="IDP",
        meaning="precision under the best pairing of identities",
        formula=lambda sums: _divide(sums["id_matches"], sums["n_predicted"]),
        undefined=_NO_PREDICTION,
    ),
    Metric(
        key="idr",
        label="IDR",
        meaning="recall under the best pairing of identities",
        formula=lambda sums: _divide(sums["id_matches"], sums["n_truth"]),
        undefined=_NO_TRUTH,
    ),
    Metric(
        key="mask_mota",
        label="Mask MOTA",
        meaning="MOTA of masks, matched by their IoU",
        formula=lambda sums: 1 - _divide(_mask_errors(sums), sums["mask_truth"]),
        undefined=_NO_MASK,
        low=None,
    ),
    Metric(
        key="miou",
        label="mIoU",
        meaning="mean over true objects of their masks' IoU through the video, identities paired",
        formula=lambda sums: _divide(sums["tube_overlap"] * UNIT, sums["n_tubes"]),
        undefined=_NO_MASK,
    ),
    Metric(
        key="fg_ari",
        label="FG-ARI",
        meaning="adjusted Rand index of the true objects' pixels, mean over videos",
        formula=lambda sums: _divide(sums["fg_ari"] * UNIT, sums["n_foreground"]),
        undefined=_NO_MASK,
        low=-0.5,
    ),
    Metric(
        key="ari",
        label="ARI",
        meaning="adjusted Rand index of all pixels, mean over videos",
        formula=lambda sums: _divide(sums["ari"] * UNIT, sums["n_masked"]),
        undefined="no masks",
        low=-0.5,
    ),
)


def _count(key: str, label: str, meaning: str, *, lower_is_better: bool = False) -> Metric:
    return Metric(
        key=key, label=label, meaning=meaning, lower_is_better=lower_is_better, high=None, digits=0
    )


_COUNTS = (
    _count("misses", "Misses", "true boxes without a match", lower_is_better=True),
    _count("false_positives", "False positives", "boxes without a match", lower_is_better=True),
    _count("switches", "Switches", "matches to another identity than last", lower_is_better=True),
    _count("fragmentations", "Fragmentations", "tracks lost, then found", lower_is_better=True),
    _count("matches", "Matches", "true boxes with a match, switches included"),
    _count("mostly_tracked", "Mostly tracked", "objects matched in at least 80% of their frames"),
    _count("partly_tracked", "Partly tracked", "objects matched in 20% to 80%"),
    _count("mostly_lost", "Mostly lost", "objects matched in less than 20%", lower_is_better=True),
    _count("n_truth", "True boxes", "boxes of the ground truth"),
    _count("n_predicted", "Predicted boxes", "boxes that the tracker gave"),
    _count("n_truth_tracks", "True objects", "identities of the ground truth"),
    _count("n_frames", "Frames", "frames pooled"),
    _count("n_videos", "Videos", "videos pooled"),
)

METRICS = MappingProxyType({metric.key: metric for metric in (*_RATIOS, *_COUNTS)})

HEADLINE = ("mota", "ap", "count_error", "idf1", "hota")
"""The metrics of the terminal table and of the first lines of a report."""

MASKS = ("mask_mota", "miou", "fg_ari", "ari")
"""The metrics that there are only where truth and predictions have masks."""


def shares(keys: Iterable[str]) -> list[Metric]:
    """Those metrics of `keys` that can be averaged and drawn, in the order of the table."""
    present = set(keys)
    return [metric for metric in _RATIOS if metric.key in present]


def tallies(keys: Iterable[str]) -> list[Metric]:
    """Those metrics of `keys` that are counts, in the order of the table."""
    present = set(keys)
    return [metric for metric in _COUNTS if metric.key in present]


def ratios(sums: Sums) -> dict[str, FloatArray]:
    """All ratios but AP of R pools of videos, [R] each; NaN where not defined."""
    return {each.key: each.formula(sums) for each in _RATIOS if each.formula is not None}


def summarise(counts: VideoCounts) -> dict[str, float | None]:
    """Metrics of all rows pooled: counts are added up first and divided once.

    Args:
        counts: of V videos.

    Returns:
        A value for every key of `METRICS`, without masks for all but `MASKS`; None where a ratio
        is not defined.
    """
    pool = counts.pooled()
    sums = {name: getattr(pool, name).astype(np.float64) for name in SUMMED}
    values = ratios(sums) | {"ap": _average_precision(pool)}
    summary: dict[str, float | None] = {}
    for metric in _RATIOS:
        if metric.key in MASKS and not pool.n_masked[0]:
            continue
        value = float(values[metric.key][0])
        summary[metric.key] = None if np.isnan(value) else value
    return summary | {metric.key: int(getattr(pool, metric.key)[0]) for metric in _COUNTS}


def score(
    truth: TrackArrays,
    predicted: TrackArrays,
    settings: MatchSettings = DEFAULTS,
) -> dict[str, float | None]:
    """Score tracks against the truth, all videos pooled; needs no data set and no tracker.

    Args:
        truth: of B videos of T frames.
        predicted: of the same frames; without confidences all are 1.
        settings: what counts as a prediction and as a match.

    Returns:
        Every metric by name, those of masks where both have them; None where it is not defined.
        See docs/definitions.md.

    Raises:
        DataError: arrays of wrong shapes, or impossible tracks; the message names video and frame.
    """
    return summarise(count_errors(_tracks(truth), _tracks(predicted), settings))


def _tracks(given: TrackArrays) -> Tracks:
    if isinstance(given, Tracks):
        return given
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise DataError("tracks must be Tracks, (boxes, ids) or (boxes, ids, confidence)")
    boxes, ids = np.asarray(given[0]), np.asarray(given[1])
    confidence = np.asarray(given[2]) if len(given) == 3 else np.ones(ids.shape, np.float32)
    return Tracks(boxes=boxes, ids=ids, confidence=confidence)


def _average_precision(pool: VideoCounts) -> FloatArray:
    """AP of a single row, [1]."""
    step, n_steps = curve_steps(pool.detection_level, N_LEVELS)
    level, first, last, n = (getattr(pool, name) for name in DETECTIONS)
    histogram = detection_histogram(level, first, last, n, step, n_steps)
    return np.asarray(mean_average_precision(histogram, pool.n_truth.astype(np.float64)))
