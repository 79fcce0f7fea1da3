import math

import pytest
import torch

from smot.models.silot.propagation import SpatialAttention


@pytest.mark.parametrize("n_target", [0, 3])
def test_attention_equals_its_sum_over_pairs(n_target: int) -> None:
    torch.manual_seed(0)
    attention = SpatialAttention(5, n_target, 4, sigma=0.2)
    torch.nn.init.normal_(attention.last.bias)
    source, place = torch.randn(2, 6, 5), torch.rand(2, 6, 2)
    target = torch.randn(2, 7, n_target)
    target_place = torch.rand(2, 7, 2)
    rel = place[:, None] - target_place[:, :, None]
    pairs = torch.cat(
        [
            source[:, None].expand(2, 7, 6, 5),
            rel,
            target[:, :, None].expand(2, 7, 6, n_target),
        ],
        -1,
    )
    values = torch.relu(attention.second(torch.relu(attention.first(pairs))))
    weight = torch.exp(-0.5 * (rel**2).sum(-1) / 0.04) / (2 * math.pi * 0.04)
    expected = (weight[..., None] * attention.last(values)).sum(2)
    found = attention(source, place, target if n_target else None, target_place)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_pairs_are_worked_out_in_bfloat16_under_autocast() -> None:
    torch.manual_seed(0)
    attention = SpatialAttention(5, 0, 4, sigma=0.2)
    source, place, target_place = torch.randn(2, 6, 5), torch.rand(2, 6, 2), torch.rand(1, 7, 2)
    exact = attention(source, place, None, target_place)
    with torch.autocast("cpu", torch.bfloat16):
        rough = attention(source, place, None, target_place)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(
        rough, exact, rtol=0.05, atol=0.05 * float(exact.detach().abs().max())
    )
