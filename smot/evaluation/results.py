"""results.json: what an evaluation found, written whole, and checked when it is read back."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Self

from smot.errors import DataError, UsageError
from smot.evaluation.metrics.counts import VideoCounts
from smot.evaluation.metrics.occlusion import Occlusion
from smot.evaluation.metrics.table import METRICS, summarise
from smot.evaluation.protocols import EvaluationSettings
from smot.files import from_plain, to_plain, write_text

FORMAT = "smot-results"
FORMAT_VERSION = 1

_LONGEST_MESSAGE = 300
# Levels of results.json that are indented; the lists below them stay on a line.
_INDENTED = 3
# Metrics and the counts beside them were rounded to doubles in different orders.
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class TuningRecord:
    """How a tracker's setting was chosen.

    Attributes:
        scope: "global" (one choice) or "per-count" (one for each number of objects).
        split: the group whose videos decided; never a test group.
        n_videos: how many there were.
        chosen: the choice for each test count, as text.
        scores: MOTA on the split that each choice reached.
    """

    scope: str
    split: str
    n_videos: int
    chosen: Mapping[int, str]
    scores: Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class TrackerRecord:
    """Which tracker it was.

    Attributes:
        name: what it calls itself.
        target: the name under which it was built; "" if it was handed over as an object.
        options: its options as typed.
        is_oracle: whether it was given the ground truth, or the number of objects.
        tuning: how its setting was chosen; None if it was not.
    """

    name: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    is_oracle: bool = False
    tuning: TuningRecord | None = None


@dataclass(frozen=True, kw_only=True)
class VideosRecord:
    """The videos that were evaluated for one number of objects.

    Attributes:
        group: where they are in the data set, "test/03".
        n_videos: the first so many of the group.
        fingerprint: hash over their frames and ground truth, whatever file they came from.
    """

    group: str
    n_videos: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """Which data set it was.

    Attributes:
        name: what it calls itself.
        kind: "mnist", "shapes" or "video".
        origin: the file's path, or "made on the spot".
        digit_source: where digits came from; "" for shapes.
        seed: of the data set.
        frame_size: H, W, pixels; 0, 0 if it differs or is not known.
        n_frames: T; 0 if it differs.
        max_objects: most objects in a training video.
        settings: all settings of its generator.
        settings_fingerprint: hash over them, the digit source and the format version.
        content_fingerprint: hash over the whole file; "" if the videos were made on the spot.
        videos: what was evaluated for each number of objects, or for each group, numbered from 0.
    """

    name: str
    kind: str
    origin: str
    digit_source: str
    seed: int
    frame_size: tuple[int, int]
    n_frames: int
    max_objects: int
    settings: Mapping[str, Any]
    settings_fingerprint: str
    content_fingerprint: str
    videos: Mapping[int, VideosRecord]

    @property
    def labels(self) -> dict[int, str] | None:
        """The names of groups that are no numbers of objects, by their keys; else None."""
        groups = {key: videos.group for key, videos in self.videos.items()}
        if all(re.fullmatch(r"test/\d+", group) for group in groups.values()):
            return None
        return {key: group.removeprefix("test/") for key, group in groups.items()}

    @property
    def n_videos(self) -> int:
        """All that were evaluated; a group called "all" has every one of them."""
        everyone = [each.n_videos for each in self.videos.values() if each.group == "all"]
        return everyone[0] if everyone else sum(each.n_videos for each in self.videos.values())

    @property
    def things(self) -> str:
        """What its objects are called; "videos" where groups are no numbers of objects."""
        if self.labels is not None:
            return "videos"
        return "digits" if self.kind == "mnist" else "objects"


@dataclass(frozen=True, kw_only=True)
class CountScores:
    """The metrics of one protocol at one number of objects.

    In results.json the metrics stand beside `intervals`, `reasons` and `counts`.

    Attributes:
        metrics: by the names of `smot.evaluation.metrics.table`; None where there is no value.
        intervals: 95% bootstrap interval over videos of those that have one.
        reasons: why a metric is None, for each that is.
        counts: what was summed, so that anything can be pooled again
            (`VideoCounts.from_json`); empty where the backend does not say.
    """

    metrics: Mapping[str, float | int | None]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float | None:
        return self.metrics[metric]


@dataclass(frozen=True, kw_only=True)
class Timing:
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

    def __repr__(self) -> str:
        names = self.dataset.labels or {}
        mota = ", ".join(
            f"{names.get(count, count)}: {self.tracking[count]['mota']:.3f}"
            for count in self.counts
            if self.tracking[count]["mota"] is not None
        )
        return f"<Results: {self.tracker.name} on {self.dataset.name}, MOTA {mota}>"

    def _repr_html_(self) -> str:
        """The table that `smot eval` prints: what Jupyter shows."""
        from smot.evaluation.report.tables import terminal_table

        return f"<pre>{escape(terminal_table(self))}</pre>"

    @property
    def counts(self) -> list[int]:
        """The numbers of objects evaluated, ascending."""
        return sorted(self.tracking)

    def to_json(self) -> dict[str, Any]:
        """The content of results.json."""
        content: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        for key, value in to_plain(self).items():
            content[key] = _metrics_outside(value) if key in _PROTOCOLS else value
            if key == "settings":
                content["convention"] = self.settings.convention
        return content

    @classmethod
    def from_json(cls, values: object, where: str = "results") -> Self:
        """Read what `to_json` gave.

        Raises:
            DataError: another format or version, or anything missing, unknown or impossible.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise DataError(f"{where}: not a results file (its format is not {FORMAT!r})")
        version = values.get("format_version")
        if type(version) is not int or version != FORMAT_VERSION:
            found = str(version)[:20]
            raise DataError(
                f"{where}: format version {found}, and this smot reads {FORMAT_VERSION}"
            )
        given = {
            key: _metrics_inside(value) if key in _PROTOCOLS else value
            for key, value in values.items()
            if key not in ("format", "format_version", "convention")
        }
        results = from_plain(cls, given, what=where, complete=True)
        if values.get("convention") != results.settings.convention:
            raise DataError(f"{where}: convention is not that of its settings")
        _check_agreement(results, where)
        for protocol in _PROTOCOLS:
            for count, scores in (getattr(results, protocol) or {}).items():
                _check_scores(scores, f"{where}: {protocol}.{count}")
        return results


