import os
import signal
import sys

import pytest

# Before torch is loaded, and for the processes that tests start. The networks here are too small
# to share among threads, and pytest may run in a process for each core.
os.environ["OMP_NUM_THREADS"] = "1"

import torch


@pytest.fixture(autouse=True)
def _same_initial_weights() -> None:
    """Networks made in a test begin alike, whichever tests ran before it."""
    torch.manual_seed(0)


# Under nohup, or in the background, signals are ignored, by children too; tests send them signals.
for _name, _usual in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    _number = getattr(signal, _name, None)  # Windows has no SIGHUP
    if _number is not None and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what Windows cannot run, and say why."""
    for item in items if sys.platform == "win32" else ():
        for mark in item.iter_markers("posix"):
            item.add_marker(pytest.mark.skip(reason=f"not on Windows: {mark.args[0]}"))
