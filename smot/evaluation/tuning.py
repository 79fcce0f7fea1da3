"""Choose a tracker's setting on the validation split, never on test videos.

The setting with the best MOTA is taken, either one for all ("global", the fair baseline: it does
not know how many objects a video has), or one for each number of objects ("per-count", as the
paper tuned ConnComp), judged on the validation videos with that many.

Source: supplement C; that the score is MOTA for every metric's table is our choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from smot.arrays import IntArray
from smot.errors import UsageError
from smot.evaluation.metrics.clear import NOBODY, correspond
from smot.evaluation.metrics.matching import MatchSettings, pair_up
from smot.evaluation.protocols import Scorer, spans, track_videos
from smot.evaluation.results import TuningRecord
from smot.evaluation.testsets import VideoSource, more_validation_videos
from smot.evaluation.workers import DoTasks
from smot.tracks import Contestant, Tracks, Tunable

SCOPES = ("global", "per-count")
SPLIT = "val"

Tried: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""Of n videos: each candidate's errors, [n, candidates]; true boxes, [n]; objects, [n]."""


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
    do_tasks: DoTasks,
    own: Scorer,
    options: Mapping[str, str],
    progress: Callable[[str, int, int], None],
) -> tuple[dict[int, int], TuningRecord | None]:
    """Run all candidates on the validation split and take the best.

    A count that no validation video has gets videos of its own, and where those cannot be made
    the global choice.

    Args:
        do_tasks: from `smot.evaluation.workers.processes`.
        own: the scorer of this process.
        options: what the user set; see `tuning_scope`.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        Index of the candidate for each test count, and what results.json says of it; nothing and
        None if nothing was tuned.

    Raises:
        UsageError: see `tuning_scope`.
    """
    counts, n_videos = own.job.plan.groups, own.job.data.groups.get(SPLIT, 0)
    scope = tuning_scope(own.tracker, options, own.job.tune, n_videos)
    if scope is None:
        return {}, None
    if not own.job.plan.by_count:
        if own.job.tune == "per-count":
            raise UsageError("tune='per-count': the data has groups by name")
        scope = "global"
    parts = []
    places = spans(n_videos)
    tasks = [partial(try_candidates, start=start, stop=stop) for start, stop in places]
    for (_, stop), part in zip(places, do_tasks(tasks), strict=True):
        parts.append(part)
        progress("videos tuned on", stop, n_videos)
    if scope == "per-count":
        parts += _try_on_other_counts(do_tasks, own.job.data, sorted(counts), parts, progress)
    errors, n_truth, n_objects = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = candidate_names(own.candidates)
    best: dict[int, int] = {}
    chosen: dict[int, str] = {}
    scores: dict[int, float] = {}
    for count in counts:
        alike = n_objects == count
        elsewhere = not n_truth[alike].any()
        if scope == "global" or elsewhere:
            # The split alone, without the videos that were made for single counts.
            alike = np.arange(len(alike)) < n_videos
        # Pooled; 0 errors where there is no truth is 1.
        mota = 1 - errors[alike].sum(0) / max(int(n_truth[alike].sum()), 1)
        best[count], scores[count] = int(mota.argmax()), float(mota.max())
        note = " (chosen on other counts)" if scope == "per-count" and elsewhere else ""
        chosen[count] = names[best[count]] + note
    record = TuningRecord(
        scope=scope, split=SPLIT, n_videos=len(n_truth), chosen=chosen, scores=scores
    )
    return best, record


def try_candidates(
    scorer: Scorer, *, start: int, stop: int, source: VideoSource | None = None
) -> Tried:
    """Count every candidate's errors on validation videos [start, stop).

    Args:
        scorer: of this process.
        start: first video.
        stop: one past the last.
        source: where they are; None for the data set that is evaluated.
    """
    videos = (source or scorer.job.data).read(SPLIT, start, stop)
    truth, match = videos.truth, scorer.job.settings.match
    errors = [
        _errors(truth, track_videos(candidate, videos, (SPLIT, start)), match)
        for candidate in scorer.candidates
    ]
    n_truth = truth.present.sum((1, 2))
    return np.stack(errors, axis=1), n_truth, videos.count.astype(np.int64)


def _errors(truth: Tracks, predicted: Tracks, settings: MatchSettings) -> IntArray:
    """Misses, false positives and switches of each video, [B]; nothing else is computed."""
    pairing = pair_up(truth, predicted, settings.confidence)
    partner, switched = correspond(pairing, settings)
    n_matches = (partner != NOBODY).sum((1, 2))
    n_boxes = pairing.truth.n_entries.sum(-1) + pairing.predicted.n_entries.sum(-1)
    errors: IntArray = n_boxes - 2 * n_matches + switched.sum((1, 2))
    return errors


def _try_on_other_counts(
    do_tasks: DoTasks,
    data: VideoSource,
    counts: Sequence[int],
    parts: Sequence[Tried],
    progress: Callable[[str, int, int], None],
) -> list[Tried]:
    """Try the candidates on videos made for the counts that the split does not have."""
    held = set(np.concatenate([n_objects for _, _, n_objects in parts]).tolist())
    made = {count: more_validation_videos(data, count) for count in counts}
    tasks = [
        partial(try_candidates, start=0, stop=source.groups[SPLIT], source=source)
        for count, source in made.items()
        if source is not None and count > 0 and count not in held
    ]
    others = []
    for done, part in enumerate(do_tasks(tasks), 1):
        others.append(part)
        progress("other counts tuned on", done, len(tasks))
    return others


def candidate_names(candidates: Sequence[Any]) -> list[str]:
    """The settings in which candidates differ, "threshold=0.588"; else their numbers."""
    varied = _varied(candidates)
    if not varied:
        return [f"candidate {index}" for index in range(len(candidates))]
    named = []
    for candidate in candidates:
        values = {name: getattr(candidate, name) for name in varied}
        named.append(
            ", ".join(
                f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
                for name, value in values.items()
            )
        )
    return named


def _varied(candidates: Sequence[Any]) -> list[str]:
    if not candidates or not is_dataclass(candidates[0]):
        return []
    return [
        each.name
        for each in fields(candidates[0])
        if len({repr(getattr(candidate, each.name)) for candidate in candidates}) > 1
    ]
