"""Choose a tracker's setting on the validation split, never on test videos.

The setting with the best MOTA is taken, either one for all ("global", the fair baseline: it does
not know how many objects a video has), or one for each number of objects ("per-count", as the
paper tuned ConnComp), judged on the validation videos with that many.

Source: supplement C; that the score is MOTA for every metric's table is our choice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import UsageError
from smot.evaluation.metrics.clear import NOBODY, correspond
from smot.evaluation.metrics.matching import MatchSettings, pair_up
from smot.evaluation.protocols import track_videos
from smot.evaluation.results import TuningRecord
from smot.evaluation.testsets import VideoSource, more_validation_videos, spans
from smot.evaluation.workers import Scorer, Workers
from smot.tracks import Contestant, Tracks, Tunable

SCOPES = ("global", "per-count")
SPLIT = "val"


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateErrors:
    """How every candidate did on n videos.

    Attributes:
        errors: misses, false positives and switches, [n, candidates].
        n_truth: true boxes, [n].
        n_objects: number of objects of the video, [n].
    """

    errors: IntArray
    n_truth: IntArray
    n_objects: IntArray


@dataclass(frozen=True, kw_only=True)
class TryCandidates:
    """The task of running every candidate on validation videos [start, stop).

    Attributes:
        start: first video.
        stop: one past the last.
        source: where they are; None for the data set that is evaluated.
    """

    start: int
    stop: int
    source: VideoSource | None = None

    def __call__(self, scorer: Scorer) -> CandidateErrors:
        """Count each candidate's errors."""
        videos = (self.source or scorer.source).read(SPLIT, self.start, self.stop)
        truth, match = videos.truth, scorer.settings.match
        errors = [
            _errors(truth, track_videos(candidate, videos, SPLIT, self.start), match)
            for candidate in scorer.candidates
        ]
        return CandidateErrors(
            errors=np.stack(errors, axis=1),
            n_truth=truth.present.sum((1, 2)),
            n_objects=videos.count.astype(np.int64),
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What tuning decided.

    Attributes:
        candidates: index of the candidate for each test count.
        record: what results.json says of it.
    """

    candidates: Mapping[int, int]
    record: TuningRecord


def tuning_scope(
    tracker: Contestant, options: Mapping[str, str], asked: str | None, n_videos: int
) -> str | None:
    """Whether and how to tune: as asked, else "per-count" for a tracker that can be tuned.

    Args:
        tracker: the tracker.
        options: what the user set; a setting that tuning would choose is left as the user set it.
        asked: "global", "per-count", "off", or None for the usual.
        n_videos: validation videos that there are.

    Returns:
        "global", "per-count", or None for no tuning.

    Raises:
        UsageError: tuning was asked for and cannot be.
    """
    if asked not in (*SCOPES, "off", None):
        raise UsageError(f"tune must be {', '.join(SCOPES)} or off, not {asked!r}")
    if asked == "off":
        return None
    if not isinstance(tracker, Tunable):
        problem = f"{tracker.name} has nothing to tune"
    else:
        fixed = sorted(set(options) & set(_varied(list(tracker.candidates()))))
        problem = f"{', '.join(fixed)} is set by hand" if fixed else ""
    if not problem and n_videos == 0:
        problem = f"the data has no videos in {SPLIT!r}"
    if problem and asked is not None:
        raise UsageError(f"tune={asked!r}: {problem}")
    return None if problem else asked or "per-count"


def set_by_hand(tracker: Any, candidates: Sequence[Contestant]) -> dict[str, str]:
    """The settings that tuning would choose and that differ from what is usual.

    Args:
        tracker: a dataclass; of others nothing is known.
        candidates: what there is to choose from.

    Returns:
        The settings by name, as text.
    """
    varied, make = _varied(candidates), type(tracker)
    if not varied or not is_dataclass(tracker):
        return {}
    needed = {
        each.name: getattr(tracker, each.name)
        for each in fields(tracker)
        if each.init and each.default is MISSING and each.default_factory is MISSING
    }
    usual: Any = make(**needed)
    return {
        name: str(getattr(tracker, name))
        for name in varied
        if name not in needed and repr(getattr(tracker, name)) != repr(getattr(usual, name))
    }


def tune_tracker(
    team: Workers,
    counts: Iterable[int],
    options: Mapping[str, str],
    asked: str | None,
    progress: Callable[[str, int, int], None],
) -> Choice | None:
    """Run all candidates on the validation split and take the best.

    Args:
        team: processes, each with the same tracker.
        counts: test counts; one that no validation video has gets videos of its own, and where
            those cannot be made the global choice.
        options: what the user set; see `tuning_scope`.
        asked: "global", "per-count", "off", or None for the usual.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The choice; None if nothing was tuned.

    Raises:
        UsageError: see `tuning_scope`.
    """
    tracker, n_videos = team.own.tracker, team.own.source.groups.get(SPLIT, 0)
    scope = tuning_scope(tracker, options, asked, n_videos)
    if scope is None:
        return None
    tasks = [TryCandidates(start=start, stop=stop) for start, stop in spans(SPLIT, n_videos)]
    parts = []
    for task, part in zip(tasks, team.map(tasks), strict=True):
        parts.append(part)
        progress("videos tuned on", task.stop, n_videos)
    if scope == "per-count":
        parts += _of_other_counts(team, sorted(set(counts)), parts, progress)
    errors = np.concatenate([part.errors for part in parts])
    n_truth = np.concatenate([part.n_truth for part in parts])
    n_objects = np.concatenate([part.n_objects for part in parts])
    names = candidate_names(team.own.candidates)
    best: dict[int, int] = {}
    scores: dict[int, float] = {}
    chosen: dict[int, str] = {}
    for count in counts:
        alike = n_objects == count
        elsewhere = not n_truth[alike].any()
        if scope == "global" or elsewhere:
            # The split alone, without the videos that were made for single counts.
            alike = np.arange(len(alike)) < n_videos
        mota = _mota(errors[alike], n_truth[alike])
        best[count] = int(mota.argmax())
        scores[count] = float(mota.max())
        chosen[count] = names[best[count]]
        if scope == "per-count" and elsewhere:
            chosen[count] += " (chosen on other counts)"
    record = TuningRecord(
        scope=scope,
        split=SPLIT,
        n_videos=len(n_truth),
        chosen=chosen,
        scores=scores,
    )
    return Choice(candidates=best, record=record)


def _of_other_counts(
    team: Workers,
    counts: Sequence[int],
    parts: Sequence[CandidateErrors],
    progress: Callable[[str, int, int], None],
) -> list[CandidateErrors]:
    """Try the candidates on videos made for the counts that the split does not have."""
    held = set(np.concatenate([part.n_objects for part in parts]).tolist())
    made = {count: more_validation_videos(team.own.source, count) for count in counts}
    tasks = [
        TryCandidates(start=0, stop=source.groups[SPLIT], source=source)
        for count, source in made.items()
        if source is not None and count > 0 and count not in held
    ]
    others = []
    for done, part in enumerate(team.map(tasks), 1):
        others.append(part)
        progress("other counts tuned on", done, len(tasks))
    return others


def candidate_names(candidates: Sequence[Any]) -> list[str]:
    """The settings in which candidates differ, "threshold=0.588"; else their numbers."""
    varied = _varied(candidates)
    if not varied:
        return [f"candidate {index}" for index in range(len(candidates))]
    return [
        ", ".join(f"{name}={_written(getattr(candidate, name))}" for name in varied)
        for candidate in candidates
    ]


def _varied(candidates: Sequence[Any]) -> list[str]:
    if not candidates or not is_dataclass(candidates[0]):
        return []
    return [
        each.name
        for each in fields(candidates[0])
        if len({repr(getattr(candidate, each.name)) for candidate in candidates}) > 1
    ]


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _errors(truth: Tracks, predicted: Tracks, settings: MatchSettings) -> IntArray:
    """Misses, false positives and switches of each video, [B]; nothing else is computed."""
    pairing = pair_up(truth, predicted, settings.confidence)
    partner, switched = correspond(pairing, settings)
    n_matches = (partner != NOBODY).sum((1, 2))
    n_boxes = pairing.truth.n_entries.sum(-1) + pairing.predicted.n_entries.sum(-1)
    errors: IntArray = n_boxes - 2 * n_matches + switched.sum((1, 2))
    return errors


def _mota(errors: IntArray, n_truth: IntArray) -> FloatArray:
    """Pooled MOTA of every candidate, [candidates]; 0 errors where there is no truth is 1."""
    mota: FloatArray = 1 - errors.sum(0) / max(int(n_truth.sum()), 1)
    return mota
