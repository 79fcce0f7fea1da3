import pytest
import torch
import torch.nn.functional as F
from torch import nn

from smot.models.silot.discovery import Backbone, _box, cell_centres, grid_shape


@pytest.mark.parametrize("size", [(48, 48), (96, 60), (50, 71)])
def test_the_grid_grows_with_the_frame(size: tuple[int, int]) -> None:
    features = Backbone(1, 4, 5)(torch.rand(2, 1, *size))
    assert features.shape == (2, *grid_shape(*size), 5)


def test_a_48_pixel_frame_has_4_by_4_cells_of_12_pixels() -> None:
    assert grid_shape(48, 48) == (4, 4)
    centres = cell_centres(48, 48, 48.0, torch.device("cpu"))
    assert centres.shape == (16, 2)
    torch.testing.assert_close(
        centres[:5] * 48,
        torch.tensor([[6.0, 6.0], [6.0, 18.0], [6.0, 30.0], [6.0, 42.0], [18.0, 6.0]]),
    )


def test_cells_see_the_same_thing_wherever_it_is() -> None:
    torch.manual_seed(0)
    backbone = Backbone(1, 4, 5)
    patch = torch.rand(31, 31)
    image = torch.zeros(1, 1, 96, 96)
    image[0, 0, 15:46, 27:58] = patch
    moved = torch.zeros(1, 1, 96, 96)
    moved[0, 0, 39:70, 15:46] = patch
    here, there = backbone(image), backbone(moved)
    torch.testing.assert_close(here[0, 2, 3], there[0, 4, 2], rtol=1e-5, atol=1e-6)


def test_kaiming_weights_let_the_size_of_features_pass() -> None:
    torch.manual_seed(0)
    frames = torch.rand(4, 1, 48, 48)
    sizes = [
        Backbone(1, 64, 64, kaiming=kaiming)(frames).std().item() for kaiming in (False, True)
    ]
    assert sizes[1] > 2 * sizes[0]


@pytest.mark.parametrize("size", [(48, 48), (31, 50)])
def test_leaving_out_what_sees_padding_alone_changes_nothing(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = Backbone(1, 6, 5)
    for layer in backbone.convolutions:
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        nn.init.normal_(layer.bias)
    images = torch.rand(2, 1, *size)
    after = [12 * -(-side // 12) + 10 - side for side in size]
    values = F.pad(images, (9, after[1], 9, after[0]))
    for layer in backbone.convolutions[:-1]:
        values = torch.relu(layer(values))
    expected = backbone.convolutions[-1](values).permute(0, 2, 3, 1)
    found = backbone(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [
        torch.autograd.grad(each.square().sum(), list(backbone.parameters()))
        for each in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_cells_propose_within_half_a_cell_around_them() -> None:
    cells = torch.tensor([[0.125, 0.125], [0.125, 0.375]])
    sample = torch.zeros(1, 2, 4)
    sample[0, :, 0] = 100
    sample[0, :, 1] = -100
    _, local, box = _box(sample, cells, 12 / 48)
    expected = torch.tensor([[0.375, -0.125], [0.375, 0.125]])
    torch.testing.assert_close(box[0, :, :2], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(local[0, 0], torch.tensor([1.5, -0.5, 0.5, 0.5]), atol=1e-4, rtol=0)
