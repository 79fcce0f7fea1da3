"""The folder layout from which TrackEval evaluates MOTChallenge data.

    gt/mot_challenge/NAME-SPLIT/VIDEO/gt/gt.txt          the truth
    gt/mot_challenge/NAME-SPLIT/VIDEO/seqinfo.ini        its length and size
    gt/mot_challenge/seqmaps/NAME-SPLIT.txt              which videos there are
    trackers/mot_challenge/NAME-SPLIT/TRACKER/data/VIDEO.txt

To be evaluated with `--BENCHMARK NAME --SPLIT_TO_EVAL SPLIT --DO_PREPROC False` (preprocessing
removes classes that are not there).

Source: TrackEval 1.3.0, docs/MOTChallenge-Official/Readme.md.
"""

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from smot.arrays import FloatArray
from smot.errors import DataError, UsageError
from smot.files import atomic_path
from smot.interchange.motchallenge import format_video
from smot.tracks import Tracks

_LONGEST = 200  # bytes of a name; file systems allow 255, of which an ending takes some


def write_trackeval(
    path: str | os.PathLike[str],
    truth: Tracks,
    predicted: Mapping[str, Tracks],
    *,
    frame_size: tuple[int, int],
    visibility: FloatArray | None = None,
    confidence: float = 0.5,
    name: str = "smot",
    split: str = "test",
) -> None:
    """Write truth and predictions of all videos.

    Args:
        path: a new folder, or a new file whose name ends in ".zip": thousands of short videos
            are thousands of files.
        truth: [B, T, K].
        predicted: tracks of the same videos, [B, T, K'], by the tracker's name.
        frame_size: H, W, pixels.
        visibility: of the truth, [B, T, K]; 1 if not given.
        confidence: only predictions above it are written, because TrackEval counts them all.
        name: what TrackEval calls the benchmark.
        split: what it calls the split.

    Raises:
        UsageError: something is at `path` already, or a name cannot be that of a folder.
        DataError: predictions of other videos or frames than the truth.
        OSError: it cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise UsageError(f"{path} is there already")
    for kind, given in (("benchmark", name), ("split", split)):
        check_name(kind, given)
    for tracker, tracks in predicted.items():
        check_name("tracker", tracker)
        if tracks.shape[:2] != truth.shape[:2]:
            (B, T), (b, t) = truth.shape[:2], tracks.shape[:2]
            raise DataError(f"{tracker}: {b} videos of {t} frames, but the truth is {B} of {T}")
    kept = {tracker: tracks.above(confidence) for tracker, tracks in predicted.items()}
    files = _files(truth, kept, frame_size, visibility, f"{name}-{split}")
    with atomic_path(path, replace=False) as draft:
        (_write_zip if path.suffix == ".zip" else _write_folder)(draft, files)


def check_name(kind: str, name: str) -> None:
    """Refuse what cannot name a folder, or stand in TrackEval's tables separated by commas.

    Raises:
        UsageError: such a name.
    """
    is_text = name.isprintable() and len(name.encode()) <= _LONGEST  # else it has no encoding
    if not (is_text and re.fullmatch(r"(?!\.{1,2}$)[^,/\\]+", name)):
        raise UsageError(
            f"{kind} name {name!r} must be the name of a folder, without commas and slashes"
        )


def _files(
    truth: Tracks,
    predicted: Mapping[str, Tracks],
    frame_size: tuple[int, int],
    visibility: FloatArray | None,
    benchmark: str,
) -> Iterator[tuple[str, str]]:
    """Relative path and content of every file."""
    B, T, _ = truth.shape
    gt, trackers = f"gt/mot_challenge/{benchmark}", f"trackers/mot_challenge/{benchmark}"
    names = [f"{benchmark}-{video:05d}" for video in range(B)]
    yield f"gt/mot_challenge/seqmaps/{benchmark}.txt", "\n".join(["name", *names, ""])
    for video, sequence in enumerate(names):
        one = slice(video, video + 1)
        seen = None if visibility is None else visibility[one]
        yield f"{gt}/{sequence}/gt/gt.txt", format_video(truth[one], True, seen)
        yield f"{gt}/{sequence}/seqinfo.ini", seqinfo(sequence, T, frame_size)
        for tracker, tracks in predicted.items():
            yield f"{trackers}/{tracker}/data/{sequence}.txt", format_video(tracks[one], False)


def seqinfo(sequence: str, n_frames: int, frame_size: tuple[int, int]) -> str:
    """The text of a sequence's seqinfo.ini."""
    height, width = frame_size
    return (
        f"[Sequence]\nname={sequence}\nimDir=img1\nframeRate=1\nseqLength={n_frames}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.png\n"
    )


def _write_folder(folder: Path, files: Iterator[tuple[str, str]]) -> None:
    for name, text in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _write_zip(path: Path, files: Iterator[tuple[str, str]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(name, text)
