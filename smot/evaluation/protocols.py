"""What an evaluation does with a span of videos: predict, track, and count what went wrong.

In the prediction test the tracker gets a copy of the first frames and a number of frames to
predict; it never holds the rest, so that it cannot look. Scoring starts anew at the first
predicted frame: identities that changed before it cost nothing.

Source: supplement G.1 (frames 1-3 seen, frames 4-8 predicted).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from smot.arrays import IntArray, UInt8Array
from smot.errors import DataError, UsageError, described, was_interrupted
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.events import Events, events
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.testsets import SPAN, Plan, VideoSource
from smot.trackers import Recipe, build_tracker
from smot.tracks import (
    Contestant,
    CountInformed,
    Oracle,
    Predictor,
    Segmenter,
    Tracker,
    Tracks,
    Tunable,
)
from smot.videos import Videos
from smot.videos.content import digests

BACKENDS = ("smot", "motmetrics")


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(MatchSettings):
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

    backend: str = "smot"
    observe: int = 3
    horizon: int = 5
    n_resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
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


DEFAULTS = EvaluationSettings()


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
        with_tracks: whether to keep the tracks.
    """

    tracker: Contestant | Recipe
    data: VideoSource
    plan: Plan
    settings: EvaluationSettings = DEFAULTS
    tune: str | None = None
    workers: int = 1
    with_events: bool = False
    with_tracks: bool = False


class Scorer:
    """What a process holds: the job, and its own tracker.

    Attributes:
        job: what is evaluated.
        tracker: the tracker as it is.
        candidates: what tuning may choose from; empty if it cannot be tuned.

    Raises:
        UsageError: see `smot.trackers.build_tracker`.
        DataError: the tracker has no candidates, though it says so.
    """

    def __init__(self, job: Job) -> None:
        tracker = job.tracker
        if isinstance(tracker, Recipe):
            tracker = build_tracker(tracker.target, tracker.options, tracker.data)
        self.job, self.tracker = job, tracker
        try:
            self.candidates = list(tracker.candidates()) if isinstance(tracker, Tunable) else []
        except (Exception, SystemExit) as error:  # a tracker's own code
            raise DataError(
                f"tracker {tracker.name!r} failed in candidates(): {described(error)}"
            ) from error

    @property
    def no_prediction(self) -> str:
        """Why there is no prediction test; "" if there is."""
        n_frames, settings = self.job.data.description.n_frames, self.job.settings
        return why_not(self.tracker, n_frames, settings.observe, settings.horizon)

    def chosen(self, candidate: int | None) -> Contestant:
        """The tracker as it is, or one of its candidates."""
        return self.tracker if candidate is None else self.candidates[candidate]


def why_not(tracker: Contestant, n_frames: int, observe: int, horizon: int) -> str:
    """Why there can be no prediction test; "" if there can."""
    if not isinstance(tracker, Predictor | Oracle | CountInformed):
        return f"{tracker.name} has no predict(videos, horizon)"
    if n_frames < observe + horizon:
        return (
            f"the videos have {n_frames} frames, and {observe} seen and {horizon} predicted "
            f"need {observe + horizon}"
        )
    return ""


