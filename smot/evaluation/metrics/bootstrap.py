"""95% confidence intervals: the bootstrap over videos.

A resample draws V videos of the V, with replacement; its counts are added up and its metrics
computed like those of the whole. The interval runs from the 2.5th to the 97.5th percentile of the
resamples. Videos, not frames or boxes, are drawn, because errors within a video hang together.

All resamples are one matrix product: how often each resample draws each video, times the counts.
For AP the counts are those of at most `MOST_STEPS` steps of confidence: exact for trackers with
fewer different confidences, and for others the interval of a curve drawn with 256 points.

Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, percentile intervals.
"""

import numpy as np

from smot.arrays import FloatArray
from smot.evaluation.metrics.average_precision import (
    DETECTIONS,
    curve_steps,
    detection_histogram,
    mean_average_precision,
)
from smot.evaluation.metrics.counts import SUMMED, VideoCounts
from smot.evaluation.metrics.table import ratios

PERCENTILES = (2.5, 97.5)
MOST_STEPS = 256
# Bounds on memory: draws held at once, and videos whose histograms are held at once.
_MOST_DRAWS = 2**21
_MOST_VIDEOS = 2**11


def intervals(
    counts: VideoCounts, *, n_resamples: int = 1000, generator: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Confidence intervals of all ratios.

    Args:
        counts: of V videos, one row each.
        n_resamples: at least 1.
        generator: where the draws come from.

    Returns:
        Low and high end of each metric that is defined for the whole. Resamples for which it is
        not defined are left out.
    """
    V = len(counts.n_videos)
    blocks: list[FloatArray] = [np.ones((1, V))]
    left = n_resamples if V else 0
    while left > 0:
        n_drawn = min(left, max(1, _MOST_DRAWS // V))
        blocks.append(_draws(n_drawn, V, generator))
        left -= n_drawn
    # Counts of each resample: [R] or [R, A].
    summed = {
        name: np.concatenate(
            [block @ getattr(counts, name).astype(np.float64) for block in blocks]
        )
        for name in SUMMED
    }
    values = ratios(summed)
    values["ap"] = _average_precision(counts, blocks)
    ends = {}
    for name, samples in values.items():
        defined = samples[1:][~np.isnan(samples[1:])]
        if len(defined) and not np.isnan(samples[0]):
            low, high = np.percentile(defined, PERCENTILES)
            ends[name] = float(low), float(high)
    return ends


def _draws(n_resamples: int, V: int, generator: np.random.Generator) -> FloatArray:
    """How often each resample draws each video, [R, V], float64."""
    drawn = generator.integers(V, size=(n_resamples, V))
    drawn += V * np.arange(n_resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=n_resamples * V)
    return times.reshape(n_resamples, V).astype(np.float64)


def _average_precision(counts: VideoCounts, blocks: list[FloatArray]) -> FloatArray:
    """AP of each resample of each block, [R]."""
    step, n_steps = curve_steps(counts.detection_level, MOST_STEPS)
    totals = [np.zeros((len(block), n_steps * 10), np.float32) for block in blocks]
    for start in range(0, len(counts.n_videos), _MOST_VIDEOS):
        some = slice(start, start + _MOST_VIDEOS)
        level, first, last, n = (getattr(counts, name)[some] for name in DETECTIONS)
        each = detection_histogram(level, first, last, n, step, n_steps).astype(np.float32)
        for block, total in zip(blocks, totals, strict=True):
            total += block[:, some].astype(np.float32) @ each.reshape(len(each), -1)
    n_truth = counts.n_truth.astype(np.float64)
    scores = [
        mean_average_precision(total.reshape(-1, n_steps, 10).astype(np.float64), block @ n_truth)
        for block, total in zip(blocks, totals, strict=True)
    ]
    return np.concatenate(scores)
