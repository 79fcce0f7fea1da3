"""The numbers that an objective is computed in, and whether the hardware has them."""

from pathlib import Path

import torch

from smot.errors import UsageError

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})
"""What processors with products of bfloat16 say of themselves: x86, then ARM."""


def has_bf16(device: torch.device) -> bool:
    """Whether products of bfloat16 are made by the hardware, and not emulated.

    Args:
        device: a CPU, or the current GPU.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not BF16_FLAGS.isdisjoint(_cpu_flags())


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context that an objective is computed in.

    Args:
        precision: "float32", or "bf16" for products of bfloat16.
        device: where.

    Raises:
        UsageError: "auto", which whoever starts a run has to decide by `has_bf16`.
    """
    if precision == "auto":
        raise UsageError("train.precision 'auto' must be decided before the training loop begins")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _cpu_flags() -> frozenset[str]:
    """What the processor can do: by PyTorch where its version tells, else by the kernel."""
    query = getattr(torch.cpu, "get_capabilities", None)
    if query is not None:
        return frozenset(name for name, present in query().items() if present)
    try:
        return frozenset(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return frozenset()
