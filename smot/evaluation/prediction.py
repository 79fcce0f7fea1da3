"""The prediction test: a few frames are handed over, and only what follows is scored.

The tracker gets a copy of the first frames and a number of frames to predict; it never holds the
rest, so that it cannot look. Scoring starts anew at the first predicted frame: identities that
changed before it cost nothing.

Source: supplement G.1 (frames 1-3 seen, frames 4-8 predicted).
"""

from typing import Any

import numpy as np

from smot.evaluation.protocols import Batch, checked, n_objects
from smot.trackers import can_predict
from smot.tracks import Contestant, CountInformed, Oracle, Predictor, Tracks
from smot.videos import Videos


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


def predict_videos(
    tracker: Contestant,
    videos: Videos,
    observe: int,
    horizon: int,
    group: str,
    start: int,
) -> Tracks:
    """Let a tracker predict; an oracle is shown the truth of the frames seen, or told its count.

    Args:
        tracker: one for which `why_not` has no objection.
        videos: N videos.
        observe: frames handed over.
        horizon: frames to predict.
        group: where these videos are, "test/03", for the message.
        start: number of the first of them there.

    Returns:
        Tracks of frames ``observe`` to ``observe + horizon``, [N, horizon, K].

    Raises:
        DataError: the tracker failed, or gave something else; names tracker and video.
    """

    def attempt(some: slice) -> Any:
        part = videos[some]
        if isinstance(tracker, Oracle):
            H, W = part.frames.shape[2:4]
            return tracker.predict_truth(part.truth[:, :observe], (H, W), horizon)
        # A view would hold on to the frames that are to be predicted.
        seen = np.array(part.frames[:, :observe])
        if isinstance(tracker, Predictor):
            return tracker.predict(seen, horizon)
        assert isinstance(tracker, CountInformed)
        return tracker.predict_counted(seen, n_objects(part.truth[:, :observe]), horizon)

    batch = Batch(group=group, start=start, n_videos=len(videos))
    return checked(tracker.name, attempt, batch, horizon)


def future_truth(videos: Videos, observe: int, horizon: int) -> Tracks:
    """The truth of the predicted frames, [N, horizon, K]."""
    return videos.truth[:, observe : observe + horizon]
