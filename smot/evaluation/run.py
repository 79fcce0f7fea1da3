"""Evaluate a tracker over all numbers of objects: tune, track, predict, count, summarise."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from smot.errors import UsageError
from smot.evaluation.metrics.clear import Events
from smot.evaluation.metrics.counts import VideoCounts
from smot.evaluation.prediction import why_not
from smot.evaluation.records import EvaluationSettings, TrackerRecord, VideosRecord
from smot.evaluation.results import Results, Timing
from smot.evaluation.scoring import BuildScorer, Recipe, Scorer, ScoreSpan, SpanScores, spans
from smot.evaluation.summaries import CountScores, count_scores, library_scores, occlusion_ranges
from smot.evaluation.testsets import VideoSource, dataset_record, test_groups
from smot.evaluation.tuning import SPLIT, Choice, choose, tuning_scope
from smot.evaluation.workers import Workers
from smot.tracks import Contestant, CountInformed, Oracle, Tracker, Tunable

VERSIONS = ("smot", "numpy", "scipy", "numba", "torch")
Progress = Callable[[str, int, int], None]
"""Told what is done ("videos tracked"), how much of it, and of how much."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be evaluated, checked against the data.

    Attributes:
        groups: the test group of each number of objects.
        n_videos: the first so many of each group are used.
    """

    groups: Mapping[int, str]
    n_videos: Mapping[int, int]

    @property
    def n_total(self) -> int:
        """Test videos in all."""
        return sum(self.n_videos.values())


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that an evaluation needs to know.

    Attributes:
        tracker: a tracker or oracle, or how to make one.
        data: where videos come from.
        plan: which of them.
        settings: how to score.
        tune: "global", "per-count" or "off"; None for "per-count" where it can be tuned.
        workers: processes, at least 1; the result does not depend on them.
        with_events: whether to list each single error.

    Raises:
        UsageError: no workers.
    """

    tracker: Contestant | Recipe
    data: VideoSource
    plan: Plan
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    tune: str | None = None
    workers: int = 1
    with_events: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"workers={self.workers} must be at least 1")

    @property
    def options(self) -> Mapping[str, str]:
        """The tracker's options, as far as they are known."""
        return self.tracker.options if isinstance(self.tracker, Recipe) else {}

    @property
    def build(self) -> BuildScorer:
        """What makes each process's share."""
        return BuildScorer(tracker=self.tracker, source=self.data, settings=self.settings)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """An evaluation with what it takes to look closer.

    Attributes:
        results: what results.json holds.
        tracker: the tracker as it was evaluated, for each number of objects.
        counts: of tracking, one row for each video, for each number of objects.
        errors: every single one, for each number of objects; empty if not asked for.
    """

    results: Results
    tracker: Mapping[int, Contestant]
    counts: Mapping[int, VideoCounts]
    errors: Mapping[int, Events] = field(default_factory=dict)


def evaluate(
    tracker: Contestant | Recipe,
    data: VideoSource,
    *,
    counts: Sequence[int] | None = None,
    n_videos: int | None = None,
    settings: EvaluationSettings = EvaluationSettings(),  # noqa: B008 - frozen
    tune: str | None = None,
    workers: int = 1,
) -> Results:
    """Evaluate a tracker on the test videos of a data set.

    Args:
        tracker: a tracker or oracle, or how to make one.
        data: an open file, or anything else that gives videos.
        counts: numbers of objects; all that the data has if None.
        n_videos: the first so many of each count; all if None.
        settings: how to score.
        tune: "global", "per-count" or "off"; None for "per-count" where it can be tuned.
        workers: processes.

    Returns:
        Results, as results.json has them.

    Raises:
        UsageError: counts or videos that the data does not have, or an impossible setting.
        DataError: the tracker failed, or the data is damaged.
    """
    job = Job(
        tracker=tracker, data=data, plan=make_plan(data, counts, n_videos), settings=settings,
        tune=tune, workers=workers,
    )  # fmt: skip
    return run(job).results


def make_plan(data: VideoSource, counts: Sequence[int] | None, n_videos: int | None) -> Plan:
    """Choose test groups.

    Raises:
        UsageError: the data has no such groups, or fewer videos.
    """
    groups = test_groups(data)
    if not groups:
        raise UsageError(f"the data has no test groups; it has: {', '.join(data.groups)}")
    wanted = sorted(groups) if counts is None else sorted(set(counts))
    missing = [count for count in wanted if count not in groups]
    if missing or not wanted:
        there = ", ".join(map(str, groups))
        raise UsageError(f"counts={missing}: the data has test videos for {there}")
    sizes = {count: data.groups[groups[count]] for count in wanted}
    if n_videos is not None:
        for count, size in sizes.items():
            if not 1 <= n_videos <= size:
                raise UsageError(f"n_videos={n_videos}: {groups[count]} has 1 to {size}")
        sizes = dict.fromkeys(sizes, n_videos)
    return Plan(groups={count: groups[count] for count in wanted}, n_videos=sizes)


