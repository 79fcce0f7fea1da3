"""What py-motmetrics makes of a single video."""

from typing import Any

import numpy as np

from benchmarks.by_trackeval import frames_of
from smot.boxes import iou
from smot.tracks import Tracks


def accumulate(truth: Tracks, predicted: Tracks, threshold: float = 0.5) -> Any:
    """py-motmetrics' accumulator after one video."""
    import motmetrics

    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    with motmetrics.lap.set_default_solver("scipy"):
        for (ids, boxes), (others, theirs) in zip(
            frames_of(truth), frames_of(predicted, 0.5), strict=True
        ):
            overlap = iou(boxes, theirs)
            accumulator.update(ids, others, np.where(overlap >= threshold, 1 - overlap, np.nan))
    return accumulator


def motmetrics_errors(truth: Tracks, predicted: Tracks) -> list[tuple[int, str, float, float]]:
    """Frame, kind and identities of every miss, false positive and switch."""
    accumulator = accumulate(truth, predicted)
    log, frames = accumulator._events, accumulator._indices["FrameId"]
    kinds = {"MISS": "miss", "FP": "false positive", "SWITCH": "switch"}
    return sorted(
        (frame, kinds[kind], -1 if np.isnan(o) else int(o), -1 if np.isnan(h) else int(h))
        for frame, kind, o, h in zip(frames, log["Type"], log["OId"], log["HId"], strict=True)
        if kind in kinds
    )
