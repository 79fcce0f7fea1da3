"""One random stream per video, so that video i never depends on how the work was divided."""

import numpy as np

SPLITS = ("train", "val", "test")


def video_seed(seed: int, split: str, index: int) -> np.random.SeedSequence:
    """The seed of one video.

    Args:
        seed: the data set's seed, not negative.
        split: the group that the video belongs to: "train", "val" or "test/NN".
        index: the video's place in its group, not negative.

    Returns:
        A sequence that depends on (seed, split, index) alone.

    Source: benchmark.md 1.5; numpy's spawn keys keep the streams independent.
    """
    name, _, count = split.partition("/")
    return np.random.SeedSequence(seed, spawn_key=(SPLITS.index(name), int(count or 0), index))
