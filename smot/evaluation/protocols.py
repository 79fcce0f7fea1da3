"""Hand videos to a tracker, and check what it gives back: tracking, and the prediction test.

In the prediction test the tracker gets a copy of the first frames and a number of frames to
predict; it never holds the rest, so that it cannot look. Scoring starts anew at the first
predicted frame: identities that changed before it cost nothing.

Source: supplement G.1 (frames 1-3 seen, frames 4-8 predicted).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smot.arrays import IntArray, UInt8Array
from smot.errors import DataError, UsageError, described, was_interrupted
from smot.evaluation.metrics.matching import Convention, MatchSettings
from smot.trackers import can_predict
from smot.tracks import Contestant, CountInformed, Oracle, Predictor, Tracker, Tracks
from smot.videos import Videos

BACKENDS = ("smot", "motmetrics")


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
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


def why_not(tracker: Contestant, n_frames: int, observe: int, horizon: int) -> str:
    """Why there can be no prediction test; "" if there can."""
    if not can_predict(tracker):
        return f"{tracker.name} has no predict(videos, horizon)"
    if n_frames < observe + horizon:
        return (
            f"the videos have {n_frames} frames, and {observe} seen and {horizon} predicted "
            f"need {observe + horizon}"
        )
    return ""


def track_videos(tracker: Contestant, videos: Videos, group: str, start: int) -> Tracks:
    """Let a tracker track videos; an oracle gets their truth, a tracker their frames alone.

    A tracker with `track_counted` gets the frames and the number of objects of each video.

    Args:
        tracker: whose turn it is.
        videos: N videos of T frames.
        group: where they are, "test/03", for the message.
        start: number of the first of them there.

    Returns:
        Tracks, [N, T, K].

    Raises:
        DataError: the tracker failed, or gave something else; names tracker and video.
    """

    def attempt(some: slice) -> Any:
        part = videos[some]
        if isinstance(tracker, Oracle):
            H, W = part.frames.shape[2:4]
            return tracker.track_truth(part.truth, (H, W))
        frames = _handed_over(part.frames)
        if isinstance(tracker, Tracker):
            return tracker.track(frames)
        return tracker.track_counted(frames, n_objects(part.truth))

    batch = Batch(group=group, start=start, n_videos=len(videos))
    return checked(tracker.name, attempt, batch, videos.frames.shape[1])


def predict_videos(
    tracker: Contestant,
    videos: Videos,
    observe: int,
    horizon: int,
    group: str,
    start: int,
) -> Tracks:
    """Let a tracker predict; an oracle gets the truth of the frames seen, or their count.

    Args:
        tracker: one for which `why_not` has no objection.
        videos: N videos.
        observe: frames handed over.
        horizon: frames to predict.
        group: where these videos are, "test/03", for the message.
        start: number of the first of them there.

    Returns:
        Tracks of frames `observe` to `observe + horizon`, [N, horizon, K].

    Raises:
        DataError: the tracker failed, or gave something else; names tracker and video.
    """

    def attempt(some: slice) -> Any:
        part = videos[some]
        if isinstance(tracker, Oracle):
            H, W = part.frames.shape[2:4]
            return tracker.predict_truth(part.truth[:, :observe], (H, W), horizon)
        seen = _handed_over(part.frames[:, :observe])
        if isinstance(tracker, Predictor):
            return tracker.predict(seen, horizon)
        assert isinstance(tracker, CountInformed)
        return tracker.predict_counted(seen, n_objects(part.truth[:, :observe]), horizon)

    batch = Batch(group=group, start=start, n_videos=len(videos))
    return checked(tracker.name, attempt, batch, horizon)


def _handed_over(frames: UInt8Array) -> UInt8Array:
    """A copy that cannot be written to: what a tracker does to it reaches nothing else.

    A view would also hold on to the frames that are to be predicted.
    """
    copy = np.array(frames)
    copy.flags.writeable = False
    return copy


def n_objects(truth: Tracks) -> IntArray:
    """How many objects, by their identities, are in each video, [B]."""
    return np.array([len(np.unique(ids[ids >= 0])) for ids in truth.ids], np.int64)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Which videos were handed over.

    Attributes:
        group: "test/03".
        start: the first of them.
        n_videos: how many.
    """

    group: str
    start: int
    n_videos: int

    def __str__(self) -> str:
        if self.n_videos == 1:
            return f"video {self.start} of {self.group}"
        return f"videos {self.start} to {self.start + self.n_videos - 1} of {self.group}"


def checked(name: str, attempt: Callable[[slice], Any], batch: Batch, n_frames: int) -> Tracks:
    """Take what a tracker gives for a batch, or say which video it fails on.

    Args:
        name: the tracker's.
        attempt: lets the tracker do some videos of the batch.
        batch: which videos these are.
        n_frames: that each video's tracks must have.

    Raises:
        DataError: the tracker raised, or its answer has the wrong type or shape.
    """
    try:
        given = attempt(slice(None))
    except (Exception, SystemExit) as error:  # whatever a tracker raises becomes one line
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        failing = _first_failing(attempt, batch)
        raise DataError(f"tracker {name!r} failed on {failing}: {described(error)}") from error
    if not isinstance(given, Tracks):
        raise DataError(f"tracker {name!r} gave {type(given).__name__} on {batch}, not Tracks")
    if given.shape[:2] != (batch.n_videos, n_frames):
        B, T, _ = given.shape
        raise DataError(
            f"tracker {name!r} gave tracks of {B} videos of {T} frames on {batch}, "
            f"not of {batch.n_videos} videos of {n_frames}"
        )
    return given


def _first_failing(attempt: Callable[[slice], Any], batch: Batch) -> Batch:
    """The first video that fails on its own; the batch if it takes several together."""
    for place in range(batch.n_videos):
        try:
            attempt(slice(place, place + 1))
        except (Exception, SystemExit):  # searched for here, reported above
            return Batch(group=batch.group, start=batch.start + place, n_videos=1)
    return batch
