"""Tracks from and to the formats of other tools.

Flat arrays (`from_arrays`, `to_arrays`), MOTChallenge text files (`read_motchallenge`,
`write_motchallenge`), the folder layout that TrackEval reads (`write_trackeval`) and COCO-VID
JSON (`write_coco_vid`).
"""

from smot.interchange.coco_vid import write_coco_vid
from smot.interchange.flat import Rows, from_arrays, to_arrays
from smot.interchange.motchallenge import read_motchallenge, write_motchallenge
from smot.interchange.trackeval import write_trackeval

__all__ = [
    "Rows",
    "from_arrays",
    "read_motchallenge",
    "to_arrays",
    "write_coco_vid",
    "write_motchallenge",
    "write_trackeval",
]
