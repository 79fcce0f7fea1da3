"""The boxes of one video as a file has them: also those that do not count, and their classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.optimize import linear_sum_assignment

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.boxes import areas, intersections, iou
from smot.interchange.flat import from_arrays, to_arrays
from smot.tracks import Tracks

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)
"""Classes of MOTChallenge that count neither way: on vehicles, static, dolls, reflections."""
MOT20_DISTRACTORS = (*DISTRACTORS, 6)
_SLACK = float(np.finfo(np.float64).eps)
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotation:
    """N boxes of one video, in any order.

    Attributes:
        name: of the video.
        frame: from 0, [N].
        identity: within the video, [N].
        box: x0, y0, x1, y1, [N, 4], pixels.
        confidence: in [0, 1], [N].
        category: class, [N], integers; 1 where the file has none.
        counts: true boxes that are to be found; others are there to excuse predictions, [N].
        is_region: areas in which nothing is counted, [N]; they have no identity.
        visibility: in [0, 1], [N]; None if the file does not say.
        n_frames: T; None if the file does not say.
        frame_size: H, W, pixels; None if the file does not say.
        assumed_first: number of the first frame if it had to be assumed; None if it is known.
    """

    name: str
    frame: IntArray
    identity: IntArray
    box: FloatArray
    confidence: FloatArray
    category: IntArray
    counts: BoolArray
    is_region: BoolArray
    visibility: FloatArray | None = None
    n_frames: int | None = None
    frame_size: tuple[int, int] | None = None
    assumed_first: int | None = None

    @classmethod
    def of(
        cls,
        name: str,
        tracks: Tracks,
        *,
        visibility: FloatArray | None = None,
        label: IntArray | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> Self:
        """The boxes of tracks of one video, [1, T, K], with what is known of its slots.

        Args:
            name: of the video.
            tracks: all of them count.
            visibility: [1, T, K].
            label: class of each slot, [1, K], from 0.
            frame_size: H, W, pixels.
        """
        rows = to_arrays(tracks)
        place = rows.video, rows.frame, rows.slot
        n = len(rows.frame)
        return cls(
            name=name,
            frame=rows.frame,
            identity=rows.identity,
            box=rows.box,
            confidence=rows.confidence,
            category=np.ones(n, np.int64) if label is None else 1 + label[0, rows.slot],
            counts=np.ones(n, np.bool_),
            is_region=np.zeros(n, np.bool_),
            visibility=None if visibility is None else visibility[place].astype(np.float64),
            n_frames=rows.n_frames,
            frame_size=frame_size,
        )

    @property
    def length(self) -> int:
        """Frames there are at least."""
        return max(self.n_frames or 0, int(self.frame.max(initial=-1)) + 1)

    @property
    def is_object(self) -> BoolArray:
        """Which boxes are objects that are to be found, [N]."""
        return self.counts & ~self.is_region

    def __getitem__(self, keep: BoolArray) -> Self:
        """Some of the boxes."""
        names = ("frame", "identity", "box", "confidence", "category", "counts", "is_region")
        kept = {name: getattr(self, name)[keep] for name in names}
        seen = None if self.visibility is None else self.visibility[keep]
        return replace(self, **kept, visibility=seen)

    def called(self, name: str) -> Self:
        """The same under another name."""
        return replace(self, name=name)

    def tracks(self, n_frames: int | None = None) -> Tracks:
        """All boxes as tracks, [1, T, K]; T is `length` if it is not given.

        Raises:
            DataError: an identity twice in a frame, or a box that cannot be.
        """
        return self._padded(self.confidence, n_frames)

    def visibilities(self, n_frames: int | None = None) -> FloatArray | None:
        """Visibility in the slots of `tracks`, [1, T, K]; None if it is not known."""
        if self.visibility is None:
            return None
        return self._padded(self.visibility, n_frames).confidence

    def _padded(self, values: FloatArray, n_frames: int | None) -> Tracks:
        return from_arrays(
            frame=self.frame,
            identity=self.identity,
            box=self.box,
            confidence=values,
            n_frames=self.length if n_frames is None else n_frames,
        )


def excused(truth: Annotation, found: Annotation, removes: BoolArray) -> BoolArray:
    """Which predictions are taken out, because they fit what does not count, [N'].

    In each frame predictions are assigned to the true boxes at the largest sum of IoU, pairs
    below 0.5 left out. Those assigned to a box that removes are taken out, and so are those that
    are assigned to none and lie by more than half in a region.

    Args:
        truth: true boxes of any kind, [N], regions among them.
        found: predictions, [N'].
        removes: which true boxes take out what they are assigned, [N].

    Source: TrackEval 1.3.0, datasets/mot_challenge_2d_box.py and kitti_2d_box.py.
    """
    out = np.zeros(len(found.frame), np.bool_)
    for frame in np.unique(truth.frame[removes | truth.is_region]):
        here = np.flatnonzero(found.frame == frame)
        true = np.flatnonzero((truth.frame == frame) & ~truth.is_region)
        regions = truth.box[(truth.frame == frame) & truth.is_region]
        overlap = iou(truth.box[true], found.box[here])
        overlap[overlap < _LEAST_OVERLAP - _SLACK] = 0
        rows, columns = linear_sum_assignment(-overlap)
        matched = overlap[rows, columns] > _SLACK
        rows, columns = rows[matched], columns[matched]
        out[here[columns[removes[true[rows]]]]] = True
        rest = np.delete(here, columns)
        boxes = found.box[rest]
        inside = intersections(boxes, regions) / np.maximum(areas(boxes), _SLACK)[:, None]
        out[rest[(inside > _LEAST_OVERLAP + _SLACK).any(1)]] = True
    return out


def comparable(
    truth: Annotation, found: Annotation, classes: str | int
) -> tuple[Annotation, Annotation]:
    """The true boxes that are to be found, and the predictions that are held against them.

    Args:
        truth: everything that the file has.
        found: predictions of the same video.
        classes: "motchallenge" for pedestrians, with other people and mirror images taking out
            predictions; "together" for all classes as one; or one class. In the last two, true
            boxes that do not count take out predictions.
    """
    distractors: Sequence[int] = ()
    if classes == "motchallenge":
        distractors = MOT20_DISTRACTORS if truth.name.startswith("MOT20") else DISTRACTORS
        kept = truth.is_object & (truth.category == PEDESTRIAN)
        removes = np.isin(truth.category, distractors)
    elif classes == "together":
        kept, removes = truth.is_object, ~truth.counts
    else:
        truth = truth[(truth.category == classes) | truth.is_region]
        found = found[found.category == classes]
        kept, removes = truth.is_object, ~truth.counts
    return truth[kept], found[~excused(truth, found, removes & ~truth.is_region)]
