import pytest
import torch
from torch import nn

from smot.training.averages import WeightAverages


def test_averages_approach_a_weight_that_stays() -> None:
    weight = nn.Parameter(torch.zeros(2))
    averages = WeightAverages({"weight": weight}, 0.9)
    with torch.no_grad():
        weight.fill_(1.0)
    for _ in range(200):
        averages.update()
    assert averages.tensors["weight"].tolist() == pytest.approx([1.0, 1.0])


def test_the_first_updates_forget_the_start() -> None:
    weight = nn.Parameter(torch.zeros(1))
    averages = WeightAverages({"weight": weight}, 0.999)
    with torch.no_grad():
        weight.fill_(1.0)
    averages.update()
    assert averages.tensors["weight"].item() == pytest.approx(0.9)


def test_weights_come_back_after_use_even_after_an_error() -> None:
    weight = nn.Parameter(torch.zeros(1))
    averages = WeightAverages({"weight": weight}, 0.5)
    with torch.no_grad():
        weight.fill_(1.0)

    def fail_in_use() -> None:
        with averages.in_use():
            assert weight.item() == 0.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_use()
    assert weight.item() == 1.0
    assert averages.tensors["weight"].item() == 0.0


def test_no_decay_keeps_no_averages() -> None:
    weight = nn.Parameter(torch.ones(1))
    averages = WeightAverages({"weight": weight}, 0.0)
    averages.update()
    with averages.in_use():
        assert weight.item() == 1.0
    assert averages.tensors == {}
