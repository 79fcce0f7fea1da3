import itertools
import math

import pytest
import torch
from torch import Tensor

from smot.models.sprites import glimpse


def scene(n_channels: int, *, masked: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Random images with boxes inside, across the edge, outside, tiny, empty and huge."""
    generator = torch.Generator().manual_seed(n_channels)
    images = torch.rand(3, n_channels, 20, 26, generator=generator)
    boxes = torch.rand(3, 6, 4, generator=generator) * torch.tensor([1.2, 1.5, 0.5, 0.5])
    boxes[0, 0] = torch.tensor([0.0, 0.0, 0.4, 0.4])
    boxes[0, 1] = torch.tensor([3.0, -2.0, 0.3, 0.3])
    boxes[0, 2, 2:] = 1e-6
    boxes[0, 3, 2:] = 0.0
    boxes[0, 4] = torch.tensor([0.5, 0.5, 3.0, 3.0])
    mask = torch.randn(3, 6, 49, generator=generator) if masked else None
    return images, boxes, mask


def read(plane: Tensor, row: float, column: float) -> float:
    """The plane [H, W] between its pixels, bilinearly; 0 outside."""
    value = 0.0
    for y in (math.floor(row), math.floor(row) + 1):
        for x in (math.floor(column), math.floor(column) + 1):
            if 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]:
                share = (1 - abs(row - y)) * (1 - abs(column - x))
                value += share * float(plane[y, x])
    return value


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_glimpse_is_read_sample_by_sample(n_channels: int, masked: bool) -> None:
    images, boxes, mask = scene(n_channels, masked=masked)
    seen = glimpse(images, boxes, unit=20.0, size=7, mask_logits=mask)
    for n, k, c, u, v in itertools.product(
        range(3), range(6), range(n_channels), (0, 3, 6), (1, 5)
    ):
        y, x, h, w = (20 * boxes[n, k]).tolist()
        row, column = (m + s * ((i + 0.5) / 7 - 0.5) - 0.5 for m, s, i in ((y, h, u), (x, w, v)))
        expected = read(images[n, c], row, column)
        if mask is not None:
            expected *= float(mask[n, k, 7 * u + v].sigmoid())
        assert float(seen[n, k, c, u, v]) == pytest.approx(expected, abs=1e-4)


def test_boxes_and_masks_get_gradients_and_images_none() -> None:
    images, boxes, mask = scene(1, masked=True)
    assert mask is not None
    leaves = [each.clone().requires_grad_() for each in (images, boxes, mask)]
    glimpse(
        leaves[0], leaves[1], unit=20.0, size=7, mask_logits=leaves[2]
    ).square().sum().backward()
    assert leaves[0].grad is None
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves[1:])


def test_glimpse_of_whole_pixels_is_the_patch_itself() -> None:
    images, _, _ = scene(3, masked=False)
    # rows 5..11, columns 9..15: centre (8.5, 12.5), sides 7, in units of 10 pixels.
    box = torch.tensor([0.85, 1.25, 0.7, 0.7]).expand(3, 1, 4)
    seen = glimpse(images, box, unit=10.0, size=7)
    torch.testing.assert_close(seen[:, 0], images[:, :, 5:12, 9:16], rtol=0, atol=1e-5)


def test_glimpse_outside_the_image_is_black() -> None:
    images = torch.ones(1, 1, 8, 8)
    boxes = torch.tensor([[[-3.0, 0.5, 0.5, 0.5]]])
    assert glimpse(images, boxes, unit=8.0, size=5).abs().max() == 0
