import pytest
import torch
from torch import Tensor

from smot.models.sprites import glimpse
from smot.models.sprites.glimpses import glimpse_reference


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


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_kernel_and_reference_agree_in_values_and_gradients(n_channels: int, masked: bool) -> None:
    images, boxes, mask = scene(n_channels, masked=masked)
    results = []
    for function in (glimpse, glimpse_reference):
        leaves = [each.clone().requires_grad_() for each in (boxes, mask) if each is not None]
        values = function(images, leaves[0], unit=20.0, size=7, mask_logits=(*leaves, None)[1])
        weights = torch.linspace(-1, 1, values.numel()).view(values.shape)
        (values * weights).sum().backward()
        results.append([values.detach(), *(leaf.grad for leaf in leaves)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


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
