"""Tiny cases written by hand: objects stand in lanes, predictions cover a share of one.

A truth frame maps identity to lane. A predicted frame maps identity to (lane, IoU) or to
(lane, IoU, confidence). A prediction is the upper part of the object's box, as high as its IoU
asks for; an IoU of 0 puts it beside all objects.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from smot.tracks import Tracks

SIDE, STEP = 100.0, 200.0
Frames = Sequence[Mapping[int, int]]
PredictedFrames = Sequence[Mapping[int, tuple[float, ...]]]


def truth_of(frames: Frames) -> Tracks:
    return _tracks([{who: (lane, 1.0, 1.0) for who, lane in frame.items()} for frame in frames])


def predicted_of(frames: PredictedFrames) -> Tracks:
    return _tracks([{who: (*rest, 1.0)[:3] for who, rest in frame.items()} for frame in frames])


def _tracks(frames: PredictedFrames) -> Tracks:
    T, K = len(frames), max((len(frame) for frame in frames), default=0)
    boxes, ids = np.zeros((1, T, K, 4)), np.full((1, T, K), -1)
    confidence = np.zeros((1, T, K))
    for t, frame in enumerate(frames):
        for k, (who, (lane, overlap, sure)) in enumerate(frame.items()):
            x, y = STEP * lane, 0.0 if overlap > 0 else 2 * SIDE
            boxes[0, t, k] = x, y, x + SIDE, y + SIDE * (overlap or 1)
            ids[0, t, k], confidence[0, t, k] = who, sure
    return Tracks(boxes=boxes, ids=ids, confidence=confidence)
