"""Score predictions that lie in files against truth that lies in files."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from smot.arrays import FloatArray
from smot.errors import DataError, UsageError
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.occlusion import occlusion
from smot.evaluation.protocols import DEFAULTS, EvaluationSettings
from smot.evaluation.results import (
    CountScores,
    DatasetRecord,
    Results,
    Timing,
    TrackerRecord,
    VideosRecord,
)
from smot.evaluation.run import count_scores, versions
from smot.evaluation.workers import each_in_processes
from smot.interchange.annotation import PEDESTRIAN, Annotation, comparable
from smot.interchange.sources import Load, Source, shown
from smot.tracks import Tracks

Classes = Literal["motchallenge", "together", "apart"]
Groups = Literal["all", "sequence", "count"]
ALL = "all"
_AT_ONCE = 64  # videos of one task
_TASKS_PER_PROCESS = 4
# All predictions count, as in TrackEval: also those that are not sure at all.
_LEAST_CONFIDENCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How files are scored.

    Attributes:
        evaluation: what counts as a match, and the bootstrap; its confidence is not used.
        confidence: a prediction counts if its confidence exceeds this; None for all.
        classes: "motchallenge" (pedestrians; some other classes excuse predictions), "together"
            or "apart".
        groups: one for all videos; one beside it for each; or one for each number of objects.

    Raises:
        UsageError: classes apart and groups of videos at once.
    """

    evaluation: EvaluationSettings = DEFAULTS
    confidence: float | None = None
    classes: Classes = "motchallenge"
    groups: Groups = "all"

    def __post_init__(self) -> None:
        if self.classes == "apart" and self.groups != "all":
            raise UsageError(f"classes apart are groups of their own: not by {self.groups} too")

    @property
    def scored(self) -> EvaluationSettings:
        """The settings of the metrics."""
        return replace(self.evaluation, confidence=self.confidence or 0.0)


class Pair(NamedTuple):
    """A video, what reads its two sides, and where they are."""

    name: str
    truth: Load
    found: Load
    paths: tuple[Path, Path]


class Scored(NamedTuple):
    """What was found in a video.

    Attributes:
        name: of the video.
        counts: one row; by the class, or under `ALL`.
        n_objects: true identities that are to be found.
        n_frames: T.
        frame_size: H, W, pixels; None if it is not known.
        has_visibility: whether visibility is known.
        classes: that the truth has.
        doubts: what had to be assumed, and may be wrong.
        digest: hash of the truth.
    """

    name: str
    counts: Mapping[str, VideoCounts]
    n_objects: int
    n_frames: int
    frame_size: tuple[int, int] | None
    has_visibility: bool
    classes: frozenset[int]
    doubts: Sequence[str]
    digest: bytes


def pair_up_sources(truth: Source, found: Source) -> tuple[list[Pair], list[str]]:
    """Find the predictions of each video by its name.

    Returns:
        The pairs, and what is to be said about videos that are left out and where pixels begin.

    Raises:
        DataError: a video of the truth without predictions; no video at all. A video alone in a
            file needs no name.
    """
    notices = []
    foreign = [each for each in (truth, found) if not (each.is_open_set or each.has_threshold)]
    if len({each.is_motchallenge for each in foreign}) > 1:
        notices.append(
            "pixels of MOTChallenge text are taken as numbered from 1, those of tables and of "
            "COCO-VID from 0"
        )
    paths = truth.path, found.path
    alone = len(truth.videos) == len(found.videos) == 1
    if alone and (truth.path.is_file() or found.path.is_file()):
        (name, load), (other,) = next(iter(truth.videos.items())), found.videos.values()
        return [Pair(name, load, other, paths)], notices
    names = [name for name in truth.videos if name in found.videos]
    missing = [name for name in truth.videos if name not in found.videos]
    extra = [name for name in found.videos if name not in truth.videos]
    if not names or (missing and not truth.is_open_set):
        raise DataError(
            f"{found.path}: no predictions for {shown(missing)}; "
            f"there are some for {shown(list(found.videos)) or 'nothing'}"
        )
    if missing:
        notices.append(f"{len(names):,} of {len(truth.videos):,} videos have predictions")
    if extra:
        notices.append(f"{found.path}: {shown(extra)} left out, not in the truth")
    return [Pair(name, truth.videos[name], found.videos[name], paths) for name in names], notices


