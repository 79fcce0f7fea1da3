from pathlib import Path

import pytest
import torch

from smot.errors import UsageError
from smot.training.precision import autocast, has_bf16

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
