"""MOTChallenge text files: one line a box, `frame,id,left,top,width,height,confidence,...`.

Frames and pixels are numbered from 1: the box that MOTChallenge calls `left = 1` begins at our
`x0 = 0`. Identities stay as they are. In a truth file the seventh column says whether the box
counts, the eighth is the class (we write 1), the ninth the visibility.

Files of other tools differ: separators, headers, encodings, numbering, scores of any range.
What can only mean one thing is read; whatever had to be assumed is a warning.

Source: Milan et al., "MOT16: a benchmark for multi-object tracking", 2016, section 3.3.
"""

import gzip
import os
import warnings
import zlib
from pathlib import Path

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.errors import DataError
from smot.files import write_text
from smot.interchange.annotation import Annotation
from smot.interchange.flat import to_arrays
from smot.tracks import Tracks

NOT_GIVEN = -1.0
LAST_FRAME = 10_000_000  # numbers beyond are times rather than frames
_VAST = 1e150  # a box as large as this has no finite area
_N_COLUMNS = 7
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_motchallenge(
    path: str | os.PathLike[str],
    *,
    is_truth: bool = False,
    n_frames: int | None = None,
    first_frame: int | None = None,
) -> Tracks:
    """Read one video.

    Args:
        path: the text file, packed by gzip or not; an empty one is a video in which nothing was
            found. Columns are separated by commas or by white space.
        is_truth: leave out boxes marked as not counting, and give the others confidence 1.
        n_frames: T; the last frame with a box if not given. Give predictions the truth's.
        first_frame: the number of the first frame, 0 or 1; if not given, 0 where a box has it
            (with a warning), else 1.

    Returns:
        Tracks [1, T, K]. A confidence of -1 ("not given") becomes 1, and so do confidences that
        are 0 throughout; scores beyond [0, 1] are scaled to it. Where every identity is -1, as in
        files of detections, every box gets one of its own.

    Raises:
        DataError: not such a file, an impossible frame, identity or box, or an identity twice in a
            frame; names the line.
        OSError: the file cannot be opened.
    """
    found = read_annotation(
        path, is_truth=is_truth, n_frames=n_frames, first_frame=first_frame, all_rows=False
    )
    try:
        return found.tracks()
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: counting frames from 0, {error}") from None


def read_annotation(
    path: str | os.PathLike[str],
    *,
    name: str = "",
    is_truth: bool = False,
    n_frames: int | None = None,
    first_frame: int | None = None,
    all_rows: bool = True,
) -> Annotation:
    """Read one video with all that the file says of its boxes; see `read_motchallenge`.

    Args:
        path: the text file.
        name: of the video; that of the file if not given.
        is_truth: the columns are those of a truth file: whether a box counts, class, visibility.
        n_frames: T.
        first_frame: the number of the first frame, 0 or 1.
        all_rows: whether to keep true boxes that do not count.

    Returns:
        Every box. Classes that are not whole numbers above 0 (MOT15 has places in the world in
        their column) are taken as not given.

    Raises:
        DataError: see `read_motchallenge`.
        OSError: the file cannot be opened.
    """
    where = os.fspath(path)
    lines, table = _table(where, text_of(path).splitlines())
    if is_truth and not all_rows:
        lines, table = lines[table[:, 6] != 0], table[table[:, 6] != 0]
    confidence = np.ones(len(table)) if is_truth else _confidence(where, table[:, 6])
    frame = _frames(where, lines, table[:, 0], first_frame, n_frames)
    identity = _identities(where, lines, table[:, 1], frame)
    corner = table[:, 2:4] - 1  # the first pixel is 1 there and 0 here
    vast = ~(np.abs(table[:, :_N_COLUMNS]) < _VAST).all(1)  # also where one is not a number
    _refuse(where, lines, np.asarray(vast), table[:, 2], "a number is not finite, or vast, near")
    _refuse(where, lines, table[:, 4] < 0, table[:, 4], "negative width")
    _refuse(where, lines, table[:, 5] < 0, table[:, 5], "negative height")
    classes, seen = table[:, _N_COLUMNS], table[:, _N_COLUMNS + 1]
    has_classes = bool(((classes >= 1) & (classes == np.rint(classes)) & (classes < 2**31)).all())
    has_visibility = is_truth and has_classes and bool(((seen >= 0) & (seen <= 1)).all())
    return Annotation(
        name=name or Path(path).name.partition(".")[0],
        frame=frame,
        identity=identity,
        box=np.concatenate([corner, corner + table[:, 4:6]], axis=1),
        confidence=confidence,
        category=classes.astype(np.int64) if has_classes else np.ones(len(table), np.int64),
        counts=table[:, 6] != 0 if is_truth else np.ones(len(table), np.bool_),
        is_region=np.zeros(len(table), np.bool_),
        visibility=seen if has_visibility else None,
        n_frames=n_frames,
        assumed_first=int(table[0, 0] - frame[0]) if first_frame is None and len(table) else None,
    )


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


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a file of numbers, whatever its encoding, packed by gzip or not.

    Raises:
        DataError: damaged gzip, or no text.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path)
    content = Path(name).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{name}: damaged gzip") from None
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    if b"\0" in content:
        raise DataError(f"{name}: not text in UTF-8, UTF-16 with a byte order mark, or Latin-1")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _table(name: str, lines: list[str]) -> tuple[IntArray, FloatArray]:
    """The number of each box's line, from 1, [N], and its first nine columns, [N, 9]."""
    numbers: list[int] = []
    rows: list[list[float]] = []
    n_headers = 0
    for number, line in enumerate(lines, 1):
        parts = _parts(line)
        if not parts or parts[0].startswith("#"):
            continue
        try:
            row = [float(part) for part in parts[:_N_COLUMNS]]
        except ValueError:
            if not rows and not n_headers and parts[0].strip("\"'")[:1].isalpha():
                _check_header(name, parts)
                n_headers += 1
                continue
            raise DataError(f"{name}, line {number}: not numbers: {line.strip()[:60]!r}") from None
        if len(row) < _N_COLUMNS - 1:
            raise DataError(
                f"{name}, line {number}: {len(row)} columns, a box needs at least 6: "
                "frame, id, left, top, width, height"
            )
        numbers.append(number)
        row = [*row, NOT_GIVEN][:_N_COLUMNS]
        more = [_number(part) for part in parts[_N_COLUMNS : _N_COLUMNS + 2]]
        rows.append([*row, *more, NOT_GIVEN, NOT_GIVEN][: _N_COLUMNS + 2])
    return np.array(numbers, np.int64), np.array(rows, np.float64).reshape(-1, _N_COLUMNS + 2)


