"""Tracks, the one shape in which objects over time travel, and what a tracker must be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import DataError, UsageError

ABSENT = -1
WHITE = ((255, 255, 255),)
COLOURS = tuple((r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255))[1:7]
_LARGEST = np.float64(1e150)  # of a box's coordinates: areas must not overflow
_NEARLY = 12  # grey levels by which compression moves a colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracks:
    """Boxes with identities over time, for a batch of videos, padded to K entries a frame.

    Where an entry stands along K means nothing; what joins boxes over time is `ids`.

    Attributes:
        boxes: x0, y0, x1, y1, [B, T, K, 4], float64, pixels; may stick out of the frame.
        ids: identity within the video, [B, T, K], int32; -1 where the entry is not used.
        confidence: how sure the tracker is, in [0, 1], [B, T, K], float64.
        masks: 1 + the entry k of its frame that a pixel belongs to, 0 for background,
            [B, T, H, W], of an integer type; None where they are not known. Pixels of an entry
            that is not used are background.

    Raises:
        DataError: a wrong shape; an identity below -1, or twice in a frame; a box that is not
            finite or has x1 < x0 or y1 < y0; a confidence outside [0, 1]; a mask of no entry. The
            message names video and frame.
    """

    boxes: FloatArray
    ids: IntArray
    confidence: FloatArray
    masks: IntArray | None = None

    def __post_init__(self) -> None:
        boxes, ids, confidence = (
            np.asarray(self.boxes),
            np.asarray(self.ids),
            np.asarray(self.confidence),
        )
        _check_shapes(boxes, ids, confidence)
        _check_ids(ids)
        present = ids >= 0
        _check_boxes(boxes, confidence, present)
        if self.masks is not None:
            object.__setattr__(self, "masks", np.asarray(self.masks))
            _check_masks(self.masks, ids.shape)
        # Unused entries may hold anything; Tracks of the same objects must be equal.
        boxes = np.where(present[..., None], boxes, 0).astype(np.float64)
        confidence = np.where(present, confidence, 0).astype(np.float64)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "ids", ids.astype(np.int32))
        object.__setattr__(self, "confidence", confidence)

    def __repr__(self) -> str:
        B, T, K = self.shape
        found = sum(len(np.unique(ids[ids >= 0])) for ids in self.ids)
        return f"<Tracks: {B:,} videos, {T:,} frames, {found:,} objects, up to {K} in a frame>"

    def _repr_html_(self) -> str:
        """The boxes of the first videos, on black: what Jupyter shows."""
        from smot.filmstrips.notebooks import tracks_as_html

        return tracks_as_html(self)

    @classmethod
    def from_slots(
        cls, boxes: FloatArray, present: BoolArray, masks: IntArray | None = None
    ) -> Self:
        """Tracks whose identity is their slot, as ground truth has it.

        Args:
            boxes: [B, T, K, 4], pixels.
            present: where the object of a slot is in the frame, [B, T, K].
            masks: 1 + the slot of each pixel, 0 for background, [B, T, H, W]; None if not known.
        """
        ids = np.where(present, np.arange(present.shape[-1]), ABSENT)
        return cls(boxes=boxes, ids=ids, confidence=present.astype(np.float64), masks=masks)

    @property
    def present(self) -> BoolArray:
        """Which entries are used, [B, T, K]."""
        return self.ids >= 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """B videos, T frames, K entries a frame."""
        B, T, K = self.ids.shape
        return B, T, K

    def __getitem__(self, key: slice | IntArray | tuple[slice | IntArray, slice]) -> Self:
        """Some videos `tracks[4:8]`, or some frames of some videos `tracks[4:8, :3]`."""
        masks = None if self.masks is None else self.masks[key]
        return replace(
            self,
            boxes=self.boxes[key],
            ids=self.ids[key],
            confidence=self.confidence[key],
            masks=masks,
        )

    def above(self, confidence: float) -> Self:
        """Keep the entries whose confidence exceeds a threshold."""
        keep = self.present & (self.confidence > confidence)
        return replace(self, ids=np.where(keep, self.ids, ABSENT))

    @classmethod
    def stack(cls, parts: Sequence["Tracks"], *, axis: Literal[0, 1] = 0) -> Self:
        """Join batches of videos, or successive frames of the same ones, padding K to the largest.

        Args:
            parts: at least one.
            axis: 0 to join videos, 1 to join frames.

        Raises:
            DataError: no parts, parts of different numbers of frames, or of videos, or some with
                masks alone.
        """
        if len({part.shape[1 - axis] for part in parts}) != 1:
            lengths = sorted({part.shape[1 - axis] for part in parts})
            what = ("frames", "videos")[axis]
            raise DataError(f"tracks to join must have one number of {what}, not {lengths}")
        K = max(part.shape[2] for part in parts)
        grown = [part.padded(K) for part in parts]
        masks = [part.masks for part in parts if part.masks is not None]
        sizes = {None if part.masks is None else part.masks.shape[2:] for part in parts}
        if len(sizes) != 1:
            raise DataError("tracks to join must all have masks of one size, or none")
        return cls(
            boxes=np.concatenate([part.boxes for part in grown], axis),
            ids=np.concatenate([part.ids for part in grown], axis),
            confidence=np.concatenate([part.confidence for part in grown], axis),
            masks=np.concatenate(masks, axis) if masks else None,
        )

    def padded(self, n_entries: int) -> Self:
        """The same tracks with room for `n_entries` (not below K) entries a frame."""
        extra = n_entries - self.shape[2]
        if extra == 0:
            return self
        return replace(
            self,
            boxes=np.pad(self.boxes, ((0, 0), (0, 0), (0, extra), (0, 0))),
            ids=np.pad(self.ids, ((0, 0), (0, 0), (0, extra)), constant_values=ABSENT),
            confidence=np.pad(self.confidence, ((0, 0), (0, 0), (0, extra))),
        )


def _check_shapes(boxes: FloatArray, ids: IntArray, confidence: FloatArray) -> None:
    if ids.ndim != 3 or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(f"ids must be integers [B, T, K], not {ids.dtype} {list(ids.shape)}")
    if boxes.shape != (*ids.shape, 4):
        raise DataError(f"boxes must be {[*ids.shape, 4]} like ids, not {list(boxes.shape)}")
    if confidence.shape != ids.shape:
        expected, found = list(ids.shape), list(confidence.shape)
        raise DataError(f"confidence must be {expected} like ids, not {found}")


def _check_ids(ids: IntArray) -> None:
    if not ids.size:
        return
    if ids.max() > np.iinfo(np.int32).max:
        raise DataError(f"ids must fit 32 bits, not {ids.max()}")
    if ids.min() < ABSENT:
        video, frame, entry = np.argwhere(ids < ABSENT)[0]
        identity = ids[video, frame, entry]
        raise DataError(
            f"video {video}, frame {frame}: identity {identity}; unused entries must have {ABSENT}"
        )
    # Sorted, equal identities of a frame stand side by side.
    ranked = np.sort(ids, axis=-1)
    twice = (ranked[..., 1:] == ranked[..., :-1]) & (ranked[..., 1:] >= 0)
    if twice.any():
        video, frame, entry = np.argwhere(twice)[0]
        identity = ranked[video, frame, entry]
        raise DataError(f"video {video}, frame {frame}: identity {identity} appears twice")


def _check_masks(masks: IntArray, shape: tuple[int, ...]) -> None:
    B, T, K = shape
    if masks.ndim != 4 or masks.shape[:2] != (B, T) or not np.issubdtype(masks.dtype, np.integer):
        raise DataError(
            f"masks must be integers [{B}, {T}, H, W], not {masks.dtype} {list(masks.shape)}"
        )
    if masks.size and not 0 <= masks.min() <= masks.max() <= K:
        video, frame, y, x = np.argwhere((masks < 0) | (masks > K))[0]
        found = masks[video, frame, y, x]
        raise DataError(f"video {video}, frame {frame}: masks must be 0 to K = {K}, not {found}")


def _check_boxes(boxes: FloatArray, confidence: FloatArray, present: BoolArray) -> None:
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(boxes).all(-1)
        faults = {
            "is not finite": ~finite,
            "is too large for its area": finite & (np.abs(boxes) > _LARGEST).any(-1),
            "has x1 < x0 or y1 < y0": finite & (boxes[..., 2:] < boxes[..., :2]).any(-1),
            "has a confidence outside [0, 1]": ~((confidence >= 0) & (confidence <= 1)),
        }
    for fault, where in faults.items():
        if (where & present).any():
            video, frame, entry = np.argwhere(where & present)[0]
            box = [float(side) for side in boxes[video, frame, entry]]
            sure = float(confidence[video, frame, entry])
            raise DataError(
                f"video {video}, frame {frame}: box {box} (confidence {sure:g}) {fault}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Tracks and how the tracker came to them: what a picture of it at work needs.

    Attributes:
        tracks: what is reported, [B, T, K]; entry k is object k of the arrays below.
        is_new: which entries were discovered in their frame (the others were carried on from the
            last), [B, T, K].
        appearances: RGB and opacity of each object, in [0, 1], [B, T, K, 4, G, G].
        reconstruction: the frames as the tracker explains them, RGB in [0, 1], [B, T, H, W, 3].

    Raises:
        DataError: shapes that do not fit each other.
    """

    tracks: Tracks
    is_new: BoolArray
    appearances: FloatArray
    reconstruction: FloatArray

    def __post_init__(self) -> None:
        B, T, K = self.tracks.shape
        for name, leading, n_axes in (
            ("is_new", (B, T, K), 3),
            ("appearances", (B, T, K, 4), 6),
            ("reconstruction", (B, T), 5),
        ):
            shape = getattr(self, name).shape
            if len(shape) != n_axes or shape[: len(leading)] != leading:
                raise DataError(
                    f"{name} must have {n_axes} axes that begin with {list(leading)}, like the "
                    f"tracks, not {list(shape)}"
                )


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """What a tracker may know of the data before it sees a video.

    Attributes:
        dataset: "mnist", "shapes", or "video" for others than generated ones.
        frame_size: H, W, pixels.
        n_frames: T.
        max_objects: most objects in a training video.
        palette: the RGB colours that objects may have, each 0..255.
        digit_source: where digits came from ("mnist", "mnist-5k"); "" for shapes.
        background: the background's RGB colour, each 0..255.

    Raises:
        UsageError: a size or number that cannot be, no colours, or one outside 0..255.
    """

    dataset: str
    frame_size: tuple[int, int]
    n_frames: int
    max_objects: int
    palette: tuple[tuple[int, int, int], ...]
    digit_source: str = ""
    background: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        if min(*self.frame_size, self.n_frames) < 1 or self.max_objects < 0:
            H, W = self.frame_size
            raise UsageError(
                f"videos of {self.n_frames} frames of {H} x {W} pixels with up to "
                f"{self.max_objects} objects cannot be"
            )
        if not self.palette:
            raise UsageError("palette must have at least one colour")
        for colour in (*self.palette, self.background):
            if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise UsageError(f"a colour must be three numbers from 0 to 255, not {colour}")

    @classmethod
    def seen_in(cls, frame: UInt8Array, *, n_frames: int, max_objects: int = 0) -> Self:
        """What a frame of a video of unknown origin tells, RGB, [H, W, 3].

        The background is the most frequent colour. Where everything is grey, objects may be white,
        else of any of six colours, which is what trackers that come with weights ask for.
        """
        H, W, _ = frame.shape
        colours, times = np.unique(frame.reshape(-1, 3), axis=0, return_counts=True)
        background = colours[times.argmax()]
        if background.max() <= _NEARLY:
            background = np.zeros_like(background)
        grey = np.ptp(frame.astype(np.int16), axis=-1).max() <= _NEARLY
        red, green, blue = (int(part) for part in background)
        return cls(
            dataset="video",
            frame_size=(H, W),
            n_frames=n_frames,
            max_objects=max_objects,
            palette=WHITE if grey else COLOURS,
            background=(red, green, blue),
        )


