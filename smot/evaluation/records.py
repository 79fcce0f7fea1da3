"""What a result file says beside its scores: which tracker, which videos, which settings."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from smot.errors import DataError, UsageError
from smot.evaluation.metrics.matching import Convention, MatchSettings

BACKENDS = ("smot", "motmetrics")
TUNING = ("global", "per-count")


class Record:
    """A frozen dataclass that travels as a JSON object and is checked when it is read."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain values; counts of objects become strings, as JSON's keys are."""
        return {key: _plain(value) for key, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, values: object, where: str) -> Self:
        """Read a record.

        Args:
            values: what JSON held.
            where: its place in the file, for the message.

        Raises:
            DataError: not an object, a key missing, unknown or of the wrong type.
        """
        hints = get_type_hints(cls)
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        given = check_keys(values, names, where)
        return cls(**{name: _typed(given[name], hints[name], f"{where}.{name}") for name in names})


@dataclass(frozen=True, kw_only=True)
class TuningRecord(Record):
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
class TrackerRecord(Record):
    """Which tracker it was.

    Attributes:
        name: what it calls itself.
        target: the name under which it was built; "" if it was handed over as an object.
        options: its options as typed.
        is_oracle: whether it was shown the ground truth, or told how many objects there are.
        tuning: how its setting was chosen; None if it was not.
    """

    name: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    is_oracle: bool = False
    tuning: TuningRecord | None = None


@dataclass(frozen=True, kw_only=True)
class VideosRecord(Record):
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
class DatasetRecord(Record):
    """Which data set it was.

    Attributes:
        name: what it calls itself.
        kind: "mnist" or "shapes".
        origin: the file's path, or "rendered" if the videos were made on the spot.
        digit_source: where digits came from; "" for shapes.
        seed: of the data set.
        frame_size: H, W, pixels.
        n_frames: T.
        max_objects: most objects in a training video.
        settings: all settings of its generator.
        settings_fingerprint: hash over them, the digit source and the format version.
        content_fingerprint: hash over the whole file; "" if the videos were made on the spot.
        videos: what was evaluated for each number of objects.
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
    def things(self) -> str:
        """What its objects are called."""
        return "digits" if self.kind == "mnist" else "objects"


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Record):
    """What an evaluation needs to know beside the tracker and the data.

    Attributes:
        iou_threshold: least IoU of a match.
        confidence: a prediction counts if its confidence exceeds this; AP uses all.
        convention: whose CLEAR-MOT it is where libraries disagree.
        backend: "smot" or "motmetrics" (the library itself; slow, and no HOTA or AP).
        observe: frames handed over in the prediction test.
        horizon: frames predicted after them.
        n_resamples: bootstrap resamples behind each confidence interval.
        seed: of the bootstrap.

    Raises:
        UsageError: a value out of range.
    """

    iou_threshold: float = 0.5
    confidence: float = 0.5
    convention: Convention = "py-motmetrics"
    backend: str = "smot"
    observe: int = 3
    horizon: int = 5
    n_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.match
        if self.backend not in BACKENDS:
            raise UsageError(f"backend={self.backend!r} must be {' or '.join(BACKENDS)}")
        if self.backend == "motmetrics" and self.convention != "py-motmetrics":
            raise UsageError(
                f"backend='motmetrics' has no convention={self.convention!r}, only py-motmetrics"
            )
        for name in ("observe", "horizon"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be at least 1")
        if self.n_resamples < 2 or self.seed < 0:
            raise UsageError(
                f"n_resamples={self.n_resamples} must be at least 2, seed={self.seed} at least 0"
            )

    @property
    def match(self) -> MatchSettings:
        """What counts as a prediction and as a match."""
        return MatchSettings(
            iou_threshold=self.iou_threshold,
            confidence=self.confidence,
            convention=self.convention,
        )


def check_keys(values: object, names: list[str], where: str) -> Mapping[str, Any]:
    """An object with exactly these keys.

    Raises:
        DataError: not an object, or keys missing or unknown.
    """
    if not isinstance(values, Mapping):
        raise DataError(f"{where} must be an object, not {type(values).__name__}")
    for fault, keys in {
        "lacks": [name for name in names if name not in values],
        "has unknown": [key for key in values if key not in names],
    }.items():
        if keys:
            raise DataError(f"{where} {fault} {', '.join(map(repr, keys))}")
    return values


def finite(value: object, where: str) -> float:
    """A finite number.

    Raises:
        DataError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where} must be a finite number, not {value!r}")
    return value


def by_count(values: object, where: str) -> dict[int, Any]:
    """An object whose keys are numbers of objects, in ascending order.

    Raises:
        DataError: not an object, or a key that is no number of objects.
    """
    if not isinstance(values, Mapping):
        raise DataError(f"{where} must be an object, not {type(values).__name__}")
    for key in values:
        if not str(key).isdecimal():
            raise DataError(f"{where} has the key {key!r}, which is no number of objects")
    return {int(key): values[key] for key in sorted(values, key=int)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _typed(value: Any, hint: Any, where: str) -> Any:
    """The value as the type that a record's annotation asks for."""
    kinds = get_args(hint)
    if type(None) in kinds:
        return None if value is None else _typed(value, kinds[0], where)
    if get_origin(hint) is Literal:
        hint = str
    if get_origin(hint) is tuple:
        return _pair(value, kinds, where)
    if get_origin(hint) is not None:
        return _mapping(value, kinds, where)
    if issubclass(hint, Record):
        return hint.from_json(value, where)
    if hint is float:
        return finite(value, where)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise DataError(f"{where} must be of type {hint.__name__}, not {value!r}")
    return value


def _pair(value: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != len(kinds):
        raise DataError(f"{where} must have {len(kinds)} entries, not {value!r}")
    return tuple(_typed(each, kind, where) for each, kind in zip(value, kinds, strict=True))


def _mapping(value: Any, kinds: tuple[Any, ...], where: str) -> dict[Any, Any]:
    if kinds[0] is int:
        given = by_count(value, where)
        return {key: _typed(each, kinds[1], f"{where}.{key}") for key, each in given.items()}
    if not isinstance(value, Mapping):
        raise DataError(f"{where} must be an object, not {type(value).__name__}")
    if kinds[1] is Any:
        return dict(value)
    return {key: _typed(each, kinds[1], f"{where}.{key}") for key, each in value.items()}
