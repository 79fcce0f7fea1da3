import math
from pathlib import Path

import pytest
import torch
from torch import nn

from smot.errors import UsageError
from smot.training.distributed import Group
from smot.training.gradients import GradientBuffer, Signals, autocast, has_bf16


class Pair(Group):
    """Two processes of which the other one's buffer is known in advance."""

    other: torch.Tensor

    def average_(self, flat: torch.Tensor) -> None:
        flat.copy_((flat + self.other) / 2)


def buffer_of(
    gradients: list[list[float] | None], group: Group
) -> tuple[GradientBuffer, list[nn.Parameter]]:
    weights = [nn.Parameter(torch.zeros(2)) for _ in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = None if gradient is None else torch.tensor(gradient)
    named = {f"w{place}": weight for place, weight in enumerate(weights)}
    return GradientBuffer(named, group), weights


def reduced(
    buffer: GradientBuffer,
    *,
    loss: float = 0.0,
    level: float = 0.0,
    stop: bool = False,
    hours: float = 0.0,
    clip_norm: float = 0.0,
) -> Signals:
    return buffer.reduce(
        loss=torch.tensor(loss),
        level=torch.tensor(level),
        stop=stop,
        hours=hours,
        clip_norm=clip_norm,
    )


def test_the_common_norm_is_clipped() -> None:
    buffer, (first, second) = buffer_of([[3.0, 0.0], [0.0, 4.0]], Group())
    signals = reduced(buffer, loss=7.0, hours=0.5, clip_norm=1.0)
    assert signals.norm == pytest.approx(5.0)
    assert (signals.loss, signals.hours) == (7.0, 0.5)
    assert first.grad.tolist() == pytest.approx([0.6, 0.0])
    assert second.grad.tolist() == pytest.approx([0.0, 0.8])


def test_no_clipping_leaves_gradients_alone() -> None:
    buffer, (weight,) = buffer_of([[30.0, 40.0]], Group())
    reduced(buffer)
    assert weight.grad.tolist() == [30.0, 40.0]


def test_a_missing_gradient_stays_missing_and_leaves_no_trace_of_the_last() -> None:
    buffer, (first, second) = buffer_of([[1.0, 1.0], [5.0, 5.0]], Group())
    reduced(buffer)
    first.grad, second.grad = torch.ones(2), None
    signals = reduced(buffer)
    assert second.grad is None
    assert signals.norm == pytest.approx(math.sqrt(2))


def test_a_gradient_that_only_the_other_process_has_is_shared() -> None:
    other, _ = buffer_of([None, [2.0, 2.0], None], Group())
    reduced(other, loss=4.0, level=6.0, stop=True)
    pair = Pair(rank=0, size=2)
    object.__setattr__(pair, "other", other._flat)
    buffer, (first, second, third) = buffer_of([[1.0, 1.0], None, None], pair)
    other._tail[2] = 1.0
    signals = reduced(buffer, loss=2.0, level=-2.0, hours=0.25)
    assert first.grad.tolist() == [0.5, 0.5]
    assert second.grad.tolist() == [1.0, 1.0]
    assert third.grad is None
    assert signals.stop
    assert (signals.loss, signals.level, signals.hours) == (3.0, 2.0, 0.25)


@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_what_is_not_finite_shows_in_the_norm_and_is_named(fault: float) -> None:
    buffer, _ = buffer_of([[1.0, 1.0], [fault, 1.0]], Group())
    signals = reduced(buffer, clip_norm=1.0)
    assert not math.isfinite(signals.norm)
    assert buffer.broken() == ["w1"]


@pytest.mark.parametrize("name", ["loss", "level"])
def test_an_objective_that_is_not_finite_shows_even_where_gradients_are(name: str) -> None:
    buffer, _ = buffer_of([[1.0, 1.0]], Group())
    signals = reduced(buffer, clip_norm=1.0, **{name: math.inf})
    assert math.isnan(signals.norm)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_fused_optimiser_moves_each_weight_by_its_own_gradient(
    memory_format: torch.memory_format,
) -> None:
    layer = nn.Conv2d(3, 4, 3).to(memory_format=memory_format)
    buffer = GradientBuffer(dict(layer.named_parameters()), Group())
    before, gradient = layer.weight.detach().clone(), torch.randn(4, 3, 3, 3)
    layer.weight.grad, layer.bias.grad = gradient, torch.zeros(4)
    reduced(buffer)
    torch.optim.SGD(layer.parameters(), lr=1.0, fused=True).step()
    torch.testing.assert_close(layer.weight.detach(), before - gradient)


CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False, "architecture": "x86_64"}, False),
        ({"neon": True, "bf16": True}, True),
    ],
)
def test_a_processor_has_what_pytorch_says_of_it(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, object], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert has_bf16(CPU) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t: fma avx512f avx512_bf16 sse", True),
        ("flags\t: avx512f sse", False),
        (None, False),
    ],
)
def test_an_older_pytorch_leaves_the_answer_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool
) -> None:
    def read(path: Path, encoding: str) -> str:
        if text is None:
            raise FileNotFoundError(path)
        return text

    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(Path, "read_text", read)
    assert has_bf16(CPU) is expected


@pytest.mark.parametrize("expected", [True, False])
def test_a_gpu_that_only_emulates_does_not_have_it(
    monkeypatch: pytest.MonkeyPatch, expected: bool
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return expected or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert has_bf16(GPU) is expected


def test_products_are_made_in_the_precision_that_was_asked_for() -> None:
    matrix = torch.ones(2, 2)
    with autocast("bf16", CPU):
        assert (matrix @ matrix).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert (matrix @ matrix).dtype == torch.float32
    with pytest.raises(UsageError, match="'auto' must be decided"):
        autocast("auto", CPU)
