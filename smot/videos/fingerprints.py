"""Hashes that say whether two data sets are the same: by their settings, and by their content."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from smot.arrays import UInt8Array
from smot.videos.content import Videos
from smot.videos.schema import FIELDS, FORMAT_VERSION, Origin


def settings_fingerprint(origin: Origin) -> str:
    """Hash of everything that decides what video i of a split looks like.

    Neither the name nor how many videos were made is part of it: two files with one settings
    fingerprint hold the same video i.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    decisive = {
        "format_version": FORMAT_VERSION,
        "seed": origin.seed,
        "settings": dict(origin.settings),
        "digit_source": origin.description.digit_source,
        "digit_fingerprint": origin.digit_fingerprint,
    }
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digests(videos: Videos) -> UInt8Array:
    """Hash of each video's decoded content: all its arrays, in the order of the layout.

    Returns:
        SHA-256, [N, 32].
    """
    arrays = [np.ascontiguousarray(getattr(videos, field.name)) for field in FIELDS]
    found = np.empty((len(videos), 32), np.uint8)
    for index in range(len(videos)):
        content = hashlib.sha256()
        for array in arrays:
            content.update(array[index].data)
        found[index] = np.frombuffer(content.digest(), np.uint8)
    return found


def content_fingerprint(groups: Mapping[str, UInt8Array]) -> str:
    """Hash of a data set's content: of the digests of all videos, group by group in name order.

    It depends on neither compression, nor how the work was divided into shards and batches.

    Args:
        groups: digests of each group's videos, [N, 32], by group name.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    content = hashlib.sha256()
    for name in sorted(groups):
        content.update(f"{name} {len(groups[name])}\n".encode())
        content.update(np.ascontiguousarray(groups[name]).data)
    return content.hexdigest()
