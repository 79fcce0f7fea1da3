import torch
from torch import nn

from smot.models.gru import Gru
from smot.models.layers import Mlp


def test_gru_follows_its_equations() -> None:
    torch.manual_seed(0)
    cell = Gru(3, 4)
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    wz, wr, wc = cell.inputs.weight.split(4)
    uz, ur = cell.gates.weight.split(4)
    z = torch.sigmoid(x @ wz.T + h @ uz.T)
    r = torch.sigmoid(x @ wr.T + h @ ur.T)
    c = torch.tanh(x @ wc.T + (r * h) @ cell.candidate.weight.T)
    torch.testing.assert_close(cell((x,), h), (1 - z) * h + z * c)


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
        state = cell((outputs,), torch.zeros(7, 4))
    assert outputs.dtype == state.dtype == torch.float32


def test_side_by_side_blocks_start_as_if_alone() -> None:
    torch.manual_seed(0)
    cell = Gru(72, 128)
    alone = nn.init.calculate_gain("linear") * (6 / (72 + 128)) ** 0.5
    assert 0.98 * alone < float(cell.inputs.weight.detach().abs().max()) <= alone


def test_compiled_gates_have_the_gradients_of_the_equations() -> None:
    torch.manual_seed(0)
    cell = Gru(3, 4)
    results = []
    for compiled in (True, False):
        x, h = torch.linspace(-2, 2, 15).view(5, 3), torch.linspace(2, -2, 20).view(5, 4)
        x.requires_grad_()
        h.requires_grad_()
        cell.zero_grad()
        if compiled:
            state = cell((x,), h)
        else:
            driven = cell.inputs(x)
            z, r = torch.sigmoid(driven[:, :8] + cell.gates(h)).chunk(2, -1)
            state = (1 - z) * h + z * torch.tanh(driven[:, 8:] + cell.candidate(r * h))
        (state * torch.linspace(-1, 1, 20).view(5, 4)).sum().backward()
        results.append([x.grad, h.grad, *(weight.grad.clone() for weight in cell.parameters())])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-6)


def test_gates_in_half_precision_follow_those_in_full() -> None:
    torch.manual_seed(0)
    cell = Gru(3, 4)
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    results = []
    for half in (False, True):
        cell.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            state = cell((x[:, :1], x[:, 1:]), h)
        (state * torch.linspace(-1, 1, 20).view(5, 4)).sum().backward()
        results.append([state.detach(), *(weight.grad.clone() for weight in cell.parameters())])
    for full, narrow in zip(*results, strict=True):
        torch.testing.assert_close(full, narrow, rtol=0.05, atol=0.02)