def as_frames(videos: object, background: Sequence[int] | None = None) -> UInt8Array:
    """What a tracker is handed, as it expects it: uint8 RGB, [B, T, H, W, 3].

    Args:
        videos: an array or tensor: uint8 or other integers from 0 to 255, or floats from 0 to 1;
            RGB [B, T, H, W, 3], channels first [B, T, 3, H, W], grey [B, T, H, W] or
            [B, T, H, W, 1], or one RGB video [T, H, W, 3].
        background: the RGB colour that the tracker expects, each 0..255; None for any.

    Raises:
        DataError: anything else, or frames on the inverse of the expected background.
    """
    if hasattr(videos, "detach"):  # a torch tensor, perhaps on another device
        tensor = videos.detach().cpu()
        videos = tensor.float() if tensor.is_floating_point() else tensor  # no bfloat16 in numpy
    try:
        values = np.asarray(videos)
    except ValueError as error:
        raise DataError(f"frames must be an array: {error}") from None
    frames = _as_rgb(_as_uint8(values))
    if background is not None and frames.size:
        # A coarse grid of the first frames says enough, at little cost.
        sample = frames[:, 0, ::3, ::3].astype(np.int16)
        inverse = (np.abs(sample - (255 - np.array(background))) < 32).all(-1)
        if inverse.mean() > 0.5:
            raise DataError(
                f"most pixels have the inverse of the background {tuple(background)} that the "
                "tracker expects: invert the frames"
            )
    return frames


