"""Evaluate a tracker over all numbers of objects: tune, track, predict, count, summarise."""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np

from smot.errors import DataError, UsageError
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.counts import VideoCounts
from smot.evaluation.metrics.events import Events
from smot.evaluation.metrics.occlusion import occlusion
from smot.evaluation.metrics.table import METRICS, summarise
from smot.evaluation.protocols import (
    DEFAULTS,
    EvaluationSettings,
    Job,
    Scorer,
    SpanScores,
    score_span,
    spans,
)
from smot.evaluation.results import (
    CountScores,
    DatasetRecord,
    Results,
    Timing,
    TrackerRecord,
    TuningRecord,
    VideosRecord,
)
from smot.evaluation.testsets import HeldVideos, VideoSource, make_plan
from smot.evaluation.tuning import set_by_hand, tune_tracker
from smot.evaluation.workers import DoTasks, processes
from smot.trackers import Recipe, recipe_of
from smot.tracks import Contestant, Oracle, Tracker, Tracks
from smot.videos import Videos, open_videos

VERSIONS = ("smot", "numpy", "scipy", "numba", "torch")
Progress = Callable[[str, int, int], None]
"""Called with what is done ("videos tracked"), how much of it, and of how much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """An evaluation with what it takes to look closer.

    Attributes:
        results: what results.json holds.
        tracker: the tracker as it was evaluated, for each number of objects.
        counts: of tracking, one row for each video, for each number of objects.
        errors: every single one, for each number of objects; empty if not asked for.
        tracks: what the tracker gave for all frames, by group; empty if not asked for.
    """

    results: Results
    tracker: Mapping[int, Contestant]
    counts: Mapping[int, VideoCounts]
    errors: Mapping[int, Events] = field(default_factory=dict)
    tracks: Mapping[str, Tracks] = field(default_factory=dict)


def evaluate(
    tracker: Contestant | Recipe | str,
    data: VideoSource | Videos | str | os.PathLike[str],
    *,
    counts: Sequence[int] | None = None,
    n_videos: int | None = None,
    settings: EvaluationSettings = DEFAULTS,
    tune: str | None = None,
    workers: int = 1,
) -> Results:
    """Evaluate a tracker on the test videos of a data set.

        smot.evaluate("conncomp", "data/quick.h5", counts=[1, 6])

    Args:
        tracker: a tracker or oracle, or how to make one: a name that `smot trackers` lists or
            `module:Class`, or a recipe with options.
        data: the path of a file, an open file, videos at hand, or anything else that gives
            videos.
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
    with ExitStack() as opened:
        if isinstance(data, str | os.PathLike):
            data = opened.enter_context(open_videos(data))
        elif isinstance(data, Videos):
            data = HeldVideos(videos=data)
        elif not hasattr(data, "groups"):
            kind = type(data).__name__
            raise UsageError(f"data must be a path, an open file or Videos, not {kind}")
        if isinstance(tracker, str):
            tracker = Recipe(target=tracker, data=data.description)
        elif not isinstance(tracker, Recipe | Contestant):
            kind = type(tracker).__name__  # type: ignore[unreachable]
            raise UsageError(f"tracker must be a name, or have name and track, and not be {kind}")
        job = Job(
            tracker=tracker,
            data=data,
            plan=make_plan(data, counts, n_videos),
            settings=settings,
            tune=tune,
            workers=workers,
        )
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
    own = Scorer(job)
    recipe = job.tracker if isinstance(job.tracker, Recipe) else recipe_of(own.tracker)
    with processes(own) as do_tasks:
        options = set_by_hand(own.tracker, own.candidates) | dict(recipe.options if recipe else {})
        chosen, tuning = tune_tracker(do_tasks, own, options, progress)
        tuned = time.perf_counter()
        found = _found(do_tasks, job, chosen, progress)
    for count, scores in found.items():
        _check_masks(own.tracker.name, job.plan.groups[count], scores.tracking)
    tracked = time.perf_counter()
    tracking, prediction = _scores(found, job.settings, progress)
    results = Results(
        tracker=_tracker_record(own.tracker, recipe, options, tuning),
        dataset=_dataset_record(job, found),
        settings=job.settings,
        versions=versions(),
        tracking=tracking,
        prediction=None if own.no_prediction else prediction,
        prediction_reason=own.no_prediction,
        occlusion={count: occlusion(each.tracking) for count, each in found.items()},
        timing=Timing(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - began,
            tuning_seconds=tuned - began if tuning else 0.0,
            tracker_seconds=sum(each.tracker_seconds for each in found.values()),
            videos_per_second=sum(job.plan.n_videos.values()) / (tracked - tuned),
            n_workers=job.workers,
        ),
    )
    return Outcome(
        results=results,
        tracker={n: own.chosen(chosen.get(n)) for n in found},
        counts={n: each.tracking for n, each in found.items()},
        errors={n: each.errors for n, each in found.items() if each.errors is not None},
        tracks={
            job.plan.groups[n]: each.tracks["tracking"][1]
            for n, each in found.items()
            if job.with_tracks
        },
    )