def run(job: Job, progress: Progress = lambda what, done, total: None) -> Outcome:  # noqa: ARG005
    """Evaluate, and keep what pictures and lists of errors are made from.

    Args:
        job: what to do.
        progress: told how far it has got.

    Raises:
        UsageError: an impossible setting.
        DataError: the tracker failed, or the data is damaged.
    """
    began = time.perf_counter()
    local = job.build()
    settings, n_frames = job.settings, job.data.description.n_frames
    no_prediction = why_not(local.tracker, n_frames, settings.observe, settings.horizon)
    with Workers(job.build if job.workers > 1 else lambda: local, job.workers) as team:
        choice = _tuned(job, local, team, progress)
        tuned = time.perf_counter()
        found = _found(job, team, choice, not no_prediction, progress)
    tracked = time.perf_counter()
    tracking, prediction = _scores(found, settings, progress)
    results = Results(
        tracker=_tracker_record(job, local, choice),
        dataset=dataset_record(job.data, _videos_records(job.plan, found)),
        settings=settings,
        versions=_versions(),
        tracking=tracking,
        prediction=None if no_prediction else prediction,
        prediction_reason=no_prediction,
        occlusion={count: occlusion_ranges(each.tracking) for count, each in found.items()},
        timing=Timing(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - began,
            tuning_seconds=tuned - began if choice else 0.0,
            tracker_seconds=sum(each.tracker_seconds for each in found.values()),
            videos_per_second=job.plan.n_total / (tracked - tuned),
            n_workers=job.workers,
        ),
    )
    return Outcome(
        results=results,
        tracker={n: local.chosen(choice.candidates[n] if choice else None) for n in found},
        counts={n: each.tracking for n, each in found.items()},
        errors={n: each.errors for n, each in found.items() if each.errors is not None},
    )


def _tuned(job: Job, local: Scorer, team: Workers[Scorer], progress: Progress) -> Choice | None:
    n_val = job.data.groups.get(SPLIT, 0)
    scope = tuning_scope(local.tracker, job.options, job.tune, n_val)
    if scope is None:
        return None
    assert isinstance(local.tracker, Tunable)
    counts = list(job.plan.groups)
    return choose(
        local.tracker,
        team,
        scope,
        n_val,
        counts,
        lambda done: progress("videos tuned on", done, n_val),
    )


def _found(
    job: Job, team: Workers[Scorer], choice: Choice | None, predict: bool, progress: Progress
) -> dict[int, SpanScores]:
    """Score every span; the parts of a count are joined in their order."""
    plan = job.plan
    tasks = [
        (
            count,
            ScoreSpan(
                group=group, start=start, stop=stop,
                candidate=choice.candidates[count] if choice else None,
                with_prediction=predict, with_events=job.with_events,
            ),
        )
        for count, group in plan.groups.items()
        for start, stop in spans(group, plan.n_videos[count])
    ]  # fmt: skip
    parts: dict[int, list[SpanScores]] = {count: [] for count in plan.groups}
    done = 0
    for (count, task), scores in zip(tasks, team.map([task for _, task in tasks]), strict=True):
        parts[count].append(scores)
        done += task.stop - task.start
        progress("videos tracked", done, plan.n_total)
    return {count: SpanScores.stack(some) for count, some in parts.items()}


def _scores(
    found: Mapping[int, SpanScores], settings: EvaluationSettings, progress: Progress
) -> tuple[dict[int, CountScores], dict[int, CountScores]]:
    """Metrics and intervals of both protocols for each count."""
    scores: dict[str, dict[int, CountScores]] = {"tracking": {}, "prediction": {}}
    for done, (count, each) in enumerate(found.items()):
        progress("counts summed up", done, len(found))
        for which, counts in enumerate((each.tracking, each.prediction)):
            protocol = list(scores)[which]
            if counts is None:
                continue
            if settings.backend == "motmetrics":
                scores[protocol][count] = library_scores(*each.tracks[protocol], settings)
            else:
                draws = np.random.default_rng([settings.seed, count, which])
                scores[protocol][count] = count_scores(counts, settings, draws)
    progress("counts summed up", len(found), len(found))
    return scores["tracking"], scores["prediction"]


def _tracker_record(job: Job, local: Scorer, choice: Choice | None) -> TrackerRecord:
    return TrackerRecord(
        name=local.tracker.name,
        target=job.tracker.target if isinstance(job.tracker, Recipe) else "",
        options=dict(job.options),
        is_oracle=_is_oracle(local.tracker),
        tuning=choice.record if choice else None,
    )


def _is_oracle(tracker: Contestant) -> bool:
    """Whether it was shown the ground truth, or told its count."""
    informed = isinstance(tracker, CountInformed) and not isinstance(tracker, Tracker)
    return informed or isinstance(tracker, Oracle)


def _videos_records(plan: Plan, found: Mapping[int, SpanScores]) -> dict[int, VideosRecord]:
    return {
        count: VideosRecord(
            group=group,
            n_videos=plan.n_videos[count],
            fingerprint=hashlib.sha256(
                np.ascontiguousarray(found[count].digests).data
            ).hexdigest(),
        )
        for count, group in plan.groups.items()
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}}
