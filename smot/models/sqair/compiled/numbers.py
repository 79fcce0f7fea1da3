"""Exponentials in single precision that compilers turn into vector instructions.

The C library's exponential is called number by number; these polynomials run on sixteen at once.
They agree with it to some 1e-7 of the value.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
LOWEST, HIGHEST = np.float32(-87), np.float32(88)
LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
EXP = tuple(
    np.float32(each)
    for each in (
        1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1,
    )
)  # fmt: skip
E0, E1, E2, E3, E4, E5 = EXP
# 2 / (2i + 1): the series of log((1 + s) / (1 - s)), for s up to a third.
L0, L1, L2, L3, L4, L5, L6, L7 = (np.float32(2 / (2 * i + 1)) for i in range(8))


@intrinsic
def _float_of_bits(_context: Any, _bits: Any) -> tuple[Any, Any]:
    """The float32 with the bits of an int32."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


# Numba gives the context; to type checkers this is a function of the bits alone.
_bits_to_float: Any = _float_of_bits


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def exp(x: Any) -> Any:
    """Exponential; x beyond -87 and 88 counts as these.

    Source: the polynomial of the Cephes library (expf).
    """
    x = min(max(x, LOWEST), HIGHEST)
    n = np.float32(math.floor(x * LOG2_E + HALF))
    r = x - n * LN2_HIGH - n * LN2_LOW
    series = ((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5
    power: Any = _bits_to_float(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return (series * r * r + r + ONE) * power


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return ONE / (ONE + exp(-x))


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def tanh(x: Any) -> Any:
    """Hyperbolic tangent, to some 1e-7 (absolute)."""
    return ONE - TWO / (exp(TWO * x) + ONE)


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    t = exp(-abs(x))
    s = t / (TWO + t)
    q = s * s
    series = ((((((L7 * q + L6) * q + L5) * q + L4) * q + L3) * q + L2) * q + L1) * q + L0
    return max(x, np.float32(0)) + s * series


@njit(cache=True, fastmath=True, error_model="numpy", inline="always")
def elu(x: Any) -> Any:
    """The x itself above 0, e^x - 1 below."""
    return x if x > 0 else exp(x) - ONE
