"""All metrics of the full sweep (12 counts x 1,000 videos x 8 frames) beside two libraries.

python benchmarks/metrics.py [--n-videos 1000] [--n-theirs 10]

Predictions are jittered truth with misses, strays, identity switches and confidences of all sizes,
up to 16 entries a frame. py-motmetrics and TrackEval score a few videos of every count and are
compared per video; kernels are compiled before the clock starts.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from by_trackeval import trackeval_summary

from smot.evaluation.library import summarise_by_motmetrics
from smot.evaluation.metrics.bootstrap import intervals
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.tracks import Tracks

COUNTS = range(1, 13)
N_FRAMES, N_ENTRIES, SIZE, FRAME = 8, 16, 11.0, 48.0
SETTINGS = MatchSettings()


def sequences(generator: np.random.Generator, n_videos: int, count: int) -> tuple[Tracks, Tracks]:
    """Truth and imperfect predictions of videos with ``count`` objects."""
    shape = (n_videos, N_FRAMES, N_ENTRIES)
    start = generator.uniform(0, FRAME - SIZE, (n_videos, 1, N_ENTRIES, 2))
    velocity = generator.uniform(-2, 2, (n_videos, 1, N_ENTRIES, 2))
    corner = np.clip(start + velocity * np.arange(N_FRAMES)[:, None, None], 0, FRAME - SIZE)
    boxes = np.concatenate([corner, corner + SIZE], -1)
    is_object = np.arange(N_ENTRIES) < count
    truth = Tracks.from_slots(boxes[:, :, :count], np.ones((*shape[:2], count), np.bool_))
    found = generator.random(shape) < np.where(is_object, 0.92, 0.12)
    ids = np.broadcast_to(np.arange(N_ENTRIES), shape).copy()
    swapped = generator.random(shape[:2]) < 0.05
    ids[swapped] = generator.permuted(ids[swapped], axis=-1)
    predicted = Tracks(
        boxes=boxes + np.tile(generator.normal(0, 1, (*shape, 2)), 2),
        ids=np.where(found, ids, -1),
        confidence=np.where(is_object, 1, 0.7) * generator.random(shape) ** 0.2,
    )
    return truth, predicted


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call, so that a busy machine does not matter."""
    start = time.process_time()
    work()
    return time.process_time() - start


def score_by_trackeval(truth: Tracks, predicted: Tracks) -> int:
    """CLEAR, Identity and HOTA of every video; how many there are."""
    for video in range(truth.shape[0]):
        one = truth[video : video + 1], predicted[video : video + 1]
        for metric in ("clear", "identity", "hota"):
            trackeval_summary(metric, *one)
    return truth.shape[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-videos", type=int, default=1000, help="videos of each count")
    parser.add_argument("--n-theirs", type=int, default=10, help="of these, for the libraries")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    sweep = [sequences(generator, options.n_videos, count) for count in COUNTS]
    few = [(truth[: options.n_theirs], theirs[: options.n_theirs]) for truth, theirs in sweep]
    warm = count_errors(*few[0], SETTINGS)
    intervals(warm, n_resamples=2, generator=generator)
    score_by_trackeval(few[0][0][:1], few[0][1][:1])

    counts: list[VideoCounts] = []
    ours = seconds(lambda: counts.extend(count_errors(*each, SETTINGS) for each in sweep))
    ours += seconds(lambda: [summarise(each) for each in counts])
    spread = seconds(lambda: [intervals(each, generator=generator) for each in counts])
    n_ours, n_theirs = len(COUNTS) * options.n_videos, len(COUNTS) * options.n_theirs
    motmetrics = seconds(lambda: [summarise_by_motmetrics(*each, SETTINGS) for each in few])
    trackeval = seconds(lambda: [score_by_trackeval(*each) for each in few])

    print(f"smot, everything, {n_ours} videos: {ours:.2f} s, {1e3 * ours / n_ours:.3f} ms a video")
    print(f"smot, 95% intervals, 1,000 resamples of each count: {spread:.2f} s")
    for name, taken in (("py-motmetrics, CLEAR + IDF1", motmetrics), ("TrackEval", trackeval)):
        ratio = (taken / n_theirs) / (ours / n_ours)
        print(f"{name}: {1e3 * taken / n_theirs:.2f} ms a video, {ratio:.0f} times smot's")


if __name__ == "__main__":
    main()
