import os
import subprocess
import sys
from pathlib import Path

COMPILE = """
import os
os.access = lambda *_, **__: False  # as in a container without a home, the package read-only
from numba import njit
from smot.arrays import FloatArray
from smot.evaluation.metrics import assignment
print(os.environ["NUMBA_CACHE_DIR"], assignment.assign.stats.cache_path)
"""


def test_kernels_are_compiled_where_neither_package_nor_home_can_be_written() -> None:
    environment = {name: os.environ[name] for name in os.environ if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    folder, used = done.stdout.split()
    assert used.startswith(folder)
    assert not Path(folder).exists()  # it is removed at the end
    assert done.stderr.count("no writable folder for compiled kernels") == 1
