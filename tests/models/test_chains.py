import torch

from smot.models.chains import kept_casts
from smot.models.layers import Mlp


def test_updates_of_any_optimiser_reach_the_next_block():
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


def test_keeping_casts_changes_no_value_and_no_gradient():
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
