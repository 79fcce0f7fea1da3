import platform
import subprocess
import sys
import threading

import pytest
import torch

from smot.training.prefetch import Prefetch


def test_batches_come_in_order_with_the_length_of_their_step() -> None:
    prefetch = Prefetch(
        lambda step, n_frames: torch.tensor([step, n_frames]), lambda step: 2 * step, first_step=5
    )
    batches = [torch.as_tensor(prefetch.next()[0]).tolist() for _ in range(3)]
    assert batches == [[5, 10], [6, 12], [7, 14]]
    prefetch.close()


def test_time_is_waited_for_what_is_not_ready() -> None:
    def batches(step: int, n_frames: int) -> torch.Tensor:
        if step == 1:
            going_on.wait()
        return torch.zeros(1)

    going_on = threading.Event()
    prefetch = Prefetch(batches, lambda step: 1, first_step=0)
    prefetch.next()
    threading.Timer(0.2, going_on.set).start()
    assert prefetch.next()[1] >= 0.15
    prefetch.close()


def test_what_goes_wrong_in_the_background_is_raised_in_its_turn() -> None:
    def batches(step: int, n_frames: int) -> torch.Tensor:
        if step == 1:
            raise LookupError("no video")
        return torch.zeros(1)

    prefetch = Prefetch(batches, lambda step: 1, first_step=0)
    prefetch.next()
    with pytest.raises(LookupError, match="no video"):
        prefetch.next()
    prefetch.close()


FAULTS = """
import resource
import torch
from smot.training.prefetch import keep_freed_memory
def count():
    for n_touched in (20, 5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(n_touched):
            torch.ones(9 << 20)  # 36 MB: from 32 on glibc never learns to keep what is freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
n_before = count()
assert keep_freed_memory()
print(n_before, count())
"""


@pytest.mark.slow
@pytest.mark.posix("counts page faults")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 10
