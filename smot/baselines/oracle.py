"""Oracles: trackers that are shown the ground truth, the ladder that curves are read against."""

from dataclasses import dataclass, replace

import numpy as np

from smot.arrays import FloatArray
from smot.baselines.extrapolation import extrapolate
from smot.errors import UsageError
from smot.tracks import Tracks


@dataclass(frozen=True, kw_only=True)
class TruthOracle:
    """The ground truth itself: 1 everywhere, or the evaluation is wrong.

    In the prediction test it stands still: the last boxes seen, repeated.
    """

    name = "oracle"

    def track_truth(self, truth: Tracks, frame_size: tuple[int, int]) -> Tracks:  # noqa: ARG002
        """The truth."""
        return truth

    def predict_truth(
        self,
        seen: Tracks,
        frame_size: tuple[int, int],  # noqa: ARG002
        horizon: int,
    ) -> Tracks:
        """The last frame's boxes, standing still."""
        frames = np.full(horizon, seen.shape[1] - 1)
        return Tracks(
            boxes=seen.boxes[:, frames],
            ids=seen.ids[:, frames],
            confidence=seen.confidence[:, frames],
        )


@dataclass(frozen=True, kw_only=True)
class JitterOracle:
    """The ground truth with noise on position and size, identities kept: what sloppy boxes cost.

    Attributes:
        jitter: standard deviation of each of centre x, y, width and height, pixels.
        seed: of the noise; a video's noise depends on the seed and its own boxes alone.
    """

    name = "oracle-jitter"

    jitter: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter < 1e4:
            raise UsageError(f"oracle-jitter: jitter={self.jitter:g} must not be negative")

    def track_truth(self, truth: Tracks, frame_size: tuple[int, int]) -> Tracks:  # noqa: ARG002
        """The truth, jittered; widths and heights stay above a tenth of a pixel."""
        noise = np.stack([self._noise(boxes) for boxes in truth.boxes])
        centre = (truth.boxes[..., :2] + truth.boxes[..., 2:]) / 2 + noise[..., :2]
        size = np.maximum(truth.boxes[..., 2:] - truth.boxes[..., :2] + noise[..., 2:], 0.1)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=-1)
        return Tracks(boxes=boxes, ids=truth.ids, confidence=truth.confidence)

    def predict_truth(self, seen: Tracks, frame_size: tuple[int, int], horizon: int) -> Tracks:
        """Constant velocity from the jittered frames, reflected at the edges."""
        return extrapolate(self.track_truth(seen, frame_size), frame_size, horizon)

    def _noise(self, boxes: FloatArray) -> FloatArray:
        """Noise of one video, [T, K, 4], the same however videos are divided into batches."""
        # The boxes themselves seed the noise: batches and workers cannot change it.
        words = np.frombuffer(np.ascontiguousarray(boxes, np.float32).tobytes(), np.uint32)
        generator = np.random.default_rng(np.random.SeedSequence([self.seed, *words.tolist()]))
        return self.jitter * generator.standard_normal(boxes.shape)


@dataclass(frozen=True, kw_only=True)
class MotionOracle:
    """The truth of the frames seen, then constant velocity with reflection at the edges.

    Its prediction curve is where a perfect tracker with a perfect law of motion would stand, but
    for the rounding of positions to whole pixels.
    """

    name = "oracle-motion"

    def track_truth(self, truth: Tracks, frame_size: tuple[int, int]) -> Tracks:
        """The truth of the first three frames, then prediction.

        Source: docs/benchmark.md 5.2 (frames 1-3 seen); ours as a tracking curve.
        """
        seen = min(3, truth.shape[1])
        rest = truth.shape[1] - seen
        first = replace(truth[:, :seen], masks=None)  # of what is predicted there are none
        if rest == 0:
            return first
        return Tracks.stack([first, extrapolate(first, frame_size, rest)], axis=1)

    def predict_truth(self, seen: Tracks, frame_size: tuple[int, int], horizon: int) -> Tracks:
        """Constant velocity, reflected at the edges."""
        return extrapolate(seen, frame_size, horizon)
