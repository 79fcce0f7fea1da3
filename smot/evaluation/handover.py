"""Hand videos to a tracker, and check what it gives back."""

from collections.abc import Callable
from typing import Any

from smot.errors import DataError, was_interrupted
from smot.tracks import Oracle, Tracker, Tracks
from smot.videos import Videos


def track_videos(tracker: Tracker | Oracle, videos: Videos, where: str) -> Tracks:
    """Let a tracker track videos; an oracle is shown their truth, a tracker their frames alone.

    Args:
        tracker: whose turn it is.
        videos: N videos of T frames.
        where: which videos these are, "test/03 from video 64", for the message.

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
        return tracker.track(part.frames)

    return checked(tracker.name, attempt, len(videos), videos.frames.shape[1], where)


def checked(
    name: str, attempt: Callable[[slice], Any], n_videos: int, n_frames: int, where: str
) -> Tracks:
    """Take what a tracker gives for a batch, or say which video it fails on.

    Args:
        name: the tracker's.
        attempt: lets the tracker do some videos of the batch.
        n_videos: in the batch.
        n_frames: that each video's tracks must have.
        where: which batch it is.

    Raises:
        DataError: the tracker raised, or its answer has the wrong type or shape.
    """
    try:
        given = attempt(slice(None))
    except Exception as error:  # whatever a tracker raises becomes one line
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        video = _first_failing(attempt, n_videos)
        place = f"{where}, video {video} of the batch" if video is not None else where
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"tracker {name!r} failed at {place}: {reason}") from error
    if not isinstance(given, Tracks):
        raise DataError(f"tracker {name!r} gave {type(given).__name__} at {where}, not Tracks")
    if given.shape[:2] != (n_videos, n_frames):
        B, T, _ = given.shape
        raise DataError(
            f"tracker {name!r} gave tracks of {B} videos of {T} frames at {where}, "
            f"not of {n_videos} videos of {n_frames}"
        )
    return given


def _first_failing(attempt: Callable[[slice], Any], n_videos: int) -> int | None:
    """The first video that fails on its own; None if it takes several together."""
    for video in range(n_videos):
        try:
            attempt(slice(video, video + 1))
        except Exception:  # the search is for this; the error itself is reported above
            return video
    return None
