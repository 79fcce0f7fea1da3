"""From counts to what results.json says of them: metrics, intervals, and why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from smot.errors import DataError, UsageError
from smot.evaluation.library import summarise_by_motmetrics
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.counts import VideoCounts, occlusion
from smot.evaluation.metrics.table import METRICS, summarise
from smot.evaluation.records import EvaluationSettings, Record, check_keys, finite
from smot.tracks import Tracks

VISIBILITY = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0))
"""The ranges behind `smot.evaluation.metrics.counts.BINS`."""

_NEEDS = {
    "mota": "truth", "recall": "truth", "idr": "truth", "ap": "truth",
    "precision": "predictions", "idp": "predictions",
    "motp": "matches", "loca": "matches",
    "idf1": "boxes", "hota": "boxes", "deta": "boxes", "assa": "boxes",
    "count_error": "frames", "counting_accuracy": "frames",
}  # fmt: skip
_LACKING = {
    "truth": "no object in the ground truth",
    "predictions": "no prediction above the confidence",
    "matches": "no prediction was matched",
    "boxes": "neither an object nor a prediction",
    "frames": "no frames",
}
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class CountScores:
    """The metrics of one protocol at one number of objects.

    Attributes:
        metrics: by the names of `smot.evaluation.metrics.table`; None where there is no value.
        intervals: 95% bootstrap interval over videos of those that have one.
        reasons: why a metric is None, for each that is.
        counts: what was summed, so that anything can be pooled again
            (`VideoCounts.from_json`); empty where the backend does not say.
    """

    metrics: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float | None:
        return self.metrics[metric]

    def to_json(self) -> dict[str, Any]:
        """The metrics by name, and beside them ``intervals``, ``reasons`` and ``counts``."""
        return {
            **self.metrics,
            "intervals": {key: list(ends) for key, ends in self.intervals.items()},
            "reasons": dict(self.reasons),
            "counts": dict(self.counts),
        }

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Read the metrics of one count.

        Raises:
            DataError: what `to_json` would not have written.
        """
        extras = ["intervals", "reasons", "counts"]
        names = [key for key in METRICS if isinstance(values, Mapping) and key in values]
        given = check_keys(values, [*names, *extras], where)
        for extra in extras:
            if not isinstance(given[extra], Mapping):
                raise DataError(f"{where}.{extra} must be an object")
        reasons, counts = dict(given["reasons"]), dict(given["counts"])
        metrics = {key: _metric(key, given[key], reasons, where) for key in names}
        _check_against_counts(metrics, counts, where)
        intervals = {
            key: _interval(ends, f"{where}.intervals.{key}")
            for key, ends in given["intervals"].items()
        }
        return cls(metrics=metrics, intervals=intervals, reasons=reasons, counts=counts)


@dataclass(frozen=True, kw_only=True)
class Occlusion(Record):
    """What happened to true boxes in one range of visibility.

    Attributes:
        visibility: from and to, in [0, 1]; the share of the object that nothing covers.
        n_truth: true boxes in that range.
        matches: those that were matched.
        switches: those matched to another identity than the last.
        recall: matches / n_truth; None without true boxes.
        switch_rate: switches / matches; None without matches.
    """

    visibility: tuple[float, float]
    n_truth: int
    matches: int
    switches: int
    recall: float | None
    switch_rate: float | None


def count_scores(
    counts: VideoCounts, settings: EvaluationSettings, generator: np.random.Generator
) -> CountScores:
    """The metrics of some videos pooled, with their confidence intervals.

    Args:
        counts: one row for each video.
        settings: how many resamples.
        generator: where the resamples come from.
    """
    metrics = summarise(counts)
    ends = intervals(counts, n_resamples=settings.n_resamples, generator=generator)
    return CountScores(
        metrics=metrics,
        intervals={key: pair for key, pair in ends.items() if pair is not None},
        reasons={key: reason(key) for key, value in metrics.items() if value is None},
        counts=counts.to_json(),
    )


def library_scores(truth: Tracks, predicted: Tracks, settings: EvaluationSettings) -> CountScores:
    """The same by py-motmetrics itself, as far as it goes: no HOTA, no AP, no intervals.

    Args:
        truth: of all videos, [V, T, K].
        predicted: of the same, [V, T, K'].
        settings: what counts as a match.
    """
    metrics = summarise_by_motmetrics(truth, predicted, settings.match)
    return CountScores(
        metrics=metrics,
        reasons={key: reason(key) for key, value in metrics.items() if value is None},
    )


def reason(metric: str) -> str:
    """Why a metric can be without a value."""
    return _LACKING[_NEEDS[metric]]


def occlusion_ranges(counts: VideoCounts) -> tuple[Occlusion, ...]:
    """Recall and switches by visibility, of counts made with visibility."""
    table = occlusion(counts)
    return tuple(
        Occlusion(
            visibility=ends,
            n_truth=int(row["n_truth"] or 0),
            matches=int(row["matches"] or 0),
            switches=int(row["switches"] or 0),
            recall=row["recall"],
            switch_rate=row["switch_rate"],
        )
        for ends, row in zip(VISIBILITY, table.values(), strict=True)
    )


def mean_over_counts(scores: Mapping[int, CountScores], metric: str) -> float | None:
    """The plain mean of a metric's values at the counts; None if a count has no value.

    This is a mean of ratios, each pooled over its own videos, and is to be labelled as such.

    Source: issue and papers quote "mean MOTA over counts"; everything else here is pooled.
    """
    values = [each.metrics.get(metric) for each in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _metric(key: str, value: object, reasons: Mapping[str, str], where: str) -> float | None:
    if value is None:
        if not reasons.get(key):
            raise DataError(f"{where}.{key} is null, and reasons does not say why")
        return None
    number = finite(value, f"{where}.{key}")
    low, high = METRICS[key].low, METRICS[key].high
    if (low is not None and number < low) or (high is not None and number > high + 1e-9):
        raise DataError(f"{where}.{key}={number} is outside {low}..{high}")
    return number


def _interval(ends: object, where: str) -> tuple[float, float]:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise DataError(f"{where} must be two numbers, not {ends!r}")
    low, high = finite(ends[0], where), finite(ends[1], where)
    if low > high:
        raise DataError(f"{where}: {low} is above {high}")
    return low, high


def _check_against_counts(
    metrics: Mapping[str, float | None], counts: Mapping[str, Any], where: str
) -> None:
    """Refuse metrics that the counts beside them do not give."""
    if not counts:
        return
    try:
        found = summarise(VideoCounts.from_json(counts))
    except (DataError, UsageError, TypeError, ValueError, LookupError, OverflowError) as error:
        raise DataError(f"{where}.counts cannot be read: {error}") from error
    for key, value in metrics.items():
        given = found.get(key)
        if (value is None) != (given is None) or abs((value or 0) - (given or 0)) > _TOLERANCE:
            raise DataError(f"{where}.{key}={value} does not follow from its counts ({given})")
