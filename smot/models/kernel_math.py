"""Arithmetic for compiled kernels that the compiler can turn into vector instructions.

Calls of the C library's ``expf`` keep a loop from being vectorised; these do not.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from smot.arrays import FloatArray

ONE = np.float32(1)
TWO = np.float32(2)
HALF = np.float32(0.5)
LOGIT_LIMIT = np.float32(10)


def _float_of_bits(typing_context: Any, bits: Any) -> Any:  # noqa: ARG001
    """The float32 with the given bits (int32)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


def _bits_of_float(typing_context: Any, value: Any) -> Any:  # noqa: ARG001
    """The bits of a float32, as int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


float_of_bits: Any = intrinsic(_float_of_bits)
bits_of_float: Any = intrinsic(_bits_of_float)


def read(value: Any) -> np.float32:
    """An element of an array as float32; elements of type uint16 hold bfloat16."""
    raise NotImplementedError("for compiled code only")


@overload(read, inline="always")
def _read(value: Any) -> Any:
    if value == types.uint16:

        def widened(value: Any) -> Any:
            return float_of_bits(np.int32(value) << np.int32(16))

        return widened

    def itself(value: Any) -> Any:
        return value

    return itself


def write(array: Any, index: tuple[int, ...], value: np.float32) -> None:
    """Put a float32 into an array of that type, or of uint16 that holds bfloat16 (to nearest)."""
    raise NotImplementedError("for compiled code only")


@overload(write, inline="always")
def _write(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    if array.dtype == types.uint16:

        def store(array: Any, index: Any, value: Any) -> None:
            bits = bits_of_float(value)
            odd = (bits >> np.int32(16)) & np.int32(1)
            array[index] = np.uint16((bits + np.int32(0x7FFF) + odd) >> np.int32(16))

        return store

    def keep(array: Any, index: Any, value: Any) -> None:
        array[index] = value

    return keep


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def exp(x: np.float32) -> np.float32:
    """Exponential to within two units in the last place; x is clipped to [-87, 87].

    Source: range reduction to |r| <= ln 2 / 2 and the polynomial of Cephes' expf.
    """
    x = min(max(x, np.float32(-87)), np.float32(87))
    whole = np.int32(x * np.float32(1.4426950408889634) + np.float32(128.5)) - np.int32(128)
    rest = x - np.float32(whole) * np.float32(0.693359375)
    rest = rest + np.float32(whole) * np.float32(2.12194440e-4)
    value = np.float32(1.9875691500e-4)
    value = value * rest + np.float32(1.3981999507e-3)
    value = value * rest + np.float32(8.3334519073e-3)
    value = value * rest + np.float32(4.1665795894e-2)
    value = value * rest + np.float32(1.6666665459e-1)
    value = value * rest + np.float32(5.0000001201e-1)
    value = value * rest * rest + rest + ONE
    power: np.float32 = float_of_bits(np.int32((whole + np.int32(127)) << np.int32(23)))
    return value * power


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def log(x: np.float32) -> np.float32:
    """Natural logarithm of a positive normal number, to within 2e-7 of it or absolutely.

    Source: x = m 2^e with m in [sqrt(1/2), sqrt(2)) and the polynomial of Cephes' logf.
    """
    bits = bits_of_float(x) - np.int32(0x3F3504F3)
    exponent = np.float32(bits >> np.int32(23))
    part = float_of_bits((bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)) - ONE
    square = part * part
    value = np.float32(7.0376836292e-2)
    value = value * part - np.float32(1.1514610310e-1)
    value = value * part + np.float32(1.1676998740e-1)
    value = value * part - np.float32(1.2420140846e-1)
    value = value * part + np.float32(1.4249322787e-1)
    value = value * part - np.float32(1.6668057665e-1)
    value = value * part + np.float32(2.0000714765e-1)
    value = value * part - np.float32(2.4999993993e-1)
    value = value * part + np.float32(3.3333331174e-1)
    value = value * part * square - HALF * square + part
    value = value + exponent * np.float32(-2.12194440e-4)
    result: np.float32 = value + exponent * np.float32(0.693359375)
    return result


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def sigmoid(x: np.float32) -> np.float32:
    """1 / (1 + exp(-x))."""
    return ONE / (ONE + exp(-x))


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def tanh(x: np.float32) -> np.float32:
    """Hyperbolic tangent, to within 1e-7."""
    return TWO * sigmoid(TWO * x) - ONE


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def clipped(x: np.float32) -> np.float32:
    """A logit clipped to [-10, 10]."""
    return min(max(x, -LOGIT_LIMIT), LOGIT_LIMIT)


@njit(nogil=True, fastmath=True, inline="always", error_model="numpy")
def clipped_sigmoid_slope(x: np.float32, value: np.float32) -> np.float32:
    """Derivative of sigmoid(clipped(x)), whose value is given."""
    return value * (ONE - value) if -LOGIT_LIMIT <= x <= LOGIT_LIMIT else np.float32(0)


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def map_exp(values: FloatArray, results: FloatArray) -> None:
    """``exp`` of every element, [n]."""
    for i in range(len(values)):
        results[i] = exp(values[i])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def map_log(values: FloatArray, results: FloatArray) -> None:
    """``log`` of every element, [n]."""
    for i in range(len(values)):
        results[i] = log(values[i])


@njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
def map_tanh(values: FloatArray, results: FloatArray) -> None:
    """``tanh`` of every element, [n]."""
    for i in range(len(values)):
        results[i] = tanh(values[i])
