"""Trackers that do something on purpose."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from smot.tracks import Tracks
from tests.evaluation.made import one_box


@dataclass
class Still:
    """Says the same box for ever, and cannot predict; with one of several settings."""

    width: float = 14.0
    name: str = "still"

    def track(self, videos: np.ndarray) -> Tracks:
        return one_box(*videos.shape[:2])


@dataclass
class Spy(Still):
    """Can predict, and keeps what it was shown."""

    name: str = "spy"
    shown: list[np.ndarray] = field(default_factory=list)

    def predict(self, videos: np.ndarray, horizon: int) -> Tracks:
        self.shown.append(videos)
        return one_box(len(videos), horizon)


@dataclass(frozen=True)
class Failing:
    """Fails in some way; "raise" on videos whose pixels sum up to ``brightness``."""

    how: str = "raise"
    brightness: int = 0
    name: str = "failing"

    def track(self, videos: np.ndarray) -> Any:
        B, T = videos.shape[:2]
        if self.how == "list":
            return []
        if self.how == "short":
            return one_box(B, T - 1)
        if self.how == "narrow":
            return replace(one_box(B, T), masks=np.zeros((*videos.shape[:3], 7), np.uint8))
        if self.how == "forget" and not (brightness_of(videos) == self.brightness).any():
            return replace(one_box(B, T), masks=np.zeros(videos.shape[:4], np.uint8))
        if self.how == "mismatch":
            ids = np.zeros((B, T, 2), np.int64)
            return Tracks(boxes=np.zeros((B, T, 1, 4)), ids=ids, confidence=np.ones((B, T, 2)))
        if self.how == "die":
            os._exit(7)
        if self.how == "exit":
            sys.exit(0)
        if self.how == "sleep":
            Path("began").touch()
            time.sleep(60)
        if self.how == "raise" and (brightness_of(videos) == self.brightness).any():
            raise ValueError("too bright\nand a second line")
        return one_box(B, T)


class NoCandidates(Failing):
    """Cannot say what there is to choose from."""

    def candidates(self) -> Sequence["NoCandidates"]:
        raise ValueError("none")


@dataclass
class Scribbler(Spy):
    """Writes over the frames that it is given, if it can."""

    order: list[str] = field(default_factory=list)

    def track(self, videos: np.ndarray) -> Tracks:
        self.order.append("track")
        videos.flags.writeable = True
        videos[:] = 7
        return super().track(videos)

    def predict(self, videos: np.ndarray, horizon: int) -> Tracks:
        self.order.append("predict")
        return super().predict(np.array(videos), horizon)


def brightness_of(videos: np.ndarray) -> np.ndarray:
    total: np.ndarray = videos.sum((1, 2, 3, 4), dtype=np.int64)
    return total


@dataclass(frozen=True)
class Bright:
    """Boxes around everything brighter than a threshold; two thresholds to choose from."""

    threshold: int = 250
    name: str = "bright"

    def candidates(self) -> Sequence["Bright"]:
        return [Bright(threshold=300), Bright(threshold=1), Bright(threshold=128)]

    def track(self, videos: np.ndarray) -> Tracks:
        B, T = videos.shape[:2]
        boxes = np.zeros((B, T, 1, 4), np.float32)
        ids = np.full((B, T, 1), -1, np.int32)
        for b, t in np.ndindex(B, T):
            rows, columns = np.nonzero(videos[b, t].max(-1) >= self.threshold)
            if len(rows):
                ids[b, t] = 0
                boxes[b, t, 0] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return Tracks(boxes=boxes, ids=ids, confidence=(ids >= 0).astype(np.float32))


@dataclass
class Told:
    """Wants to know how many objects there are, and keeps what it was told of which videos."""

    name: str = "told"
    heard: list[tuple[tuple[int, ...], list[int]]] = field(default_factory=list)

    def track_counted(self, videos: np.ndarray, counts: np.ndarray) -> Tracks:
        self.heard.append((videos.shape, counts.tolist()))
        return one_box(*videos.shape[:2])

    def predict_counted(self, videos: np.ndarray, counts: np.ndarray, horizon: int) -> Tracks:
        self.heard.append((videos.shape, counts.tolist()))
        return one_box(len(videos), horizon)


@dataclass
class Crowd:
    """Gives hundreds of boxes a frame, some of them as large as a float can hold."""

    n_boxes: int = 400
    name: str = "crowd"

    def track(self, videos: np.ndarray) -> Tracks:
        B, T = videos.shape[:2]
        corner = np.random.default_rng(0).uniform(0, 40, (B, T, self.n_boxes, 2))
        boxes = np.concatenate([corner, corner + 5], -1)
        boxes[..., 0, :] = -3e38, -3e38, 3e38, 3e38
        boxes[..., 1, :] = 1e38, 1e38, 3e38, 3e38
        ids = np.broadcast_to(np.arange(self.n_boxes), (B, T, self.n_boxes))
        return Tracks(boxes=boxes, ids=ids.copy(), confidence=np.ones(ids.shape))