def write_results(results: Results, path: str | Path) -> None:
    """Write results.json whole or not at all; the folder is made if it is missing."""
    write_text(path, dumped(results))


def dumped(results: Results) -> str:
    """The text of results.json: indented down to the metrics, the lists below them on a line."""
    return _dumped(results.to_json(), 0) + "\n"


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
    try:
        return Results.from_json(values, str(path))
    except DataError as error:
        # A hostile key or text may be of any length, and a message is to be one line.
        message = str(error).encode("ascii", "backslashreplace").decode()
        raise DataError(message[:_LONGEST_MESSAGE]) from error


_PROTOCOLS = ("tracking", "prediction")
_BESIDE_METRICS = ("intervals", "reasons", "counts")


def _metrics_outside(scores: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The plain scores of a protocol as results.json has them: metrics beside the rest."""
    if scores is None:
        return None
    return {
        count: {**each["metrics"], **{key: each[key] for key in _BESIDE_METRICS}}
        for count, each in scores.items()
    }


def _metrics_inside(scores: Any) -> Any:
    """The opposite of `_metrics_outside`; what cannot be scores is left for `from_plain`."""
    if not isinstance(scores, Mapping):
        return scores
    found = {}
    for count, each in scores.items():
        found[count] = each
        if isinstance(each, Mapping):
            found[count] = {key: each[key] for key in _BESIDE_METRICS if key in each}
            metrics = {key: value for key, value in each.items() if key not in _BESIDE_METRICS}
            found[count]["metrics"] = metrics
    return found


def _dumped(value: object, depth: int) -> str:
    if not isinstance(value, dict) or depth == _INDENTED or not value:
        return json.dumps(value, allow_nan=False)
    margin = " " * (depth + 1)
    lines = [
        f"{margin}{json.dumps(key)}: {_dumped(each, depth + 1)}" for key, each in value.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{' ' * depth}}}"


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _check_agreement(results: Results, where: str) -> None:
    counts = set(results.tracking)
    if not counts:
        raise DataError(f"{where}: tracking is empty")
    if (results.prediction is None) != bool(results.prediction_reason):
        raise DataError(f"{where}: prediction_reason must say why there is no prediction")
    for name, found in {
        "prediction": results.prediction,
        "occlusion": results.occlusion or None,
        "dataset.videos": results.dataset.videos,
    }.items():
        if found is not None and set(found) != counts:
            raise DataError(f"{where}: {name} and tracking have different numbers of objects")


def _check_scores(scores: CountScores, where: str) -> None:
    """Refuse metrics that cannot be, or that the counts beside them do not give."""
    for key, value in scores.metrics.items():
        if key not in METRICS:
            raise DataError(f"{where} has unknown {key!r}")
        low, high = METRICS[key].low, METRICS[key].high
        if value is None:
            if not scores.reasons.get(key):
                raise DataError(f"{where}.{key} is null, and reasons does not say why")
        elif (low is not None and value < low) or (high is not None and value > high + _TOLERANCE):
            raise DataError(f"{where}.{key}={value} is outside {low}..{high}")
    for key, (low, high) in scores.intervals.items():
        if low > high:
            raise DataError(f"{where}.intervals.{key}: {low} is above {high}")
    if scores.counts:
        _check_against_counts(scores, where)


def _check_against_counts(scores: CountScores, where: str) -> None:
    try:
        found = summarise(VideoCounts.from_json(scores.counts))
    except (DataError, UsageError, TypeError, ValueError, LookupError, OverflowError) as error:
        raise DataError(f"{where}.counts cannot be read: {error}") from error
    for key, value in scores.metrics.items():
        given = found.get(key)
        if (value is None) != (given is None) or abs((value or 0) - (given or 0)) > _TOLERANCE:
            raise DataError(f"{where}.{key}={value} does not follow from its counts ({given})")
