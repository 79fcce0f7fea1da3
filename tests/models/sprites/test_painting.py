from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smot.models.sprites import Paint, activated, glimpse, paint
from smot.models.sprites.painting import paint_reference

STYLE = Paint()
FRAME = (20, 26)


def scene(n_channels: int) -> tuple[list[Tensor], Tensor]:
    """Sprites in boxes inside, across the edge, outside, tiny, empty and huge; a background."""
    generator = torch.Generator().manual_seed(n_channels)
    sprites = 3 * torch.randn(3, 6, n_channels + 1, 7, 7, generator=generator)
    boxes = torch.rand(3, 6, 4, generator=generator) * torch.tensor([1.2, 1.5, 0.7, 0.7])
    boxes[0, 0] = torch.tensor([0.0, 0.0, 0.4, 0.4])
    boxes[0, 1] = torch.tensor([3.0, -2.0, 0.3, 0.3])
    boxes[0, 2, 2:] = 1e-6
    boxes[0, 3, 2:] = 0.0
    boxes[0, 4] = torch.tensor([0.5, 0.5, 3.0, 3.0])
    presence = torch.rand(3, 6, generator=generator)
    presence[1, 0] = 0
    depth = torch.rand(3, 6, generator=generator)
    return [sprites, boxes, presence, depth], torch.rand(n_channels, generator=generator)


@pytest.mark.parametrize("style", [STYLE, replace(STYLE, exponential=True)])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_kernel_and_reference_agree_in_values_and_gradients(n_channels: int, style: Paint) -> None:
    parts, background = scene(n_channels)
    results = []
    for function in (paint, paint_reference):
        leaves = [part.clone().requires_grad_() for part in parts]
        sprites, boxes, presence, depth = leaves
        images = function(
            sprites, boxes, presence, depth, background, unit=20.0, frame_size=FRAME, style=style
        )
        weights = torch.linspace(-1, 1, images.numel()).view(images.shape)
        (images * weights).sum().backward()
        results.append([images.detach(), *(leaf.grad for leaf in leaves)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))


def test_an_absent_object_renders_nothing() -> None:
    (sprites, boxes, _, depth), background = scene(3)
    images = paint(
        sprites,
        boxes,
        torch.zeros(3, 6),
        depth,
        background,
        unit=20.0,
        frame_size=FRAME,
        style=STYLE,
    )
    expected = background[:, None, None].expand(images.shape)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-6)


def test_a_glimpse_of_what_was_painted_returns_the_sprite() -> None:
    generator = torch.Generator().manual_seed(0)
    sprites = torch.randn(1, 1, 2, 7, 7, generator=generator)
    # rows 5..11, columns 9..15
    box = torch.tensor([[[0.85, 1.25, 0.7, 0.7]]])
    one = torch.ones(1, 1)
    image = paint(sprites, box, one, one, torch.zeros(1), unit=10.0, frame_size=FRAME, style=STYLE)
    seen = glimpse(image, box, unit=10.0, size=7)
    colour, alpha = activated(sprites, STYLE)[0, 0]
    torch.testing.assert_close(seen[0, 0, 0], colour * alpha, rtol=1e-5, atol=1e-5)


def test_the_nearer_of_two_objects_covers_the_other() -> None:
    sprites = torch.full((1, 2, 2, 7, 7), 10.0)
    sprites[0, 1, 0] = -10.0
    box = torch.tensor([0.85, 1.25, 0.7, 0.7]).expand(1, 2, 4)
    depth = torch.tensor([[0.9, 0.01]])
    image = paint(
        sprites,
        box,
        torch.ones(1, 2),
        depth,
        torch.zeros(1),
        unit=10.0,
        frame_size=FRAME,
        style=STYLE,
    )
    assert image[0, 0, 8, 12] > 0.97


