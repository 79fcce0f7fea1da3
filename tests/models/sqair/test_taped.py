import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.sqair.taped import Taped, chain


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 4), (5,), (4, 5), (4,)]
    return [(0.3 * torch.randn(shape, generator=generator)).requires_grad_() for shape in shapes]


def looped(parts: list[Tensor], inputs: Tensor, base: Tensor, *, taped: bool) -> Tensor:
    """Three turns of a two-layer loop, the first product added to a given one."""
    first, first_bias, second, second_bias = parts
    layers = [Taped(first), Taped(second, second_bias)]
    hidden = inputs
    for _ in range(3):
        if taped:
            hidden = chain(hidden, layers, base=base + first_bias, elu_first=True, tanh_last=True)
        else:
            hidden = F.elu(hidden) @ first.T + base + first_bias
            hidden = F.linear(F.elu(hidden), second, second_bias).tanh()
    return hidden


def test_a_taped_loop_has_the_gradients_of_the_plain_loop() -> None:
    gradients = []
    for taped in (True, False):
        parts = weights()
        inputs = torch.linspace(-2, 2, 12).view(3, 4).requires_grad_()
        base = torch.linspace(-1, 1, 15).view(3, 5).requires_grad_()
        looped(parts, inputs, base, taped=taped).square().sum().backward()
        gradients.append([part.grad for part in (*parts, inputs, base)])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_weight_that_is_computed_passes_its_gradient_on() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    layer = Taped(torch.cat([weight, 2 * weight]))
    chain(torch.eye(2), [layer]).sum().backward()
    torch.testing.assert_close(weight.grad, torch.full((2, 2), 3.0))


def test_a_layer_that_no_step_used_gets_no_gradient() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    used, unused = Taped(weight), Taped(weight)
    chain(torch.eye(2), [used]).sum().backward()
    assert unused.store == []
    torch.testing.assert_close(weight.grad, torch.ones(2, 2))


def test_nothing_is_noted_without_gradients() -> None:
    with torch.no_grad():
        layer = Taped(torch.ones(2, 2))
        chain(torch.eye(2), [layer])
    assert layer.store == []