def _as_uint8(values: NDArray[Any]) -> UInt8Array:
    if values.dtype == np.uint8:
        return values
    kind = values.dtype.kind
    low, high = (values.min(), values.max()) if kind in "iuf" and values.size else (0, 0)
    if kind in "iu" and low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if kind == "f" and low >= 0 and high <= 1:  # false also where a value is not a number
        grey: UInt8Array = np.rint(255 * values).astype(np.uint8)
        return grey
    raise DataError(
        f"frames must be integers from 0 to 255 or floats from 0 to 1, not {values.dtype} from "
        f"{low:g} to {high:g}"
    )


def _as_rgb(frames: UInt8Array) -> UInt8Array:
    shape = frames.shape
    if len(shape) == 5 and shape[4] == 3:
        return frames
    if len(shape) == 5 and shape[2] == 3 and shape[4] != 1:
        return np.ascontiguousarray(np.moveaxis(frames, 2, -1))
    if len(shape) == 5 and shape[4] == 1:
        return np.repeat(frames, 3, axis=-1)
    if len(shape) == 4 and shape[3] == 3:
        return frames[None]
    # With three frames or channels in the second place, it may be one video, channels first.
    if len(shape) == 4 and shape[1] != 3:
        return np.repeat(frames[..., None], 3, axis=-1)
    raise DataError(
        f"frames must be RGB [B, T, H, W, 3] or [T, H, W, 3], or grey [B, T, H, W, 1], "
        f"not {list(shape)}"
    )


