"""results.json: what an evaluation found, written whole, and checked when it is read back."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from smot.errors import DataError, UsageError
from smot.evaluation.legend import METRICS
from smot.evaluation.records import (
    DatasetRecord,
    EvaluationSettings,
    Record,
    TrackerRecord,
    by_count,
    check_keys,
    finite,
)

FORMAT = "smot-results"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class CountScores:
    """The metrics of one protocol at one number of objects.

    Attributes:
        metrics: by the names of `smot.evaluation.legend`; None where there is no value.
        intervals: 95% bootstrap interval over videos of those that have one.
        reasons: why a metric is None, for each that is.
        counts: what was summed, so that anything can be pooled again.
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
        reasons = given["reasons"]
        metrics = {key: _metric(key, given[key], reasons, where) for key in names}
        intervals = {
            key: _interval(ends, f"{where}.intervals.{key}")
            for key, ends in given["intervals"].items()
        }
        return cls(
            metrics=metrics, intervals=intervals, reasons=dict(reasons),
            counts=dict(given["counts"]),
        )  # fmt: skip


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


@dataclass(frozen=True, kw_only=True)
class Timing(Record):
    """How long it took; the one part of a result that another run does not repeat.

    Attributes:
        created: when it ended, UTC, ISO 8601.
        seconds: of the whole, intervals and tuning included.
        tuning_seconds: spent on tuning.
        tracker_seconds: spent in the tracker, summed over processes; prediction included.
        videos_per_second: test videos tracked, predicted and scored in a second, by all processes.
        n_workers: processes.
    """

    created: str
    seconds: float
    tuning_seconds: float
    tracker_seconds: float
    videos_per_second: float
    n_workers: int


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that one evaluation found.

    Attributes:
        tracker: which tracker.
        dataset: which videos.
        settings: how they were scored.
        versions: of the packages that matter, by name.
        tracking: for each number of objects, the metrics over all frames.
        prediction: the same over the predicted frames alone; None without prediction.
        prediction_reason: why there is no prediction; "" if there is.
        occlusion: for each number of objects, recall and switches by visibility.
        timing: how long it took.
    """

    tracker: TrackerRecord
    dataset: DatasetRecord
    settings: EvaluationSettings
    versions: Mapping[str, str]
    tracking: Mapping[int, CountScores]
    prediction: Mapping[int, CountScores] | None
    prediction_reason: str
    occlusion: Mapping[int, tuple[Occlusion, ...]]
    timing: Timing

    @property
    def counts(self) -> list[int]:
        """The numbers of objects evaluated, ascending."""
        return sorted(self.tracking)

    def to_json(self) -> dict[str, Any]:
        """The content of results.json."""
        prediction = None if self.prediction is None else _scores_to_json(self.prediction)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tracker": self.tracker.to_json(),
            "dataset": self.dataset.to_json(),
            "settings": self.settings.to_json(),
            "convention": self.settings.convention,
            "versions": dict(self.versions),
            "tracking": _scores_to_json(self.tracking),
            "prediction": prediction,
            "prediction_reason": self.prediction_reason,
            "occlusion": {
                str(count): [each.to_json() for each in ranges]
                for count, ranges in self.occlusion.items()
            },
            "timing": self.timing.to_json(),
        }

    @classmethod
    def from_json(cls, values: object, where: str = "results") -> Self:
        """Read what `to_json` gave.

        Raises:
            DataError: another format or version, or anything missing, unknown or impossible.
        """
        given = _check_format(values, where)
        tracking = _scores(given["tracking"], f"{where}: tracking")
        prediction, reason = given["prediction"], given["prediction_reason"]
        if (prediction is None) != bool(reason):
            raise DataError(f"{where}: prediction_reason must say why there is no prediction")
        try:
            settings = EvaluationSettings.from_json(given["settings"], f"{where}: settings")
        except UsageError as error:
            raise DataError(f"{where}: settings: {error}") from error
        results = cls(
            tracker=TrackerRecord.from_json(given["tracker"], f"{where}: tracker"),
            dataset=DatasetRecord.from_json(given["dataset"], f"{where}: dataset"),
            settings=settings,
            versions=dict(given["versions"]),
            tracking=tracking,
            prediction=prediction and _scores(prediction, f"{where}: prediction"),
            prediction_reason=reason,
            occlusion=_occlusion(given["occlusion"], f"{where}: occlusion"),
            timing=Timing.from_json(given["timing"], f"{where}: timing"),
        )
        _check_agreement(results, given["convention"], where)
        return results


def mean_over_counts(scores: Mapping[int, CountScores], metric: str) -> float | None:
    """The plain mean of a metric's values at the counts; None if a count has no value.

    This is a mean of ratios, each pooled over its own videos, and is to be labelled as such.

    Source: issue and papers quote "mean MOTA over counts"; everything else here is pooled.
    """
    values = [each.metrics.get(metric) for each in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def write_results(results: Results, path: str | Path) -> None:
    """Write results.json whole or not at all; the folder is made if it is missing."""
    write_whole(json.dumps(results.to_json(), indent=1, allow_nan=False) + "\n", path)


def write_whole(text: str, path: str | Path) -> None:
    """Write a text file under a temporary name and rename it when it is whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_results(path: str | Path) -> Results:
    """Read and check results.json.

    Raises:
        DataError: the file cannot be read, is no results file, or of another version.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a results file: {error}") from error
    return Results.from_json(values, str(path))


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _check_format(values: object, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise DataError(f"{where}: not a results file (its format is not {FORMAT!r})")
    if values.get("format_version") != FORMAT_VERSION:
        found = values.get("format_version")
        raise DataError(f"{where}: format version {found!r}, and this smot reads {FORMAT_VERSION}")
    names = ["format", "format_version", "convention"]
    given = check_keys(values, [*names, *Results.__dataclass_fields__], where)
    for key, kind in {"versions": Mapping, "prediction_reason": str}.items():
        if not isinstance(given[key], kind):
            raise DataError(f"{where}: {key} has the wrong type")
    return given


def _check_agreement(results: Results, convention: object, where: str) -> None:
    if convention != results.settings.convention:
        raise DataError(f"{where}: convention {convention!r} is not that of its settings")
    counts = set(results.tracking)
    if not counts:
        raise DataError(f"{where}: tracking is empty")
    for name, found in {
        "prediction": results.prediction,
        "occlusion": results.occlusion or None,
        "dataset.videos": results.dataset.videos,
    }.items():
        if found is not None and set(found) != counts:
            raise DataError(f"{where}: {name} and tracking have different numbers of objects")


def _scores_to_json(scores: Mapping[int, CountScores]) -> dict[str, Any]:
    return {str(count): each.to_json() for count, each in scores.items()}


def _scores(values: object, where: str) -> dict[int, CountScores]:
    return {
        count: CountScores.from_json(each, f"{where}.{count}")
        for count, each in by_count(values, where).items()
    }


def _occlusion(values: object, where: str) -> dict[int, tuple[Occlusion, ...]]:
    return {
        count: tuple(
            Occlusion.from_json(each, f"{where}.{count}[{place}]")
            for place, each in enumerate(ranges)
        )
        for count, ranges in by_count(values, where).items()
    }


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
