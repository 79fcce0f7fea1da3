"""Evaluate a tracker over all numbers of objects: tune, track, predict, count, summarise."""

import hashlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Self

import numpy as np

from smot.arrays import UInt8Array
from smot.errors import UsageError
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.events import Events, events
from smot.evaluation.metrics.occlusion import occlusion
from smot.evaluation.metrics.table import METRICS, summarise
from smot.evaluation.protocols import EvaluationSettings, predict_videos, track_videos, why_not
from smot.evaluation.results import (
    CountScores,
    DatasetRecord,
    Results,
    Timing,
    TrackerRecord,
    VideosRecord,
)
from smot.evaluation.testsets import Plan, VideoSource, make_plan, spans
from smot.evaluation.tuning import Choice, set_by_hand, tune_tracker
from smot.evaluation.workers import Scorer, Workers
from smot.trackers import Recipe, recipe_of
from smot.tracks import Contestant, CountInformed, Oracle, Tracker, Tracks
from smot.videos.content import digests

VERSIONS = ("smot", "numpy", "scipy", "numba", "torch")
Progress = Callable[[str, int, int], None]
"""Called with what is done ("videos tracked"), how much of it, and of how much."""


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


@dataclass(frozen=True, kw_only=True)
class SpanScores:
    """What was found on a span of n videos.

    Attributes:
        tracking: counts over all frames, n rows.
        prediction: counts over the predicted frames, n rows; None without prediction.
        errors: each single one, videos numbered within the group; None if not asked for.
        digests: hash of each video, [n, 32].
        tracker_seconds: spent in the tracker.
        tracks: truth and tracks by protocol, for a backend that wants them; else empty.
    """

    tracking: VideoCounts
    prediction: VideoCounts | None
    errors: Events | None
    digests: UInt8Array
    tracker_seconds: float
    tracks: Mapping[str, tuple[Tracks, Tracks]] = field(default_factory=dict)

    @classmethod
    def stack(cls, parts: Sequence["SpanScores"]) -> Self:
        """Join what was found on successive spans of one group, at least one."""
        predicted = [part.prediction for part in parts if part.prediction is not None]
        errors = [part.errors for part in parts if part.errors is not None]
        return cls(
            tracking=VideoCounts.stack([part.tracking for part in parts]),
            prediction=VideoCounts.stack(predicted) if predicted else None,
            errors=Events.stack(errors) if errors else None,
            digests=np.concatenate([part.digests for part in parts]),
            tracker_seconds=sum(part.tracker_seconds for part in parts),
            tracks={
                protocol: (
                    Tracks.stack([part.tracks[protocol][0] for part in parts]),
                    Tracks.stack([part.tracks[protocol][1] for part in parts]),
                )
                for protocol in parts[0].tracks
            },
        )


@dataclass(frozen=True, kw_only=True)
class ScoreSpan:
    """The task of scoring videos [start, stop) of a group.

    Attributes:
        group: "test/03".
        start: first video.
        stop: one past the last.
        candidate: which of a tunable tracker's candidates to use; None for itself.
        with_prediction: whether to hold the prediction test too.
        with_events: whether to list each single error.
    """

    group: str
    start: int
    stop: int
    candidate: int | None = None
    with_prediction: bool = False
    with_events: bool = False

    def __call__(self, scorer: Scorer) -> SpanScores:
        """Track and count."""
        videos = scorer.source.read(self.group, self.start, self.stop)
        # The fingerprint is taken before a tracker touches the frames.
        hashes = digests(videos)
        settings, match = scorer.settings, scorer.settings.match
        tracker, place = scorer.chosen(self.candidate), (self.group, self.start)
        pairs = {}
        began = time.perf_counter()
        # First the prediction: a tracker that remembers what it tracked could look it up.
        if self.with_prediction:
            observe, horizon = settings.observe, settings.horizon
            future = videos.truth[:, observe : observe + horizon]
            predicted = predict_videos(tracker, videos, observe, horizon, *place)
            pairs["prediction"] = (future, predicted)
        pairs["tracking"] = (videos.truth, track_videos(tracker, videos, *place))
        seconds = time.perf_counter() - began
        return SpanScores(
            tracking=count_errors(*pairs["tracking"], match, visibility=videos.visibility),
            prediction=count_errors(*pairs["prediction"], match) if self.with_prediction else None,
            errors=events(*pairs["tracking"], match, first_video=self.start)
            if self.with_events
            else None,
            digests=hashes,
            tracker_seconds=seconds,
            tracks=pairs if settings.backend == "motmetrics" else {},
        )


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
    plan = make_plan(data, counts, n_videos)
    job = Job(tracker=tracker, data=data, plan=plan, settings=settings, tune=tune, workers=workers)
    return run(job).results


