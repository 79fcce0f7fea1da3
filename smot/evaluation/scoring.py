"""Track, predict and count errors on a span of videos: what each process of an evaluation does."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np

from smot.arrays import UInt8Array
from smot.errors import UsageError
from smot.evaluation.metrics.clear import Events, events
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.prediction import future_truth, predict_videos
from smot.evaluation.protocols import track_videos
from smot.evaluation.records import EvaluationSettings
from smot.evaluation.testsets import VideoSource
from smot.trackers import build_tracker
from smot.tracks import Contestant, DataDescription, Tracks, Tunable
from smot.videos.content import digests

SPAN = 64
"""Videos that a tracker gets at once: always so many, so that nothing depends on the workers."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make a tracker, in any process.

    Attributes:
        target: a name that `smot.trackers` knows, or ``module:attribute``.
        options: settings as typed.
        data: what the tracker may know of the data.
    """

    target: str
    options: Mapping[str, str] = field(default_factory=dict)
    data: DataDescription

    def build(self) -> Contestant:
        """Make the tracker.

        Raises:
            UsageError: see `smot.trackers.build_tracker`.
        """
        return build_tracker(self.target, self.options, self.data)


class Scorer:
    """What a process holds: its own tracker, and where the videos are.

    Args:
        tracker: what is evaluated.
        source: where its videos come from.
        settings: how it is scored.
    """

    def __init__(
        self, tracker: Contestant, source: VideoSource, settings: EvaluationSettings
    ) -> None:
        self.tracker = tracker
        self.source = source
        self.settings = settings
        self.candidates = list(tracker.candidates()) if isinstance(tracker, Tunable) else []

    def chosen(self, candidate: int | None) -> Contestant:
        """The tracker as it is, or one of its candidates."""
        return self.tracker if candidate is None else self.candidates[candidate]


@dataclass(frozen=True, kw_only=True)
class BuildScorer:
    """Makes the `Scorer` of a process.

    Attributes:
        tracker: the tracker itself, or how to make one.
        source: where its videos come from.
        settings: how it is scored.
    """

    tracker: Contestant | Recipe
    source: VideoSource
    settings: EvaluationSettings

    def __call__(self) -> Scorer:
        """Make it."""
        ready = self.tracker.build() if isinstance(self.tracker, Recipe) else self.tracker
        return Scorer(ready, self.source, self.settings)


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
            errors=_joined(errors) if errors else None,
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
        hashes, settings = digests(videos), scorer.settings
        tracker, match = scorer.chosen(self.candidate), settings.match
        place = (self.group, self.start)
        began = time.perf_counter()
        pairs = {"tracking": (videos.truth, track_videos(tracker, videos, *place))}
        if self.with_prediction:
            ahead = (settings.observe, settings.horizon)
            predicted = predict_videos(tracker, videos, *ahead, *place)
            pairs["prediction"] = (future_truth(videos, *ahead), predicted)
        seconds = time.perf_counter() - began
        return SpanScores(
            tracking=count_errors(*pairs["tracking"], match, visibility=videos.visibility),
            prediction=count_errors(*pairs["prediction"], match) if self.with_prediction else None,
            errors=self._errors(*pairs["tracking"], match) if self.with_events else None,
            digests=hashes,
            tracker_seconds=seconds,
            tracks=pairs if settings.backend == "motmetrics" else {},
        )

    def _errors(self, truth: Tracks, predicted: Tracks, match: MatchSettings) -> Events:
        found = events(truth, predicted, match)
        return replace(found, video=found.video + self.start)


def _joined(parts: Sequence[Events]) -> Events:
    return Events(
        **{
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(Events)
        }
    )


def spans(group: str, n_videos: int) -> list[tuple[int, int]]:
    """Start and stop of the spans that the first ``n_videos`` of a group are divided into.

    Raises:
        UsageError: no videos.
    """
    if n_videos < 1:
        raise UsageError(f"{group}: the number of videos must be at least 1, not {n_videos}")
    return [(start, min(start + SPAN, n_videos)) for start in range(0, n_videos, SPAN)]
