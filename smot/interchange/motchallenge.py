"""MOTChallenge text files: one line a box, `frame,id,left,top,width,height,confidence,...`.

Frames and pixels are numbered from 1: the box that MOTChallenge calls `left = 1` begins at our
`x0 = 0`. Identities stay as they are. In a truth file the seventh column says whether the box
counts, the eighth is the class (we write 1), the ninth the visibility.

Source: Milan et al., "MOT16: a benchmark for multi-object tracking", 2016, section 3.3.
"""

import os
from pathlib import Path

import numpy as np

from smot.arrays import FloatArray
from smot.errors import DataError
from smot.files import write_text
from smot.interchange.flat import from_arrays, to_arrays
from smot.tracks import Tracks

NOT_GIVEN = -1.0


def read_motchallenge(
    path: str | os.PathLike[str], *, is_truth: bool = False, n_frames: int | None = None
) -> Tracks:
    """Read one video.

    Args:
        path: the text file; an empty one is a video in which nothing was found.
        is_truth: leave out boxes marked as not counting, and give the others confidence 1.
        n_frames: T; the last frame with a box if not given. Give predictions the truth's.

    Returns:
        Tracks [1, T, K]; a confidence of -1 ("not given") becomes 1.

    Raises:
        DataError: not such a file, a frame below 1 or beyond `n_frames`, an identity below 0 or
            twice in a frame, a confidence that is neither -1 nor in [0, 1].
        OSError: the file cannot be opened.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    table = _table(path, [line for line in lines if line.strip()])
    confidence = table[:, 6] if table.shape[1] > 6 else np.ones(len(table))
    if is_truth:
        table, confidence = table[confidence != 0], np.ones(int((confidence != 0).sum()))
    corner = table[:, 2:4] - 1  # the first pixel is 1 there and 0 here
    try:
        return from_arrays(
            frame=_whole(table[:, 0], "frame") - 1,
            identity=_whole(table[:, 1], "identity"),
            box=np.concatenate([corner, corner + table[:, 4:6]], axis=1),
            confidence=np.where(confidence == NOT_GIVEN, 1.0, confidence),
            n_frames=n_frames,
            n_videos=1,
        )
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: counting frames from 0, {error}") from None


def write_motchallenge(
    path: str | os.PathLike[str],
    tracks: Tracks,
    *,
    is_truth: bool = False,
    visibility: FloatArray | None = None,
) -> None:
    """Write one video.

    Args:
        path: written whole or not at all.
        tracks: of one video, [1, T, K].
        is_truth: write the columns of a truth file.
        visibility: for a truth file, in the slots of the tracks, [1, T, K]; 1 if not given.

    Raises:
        DataError: more than one video.
        OSError: the file cannot be written.
    """
    if tracks.shape[0] != 1:
        raise DataError(f"a MOTChallenge file holds one video, not {tracks.shape[0]}")
    write_text(path, format_video(tracks, is_truth, visibility))


def format_video(tracks: Tracks, is_truth: bool, visibility: FloatArray | None = None) -> str:
    """The lines of one video, [1, T, K], as `write_motchallenge` writes them."""
    rows = to_arrays(tracks)
    ends = [f"{_short(sure)},-1,-1,-1" for sure in rows.confidence.tolist()]
    if is_truth:
        seen = np.ones(tracks.shape) if visibility is None else visibility.astype(np.float64)
        shares = seen[rows.video, rows.frame, rows.slot].tolist()
        ends = [f"1,1,{_short(share)}" for share in shares]
    lines = []
    for frame, who, box, end in zip(
        rows.frame.tolist(), rows.identity.tolist(), rows.box.tolist(), ends, strict=True
    ):
        x0, y0, x1, y1 = box
        sides = ",".join(_short(side) for side in (x0 + 1, y0 + 1, x1 - x0, y1 - y0))
        lines.append(f"{frame + 1},{who},{sides},{end}\n")
    return "".join(lines)


def _short(value: float) -> str:
    """The shortest decimal number that reads back as the same one."""
    return repr(value).removesuffix(".0")


def _table(path: str | os.PathLike[str], lines: list[str]) -> FloatArray:
    if not lines:
        return np.zeros((0, 7))
    try:
        table = np.loadtxt(lines, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataError(f"{os.fspath(path)}: not a MOTChallenge file: {error}") from None
    if table.shape[1] < 6:
        raise DataError(
            f"{os.fspath(path)}: a line has {table.shape[1]} columns, a box needs at least 6: "
            "frame, id, left, top, width, height"
        )
    return table


def _whole(values: FloatArray, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    # Beyond 2**53 not every whole number has a float of its own.
    odd = ~(np.abs(values) < 2.0**53) | (values != np.rint(values))
    if odd.any():
        raise DataError(f"{name} {values[odd][0]:g} is not a whole number")
    return values.astype(np.int64)
