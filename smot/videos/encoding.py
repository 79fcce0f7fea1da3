"""Arrays to HDF5 chunks, outside of HDF5: it would compress under one lock, on one core."""

from collections.abc import Iterator

import numpy as np
from numba import njit

from smot.arrays import UInt8Array
from smot.videos.schema import Field

try:  # the same format, three times as fast; not to be had on every kind of machine
    from isal.isal_zlib import compress
except ImportError:
    from zlib import compress

COMPRESSION_LEVEL = 1


def encode(field: Field, array: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Compress an array of videos chunk by chunk, as HDF5's deflate and fletcher32 would.

    Args:
        field: the array's place in the layout.
        array: [N, ...], beginning at a multiple of the field's chunk; the last chunk is filled
            up with zeros, as HDF5 stores it.

    Yields:
        Place of the chunk's first video in the array, and the chunk as HDF5 stores it.
    """
    for start in range(0, len(array), field.chunk):
        part = np.ascontiguousarray(array[start : start + field.chunk])
        missing = field.chunk - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
        packed = compress(part.reshape(-1).view(np.uint8).data, COMPRESSION_LEVEL)
        checksum = fletcher32(np.frombuffer(packed, np.uint8))
        yield start, packed + int(checksum).to_bytes(4, "little")


@njit(nogil=True, cache=True)
def fletcher32(content: UInt8Array) -> int:
    """HDF5's checksum of bytes: Fletcher's, over big-endian 16-bit words, [n] -> 32 bits.

    Source: H5_checksum_fletcher32 of the HDF5 library; the sums are reduced at once instead of
    lazily, which gives the same value except that HDF5 keeps a non-zero multiple of 65535.
    """
    first, second = 0, 0
    for place in range(0, len(content), 2):
        word = int(content[place]) << 8
        if place + 1 < len(content):
            word += int(content[place + 1])
        first += word
        first = (first & 0xFFFF) + (first >> 16)
        second += first
        second = (second & 0xFFFF) + (second >> 16)
    first = (first & 0xFFFF) + (first >> 16)
    second = (second & 0xFFFF) + (second >> 16)
    return (second << 16) | first