def score_pairs(
    pairs: Sequence[Pair],
    settings: ScoreSettings,
    *,
    workers: int = 1,
    progress: Callable[[int], object] = lambda n_videos: None,  # noqa: ARG005
) -> list[Scored]:
    """Count the errors of each video.

    Args:
        pairs: from `pair_up_sources`.
        settings: how.
        workers: processes; the result does not depend on them.
        progress: called with the number of videos done since the last call.

    Raises:
        DataError: a file cannot be read; names it.
    """
    size = max(1, min(_AT_ONCE, len(pairs) // (workers * _TASKS_PER_PROCESS)))
    tasks = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    scored = []
    for some in each_in_processes(partial(_score_some, settings=settings), tasks, workers):
        scored += some
        progress(len(some))
    return scored


def results_of(
    scored: Sequence[Scored],
    settings: ScoreSettings,
    *,
    names: tuple[str, str],
    origin: Path,
    began: float,
    workers: int = 1,
) -> Results:
    """The results of videos, as results.json has them.

    Args:
        scored: at least one.
        settings: how they were scored.
        names: what tables call the tracker, and the data set.
        origin: where the truth is.
        began: `time.perf_counter()` at the start.
        workers: processes that there were.
    """
    groups = _groups(scored, settings)
    evaluation = settings.scored
    tracking: dict[int, CountScores] = {}
    for key, (_, counts, _) in groups.items():
        draws = np.random.default_rng([evaluation.seed, key, 0])
        tracking[key] = count_scores(counts, evaluation, draws)
    seconds = time.perf_counter() - began
    sizes, lengths = {each.frame_size for each in scored}, {each.n_frames for each in scored}
    return Results(
        tracker=TrackerRecord(name=names[0]),
        dataset=DatasetRecord(
            name=names[1],
            kind="video",
            origin=str(origin),
            digit_source="",
            seed=0,
            frame_size=(sizes.pop() or (0, 0)) if len(sizes) == 1 else (0, 0),
            n_frames=lengths.pop() if len(lengths) == 1 else 0,
            max_objects=max(each.n_objects for each in scored),
            settings={"classes": settings.classes, "groups": settings.groups},
            settings_fingerprint="",
            content_fingerprint="",
            videos={
                key: VideosRecord(group=name, n_videos=len(videos), fingerprint=_hash(videos))
                for key, (name, _, videos) in groups.items()
            },
        ),
        settings=evaluation,
        versions=versions(),
        tracking=tracking,
        prediction=None,
        prediction_reason="only the tracks are known",
        occlusion={key: occlusion(counts) for key, (_, counts, _) in groups.items()}
        if all(each.has_visibility for each in scored)
        else {},
        timing=Timing(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=seconds,
            tuning_seconds=0.0,
            tracker_seconds=0.0,
            videos_per_second=len(scored) / max(seconds, 1e-9),
            n_workers=workers,
        ),
    )


def _groups(
    scored: Sequence[Scored], settings: ScoreSettings
) -> dict[int, tuple[str, VideoCounts, list[Scored]]]:
    """Name, counts and videos of each group, by its key in results.json."""
    if settings.groups == "count":
        by_count: dict[int, list[Scored]] = {}
        for each in scored:
            by_count.setdefault(each.n_objects, []).append(each)
        return {
            count: (f"test/{count:02d}", _joined(some, ALL), some)
            for count, some in sorted(by_count.items())
        }
    found = [(ALL, _pooled_classes(scored), list(scored))]
    if settings.classes == "apart":
        kinds = sorted({kind for each in scored for kind in each.counts}, key=int)
        for kind in kinds:
            some = [each for each in scored if kind in each.counts]
            found.append((f"class {kind}", _joined(some, kind), some))
    elif settings.groups == "sequence":
        found += [(each.name, each.counts[ALL], [each]) for each in scored]
    return dict(enumerate(found))


def _joined(scored: Sequence[Scored], kind: str) -> VideoCounts:
    return VideoCounts.stack([each.counts[kind] for each in scored])


def _pooled_classes(scored: Sequence[Scored]) -> VideoCounts:
    """A row for each video, its classes added up."""
    rows = [list(each.counts.values()) for each in scored]
    return VideoCounts.stack(
        [some[0] if len(some) == 1 else VideoCounts.stack(some).pooled() for some in rows]
    )


def _hash(scored: Sequence[Scored]) -> str:
    return hashlib.sha256(b"".join(each.digest for each in scored)).hexdigest()


def _score_some(pairs: Sequence[Pair], settings: ScoreSettings) -> list[Scored]:
    return [_score_one(pair, settings) for pair in pairs]


def _score_one(pair: Pair, settings: ScoreSettings) -> Scored:
    truth, found = pair.truth(), pair.found()
    if truth.n_frames is not None and found.length > truth.n_frames:
        raise DataError(
            f"{pair.name}: predictions for frame {found.length} of a video of "
            f"{truth.n_frames} frames"
        )
    n_frames = max(truth.length, found.length)
    kinds: list[str | int] = [settings.classes]
    if settings.classes == "apart":
        kinds = sorted(set(np.unique(truth.category[truth.is_object]).tolist())) or [PEDESTRIAN]
    counts = {}
    for kind in kinds:
        true, predicted = comparable(truth, found, kind)
        counts[ALL if isinstance(kind, str) else str(kind)] = _counted(
            _placed(true, n_frames, pair.paths[0]),
            _placed(predicted, n_frames, pair.paths[1]),
            true.visibilities(n_frames),
            settings,
        )
    objects = truth[truth.is_object] if settings.classes == "apart" else true
    return Scored(
        name=pair.name,
        counts=counts,
        n_objects=len(np.unique(objects.identity)),
        n_frames=n_frames,
        frame_size=truth.frame_size,
        has_visibility=truth.visibility is not None,
        classes=frozenset(np.unique(truth.category).tolist()),
        doubts=_doubts(pair, truth, found),
        digest=_digest(truth),
    )


def _doubts(pair: Pair, truth: Annotation, found: Annotation) -> list[str]:
    """What may be wrong with how the frames of a video's two sides are held together."""
    doubts = []
    if truth.assumed_first == 0 and found.assumed_first == 1:
        doubts.append(
            f"{pair.name}: the truth has boxes in frame 0, the predictions have none there: their "
            "frames are taken as numbered from 1; --first-frame 0 has both count from 0"
        )
    if (n_beyond := found.length - truth.length) > 0:
        doubts.append(
            f"{pair.name}: predictions in {n_beyond:,} frames after the truth's last one count as "
            "false positives: is there a seqinfo.ini that says how long it is?"
        )
    return doubts


def _placed(boxes: Annotation, n_frames: int, path: Path) -> Tracks:
    try:
        return boxes.tracks(n_frames)
    except DataError as error:
        raise DataError(f"{path}: {boxes.name}: {error}") from None


def _counted(
    true: Tracks, predicted: Tracks, seen: FloatArray | None, settings: ScoreSettings
) -> VideoCounts:
    if settings.confidence is None:
        sure = np.where(predicted.present, predicted.confidence.clip(min=_LEAST_CONFIDENCE), 0)
        predicted = Tracks(boxes=predicted.boxes, ids=predicted.ids, confidence=sure)
    match: MatchSettings = settings.scored.match
    return count_errors(true, predicted, match, visibility=seen)


def _digest(truth: Annotation) -> bytes:
    content = hashlib.sha256(truth.name.encode())
    for array in (truth.frame, truth.identity, truth.box, truth.category, truth.counts):
        content.update(np.ascontiguousarray(array).data)
    return content.digest()
