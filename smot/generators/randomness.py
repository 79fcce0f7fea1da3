"""Random numbers inside kernels: integers only, the same on every platform.

The generator is xoshiro256++, whose state of four words is filled from a video's key by
SplitMix64, as its authors advise (Blackman and Vigna, "Scrambled linear pseudorandom number
generators", ACM TOMS 2021).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, uint64

from smot.arrays import FloatArray, IntArray, UInt64Array
from smot.seeding import GOLDEN_GAMMA, mixed

_UNIT = 2.0**-53
NOISE_LEVELS = 1 << 16


_mixed: Any = njit(nogil=True, cache=True)(mixed)


@njit(nogil=True, cache=True)
def fill_state(state: UInt64Array, key: int) -> None:
    """Start the stream of a key: write its four words into `state`, [4]."""
    word = uint64(key)
    for place in range(4):
        state[place] = _mixed(word)
        word += GOLDEN_GAMMA


@njit(nogil=True, cache=True)
def next_word(state: UInt64Array) -> np.uint64:
    """The next 64 random bits; `state` moves on."""
    total = state[0] + state[3]
    result = ((total << uint64(23)) | (total >> uint64(41))) + state[0]
    # The rotations and the shift are those of the authors' reference code.
    shifted = state[1] << uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << uint64(45)) | (state[3] >> uint64(19))
    return np.uint64(result)


@njit(nogil=True, cache=True)
def below(state: UInt64Array, bound: int) -> int:
    """An integer from 0 to `bound` - 1, `bound` below 2**31.

    The product of 32 random bits with the bound, less its low half: no value is off its share
    by more than 2**-32.
    """
    return int(((next_word(state) >> uint64(32)) * uint64(bound)) >> uint64(32))


@njit(nogil=True, cache=True)
def uniform(state: UInt64Array) -> float:
    """A multiple of 2**-53 in [0, 1)."""
    return np.float64(next_word(state) >> uint64(11)) * _UNIT


@njit(nogil=True, cache=True)
def direction(state: UInt64Array) -> tuple[float, float]:
    """A unit vector x, y, uniform on the circle.

    By rejection from the square, for square roots are exact everywhere and sines are not.
    """
    while True:
        x = 2.0 * uniform(state) - 1.0
        y = 2.0 * uniform(state) - 1.0
        squared = x * x + y * y
        # Too near the centre, rounding would favour some directions.
        if 1e-12 < squared <= 1.0:
            length = math.sqrt(squared)
            return x / length, y / length


@njit(nogil=True, cache=True)
def drawn_from(state: UInt64Array, cumulative: FloatArray) -> int:
    """An index whose probabilities sum up to `cumulative`, [n], last entry 1."""
    value = uniform(state)
    for index in range(len(cumulative) - 1):
        if value < cumulative[index]:
            return index
    return len(cumulative) - 1


def rounded_up_normal(mean: float, deviation: float, smallest: int, largest: int) -> FloatArray:
    """Cumulative probabilities of a normal variable rounded up, held within bounds.

    Returns:
        P(value <= smallest + i), [largest - smallest + 1].
    """
    sizes = range(smallest, largest)
    if deviation == 0:
        return np.array([float(size >= mean) for size in sizes] + [1.0])
    inside = [(1 + math.erf((size - mean) / (deviation * math.sqrt(2)))) / 2 for size in sizes]
    return np.array([*inside, 1.0])


@lru_cache(maxsize=4)
def noise_table(deviation: float) -> IntArray:
    """Rounded normal noise by table: entry u is its quantile (u + 1/2) / 65536, [65536], int16.

    The tails end where a probability falls below 2**-17, at 4.2 standard deviations. Without
    noise the table is empty.
    """
    if deviation == 0:
        return np.zeros(0, np.int16)
    reach = math.ceil(5 * deviation)
    levels = np.arange(-reach, reach + 1)
    edges = [(1 + math.erf((level + 0.5) / (deviation * math.sqrt(2)))) / 2 for level in levels]
    ranks = (np.arange(NOISE_LEVELS) + 0.5) / NOISE_LEVELS
    places = np.searchsorted(np.array(edges), ranks)
    return levels[np.minimum(places, len(levels) - 1)].astype(np.int16)
