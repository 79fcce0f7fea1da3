"""Names for the array types that signatures use, and a place for the kernels that work on them."""

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

UInt8Array: TypeAlias = NDArray[np.uint8]
UInt64Array: TypeAlias = NDArray[np.uint64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.integer]
FloatArray: TypeAlias = NDArray[np.floating]


def _provide_kernel_cache() -> None:
    """Let numba cache kernels in a temporary folder if it can write neither here nor at home.

    Without any place for its cache numba refuses to compile. Every module with kernels imports
    this one, so it is done before the first kernel.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME") or "/"
    writable = any(os.access(place, os.W_OK) for place in (Path(__file__).parent, cache))
    if writable or "NUMBA_CACHE_DIR" in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="smot-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Processes that are started inherit the first; numba, if loaded already, reads the second.
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    warnings.warn(
        "no writable folder for compiled kernels: they are compiled again at every start; "
        "NUMBA_CACHE_DIR names one",
        stacklevel=2,
    )


_provide_kernel_cache()