def test_importance_of_one_pixel_by_hand() -> None:
    # Two one-pixel sprites on one pixel: (m1 a1 c1 + m2 a2 c2) / (m1 + m2), m = a * depth / 0.25.
    style = Paint(colour_scale=1.0, alpha_scale=1.0, alpha_bias=0.0)
    sprites = torch.tensor([[[1.0, 2.0], [-1.0, 0.5]]])[..., None, None]
    box = torch.tensor([0.5, 0.5, 1.0, 1.0]).expand(1, 2, 4)
    presence, depth = torch.tensor([[0.9, 0.8]]), torch.tensor([[0.6, 0.3]])
    image = paint(
        sprites, box, presence, depth, torch.zeros(1), unit=1.0, frame_size=(1, 1), style=style
    )
    colour, alpha = torch.sigmoid(sprites[0, :, 0, 0, 0]), torch.sigmoid(sprites[0, :, 1, 0, 0])
    alpha = alpha * presence[0]
    importance = alpha * depth[0] / 0.25
    expected = (importance * alpha * colour).sum() / importance.sum()
    torch.testing.assert_close(image[0, 0, 0, 0], expected)


def naive_softmax(parts: list[Tensor], background: Tensor) -> Tensor:
    """Supplement A.2 with every sprite as large as the frame, and no kernel."""
    sprites, boxes, presence, depth = parts
    G = sprites.shape[-1]
    centre, side = 20.0 * boxes[..., :2], 20.0 * boxes[..., 2:].clamp(min=1e-4)
    tents = []
    for axis, n in enumerate(FRAME):
        distance = torch.arange(n) + 0.5 - centre[..., axis, None]
        texel = G * (distance / side[..., axis, None] + 0.5) - 0.5
        tents.append((1 - (texel[..., None] - torch.arange(G)).abs()).relu())
    maps = activated(sprites, STYLE)
    alpha = maps[:, :, -1:] * presence[:, :, None, None, None]
    share = torch.exp(alpha * depth[:, :, None, None, None] / STYLE.temperature)
    planes = torch.cat([maps[:, :, :-1] - background[:, None, None], alpha, share], 2)
    placed = torch.einsum("nkpu,nkcuv,nkqv->nkcpq", tents[0], planes, tents[1])
    colour, alpha, share = placed.split([len(background), 1, 1], 2)
    # Shares of a softmax over the sprites under a pixel; elsewhere there is only the background.
    shares = share / share.sum(1, keepdim=True).clamp(min=1e-9)
    image: Tensor = background[:, None, None] + (shares * alpha * colour).sum(1)
    return image


@pytest.mark.parametrize("function", [paint, paint_reference])
def test_exponential_importance_is_the_supplements_softmax(
    function: Callable[..., Tensor],
) -> None:
    parts, background = scene(3)
    results = []
    for naive in (False, True):
        leaves = [part.clone().requires_grad_() for part in parts]
        if naive:
            images = naive_softmax(leaves, background)
        else:
            style = replace(STYLE, exponential=True)
            images = function(*leaves, background, unit=20.0, frame_size=FRAME, style=style)
        weights = torch.linspace(-1, 1, images.numel()).view(images.shape)
        (images * weights).sum().backward()
        results.append([images.detach(), *(leaf.grad for leaf in leaves)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )


@pytest.mark.parametrize(("exponential", "expected"), [(True, 0.9608), (False, 0.9)])
def test_the_nearer_of_two_objects_has_the_weight_of_supplement_or_code(
    exponential: bool, expected: float
) -> None:
    """Opaque sprites at depths .9 and .1: e^3.6 / (e^3.6 + e^.4), and .9 / (.9 + .1)."""
    style = Paint(colour_scale=20.0, alpha_scale=20.0, alpha_bias=0.0, exponential=exponential)
    sprites = torch.tensor([[[1.0, 1.0], [-1.0, 1.0]]])[..., None, None]
    box = torch.tensor([0.5, 0.5, 1.0, 1.0]).expand(1, 2, 4)
    depth = torch.tensor([[0.9, 0.1]])
    image = paint(
        sprites,
        box,
        torch.ones(1, 2),
        depth,
        torch.zeros(1),
        unit=1.0,
        frame_size=(1, 1),
        style=style,
    )
    assert float(image) == pytest.approx(expected, abs=2e-4)
