import torch

from smot.models.sqair.taped import Taped


class Loop(torch.autograd.Function):
    """Multiplies with a weight several times, and notes inputs and slopes on the way back."""

    @staticmethod
    def forward(ctx, inputs, layer, token):  # type: ignore[no-untyped-def]
        ctx.layer, ctx.inputs = layer, inputs
        return inputs @ layer.weight.T @ layer.weight.T + layer.bias

    @staticmethod
    def backward(ctx, slope):  # type: ignore[no-untyped-def]
        layer = ctx.layer
        inner = slope @ layer.weight
        nothing = torch.zeros_like(ctx.inputs)
        layer.store.append((ctx.inputs @ layer.weight.T, slope))
        layer.store.append((ctx.inputs, inner))
        layer.store.append((nothing, -inner))  # the bias is added once
        return inner @ layer.weight, None, None


def test_noted_steps_have_the_gradients_of_plain_ones() -> None:
    gradients = []
    for noted in (True, False):
        weight = torch.linspace(-1, 1, 4).view(2, 2).requires_grad_()
        bias = torch.ones(2, requires_grad=True)
        inputs = torch.linspace(-2, 2, 6).view(3, 2).requires_grad_()
        doubled = 2 * weight
        layer = Taped(doubled, bias)
        if noted:
            outputs = inputs
            for _ in range(3):
                outputs = Loop.apply(outputs, layer, layer.token)
        else:
            outputs = inputs
            for _ in range(3):
                outputs = layer.plain(layer.plain(outputs, torch.zeros(3, 2)))
        outputs.square().sum().backward()
        gradients.append([weight.grad, bias.grad, inputs.grad])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-5)


def test_a_layer_that_no_loop_used_gets_no_gradient() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    used, unused = Taped(weight), Taped(weight)
    used.plain(torch.eye(2)).sum().backward()
    assert unused.store == []
    torch.testing.assert_close(weight.grad, torch.ones(2, 2))


def test_a_base_takes_the_place_of_the_bias() -> None:
    layer = Taped(torch.eye(2), torch.ones(2))
    inputs, base = torch.ones(3, 2), torch.full((3, 2), 5.0)
    torch.testing.assert_close(layer.plain(inputs), torch.full((3, 2), 2.0))
    torch.testing.assert_close(layer.plain(inputs, base), torch.full((3, 2), 6.0))
