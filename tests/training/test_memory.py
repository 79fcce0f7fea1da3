import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from smot.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def touch():
    torch.ones(1 << 24)
for _ in range(20):
    touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True,
                           check=True, text=True).stdout)
        for way in ("return", "keep")
    ]  # fmt: skip
    assert faults[1] < faults[0] / 10
