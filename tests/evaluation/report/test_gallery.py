from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from smot.arrays import UInt8Array
from smot.baselines.oracle import TruthOracle
from smot.errors import DataError, UsageError
from smot.evaluation.report.gallery import follow, foresee
from smot.generators import ShapesSettings, render
from smot.trackers import build_tracker
from smot.tracks import Explainer, Predictor, Segmenter, Trace, Tracks
from smot.videos import Videos
from tests.evaluation.made_trackers import Still


@pytest.fixture(scope="module")
def video() -> Videos:
    """One of 6 frames, with 2 objects."""
    indices = np.arange(1)
    return render(ShapesSettings(n_frames=6), None, seed=1, split="test/02", indices=indices)


@dataclass
class Explaining:
    """Sees two objects, and is sure of the first."""

    fails: bool = False
    n_extra: int = 0
    name: str = "explaining"
    shown: list[UInt8Array] = field(default_factory=list)

    def track(self, videos: UInt8Array) -> Tracks:
        return self.trace(videos).tracks

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        return self.trace(videos, horizon).tracks[:, -horizon:]

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        if self.fails:
            raise ValueError("lost\nit")
        self.shown.append(videos)
        B, T = len(videos), videos.shape[1] + horizon + self.n_extra
        tracks = Tracks(
            boxes=np.tile(np.array([0, 0, 5, 5], np.float32), (B, T, 2, 1)),
            ids=np.tile(np.arange(2), (B, T, 1)),
            confidence=np.tile(np.array([0.9, 0.3], np.float32), (B, T, 1)),
        )
        return Trace(
            tracks=tracks,
            is_new=np.zeros((B, T, 2), bool),
            appearances=np.zeros((B, T, 2, 4, 3, 3), np.float32),
            reconstruction=np.zeros((B, T, *videos.shape[2:]), np.float32),
        )


def test_what_counts_is_shown(video: Videos) -> None:
    tracker = Explaining()
    assert isinstance(tracker, Explainer)
    shown = follow(tracker, video, "test/02", 0)
    assert shown.trace is not None
    assert shown.trace.tracks is shown.tracks
    assert (shown.tracks.ids == [0, -1]).all()


def _conncomp() -> Predictor:
    data = ShapesSettings(n_frames=6).describe("")
    tracker = build_tracker("conncomp", {}, data)
    assert isinstance(tracker, Predictor)
    return tracker


def test_a_tracker_that_explains_nothing_shows_its_tracks(video: Videos) -> None:
    shown = follow(_conncomp(), video, "test/02", 0)
    assert shown.trace is None
    assert shown.tracks.shape[:2] == (1, 6)


def test_oracles_show_the_truth(video: Videos) -> None:
    shown = follow(TruthOracle(), video, "test/02", 0)
    assert np.array_equal(shown.tracks.boxes, video.truth.boxes)


def test_only_the_seen_frames_are_handed_over(video: Videos) -> None:
    tracker = Explaining()
    shown = foresee(tracker, video, 2, 3, "test/02", 0)
    assert shown.tracks.shape[:2] == (1, 5)
    (seen,) = tracker.shown
    assert np.array_equal(seen, video.frames[:, :2])
    assert seen.base is None


def test_seen_and_predicted_tracks_follow_each_other(video: Videos) -> None:
    tracker, other = _conncomp(), replace(video, frames=video.frames.copy())
    other.frames[:, 2:] = 0
    shown = foresee(tracker, other, 2, 3, "test/02", 0)
    n_entries = shown.tracks.shape[2]
    tracked = tracker.track(video.frames[:, :2]).padded(n_entries)
    predicted = tracker.predict(video.frames[:, :2], 3).padded(n_entries)
    assert np.array_equal(shown.tracks.ids[:, :2], tracked.ids)
    assert np.array_equal(shown.tracks.boxes[:, 2:], predicted.boxes)


def test_masks_given_unasked_do_not_stand_in_the_way_of_a_prediction(
    video: Videos, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = _conncomp()
    assert isinstance(tracker, Segmenter)
    monkeypatch.setattr(type(tracker), "track", type(tracker).track_masks)
    assert foresee(tracker, video, 2, 3, "test/02", 0).tracks.masks is None


def test_failures_name_tracker_and_video(video: Videos) -> None:
    with pytest.raises(
        DataError, match=r"'explaining' failed on video 7 of val: ValueError: lost .*line"
    ):
        follow(Explaining(fails=True), video, "val", 7)
    with pytest.raises(DataError, match="not of 1 videos of 6"):
        follow(Explaining(n_extra=1), video, "val", 7)


def test_no_prediction_where_there_is_none(video: Videos) -> None:
    with pytest.raises(UsageError, match="no prediction: still has no predict"):
        foresee(Still(), video, 3, 2, "val", 0)
    with pytest.raises(UsageError, match="the videos have 6 frames"):
        foresee(Explaining(), video, 3, 4, "val", 0)