@runtime_checkable
class Tracker(Protocol):
    """Whatever turns videos into tracks. Causal: frame t's output depends on frames <= t only."""

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        ...

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        ...


@runtime_checkable
class Predictor(Tracker, Protocol):
    """A tracker that can also say how the objects go on."""

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Tracks of the `horizon` frames that follow the given ones, [B, horizon, ...].

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        ...


@runtime_checkable
class Segmenter(Tracker, Protocol):
    """A tracker that can say which object each pixel belongs to, if it is asked to."""

    def track_masks(self, videos: UInt8Array) -> Tracks:
        """What `track` gives, with masks; called in its place where the truth has masks."""
        ...


class Stream(Protocol):
    """One video, frame after frame."""

    def update(self, frame: UInt8Array) -> Tracks:
        """The objects of the next frame, RGB, [H, W, 3]: those that count, [1, 1, K]."""
        ...


@runtime_checkable
class Streamer(Tracker, Protocol):
    """A tracker that needs no more of a video than its next frame."""

    def stream(self) -> Stream:
        """Begin a video; its tracks are those of `track` with a confidence above 0.5."""
        ...


@runtime_checkable
class Explainer(Tracker, Protocol):
    """A tracker that can show what it makes of a video: a model with objects and a picture."""

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for `horizon` frames, and keep what explains both.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict after them; 0 for none.

        Returns:
            T + horizon frames; an object keeps its identity from the seen to the predicted ones.
        """
        ...


@runtime_checkable
class Tunable(Tracker, Protocol):
    """A tracker with a setting to be chosen on the validation split."""

    def candidates(self) -> Sequence[Tracker]:
        """The settings to choose from, each a tracker of its own."""
        ...


@runtime_checkable
class Oracle(Protocol):
    """A rung of the ladder that curves are read against: it is shown the ground truth."""

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        ...

    def track_truth(self, truth: Tracks, frame_size: tuple[int, int]) -> Tracks:
        """Tracks made from the truth of videos of (H, W) pixels."""
        ...

    def predict_truth(self, seen: Tracks, frame_size: tuple[int, int], horizon: int) -> Tracks:
        """Tracks of the `horizon` frames after those whose truth was seen."""
        ...


@runtime_checkable
class CountInformed(Protocol):
    """A tracker that gets the number of objects with each video: an oracle of the count."""

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        ...

    def track_counted(self, videos: UInt8Array, counts: IntArray) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3], of which there are so many, [B]."""
        ...

    def predict_counted(self, videos: UInt8Array, counts: IntArray, horizon: int) -> Tracks:
        """Tracks of the `horizon` frames that follow the given ones, [B, horizon, ...].

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            counts: objects in the frames seen of each video, [B].
            horizon: number of frames to predict, at least 1.
        """
        ...


Contestant: TypeAlias = Tracker | Oracle | CountInformed
"""Whatever can be evaluated: what it is handed differs."""
