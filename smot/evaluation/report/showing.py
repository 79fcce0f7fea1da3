"""One video in the hands of a tracker, to be looked at."""

from dataclasses import dataclass, replace

import numpy as np

from smot.errors import DataError, UsageError, was_interrupted
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.prediction import predict_videos, why_not
from smot.evaluation.protocols import Batch, checked, track_videos
from smot.tracks import Contestant, Explainer, Trace, Tracks
from smot.videos import Videos


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a tracker makes of one video.

    Attributes:
        tracks: what it is scored on, B = 1.
        trace: how it came to them, with these tracks; None if it does not say.
    """

    tracks: Tracks
    trace: Trace | None = None


def follow(tracker: Contestant, video: Videos, group: str, index: int) -> Shown:
    """Let a tracker see all frames of a video.

    Args:
        tracker: whose turn it is.
        video: N = 1.
        group: where it is, "test/03", for the message.
        index: its number there.

    Raises:
        DataError: the tracker failed; names tracker and video.
    """
    if isinstance(tracker, Explainer):
        return _explained(tracker, video, 0, Batch(group=group, start=index, n_videos=1))
    return Shown(tracks=_above(track_videos(tracker, video, group, index)))


def foresee(
    tracker: Contestant, video: Videos, observe: int, horizon: int, group: str, index: int
) -> Shown:
    """Let a tracker see some frames of a video and predict the next.

    Args:
        tracker: whose turn it is.
        video: N = 1.
        observe: frames seen, at least 1.
        horizon: frames predicted, at least 1.
        group: where the video is, "test/03", for the message.
        index: its number there.

    Returns:
        Tracks of ``observe + horizon`` frames.

    Raises:
        UsageError: the tracker does not predict, or the video is too short.
        DataError: the tracker failed; names tracker and video.
    """
    reason = why_not(tracker, video.frames.shape[1], observe, horizon)
    if reason:
        raise UsageError(f"no prediction: {reason}")
    seen = first_frames(video, observe)
    if isinstance(tracker, Explainer):
        return _explained(tracker, seen, horizon, Batch(group=group, start=index, n_videos=1))
    followed = track_videos(tracker, seen, group, index)
    predicted = predict_videos(tracker, video, observe, horizon, group, index)
    return Shown(tracks=_above(_one_after_another(followed, predicted)))


def first_frames(videos: Videos, n_frames: int) -> Videos:
    """Copies of the first frames of videos, and what is in them."""
    return replace(
        videos,
        frames=np.array(videos.frames[:, :n_frames]),
        boxes=videos.boxes[:, :n_frames],
        present=videos.present[:, :n_frames],
        visibility=videos.visibility[:, :n_frames],
    )


def _explained(tracker: Explainer, seen: Videos, horizon: int, batch: Batch) -> Shown:
    try:
        trace = tracker.trace(seen.frames, horizon)
    except Exception as error:  # whatever a tracker raises becomes one line
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"tracker {tracker.name!r} failed on {batch}: {reason}") from error
    n_frames = seen.frames.shape[1] + horizon
    tracks = _above(checked(tracker.name, lambda _: trace.tracks, batch, n_frames))
    return Shown(tracks=tracks, trace=replace(trace, tracks=tracks))


def _above(tracks: Tracks) -> Tracks:
    """What counts for MOTA."""
    return tracks.above(MatchSettings().confidence)


def _one_after_another(first: Tracks, then: Tracks) -> Tracks:
    """Tracks of consecutive frames of the same videos."""
    n_entries = max(first.shape[2], then.shape[2])
    parts = first.padded(n_entries), then.padded(n_entries)
    return Tracks(
        boxes=np.concatenate([part.boxes for part in parts], axis=1),
        ids=np.concatenate([part.ids for part in parts], axis=1),
        confidence=np.concatenate([part.confidence for part in parts], axis=1),
    )
