import numpy as np
import pytest
from numba import njit

from smot.arrays import FloatArray
from smot.models import kernel_math
from smot.models.kernel_math import read, write


def test_exp_is_exact_to_two_units_in_the_last_place() -> None:
    values = np.linspace(-86, 86, 100_001).astype(np.float32)
    results = np.empty_like(values)
    kernel_math.map_exp(values, results)
    assert np.abs(results / np.exp(values.astype(np.float64)) - 1).max() < 2.4e-7


def test_log_is_exact() -> None:
    values = np.exp(np.linspace(-40, 40, 100_001)).astype(np.float32)
    results = np.empty_like(values)
    kernel_math.map_log(values, results)
    expected = np.log(values.astype(np.float64))
    assert (np.abs(results - expected) / np.maximum(np.abs(expected), 1)).max() < 2e-7


def test_tanh_is_exact() -> None:
    values = np.linspace(-20, 20, 100_001).astype(np.float32)
    results = np.empty_like(values)
    kernel_math.map_tanh(values, results)
    assert np.abs(results - np.tanh(values.astype(np.float64))).max() < 3e-7


@njit
def copied(source: FloatArray, target: FloatArray) -> None:
    for i in range(len(source)):
        write(target, i, read(source[i]))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_bfloat16_is_rounded_to_nearest_as_torch_does(dtype: type[np.generic]) -> None:
    import torch

    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    target = np.empty(1000, dtype)
    copied(values, target)
    back = np.empty(1000, np.float32)
    copied(target, back)
    if dtype is np.uint16:
        values = torch.from_numpy(values).bfloat16().float().numpy()
    assert np.array_equal(back, values)