def run(job: Job, progress: Progress = lambda what, done, total: None) -> Outcome:  # noqa: ARG005
    """Evaluate, and keep what pictures and lists of errors are made from.

    Args:
        job: what to do.
        progress: called with how far it has got.

    Raises:
        UsageError: an impossible setting.
        DataError: the tracker failed, or the data is damaged.
    """
    began = time.perf_counter()
    settings, own = job.settings, Scorer(job.tracker, job.data, job.settings)
    n_frames = job.data.description.n_frames
    recipe = job.tracker if isinstance(job.tracker, Recipe) else recipe_of(own.tracker)
    options = set_by_hand(own.tracker, own.candidates) | dict(recipe.options if recipe else {})
    no_prediction = why_not(own.tracker, n_frames, settings.observe, settings.horizon)
    with Workers(own, job.tracker, job.workers) as team:
        choice = tune_tracker(team, job.plan.groups, options, job.tune, progress)
        tuned = time.perf_counter()
        found = _found(job, team, choice, not no_prediction, progress)
    tracked = time.perf_counter()
    tracking, prediction = _scores(found, settings, progress)
    results = Results(
        tracker=TrackerRecord(
            name=own.tracker.name,
            target=recipe.target if recipe else "",
            options={key: str(value) for key, value in options.items()},
            is_oracle=_is_oracle(own.tracker),
            tuning=choice.record if choice else None,
        ),
        dataset=_dataset_record(job.data, job.plan, found),
        settings=settings,
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in VERSIONS},
        },
        tracking=tracking,
        prediction=None if no_prediction else prediction,
        prediction_reason=no_prediction,
        occlusion={count: occlusion(each.tracking) for count, each in found.items()},
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
        tracker={n: own.chosen(choice.candidates[n] if choice else None) for n in found},
        counts={n: each.tracking for n, each in found.items()},
        errors={n: each.errors for n, each in found.items() if each.errors is not None},
    )


def _found(
    job: Job, team: Workers, choice: Choice | None, predict: bool, progress: Progress
) -> dict[int, SpanScores]:
    """Score every span; the parts of a count are joined in their order."""
    plan = job.plan
    tasks = {
        ScoreSpan(
            group=group,
            start=start,
            stop=stop,
            candidate=choice.candidates[count] if choice else None,
            with_prediction=predict,
            with_events=job.with_events,
        ): count
        for count, group in plan.groups.items()
        for start, stop in spans(group, plan.n_videos[count])
    }
    parts: dict[int, list[SpanScores]] = {count: [] for count in plan.groups}
    done = 0
    for (task, count), scores in zip(tasks.items(), team.map(list(tasks)), strict=True):
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
        for which, protocol in enumerate(scores):
            counts = getattr(each, protocol)
            if counts is None:
                continue
            # Each count and protocol has a stream of its own: intervals do not depend on the rest.
            draws = np.random.default_rng([settings.seed, count, which])
            tracks = each.tracks.get(protocol)
            scores[protocol][count] = _count_scores(counts, tracks, settings, draws)
    progress("counts summed up", len(found), len(found))
    return scores["tracking"], scores["prediction"]


def _count_scores(
    counts: VideoCounts,
    tracks: tuple[Tracks, Tracks] | None,
    settings: EvaluationSettings,
    generator: np.random.Generator,
) -> CountScores:
    """The metrics of some videos pooled; with intervals, or from the library's own counts."""
    if settings.backend == "motmetrics":
        from smot.evaluation.library import summarise_by_motmetrics

        assert tracks is not None
        metrics = summarise_by_motmetrics(*tracks, settings.match)
        return CountScores(metrics=metrics, reasons=_reasons(metrics))
    metrics = summarise(counts)
    ends = intervals(counts, n_resamples=settings.n_resamples, generator=generator)
    return CountScores(
        metrics=metrics,
        intervals={key: pair for key, pair in ends.items() if pair is not None},
        reasons=_reasons(metrics),
        counts=counts.to_json(),
    )


def _reasons(metrics: Mapping[str, float | None]) -> dict[str, str]:
    """Why each metric that has no value has none."""
    return {key: METRICS[key].undefined for key, value in metrics.items() if value is None}


def _is_oracle(tracker: Contestant) -> bool:
    """Whether it is given the ground truth, or the number of objects."""
    informed = isinstance(tracker, CountInformed) and not isinstance(tracker, Tracker)
    return informed or isinstance(tracker, Oracle)


def _dataset_record(
    source: VideoSource, plan: Plan, found: Mapping[int, SpanScores]
) -> DatasetRecord:
    metadata, description = source.metadata, source.description
    path = getattr(source, "path", None)
    return DatasetRecord(
        name=metadata.name,
        kind=description.dataset,
        origin=str(path) if path else "made on the spot",
        digit_source=metadata.digit_source,
        seed=metadata.seed,
        frame_size=description.frame_size,
        n_frames=description.n_frames,
        max_objects=description.max_objects,
        settings=dict(metadata.settings),
        settings_fingerprint=metadata.settings_fingerprint,
        content_fingerprint=metadata.content_fingerprint,
        videos={
            count: VideosRecord(
                group=group,
                n_videos=plan.n_videos[count],
                fingerprint=hashlib.sha256(found[count].digests.tobytes()).hexdigest(),
            )
            for count, group in plan.groups.items()
        },
    )
