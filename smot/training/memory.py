"""What the process does with memory that a step has freed."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from glibc's malloc.h
_LARGEST_FROM_HEAP = 1 << 30
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep what is freed for the next step in place of handing it back to the kernel.

    An update makes and frees the same large arrays over and over. By default glibc returns each
    of them, and touching its pages anew costs about a tenth of an update of SILOT with eight
    frames. The process then keeps the most memory that it ever used.

    Returns:
        Whether it could be done: on Linux with glibc.

    Source: mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    kept = libc.mallopt(_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
    return bool(kept and libc.mallopt(_TRIM_THRESHOLD, _NEVER))
