"""Tracks from and to the formats of other tools.

Flat arrays (`from_arrays`, `to_arrays`), MOTChallenge text files (`read_motchallenge`,
`write_motchallenge`), the folder layout that TrackEval reads (`write_trackeval`), COCO-VID
JSON (`write_coco_vid`) and npz (`write_npz`); `open_source` reads them all.
"""

from smot.interchange.coco_vid import write_coco_vid
from smot.interchange.columns import write_npz
from smot.interchange.flat import Rows, from_arrays, to_arrays
from smot.interchange.motchallenge import read_motchallenge, write_motchallenge
from smot.interchange.sources import open_source
from smot.interchange.trackeval import write_trackeval

__all__ = [
    "Rows",
    "from_arrays",
    "open_source",
    "read_motchallenge",
    "to_arrays",
    "write_coco_vid",
    "write_motchallenge",
    "write_npz",
    "write_trackeval",
]
