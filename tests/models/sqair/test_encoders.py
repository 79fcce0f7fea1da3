import pytest
import torch
import torch.nn.functional as F

from smot.models.sprites import glimpse
from smot.models.sqair.encoders import Gru, Linear
from smot.models.sqair.objects import Geometry

from .conftest import GEOMETRY, WHOLE, grid, places

SIZE = GEOMETRY.frame_size
G = GEOMETRY.glimpse_size


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_glimpses_are_those_of_grid_sample() -> None:
    generator = torch.Generator().manual_seed(1)
    images, gradients = torch.rand(12, 2, *SIZE, generator=generator), torch.rand(12, 2, G, G)
    outcomes = []
    for sampled in (True, False):
        where = places(12).requires_grad_()
        if sampled:
            seen = F.grid_sample(images, grid(where, (G, G), False), align_corners=True)
        else:
            boxes = GEOMETRY.sprite_boxes(where)[:, None]
            seen = glimpse(images, boxes, unit=1.0, size=G)[:, 0]
        (seen * gradients).sum().backward()
        outcomes.append((seen.detach(), where.grad))
    torch.testing.assert_close(outcomes[0][0], outcomes[1][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outcomes[0][1], outcomes[1][1], atol=1e-3, rtol=1e-3)


def test_the_whole_frame_is_the_box_of_scale_one() -> None:
    torch.testing.assert_close(GEOMETRY.object_boxes(WHOLE), torch.tensor([0.0, 0.0, 20.0, 24.0]))


def test_a_box_ends_half_a_pixel_past_its_outermost_samples() -> None:
    # sigmoid(0) = 0.5 and tanh(0) = 0: samples from pixel 4.75 to 14.25 along x, 5.75 to 17.25.
    box = GEOMETRY.object_boxes(torch.zeros(4))
    torch.testing.assert_close(box, torch.tensor([4.75, 5.75, 15.25, 18.25]))


def test_bounds_hold_scales_of_every_use_alike() -> None:
    bounded = Geometry(SIZE, G, (0.2, 0.5))
    where = torch.tensor([[0.3, -0.4, 0.2, 0.1], [30.0, -30.0, 0.0, 0.0]])
    scale = 0.2 + 0.3 * where[:, :2].sigmoid()
    free = torch.cat([torch.logit(scale), where[:, 2:]], dim=1)
    for use in (Geometry.sprite_boxes, Geometry.object_boxes):
        torch.testing.assert_close(use(bounded, where), use(GEOMETRY, free))


def test_weights_start_from_a_cut_normal_and_biases_where_given() -> None:
    layer = Linear(100, 200, generator(), bias=3.0)
    assert layer.weight.std().item() == pytest.approx(0.088, abs=0.005)
    assert layer.weight.abs().max().item() <= 0.2
    assert (layer.bias == 3).all()


def test_the_gated_unit_is_that_of_torch() -> None:
    cell = Gru(3, 4, generator())
    theirs = torch.nn.GRUCell(3, 4)
    theirs.load_state_dict(
        {
            "weight_ih": cell.from_input.weight,
            "weight_hh": cell.from_state.weight,
            "bias_ih": cell.from_input.bias,
            "bias_hh": cell.from_state.bias,
        }
    )
    inputs, state = torch.randn(5, 3), torch.randn(5, 4)
    torch.testing.assert_close(cell(inputs, state), theirs(inputs, state))


def test_a_closed_update_gate_keeps_the_state() -> None:
    cell = Gru(3, 4, generator())
    with torch.no_grad():
        cell.from_input.bias[4:8] = 50.0
    state = torch.randn(5, 4)
    torch.testing.assert_close(cell(torch.randn(5, 3), state), state)
