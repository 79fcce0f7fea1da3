"""Where models run: a device by its name, checked before anything is put there."""

import os
import re

import torch

from smot.errors import UsageError


def process_device(device: str) -> torch.device:
    """The device of this process: under torchrun, ``cuda`` is the GPU of the local rank.

    Args:
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        UsageError: no such device on this machine.
    """
    named = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not named:
        raise UsageError(f"device must be cpu, cuda or cuda:N, not {device!r}")
    if device == "cpu":
        return torch.device(device)
    if not torch.cuda.is_available():
        raise UsageError(f"device {device!r}: no GPU that PyTorch can use")
    index = int(named[1] or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise UsageError(f"device {device!r}: there are {torch.cuda.device_count()} GPUs")
    chosen = torch.device("cuda", index)
    torch.cuda.set_device(chosen)
    return chosen
