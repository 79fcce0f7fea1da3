"""One random stream per video, so that video i never depends on how the work was divided.

Keys are 64-bit words made by integer arithmetic alone, the same on every platform and in every
version of every library.
"""

import numpy as np

from smot.arrays import IntArray, UInt64Array
from smot.errors import UsageError

SPLITS = ("train", "val", "test")
LARGEST_SEED = 2**63 - 1

# 2**64 over the golden ratio, odd: steps of it visit every word once.
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)


def video_keys(seed: int, split: str, indices: IntArray) -> UInt64Array:
    """The keys of many videos at once, each the start of a video's random stream.

    Within a split no two videos share a key (the last step is a bijection of the index).

    Args:
        seed: the data set's seed, 0 .. 2**63 - 1.
        split: "train", "val" or "test/NN".
        indices: places in the split, [N], not negative.

    Returns:
        Keys that depend on (seed, split, index) alone, [N].

    Raises:
        UsageError: the seed is outside its range.

    Source: docs/benchmark.md 1.5; the mixing function is that of SplitMix64 (Steele, Lea, Flood:
    "Fast splittable pseudorandom number generators", OOPSLA 2014, with Stafford's constants).
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed must be from 0 to 2**63 - 1, not {seed}")
    # One round of mixing per word, so that nearby seeds and splits share nothing.
    key = np.zeros(1, np.uint64)
    name, _, count = split.partition("/")
    for word in (seed, SPLITS.index(name), int(count or 0)):
        key = mixed(key + np.uint64(word))
    return mixed(key + np.asarray(indices).astype(np.uint64))


def mixed(words: UInt64Array) -> UInt64Array:
    """Scramble 64-bit words; a bijection, [...].

    Source: output function of SplitMix64.
    """
    words = words + GOLDEN_GAMMA
    words = (words ^ (words >> np.uint64(30))) * _FIRST_MULTIPLIER
    words = (words ^ (words >> np.uint64(27))) * _SECOND_MULTIPLIER
    return words ^ (words >> np.uint64(31))
