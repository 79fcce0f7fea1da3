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
from smot.interchange.trackeval import check_name, seqinfo, write_trackeval
from smot.tracks import Tracks

Format = Literal["mot", "trackeval", "coco"]


def export(
    source: Source,
    out: Path,
    kind: Format,
    *,
    truth: Source | None = None,
    confidence: float | None = None,
    name: str = "smot",
) -> int:
    """Write tracks as MOTChallenge text, as TrackEval's folders or as COCO-VID.

    Args:
        source: the tracks; those of a file of smot are truth, others predictions.
        out: a new folder, or for COCO a new file.
        kind: the format.
        truth: of predictions; TrackEval's folders hold both, and COCO needs the videos' lengths.
        confidence: only predictions above it are written; None for all.
        name: what TrackEval calls the tracker.

    Returns:
        Number of videos.

    Raises:
        UsageError: something is at `out`, a confidence that cannot be, or the truth is missing or
            of no use.
        DataError: videos without truth, or of different lengths where the format wants one.
    """
    if out.exists():
        raise UsageError(f"{out} is there already")
    is_truth = source.is_open_set
    if truth is not None and (is_truth or kind == "mot"):
        raise UsageError("--truth is for predictions that become TrackEval's folders or COCO-VID")
    videos = [each() for each in source.videos.values()]
    if confidence is not None:
        if is_truth:
            raise UsageError(f"{source.path} holds truth, which has no confidence")
        if not 0 <= confidence < 1:
            raise UsageError(f"confidence {confidence:g} must be at least 0 and below 1")
        videos = [each[each.confidence > confidence] for each in videos]
    if not videos:
        raise DataError(f"{source.path}: no videos")
    names = list(source.videos)
    true = videos if is_truth else _truth_of(truth, names) if truth is not None else None
    if kind == "mot":
        _write_text(out, videos, is_truth)
    elif kind == "coco":
        _write_coco(out, videos, names, true, is_truth=is_truth)
    elif true is None:
        raise UsageError("TrackEval's folders hold the truth too: give --truth")
    else:
        lengths = [each.length for each in true]
        write_trackeval(
            out,
            _stacked(true, lengths),
            {} if is_truth else {name: _stacked(videos, lengths)},
            frame_size=_frame_size(true),
            visibility=_visibility(true),
            confidence=0.0,
        )
    return len(videos)


def _write_coco(
    out: Path,
    videos: Sequence[Annotation],
    names: Sequence[str],
    true: Sequence[Annotation] | None,
    *,
    is_truth: bool,
) -> None:
    """COCO numbers the images of all videos one after another: lengths have to be known."""
    if true is None and any(each.n_frames is None for each in videos):
        raise UsageError("how long the videos are is not known, which COCO needs: give --truth")
    tracks = _stacked(videos, [each.length for each in true or videos])
    if is_truth:
        seen, size = _visibility(videos), _frame_size(videos)
        write_coco_vid(out, tracks, frame_size=size, visibility=seen, names=names)
    else:
        write_coco_vid(out, tracks, frame_size=(1, 1), names=names)


def _write_text(out: Path, videos: Sequence[Annotation], is_truth: bool) -> None:
    for video in videos:
        check_name("video", video.name)
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


def _truth_of(truth: Source, names: Sequence[str]) -> list[Annotation]:
    missing = [name for name in names if name not in truth.videos]
    if missing:
        raise DataError(f"{truth.path}: no truth for {shown(missing)}")
    found = [truth.videos[name]() for name in names]
    return [each[each.is_object] for each in found]


def _stacked(videos: Sequence[Annotation], lengths: Sequence[int]) -> Tracks:
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
