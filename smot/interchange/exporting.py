"""Tracks of any source as the files of another tool."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from smot.arrays import FloatArray
from smot.errors import DataError, UsageError
from smot.files import atomic_path
from smot.interchange.annotation import Annotation
from smot.interchange.coco_vid import write_coco_vid
from smot.interchange.motchallenge import format_video
from smot.interchange.sources import Source, shown
from smot.interchange.trackeval import seqinfo, write_trackeval
from smot.tracks import Tracks

Format = Literal["mot", "trackeval", "coco"]


def export(
    source: Source,
    out: Path,
    kind: Format,
    *,
    truth: Source | None = None,
    confidence: float = 0.0,
    name: str = "smot",
) -> int:
    """Write tracks as MOTChallenge text, as TrackEval's folders or as COCO-VID.

    Args:
        source: the tracks; those of a file of smot are truth, others predictions.
        out: a new folder, or for COCO a new file.
        kind: the format.
        truth: of predictions; TrackEval's folders hold both.
        confidence: only predictions above it are written.
        name: what TrackEval calls the tracker.

    Returns:
        Number of videos.

    Raises:
        UsageError: something is at `out`, or there is no truth for TrackEval's folders.
        DataError: videos without truth, or of different lengths where the format wants one.
    """
    if out.exists():
        raise UsageError(f"{out} is there already")
    is_truth = source.is_open_set
    videos = [each() for each in source.videos.values()]
    if not is_truth:
        videos = [each[each.confidence > confidence] for each in videos]
    if not videos:
        raise DataError(f"{source.path}: no videos")
    if kind == "mot":
        _write_text(out, videos, is_truth)
    elif kind == "coco":
        seen = _visibility(videos) if is_truth else None
        names, size = list(source.videos), _frame_size(videos) if is_truth else (1, 1)
        write_coco_vid(out, _stacked(videos), frame_size=size, visibility=seen, names=names)
    else:
        true, predicted = videos, {}
        if not is_truth:
            true = _truth_of(truth, list(source.videos))
            lengths = [each.length for each in true]
            predicted = {name: _stacked(videos, lengths)}
        write_trackeval(
            out,
            _stacked(true),
            predicted,
            frame_size=_frame_size(true),
            visibility=_visibility(true),
            confidence=0.0,
        )
    return len(videos)


def _write_text(out: Path, videos: Sequence[Annotation], is_truth: bool) -> None:
    with atomic_path(out, replace=False) as folder:
        for video in videos:
            if not is_truth:
                _write(folder / f"{video.name}.txt", format_video(video.tracks(), False))
                continue
            home, tracks = folder / video.name, video.tracks()
            _write(home / "gt" / "gt.txt", format_video(tracks, True, video.visibilities()))
            info = seqinfo(video.name, video.length, video.frame_size or (0, 0))
            _write(home / "seqinfo.ini", info)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _truth_of(truth: Source | None, names: Sequence[str]) -> list[Annotation]:
    if truth is None:
        raise UsageError("TrackEval's folders hold the truth too: give --truth")
    missing = [name for name in names if name not in truth.videos]
    if missing:
        raise DataError(f"{truth.path}: no truth for {shown(missing)}")
    found = [truth.videos[name]() for name in names]
    return [each[each.is_object] for each in found]


def _stacked(videos: Sequence[Annotation], lengths: Sequence[int] | None = None) -> Tracks:
    lengths = lengths or [each.length for each in videos]
    return Tracks.stack([each.tracks(T) for each, T in zip(videos, lengths, strict=True)])


def _visibility(videos: Sequence[Annotation]) -> FloatArray:
    """In the slots of the stacked tracks; 1 where it is not known."""
    known = [each.visibilities() for each in videos]
    alone = [each.tracks() for each in videos]
    K = max(each.shape[2] for each in alone)
    return np.concatenate(
        [
            np.pad(
                tracks.present * 1.0 if seen is None else seen,
                ((0, 0), (0, 0), (0, K - tracks.shape[2])),
            )
            for seen, tracks in zip(known, alone, strict=True)
        ]
    )


def _frame_size(videos: Sequence[Annotation]) -> tuple[int, int]:
    sizes = {each.frame_size for each in videos}
    if len(sizes) > 1:
        raise DataError("the videos have frames of several sizes, and the format wants one")
    return sizes.pop() or (1, 1)


def chosen(source: Source, group: str | None) -> Source:
    """The videos of one group of a file of smot, or of tracks on it.

    Raises:
        UsageError: there are none.
    """
    if group is None:
        return source
    stem = group.replace("/", "-")
    videos = {
        name: load for name, load in source.videos.items() if name.rpartition("-")[0] == stem
    }
    if not videos:
        raise UsageError(f"{source.path}: no videos of group {group!r}")
    return replace(source, videos=videos)
