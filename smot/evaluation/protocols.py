"""Hand videos to a tracker, and check what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smot.arrays import IntArray
from smot.errors import DataError, was_interrupted
from smot.tracks import Contestant, Oracle, Tracker, Tracks
from smot.videos import Videos


def track_videos(tracker: Contestant, videos: Videos, group: str, start: int) -> Tracks:
    """Let a tracker track videos; an oracle is shown their truth, a tracker their frames alone.

    One that is to be told how many objects a video has gets the frames and that number.

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
        if isinstance(tracker, Tracker):
            return tracker.track(part.frames)
        return tracker.track_counted(part.frames, n_objects(part.truth))

    batch = Batch(group=group, start=start, n_videos=len(videos))
    return checked(tracker.name, attempt, batch, videos.frames.shape[1])


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
    except Exception as error:  # whatever a tracker raises becomes one line
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        failing = _first_failing(attempt, batch)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"tracker {name!r} failed on {failing}: {reason}") from error
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
        except Exception:  # the search is for this; the error itself is reported above
            return Batch(group=batch.group, start=batch.start + place, n_videos=1)
    return batch
