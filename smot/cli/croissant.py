"""A data card for machines: what a file of videos is, as Croissant metadata (JSON-LD)."""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smot.videos import VideoFile

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
}
_THINGS = {"mnist": "handwritten digits", "shapes": "coloured shapes"}


def croissant(videos: "VideoFile") -> str:
    """The card of a file as JSON.

    Croissant cannot describe what is within HDF5, so there are no record sets: docs/file-format.md
    does. No licence is named: that of the digits is their source's.

    Source: Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
    """
    said, description = videos.metadata, videos.description
    H, W = description.frame_size
    things = _THINGS.get(description.dataset, "objects")
    if description.digit_source:
        things += f" ({description.digit_source})"
    masks = ", and masks" if videos.has_masks else ""
    keywords, creator = ["multi-object tracking"], {}
    if description.dataset in _THINGS:  # else it is somebody's footage, which smot converted
        keywords += ["unsupervised learning", "synthetic videos"]
        creator = {"creator": {"@type": "sc:Organization", "name": "smot"}}
    groups = ", ".join(f"{name} {n:,}" for name, n in videos.groups.items())
    with videos.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    card = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": said.name,
        "description": f"Videos of {things} with boxes, identities and visibility{masks}: "
        f"{description.n_frames} frames of {H} x {W} pixels. Videos by group: {groups}.",
        "version": f"{said.format_version}.0.0",
        "keywords": keywords,
        "identifier": said.content_fingerprint,
        **creator,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": videos.path.name,
                "name": videos.path.name,
                "contentUrl": videos.path.name,
                "contentSize": f"{videos.path.stat().st_size} B",
                "encodingFormat": "application/x-hdf5",
                "sha256": digest,
            }
        ],
    }
    return json.dumps(card, indent=2)