@dataclass(frozen=True, kw_only=True)
class SpanScores:
    """What was found on a span of n videos.

    Attributes:
        tracking: counts over all frames, n rows.
        prediction: counts over the predicted frames, n rows; None without prediction.
        errors: each single one, videos numbered within the group; None if not asked for.
        digests: hash of each video, [n, 32].
        tracker_seconds: spent in the tracker.
        tracks: truth and tracks by protocol, where they are wanted; else empty.
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


def spans(n_videos: int) -> list[tuple[int, int]]:
    """Start and stop of the spans that the first `n_videos` of a group are divided into."""
    return [(start, min(start + SPAN, n_videos)) for start in range(0, n_videos, SPAN)]


def score_span(
    scorer: Scorer, *, group: str, start: int, stop: int, candidate: int | None = None
) -> SpanScores:
    """Let the tracker predict and track videos [start, stop) of a group, and count its errors.

    Args:
        scorer: of this process.
        group: "test/03".
        start: first video.
        stop: one past the last.
        candidate: which of a tunable tracker's candidates to use; None for itself.
    """
    settings, tracker = scorer.job.settings, scorer.chosen(candidate)
    data = scorer.job.data
    videos = data.read(group, start, stop, masks=data.has_masks)
    # The fingerprint is taken before a tracker touches the frames; masks do not change a video.
    hashes, truth = digests(replace(videos, owner=None)), videos.truth
    observe, horizon, match = settings.observe, settings.horizon, settings.match
    pairs, prediction, place = {}, None, (group, start)
    began = time.perf_counter()
    # First the prediction: a tracker that remembers what it tracked could look it up.
    if not scorer.no_prediction:
        predicted = predict_videos(tracker, videos, observe, horizon, place)
        pairs["prediction"] = truth[:, observe : observe + horizon], predicted
    pairs["tracking"] = truth, track_videos(tracker, videos, place)
    seconds = time.perf_counter() - began
    tracking = count_errors(*pairs["tracking"], match, visibility=videos.visibility)
    if "prediction" in pairs:
        prediction = count_errors(*pairs["prediction"], match)
    listed = scorer.job.with_events
    return SpanScores(
        tracking=tracking,
        prediction=prediction,
        errors=events(*pairs["tracking"], match, first_video=start) if listed else None,
        digests=hashes,
        tracker_seconds=seconds,
        tracks=pairs if settings.backend == "motmetrics" or scorer.job.with_tracks else {},
    )


def predict_videos(
    tracker: Contestant, videos: Videos, observe: int, horizon: int, place: tuple[str, int]
) -> Tracks:
    """Let a tracker predict; an oracle gets the truth of the frames seen, or their count.

    Args:
        tracker: one for which `why_not` has no objection.
        videos: N videos.
        observe: frames handed over.
        horizon: frames to predict.
        place: group of the videos and number of the first, for messages.

    Returns:
        Tracks of frames `observe` to `observe + horizon`, [N, horizon, K].

    Raises:
        DataError: see `checked`.
    """

    def attempt(part: Videos) -> Any:
        if isinstance(tracker, Oracle):
            H, W = part.frames.shape[2:4]
            return tracker.predict_truth(part.truth[:, :observe], (H, W), horizon)
        seen = _handed_over(part.frames[:, :observe])
        if isinstance(tracker, Predictor):
            return tracker.predict(seen, horizon)
        assert isinstance(tracker, CountInformed)
        return tracker.predict_counted(seen, _n_objects(part.truth[:, :observe]), horizon)

    return checked(tracker.name, attempt, videos, place, horizon)


def track_videos(tracker: Contestant, videos: Videos, place: tuple[str, int]) -> Tracks:
    """Let a tracker track all frames, [N, T, K]; arguments and errors of `predict_videos`.

    An oracle gets the truth of the videos, a tracker their frames alone, and a tracker with
    `track_counted` the frames and the number of objects of each video. Masks are asked for where
    the videos have them.
    """

    def attempt(part: Videos) -> Any:
        if isinstance(tracker, Oracle):
            H, W = part.frames.shape[2:4]
            return tracker.track_truth(part.truth, (H, W))
        frames = _handed_over(part.frames)
        if isinstance(tracker, Segmenter) and part.owner is not None:
            return tracker.track_masks(frames)
        if isinstance(tracker, Tracker):
            return tracker.track(frames)
        return tracker.track_counted(frames, _n_objects(part.truth))

    return checked(tracker.name, attempt, videos, place, videos.frames.shape[1])


def _handed_over(frames: UInt8Array) -> UInt8Array:
    """A copy that cannot be written to: what a tracker does to it reaches nothing else.

    A view would also hold on to the frames that are to be predicted.
    """
    copy = np.array(frames)
    copy.flags.writeable = False
    return copy


def _n_objects(truth: Tracks) -> IntArray:
    """How many objects, by their identities, are in each video, [B]."""
    return np.array([len(np.unique(ids[ids >= 0])) for ids in truth.ids], np.int64)


def checked(
    name: str,
    attempt: Callable[[Videos], Any],
    videos: Videos,
    place: tuple[str, int],
    n_frames: int,
) -> Tracks:
    """What a tracker gives for videos.

    Args:
        name: the tracker's.
        attempt: lets the tracker do some of the videos.
        videos: all of them.
        place: their group and the number of the first, for messages.
        n_frames: that each video's tracks must have.

    Raises:
        DataError: the tracker raised, or its answer has the wrong type or shape; names tracker
            and video.
    """
    N = len(videos.frames)
    where = _named(place, 0, N)
    try:
        given = attempt(videos)
    except (Exception, SystemExit) as error:  # whatever a tracker raises becomes one line
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        where = _first_failing(attempt, videos, place)
        raise DataError(f"tracker {name!r} failed on {where}: {described(error)}") from error
    if not isinstance(given, Tracks):
        raise DataError(f"tracker {name!r} gave {type(given).__name__} on {where}, not Tracks")
    B, T, _ = given.ids.shape
    if (N, n_frames) != (B, T):
        raise DataError(
            f"tracker {name!r} gave tracks of {B} videos of {T} frames on {where}, "
            f"not of {N} videos of {n_frames}"
        )
    size = videos.frames.shape[2:4]
    if given.masks is not None and given.masks.shape[2:] != size:
        sizes = "masks of {} x {} pixels on {}, not of {} x {}"
        named = sizes.format(*given.masks.shape[2:], where, *size)
        raise DataError(f"tracker {name!r} gave {named}")
    return given


def _first_failing(
    attempt: Callable[[Videos], Any], videos: Videos, place: tuple[str, int]
) -> str:
    """The first video that fails on its own; all if it takes several together."""
    N = len(videos.frames)
    for index in range(N):
        try:
            attempt(videos[index : index + 1])
        except (Exception, SystemExit):  # searched for here, reported above
            return _named(place, index, 1)
    return _named(place, 0, N)


def _named(place: tuple[str, int], index: int, n_videos: int) -> str:
    first = place[1] + index
    if n_videos == 1:
        return f"video {first} of {place[0]}"
    return f"videos {first} to {first + n_videos - 1} of {place[0]}"
