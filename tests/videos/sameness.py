"""Whether two files of videos hold the same, however it is compressed."""

from pathlib import Path

import h5py
import numpy as np


def contents(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every array and attribute of a file by its place: type, shape, bytes.

    Compressed bytes are no part of it: ISA-L may find other, equally valid matches each time.
    """
    found = {}
    with h5py.File(path) as file:
        for name, value in file.attrs.items():
            array = np.asarray(value).astype("S") if isinstance(value, str) else np.asarray(value)
            found[f"@{name}"] = (str(array.dtype), array.shape, array.tobytes())

        def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = (str(item.dtype), item.shape, item[()].tobytes())

        file.visititems(note)
    return found