def versions() -> dict[str, str]:
    """Of Python, and of the packages that results depend on."""
    return {"python": platform.python_version()} | {each: version(each) for each in VERSIONS}


def _found(
    do_tasks: DoTasks, job: Job, chosen: Mapping[int, int], progress: Progress
) -> dict[int, SpanScores]:
    """Score every span; the parts of a count are joined in their order."""
    places = [
        (count, group, start, stop)
        for count, group in job.plan.groups.items()
        for start, stop in spans(job.plan.n_videos[count])
    ]
    tasks = [
        partial(score_span, group=group, start=start, stop=stop, candidate=chosen.get(count))
        for count, group, start, stop in places
    ]
    parts: dict[int, list[SpanScores]] = {count: [] for count in job.plan.groups}
    done, n_videos = 0, sum(job.plan.n_videos.values())
    for (count, _, start, stop), scores in zip(places, do_tasks(tasks), strict=True):
        parts[count].append(scores)
        done += stop - start
        progress("videos tracked", done, n_videos)
    return {count: SpanScores.stack(some) for count, some in parts.items()}


def _check_masks(name: str, group: str, counts: VideoCounts) -> None:
    """Refuse masks of some videos alone: their scores would pass for those of all."""
    masked = counts.n_masked > 0
    if masked.any() and not masked.all():
        raise DataError(f"tracker {name!r} gave no masks on video {masked.argmin()} of {group}")


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
            tracks = each.tracks.get(protocol) if settings.backend == "motmetrics" else None
            scores[protocol][count] = count_scores(counts, settings, draws, tracks)
    progress("counts summed up", len(found), len(found))
    return scores["tracking"], scores["prediction"]


def count_scores(
    counts: VideoCounts,
    settings: EvaluationSettings,
    generator: np.random.Generator,
    tracks: tuple[Tracks, Tracks] | None = None,
) -> CountScores:
    """The metrics of some videos pooled; with intervals, or from the library's own counts.

    Args:
        counts: a row for each video.
        settings: how they were scored.
        generator: draws the bootstrap's resamples; a single video has no intervals.
        tracks: truth and predictions, for the library.
    """
    ends: Mapping[str, tuple[float, float]] = {}
    plain: Mapping[str, object] = {}
    if tracks is not None:
        from smot.evaluation.library import summarise_by_motmetrics

        metrics = summarise_by_motmetrics(*tracks, settings.match)
    else:
        pool = counts.pooled()
        plain, metrics = pool.to_json(), summarise(pool)
        if len(counts) > 1:
            ends = intervals(counts, n_resamples=settings.n_resamples, generator=generator)
    reasons = {key: METRICS[key].undefined for key, value in metrics.items() if value is None}
    return CountScores(metrics=metrics, intervals=ends, reasons=reasons, counts=plain)


def _tracker_record(
    tracker: Contestant,
    recipe: Recipe | None,
    options: Mapping[str, str],
    tuning: TuningRecord | None,
) -> TrackerRecord:
    return TrackerRecord(
        name=tracker.name,
        target=recipe.target if recipe else "",
        options={key: str(value) for key, value in options.items()},
        is_oracle=isinstance(tracker, Oracle) or not isinstance(tracker, Tracker),
        tuning=tuning,
    )


def _dataset_record(job: Job, found: Mapping[int, SpanScores]) -> DatasetRecord:
    metadata, description = job.data.metadata, job.data.description
    path = getattr(job.data, "path", None)
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
                n_videos=job.plan.n_videos[count],
                fingerprint=hashlib.sha256(found[count].digests.tobytes()).hexdigest(),
            )
            for count, group in job.plan.groups.items()
        },
    )
