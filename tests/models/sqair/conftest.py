"""A small SQAIR, and smooth frames: bilinear sampling of noise has kinks everywhere."""

import pytest
import torch
from torch import Tensor

from smot.models.sqair import Sqair, SqairConfig, build
from smot.models.sqair.objects import Geometry, Noise

SMALL = SqairConfig(
    frame_size=(24, 20),
    channels=1,
    n_slots=3,
    glimpse_size=7,
    n_what=6,
    n_hidden=16,
    discovery_bias=1.0,
    propagation_bias=1.0,
    prior_propagation_bias=1.0,
)


def shaken(model: Sqair, seed: int = 1) -> Sqair:
    """The same model with every parameter moved, so that nothing is zero by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture
def small() -> Sqair:
    return shaken(build(SMALL, 0))


@pytest.fixture
def frames() -> Tensor:
    """uint8, [4, 4, 24, 20, 3]."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(4, 4, 6, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(24, 20), mode="bicubic").clamp(0, 1)
    return (smooth * 120).byte()[..., None].expand(-1, -1, -1, -1, 3).contiguous()


@pytest.fixture
def noise() -> Noise:
    """For 4 frames, 3 slots and 8 rows."""
    return Noise.draw(4, 3, 8, 6, torch.Generator().manual_seed(5))


GEOMETRY = Geometry((24, 20), 7, (0.0, 1.0))
WHOLE = torch.tensor([20.0, 20.0, 0.0, 0.0])


def places(n: int) -> Tensor:
    """Random, with a tiny, a nearly frame-wide and an outlying one in front."""
    generator = torch.Generator().manual_seed(0)
    where = torch.randn(n, 4, generator=generator) - torch.tensor([1.0, 1.0, 0.0, 0.0])
    where[0] = torch.tensor([-8.0, -8.0, 0.3, 0.1])
    where[1] = torch.tensor([4.0, 4.0, 0.01, 0.02])
    where[2] = torch.tensor([0.0, 0.0, 4.0, -4.0])
    return where


def grid(where: Tensor, size: tuple[int, int], inverse: bool) -> Tensor:
    """Sampling positions as `grid_sample` wants them, corners aligned, [M, *size, 2]."""
    (sx, sy), (tx, ty) = where[:, :2].sigmoid().T, where[:, 2:].tanh().T
    v, u = torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1])
    if inverse:
        x, y = (u - tx[:, None]) / sx[:, None], (v - ty[:, None]) / sy[:, None]
    else:
        x, y = sx[:, None] * u + tx[:, None], sy[:, None] * v + ty[:, None]
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
