from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from smot.models.silot import latents

Function = Callable[..., tuple[Tensor, ...]]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(function: Function, inputs: Sequence[Tensor], *rest: object) -> list[Tensor]:
    """Outputs, then the gradients of a mixture of them for the inputs."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    outputs = function(*leaves, *rest)
    mixture = sum((each * noise(*each.shape, seed=i)).sum() for i, each in enumerate(outputs))
    assert isinstance(mixture, Tensor)
    mixture.backward()
    assert all(leaf.grad is not None for leaf in leaves)
    return [*(each.detach() for each in outputs), *(leaf.grad for leaf in leaves)]  # type: ignore[misc]


def wide(width: int, seed: int) -> Tensor:
    """Outputs of a network, some beyond the limits of a clipped sigmoid, [3, 4, width]."""
    return 6 * noise(3, 4, width, seed=seed)


CASES: dict[str, tuple[Function, Function, tuple[Tensor, ...], tuple[object, ...]]] = {
    "move": (
        latents.move, latents.move_reference,
        (wide(8, 1), noise(3, 4, 2, seed=2), noise(3, 4, 2, seed=3), wide(2, 4)),
        (noise(3, 4, 4, seed=5), 0.3),
    ),
    "change_what": (
        latents.change_what, latents.change_what_reference,
        (wide(10, 1), wide(25, 2), noise(3, 4, 5, seed=3)), (noise(3, 4, 5, seed=4),),
    ),
    "draw": (latents.draw, latents.draw_reference, (wide(10, 1),), (noise(3, 4, 5, seed=2),)),
    "draw_depth": (
        latents.draw_depth, latents.draw_depth_reference, (wide(2, 1), wide(1, 2)),
        (noise(3, 4, 1, seed=3),),
    ),
    "draw_presence": (
        latents.draw_presence, latents.draw_presence_reference,
        (wide(1, 1), noise(3, 4, 1, seed=2).sigmoid()), (noise(3, 4, 1, seed=3),),
    ),
    "propose_box": (
        latents.propose_box, latents.propose_box_reference, (wide(8, 1),),
        (noise(3, 4, 4, seed=2), noise(4, 2, seed=3), 0.25),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_kernel_and_reference_agree_in_values_and_gradients(name: str) -> None:
    fast, plain, inputs, rest = CASES[name]
    for found, expected in zip(
        gradients(fast, inputs, *rest), gradients(plain, inputs, *rest), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_means_are_taken_without_noise() -> None:
    drawn = latents.draw(wide(10, 1), None)
    assert torch.equal(drawn.sample, drawn.mean)
    depth = latents.draw_depth(wide(2, 1), torch.zeros(3, 4, 1), None)
    assert torch.equal(depth.logit, depth.mean)
    presence = latents.draw_presence(wide(1, 1), torch.ones(3, 4, 1), None)
    torch.testing.assert_close(presence.pres, torch.sigmoid(presence.logit))


def test_scales_lie_between_0_and_2_and_probabilities_within_10_logits() -> None:
    drawn = latents.draw(100 * wide(10, 1), None)
    assert drawn.scale.min() > 0
    assert drawn.scale.max() < 2
    presence = latents.draw_presence(100 * wide(1, 1), torch.ones(3, 4, 1), None)
    assert presence.logit.abs().max() == 10


def test_an_object_moves_at_most_as_far_as_it_can_reach() -> None:
    start = torch.zeros(3, 4, 2)
    movement = latents.move(100 * wide(8, 1), start, start, start, None, 0.2)
    assert movement.box[..., :2].abs().max() <= 0.2 + 1e-6


def test_closed_gates_keep_an_appearance() -> None:
    what = noise(3, 4, 5)
    gates = torch.full((3, 4, 25), 50.0)
    drawn = latents.change_what(wide(10, 1), gates, what, None)
    # 0.9999 is as closed as gates get; the time gate lets 0.0001 of a mean of 50 through.
    assert (drawn.sample - what).abs().max() < 0.01


def test_cells_propose_within_half_a_cell_around_them() -> None:
    cells = torch.tensor([[0.125, 0.125], [0.125, 0.375]])
    outputs = torch.zeros(1, 2, 8)
    outputs[0, :, 0] = 100
    outputs[0, :, 1] = -100
    box = latents.propose_box(outputs, None, cells, 0.25).box
    expected = torch.tensor([[0.375, -0.125], [0.375, 0.125]])
    torch.testing.assert_close(box[0, :, :2], expected, atol=1e-4, rtol=0)
