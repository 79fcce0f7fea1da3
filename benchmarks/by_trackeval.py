"""TrackEval's metrics of single videos: a peer for benchmarks, and a second opinion for tests."""

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from smot.boxes import iou
from smot.tracks import Tracks

# TrackEval prints when it is imported.
with contextlib.redirect_stdout(io.StringIO()):
    from trackeval.metrics import CLEAR, HOTA, Identity


def frames_of(tracks: Tracks, confidence: float | None = None) -> Iterator[Any]:
    """(ids, boxes) of every frame of the first video, in the order of identity."""
    if confidence is not None:
        tracks = tracks.above(confidence)
    for ids, boxes in zip(tracks.ids[0], tracks.boxes[0], strict=True):
        order = np.argsort(ids)
        order = order[ids[order] >= 0]
        yield ids[order], boxes[order]


def trackeval_data(truth: Tracks, predicted: Tracks) -> dict[str, Any]:
    sides = {"gt": list(frames_of(truth)), "tracker": list(frames_of(predicted, 0.5))}
    data: dict[str, Any] = {"num_timesteps": len(sides["gt"]), "seq": "video"}
    for side, frames in sides.items():
        known = np.unique(np.concatenate([ids for ids, _ in frames]))
        data[f"{side}_ids"] = [np.searchsorted(known, ids) for ids, _ in frames]
        data[f"num_{side}_ids"] = len(known)
        data[f"num_{side}_dets"] = sum(len(ids) for ids, _ in frames)
    data["similarity_scores"] = [
        iou(boxes, theirs)
        for (_, boxes), (_, theirs) in zip(sides["gt"], sides["tracker"], strict=True)
    ]
    return data


@cache
def trackeval_metric(name: str) -> Any:
    if name == "hota":
        return HOTA()
    return {"clear": CLEAR, "identity": Identity}[name]({"THRESHOLD": 0.5, "PRINT_CONFIG": False})


def trackeval_summary(name: str, truth: Tracks, predicted: Tracks) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        found: dict[str, Any] = trackeval_metric(name).eval_sequence(
            trackeval_data(truth, predicted)
        )
        return found
