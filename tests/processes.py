"""Processes that tests start: one thread each, and none outlives the tests."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds; a busy machine may need a minute to start a process

# Linux kills the process when its parent ends, even by `kill -9`; the wish outlives `exec`.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""


def start(*arguments: str, cwd: Path = ROOT, new_session: bool = False) -> subprocess.Popen[str]:
    """``python ARGUMENTS``, which ends when this process does.

    Args:
        arguments: of the interpreter, such as ``-m smot``.
        cwd: the folder in which it runs.
        new_session: whether it leads a group of processes of its own.
    """
    command = [sys.executable, *arguments]
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *command]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=new_session,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(
    happened: Callable[[], object], process: subprocess.Popen[str] | None = None
) -> None:
    """Wait for a condition, as long as the process that is to fulfil it lives."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if process is not None and process.poll() is not None and not happened():
            raise AssertionError(process.communicate())
        assert time.monotonic() < deadline, f"not within {PATIENCE} s"
        time.sleep(0.02)
