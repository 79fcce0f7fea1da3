"""results.json: what an evaluation found, written whole, and checked when it is read back."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from smot.errors import DataError, UsageError
from smot.evaluation.records import (
    DatasetRecord,
    EvaluationSettings,
    Record,
    TrackerRecord,
    by_count,
    check_keys,
)
from smot.evaluation.summaries import CountScores, Occlusion

FORMAT = "smot-results"
FORMAT_VERSION = 1
_INDENTED = 3


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


def write_results(results: Results, path: str | Path) -> None:
    """Write results.json whole or not at all; the folder is made if it is missing."""
    write_whole(dumped(results), path)


def dumped(results: Results) -> str:
    """The text of results.json: indented down to the metrics, the lists below them on a line."""
    return _dumped(results.to_json(), 0) + "\n"


def _dumped(value: object, depth: int) -> str:
    if not isinstance(value, dict) or depth == _INDENTED or not value:
        return json.dumps(value, allow_nan=False)
    margin = " " * (depth + 1)
    lines = [
        f"{margin}{json.dumps(key)}: {_dumped(each, depth + 1)}" for key, each in value.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{' ' * depth}}}"


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
