import gc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numba import njit
from torch import Tensor

from smot.models.sqair import Sqair, build
from smot.models.sqair.compiled import discovering, numbers, propagating
from smot.models.sqair.noise import Noise

from .conftest import SMALL, shaken


def run(model: Sqair, frames: Tensor, noise: Noise, *, compiled: bool, told: bool) -> list[Tensor]:
    """Log weights, scores and all gradients."""
    model.zero_grad()
    model.inference.propagation.compiled = compiled
    model.inference.discovery.compiled = compiled
    pixels = model.pixels(frames)
    counts = torch.tensor([0.0, 1, 2, 3, 3, 2, 1, 0]) if told else None
    evidence = model.evidence(pixels, model.infer(pixels, noise, counts=counts))
    weight, score = evidence.log_weights.sum(0), evidence.score.sum(0)
    (1e-2 * weight.sum() + score.sum()).backward()
    gradients = [
        torch.zeros(()) if each.grad is None else each.grad.clone() for each in model.parameters()
    ]
    return [weight.detach(), score.detach(), *gradients]


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("masked", [True, False])
def test_compiled_loops_equal_plain_ones(
    frames: Tensor, noise: Noise, masked: bool, told: bool
) -> None:
    model = shaken(build(replace(SMALL, masked_glimpse=masked, later_bias=-0.5), 0))
    fast, plain = (
        run(model, frames, noise, compiled=compiled, told=told) for compiled in (True, False)
    )
    torch.testing.assert_close(fast[0], plain[0], atol=0.01, rtol=1e-5)
    torch.testing.assert_close(fast[1], plain[1], atol=1e-4, rtol=1e-4)
    names = [name for name, _ in model.named_parameters()]
    for name, mine, theirs in zip(names, fast[2:], plain[2:], strict=True):
        assert (mine - theirs).norm() <= 0.01 * theirs.norm() + 1e-3, name


def test_a_graph_that_is_given_up_is_freed(small: Sqair, frames: Tensor, noise: Noise) -> None:
    clip = small.infer(small.pixels(frames), noise)
    assert n_runs()
    del clip
    gc.collect()
    assert n_runs() == 0


def n_runs() -> int:
    """Loops whose numbers are held in memory."""
    kinds = (discovering._Run, propagating._Run)
    return sum(type(each) in kinds for each in gc.get_objects())


def test_autocast_leaves_the_model_in_single_precision(small: Sqair, frames: Tensor) -> None:
    totals = []
    for enabled in (False, True):
        generator = torch.Generator().manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            totals.append(small.objective(frames, step=0, generator=generator).total)
    assert torch.equal(totals[0], totals[1])


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (numbers.exp, np.exp),
        (numbers.tanh, np.tanh),
        (numbers.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
        (numbers.softplus, lambda x: np.logaddexp(0, x)),
        (numbers.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    ],
    ids=["exp", "tanh", "sigmoid", "softplus", "elu"],
)
def test_vector_functions_are_exact_to_single_precision(
    mine: Callable[..., object], theirs: Callable[..., np.ndarray]
) -> None:
    @njit(fastmath=True, error_model="numpy")
    def applied(values, outputs):  # type: ignore[no-untyped-def]
        for i in range(len(values)):
            outputs[i] = mine(values[i])

    values = np.linspace(-87, 88, 20_001, dtype=np.float32)
    outputs = np.empty_like(values)
    applied(values, outputs)
    expected = theirs(values.astype(np.float64))
    np.testing.assert_allclose(outputs, expected, rtol=3e-7, atol=3e-7)
