import torch
from torch import nn

from smot.models.layers import Gru, Mlp


def test_gru_follows_its_equations() -> None:
    torch.manual_seed(0)
    cell = Gru(3, 4)
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    wz, wr, wc = cell.inputs.weight.split(4)
    uz, ur = cell.gates.weight.split(4)
    z = torch.sigmoid(x @ wz.T + h @ uz.T)
    r = torch.sigmoid(x @ wr.T + h @ ur.T)
    c = torch.tanh(x @ wc.T + (r * h) @ cell.candidate.weight.T)
    torch.testing.assert_close(cell(x, h), (1 - z) * h + z * c)


def test_mlp_is_linear_layers_with_relu_between() -> None:
    torch.manual_seed(0)
    mlp = Mlp(3, (5, 4), 2)
    first, second, last = mlp.layers
    x = torch.randn(7, 3)
    expected = last(torch.relu(second(torch.relu(first(x)))))
    torch.testing.assert_close(mlp(x), expected)


def test_networks_answer_in_full_precision_under_autocast() -> None:
    mlp, cell = Mlp(3, (5,), 2), Gru(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = mlp(torch.randn(7, 3))
        state = cell(outputs, torch.zeros(7, 4))
    assert outputs.dtype == state.dtype == torch.float32


def test_side_by_side_blocks_start_as_if_alone() -> None:
    torch.manual_seed(0)
    cell = Gru(72, 128)
    alone = nn.init.calculate_gain("linear") * (6 / (72 + 128)) ** 0.5
    assert 0.98 * alone < float(cell.inputs.weight.detach().abs().max()) <= alone
