import math

import pytest
import torch
from torch import nn

from smot.errors import UsageError
from smot.training.config import TrainConfig
from smot.training.optimisers import (
    TensorFlowRMSprop,
    WeightAverages,
    build_optimiser,
    trained_parameters,
)
from tests.training.toy import Toy, ToyConfig


def test_rmsprop_follows_the_formula_worked_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = TensorFlowRMSprop([weight], lr=0.1)
    expected, square, update = 1.0, 1.0, 0.0
    for gradient in (2.0, -1.0, 0.5):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        square = 0.9 * square + 0.1 * gradient**2
        update = 0.9 * update + 0.1 * gradient / math.sqrt(square + 1e-10)
        expected -= update
        assert weight.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["adam", "tf_rmsprop"])
def test_a_parameter_without_gradient_stays(name: str) -> None:
    moved, still = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimiser = build_optimiser(TrainConfig(optimiser=name, lr=0.1), [moved, still])
    moved.grad = torch.ones(3)
    optimiser.step()
    assert (moved < 1).all()
    assert (still == 1).all()


def test_only_the_named_parameters_are_trained() -> None:
    model = Toy(ToyConfig(), 0)
    assert list(trained_parameters(model, ("late",))) == ["late.weight", "late.bias"]
    assert not model.picture.requires_grad
    assert len(trained_parameters(model, ())) == 3
    assert model.picture.requires_grad


def test_a_prefix_without_parameters_is_refused() -> None:
    with pytest.raises(UsageError, match="begins with 'prior'; parts: late, picture"):
        trained_parameters(Toy(ToyConfig(), 0), ("late", "prior"))


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
