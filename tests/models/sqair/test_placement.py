import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sprites import glimpse
from smot.models.sqair.painting import paint, paint_reference
from smot.models.sqair.placement import Geometry, sprite_boxes

SIZE = (24, 20)
G = 7
GEOMETRY = Geometry(frame_size=SIZE, glimpse_size=G, scale_bounds=(0.0, 1.0))
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
    sx, sy, tx, ty = GEOMETRY.transform(where).unbind(-1)
    v, u = torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1])
    if inverse:
        x, y = (u - tx[:, None]) / sx[:, None], (v - ty[:, None]) / sy[:, None]
    else:
        x, y = sx[:, None] * u + tx[:, None], sy[:, None] * v + ty[:, None]
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)


def test_glimpses_are_those_of_grid_sample() -> None:
    generator = torch.Generator().manual_seed(1)
    images, slopes = torch.rand(12, 2, *SIZE, generator=generator), torch.rand(12, 2, G, G)
    outcomes = []
    for sampled in (True, False):
        where = places(12).requires_grad_()
        if sampled:
            seen = F.grid_sample(images, grid(where, (G, G), False), align_corners=True)
        else:
            boxes = sprite_boxes(where, GEOMETRY.window())[:, None]
            seen = glimpse(images, boxes, unit=1.0, size=G)[:, 0]
        (seen * slopes).sum().backward()
        outcomes.append((seen.detach(), where.grad))
    torch.testing.assert_close(outcomes[0][0], outcomes[1][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outcomes[0][1], outcomes[1][1], atol=1e-3, rtol=1e-3)


def test_painting_is_that_of_grid_sample() -> None:
    generator = torch.Generator().manual_seed(1)
    patches = torch.rand(12, 2, G, G, generator=generator)
    slopes = torch.rand(12, 3, *SIZE, generator=generator)
    outcomes = []
    for sampled in (True, False):
        shown, where = patches.clone().requires_grad_(), places(12).requires_grad_()
        if sampled:
            both = torch.cat([shown, torch.ones(12, 1, G, G)], dim=1)
            made = F.grid_sample(both, grid(where, SIZE, True), align_corners=True)
        else:
            canvases, covers = paint(
                shown, GEOMETRY.samples(where), torch.arange(12), n_canvases=12, frame_size=SIZE
            )
            made = torch.cat([canvases, covers[:, None]], dim=1)
        (made * slopes).sum().backward()
        assert shown.grad is not None
        assert where.grad is not None
        outcomes.append((made.detach(), shown.grad, where.grad))
    for mine, theirs in zip(*outcomes, strict=True):
        scale = theirs.abs().max()
        torch.testing.assert_close(mine / scale, theirs / scale, atol=1e-4, rtol=1e-4)


def test_the_painting_kernel_equals_its_reference() -> None:
    generator = torch.Generator().manual_seed(2)
    patches = torch.randn(12, 2, G, G, generator=generator)
    canvas = torch.tensor([0, 0, 0, 1, 1, 3, 3, 3, 3, 3, 3, 4])
    slopes = torch.randn(6, 3, *SIZE, generator=generator)
    outcomes = []
    for function in (paint, paint_reference):
        leaves = [patches.clone().requires_grad_(), places(12).requires_grad_()]
        made = function(
            leaves[0], GEOMETRY.samples(leaves[1]), canvas, n_canvases=6, frame_size=SIZE
        )
        ((made[0] * slopes[:, :2]).sum() + (made[1] * slopes[:, 2]).sum()).backward()
        outcomes.append([each.detach() for each in (*made, *(leaf.grad for leaf in leaves))])
    for mine, reference in zip(*outcomes, strict=True):
        scale = reference.abs().max()
        torch.testing.assert_close(mine / scale, reference / scale, atol=1e-5, rtol=1e-4)


def test_patches_on_one_canvas_add_up() -> None:
    patches, where = torch.ones(2, 1, G, G), GEOMETRY.samples(WHOLE.expand(2, 4))
    canvases, covers = paint(
        patches, where, torch.zeros(2, dtype=torch.long), n_canvases=2, frame_size=SIZE
    )
    torch.testing.assert_close(canvases[0, 0], torch.full(SIZE, 2.0))
    torch.testing.assert_close(covers[0], torch.full(SIZE, 2.0))
    assert not canvases[1].any()


def test_seeing_the_whole_frame_and_painting_it_gives_the_frame_back() -> None:
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    square = Geometry(frame_size=(16, 16), glimpse_size=16, scale_bounds=(0.0, 1.0))
    where = WHOLE.expand(1, 4)
    seen = glimpse(image, sprite_boxes(where, square.window())[:, None], unit=1.0, size=16)[:, 0]
    painted, _ = paint(
        seen, square.samples(where), torch.tensor([0]), n_canvases=1, frame_size=(16, 16)
    )
    torch.testing.assert_close(seen, image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(painted, image, atol=1e-5, rtol=1e-5)


def test_no_patches_leave_canvases_empty() -> None:
    canvases, covers = paint(
        torch.zeros(0, 1, G, G),
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.long),
        n_canvases=2,
        frame_size=SIZE,
    )
    assert canvases.shape == (2, 1, *SIZE)
    assert not canvases.any()
    assert not covers.any()


def test_the_whole_frame_is_the_box_of_scale_one() -> None:
    torch.testing.assert_close(GEOMETRY.object_boxes(WHOLE), torch.tensor([0.0, 0.0, 20.0, 24.0]))


def test_a_box_ends_half_a_pixel_past_its_outermost_samples() -> None:
    # sigmoid(0) = 0.5 and tanh(0) = 0: samples from pixel 4.75 to 14.25 along x, 5.75 to 17.25.
    box = GEOMETRY.object_boxes(torch.zeros(4))
    torch.testing.assert_close(box, torch.tensor([4.75, 5.75, 15.25, 18.25]))


def test_a_scale_below_the_bound_still_gets_its_gradient() -> None:
    where = torch.tensor([-12.0, 0.0, 0.0, 0.0], requires_grad=True)
    placed = GEOMETRY.transform(where)
    assert placed[0].item() == torch.tensor(1e-4)
    placed[0].backward()
    assert where.grad is not None
    assert where.grad[0] > 0


def test_bounds_hold_scales_of_every_use_alike() -> None:
    bounded = Geometry(frame_size=SIZE, glimpse_size=G, scale_bounds=(0.2, 0.5))
    where = torch.tensor([[0.3, -0.4, 0.2, 0.1], [30.0, -30.0, 0.0, 0.0]])
    scale = bounded.transform(where)[:, :2]
    torch.testing.assert_close(scale[1], torch.tensor([0.5, 0.2]))
    free = torch.cat([torch.logit(scale[:1]), where[:1, 2:]], dim=1)
    for use in (Geometry.samples, Geometry.object_boxes):
        torch.testing.assert_close(use(bounded, where)[:1], use(GEOMETRY, free))
    mine = sprite_boxes(where, bounded.window())[:1]
    torch.testing.assert_close(mine, sprite_boxes(free, GEOMETRY.window()))
