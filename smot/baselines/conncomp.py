"""ConnComp: every connected component of one colour is an object; Hungarian linking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from smot.arrays import UInt8Array
from smot.baselines.components import Components, find_components
from smot.baselines.extrapolation import extrapolate
from smot.baselines.linking import link
from smot.errors import UsageError
from smot.tracks import ABSENT, DataDescription, Tracks, as_frames

_THRESHOLDS = (1e-4, *(15 * k / 255 for k in range(1, 31)))
# Colours that blend on one pixel are apart from both: what is tried lies close to 1.
_COSINES = (0.0, 0.95, 0.98, 0.99, 0.999, 0.9999)
_USUAL_COSINE = 0.99


@dataclass(frozen=True, kw_only=True)
class ConnComp:
    """Connected components of equal colour, linked by the Hungarian algorithm.

    Attributes:
        data: frame size, palette and background of the data.
        threshold: least summed channel difference to the background, 0..3 (each channel 0..1).
        cosine: least cosine between a pixel and the nearest colour of the palette, 0..1; pixels
            below it, in which objects blend, count as background. If not given, 0.99 where the
            palette has several colours, else 0.
        max_distance: largest step of a centroid between frames, pixels.
        min_area: smaller components are dropped, pixels.

    Raises:
        UsageError: a setting out of range.

    Source: supplement C. `threshold` and `cosine` are meant to be chosen on the validation split;
        30 pixels for `max_distance` are the authors' (docs/benchmark.md 3.1).
    """

    name = "conncomp"

    data: DataDescription
    threshold: float = 0.5
    cosine: float | None = None
    max_distance: float = 30.0
    min_area: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 3:
            raise UsageError(f"conncomp: threshold={self.threshold:g} must be in 0..3")
        if self.cosine is None:
            object.__setattr__(self, "cosine", _USUAL_COSINE if self._is_coloured else 0.0)
        elif not 0 <= self.cosine <= 1:
            raise UsageError(f"conncomp: cosine={self.cosine:g} must be in 0..1")
        if not 0 < self.max_distance < 1e6:
            raise UsageError(f"conncomp: max_distance={self.max_distance:g} must be above 0")
        if self.min_area < 1:
            raise UsageError(f"conncomp: min_area={self.min_area} must be at least 1")

    @property
    def _is_coloured(self) -> bool:
        return len(self.data.palette) > 1

    def candidates(self) -> Sequence["ConnComp"]:
        """Trackers to choose from on the validation split: one per threshold, and per cosine.

        With one colour the cosine decides nothing; with several, every other threshold is tried.

        Source: docs/benchmark.md 3.1: multiples of 15/255, the steps of the authors' tuned
            values, and "any difference at all".
        """
        if not self._is_coloured:
            return [replace(self, threshold=threshold) for threshold in _THRESHOLDS]
        return [
            replace(self, threshold=threshold, cosine=cosine)
            for cosine in _COSINES
            for threshold in _THRESHOLDS[::2]
        ]

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]; every confidence is 1."""
        return self._track(videos)

    def track_masks(self, videos: UInt8Array) -> Tracks:
        """The same with masks: the components."""
        return self._track(videos, masks=True)

    def _track(self, videos: UInt8Array, *, masks: bool = False) -> Tracks:
        videos = as_frames(videos, self.data.background)
        assert self.cosine is not None  # it was set when this was made
        B, T, H, W, C = videos.shape
        components = find_components(
            videos.reshape(B * T, H, W, C),
            palette=np.asarray(self.data.palette, np.float64).reshape(-1, 3),
            background=np.asarray(self.data.background, np.float64),
            threshold=self.threshold,
            cosine=self.cosine,
            min_area=self.min_area,
            masks=masks,
        )
        ids = link(components, B, self.max_distance) if B else np.zeros(0, np.int32)
        return _padded(components, ids, (B, T))

    def stream(self) -> "ConnCompStream":
        """Begin a video that comes frame after frame."""
        return ConnCompStream(self)

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Move each track on at constant velocity, reflected at the edges."""
        videos = as_frames(videos, self.data.background)
        _, _, H, W, _ = videos.shape
        return extrapolate(self.track(videos), (H, W), horizon)


class ConnCompStream:
    """ConnComp on one video: an identity follows from the frame before, and nothing else."""

    def __init__(self, tracker: ConnComp) -> None:
        self._tracker = tracker
        self._last: UInt8Array | None = None
        self._ids = np.zeros(0, np.int32)
        self._n_identities = 0

    def update(self, frame: UInt8Array) -> Tracks:
        """The objects of the next frame, RGB, [H, W, 3], [1, 1, K]."""
        pair = [frame] if self._last is None else [self._last, frame]
        tracks = self._tracker.track(np.stack(pair)[None])[:, -1:]
        # Of a pair, the first frame's objects are numbered in their order, then the new ones.
        ids = tracks.ids[0, 0][tracks.present[0, 0]]
        known = np.concatenate([self._ids, self._n_identities + np.arange(len(ids))])
        self._last, self._ids = frame, known[ids].astype(np.int32)
        self._n_identities = max(self._n_identities, int(self._ids.max(initial=ABSENT)) + 1)
        shown = np.full((1, 1, tracks.shape[2]), ABSENT, np.int32)
        shown[0, 0, : len(ids)] = self._ids
        return Tracks(boxes=tracks.boxes, ids=shown, confidence=tracks.confidence)


def _padded(components: Components, ids: np.ndarray, shape: tuple[int, int]) -> Tracks:
    """Tracks [B, T, K] from the components of B * T frames."""
    B, T = shape
    counts = np.diff(components.first)
    K = int(counts.max(initial=0))
    frame = np.repeat(np.arange(B * T), counts)
    entry = np.arange(len(ids)) - components.first[frame]
    boxes = np.zeros((B * T, K, 4))
    identity = np.full((B * T, K), ABSENT, np.int32)
    boxes[frame, entry] = components.boxes
    identity[frame, entry] = ids
    masks = components.masks
    return Tracks(
        boxes=boxes.reshape(B, T, K, 4),
        ids=identity.reshape(B, T, K),
        confidence=(identity >= 0).astype(np.float64).reshape(B, T, K),
        masks=None if masks is None else masks.reshape(B, T, *masks.shape[1:]),
    )