def _check_header(name: str, parts: list[str]) -> None:
    """Columns are read by their places, so that a header must not say that they are others."""
    heads = [part.strip("\"'").lower() for part in parts]
    if set(heads[4:6]) & {"x1", "x2", "xmax", "x_max", "right"}:
        raise DataError(
            f"{name}: columns 5 and 6 must be width and height, not {', '.join(heads[4:6])}: "
            "call the file .csv to have its columns read by name"
        )


def _number(text: str) -> float:
    """A number of a column that may hold anything."""
    try:
        return float(text)
    except ValueError:
        return NOT_GIVEN


def _parts(line: str) -> list[str]:
    """The columns of a line: between commas, of which the last may be too many, or spaces."""
    if "," not in line:
        return line.split()
    return [part.strip() for part in line.strip().removesuffix(",").split(",")]


def _confidence(name: str, given: FloatArray) -> FloatArray:
    """Confidences in [0, 1], [N], from a column that may hold anything."""
    known = given[given != NOT_GIVEN]
    if not known.size or not np.isfinite(known).all():
        return np.ones(len(given))
    if not known.any():
        _notice(f"{name}: every confidence is 0; they are taken as not given, which is 1")
        return np.ones(len(given))
    if known.min() >= 0 and known.max() <= 1:
        return np.where(given == NOT_GIVEN, 1.0, given)
    low, high = float(given.min()), float(given.max())  # -1 may be a score like any other
    _notice(f"{name}: scores from {low:g} to {high:g} are scaled to confidences from 0 to 1")
    return (given - low) / (high - low) if high > low else np.ones(len(given))


def _frames(
    name: str, lines: IntArray, given: FloatArray, first: int | None, n_frames: int | None
) -> IntArray:
    """Frames from 0, [N]."""
    _refuse(name, lines, given != np.rint(given), given, "not a whole number: frame")
    _refuse(name, lines, given < 0, given, "negative frame")
    _refuse(name, lines, given > LAST_FRAME, given, "not the number of a frame (a time?):")
    if first is None:
        first = 0 if (given == 0).any() else 1
        if first == 0:
            _notice(f"{name}: frames are taken as numbered from 0")
    _refuse(name, lines, given < first, given, f"before the first frame, {first}:")
    if n_frames is not None:
        last = first + n_frames - 1
        _refuse(name, lines, given > last, given, f"beyond the last frame, {last}:")
    return given.astype(np.int64) - first


def _identities(name: str, lines: IntArray, given: FloatArray, frame: IntArray) -> IntArray:
    """Identities that are unique within their frame, [N]."""
    if given.size and (given == -1).all():
        _notice(f"{name}: no box has an identity (all are -1); every box gets one of its own")
        return np.arange(len(given))
    whole = (given == np.rint(given)) & (given < 2.0**31)
    _refuse(name, lines, ~whole, given, "not a whole number below 2**31: identity")
    _refuse(name, lines, given < 0, given, "negative identity")
    order = np.lexsort((given, frame))  # stable: the later line of a pair comes second
    again = (np.diff(given[order]) == 0) & (np.diff(frame[order]) == 0)
    twice = np.zeros(len(given), bool)
    twice[order[1:][again]] = True
    _refuse(name, lines, twice, given, "twice in its frame: identity")
    return given.astype(np.int64)


def _refuse(name: str, lines: IntArray, wrong: BoolArray, values: FloatArray, fault: str) -> None:
    if wrong.any():
        place = int(wrong.argmax())
        raise DataError(f"{name}, line {lines[place]}: {fault} {values[place]:.15g}")


def _notice(text: str) -> None:
    warnings.warn(text, stacklevel=4)  # points to the line that reads the file
