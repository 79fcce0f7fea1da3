import torch

from smot.models.casts import kept_casts
from smot.models.layers import Mlp


def test_updates_of_any_optimiser_reach_the_next_block() -> None:
    """Fused optimisers change weights without moving their version counters."""
    network = Mlp(4, (8,), 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    inputs = torch.ones(16, 4)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16), kept_casts():
            loss = (network(inputs) - 3).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_keeping_casts_changes_no_value_and_no_gradient() -> None:
    network = Mlp(4, (8,), 2)
    inputs = torch.linspace(-1, 1, 12).view(3, 4)

    def run():
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            total = network(inputs).sum() + 2 * network(inputs + 1).sum()
        total.backward()
        return [total.detach(), *(weight.grad.clone() for weight in network.parameters())]

    plain = run()
    with kept_casts():
        kept = run()
    for one, other in zip(plain, kept, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_gradients_of_all_uses_are_summed() -> None:
    """Weights note their uses and are given one gradient; plain layers are given each use's."""
    network = Mlp(3, (5, 4), 2)
    inputs = [torch.linspace(-1, 1, 12).view(4, 3).requires_grad_(), torch.ones(2, 3)]

    def gradients(run):
        network.zero_grad()
        inputs[0].grad = None
        sum((run(each) ** 2).sum() for each in inputs).backward()
        return [inputs[0].grad.clone(), *(weight.grad.clone() for weight in network.parameters())]

    def plain(values):
        for layer in network.layers[:-1]:
            values = torch.relu(layer(values))
        return network.layers[-1](values)

    expected = gradients(plain)
    with kept_casts():
        found = gradients(network)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_weights_pass_gradients_on_and_get_none() -> None:
    network = Mlp(3, (5,), 2)
    first, last = network.layers
    first.requires_grad_(False)
    last.bias.requires_grad_(False)
    inputs = torch.ones(2, 3, requires_grad=True)
    network(inputs).sum().backward()
    assert inputs.grad is not None
    assert last.weight.grad is not None
    for frozen in (first.weight, first.bias, last.bias):
        assert frozen.grad is None
    network.requires_grad_(False)
    assert not network(torch.ones(2, 3)).requires_grad
