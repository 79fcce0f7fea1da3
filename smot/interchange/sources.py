"""Tracks of many videos from whatever holds them: files of every format that is read, or folders.

    source = open_source("gt/MOT17-train", is_truth=True)
    annotation = source.videos["MOT17-02"]()

Videos are found by their names; each is read when it is asked for, in whichever process.
"""

import configparser
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from smot.errors import DataError, first_line
from smot.interchange.annotation import Annotation
from smot.interchange.coco_vid import Places, read_coco_vid
from smot.interchange.columns import is_named_table, read_npz, read_table
from smot.interchange.motchallenge import read_annotation
from smot.videos import VideoFile, open_videos

Load = Callable[[], Annotation]
_PLAIN = (".txt", ".csv", ".npz", ".parquet")
_VIDEO_FILES = (".h5", ".hdf5")
_MOST_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the boxes of videos are.

    Attributes:
        path: file or folder.
        videos: by name, what reads the boxes of one; it travels to other processes.
        places: for COCO, the video and the frame of each image.
        is_open_set: whether more videos than are of interest may be there, as in a smot file.
        has_threshold: whether confidences are smot's, of which those up to 0.5 do not count.
        is_motchallenge: whether classes are numbered as MOTChallenge does.
    """

    path: Path
    videos: Mapping[str, Load]
    places: Places = field(default_factory=dict)
    is_open_set: bool = False
    has_threshold: bool = False
    is_motchallenge: bool = False

    def __post_init__(self) -> None:
        """Refuse names that no table can hold, as of files whose names are no text."""
        for name in self.videos:
            if not name.isprintable():
                raise DataError(f"{self.path}: the name of a video is not printable: {name!a}")


def open_source(
    path: str | os.PathLike[str],
    *,
    is_truth: bool,
    places: Places | None = None,
    first_frame: int | None = None,
) -> Source:
    """Find out what a file or folder holds.

    Args:
        path: MOTChallenge text, a table with named columns (CSV, Parquet), COCO-VID JSON, npz or a
            smot file; or a folder of such files, or of MOTChallenge sequences, or as TrackEval has
            them.
        is_truth: whether it is the truth, or predictions.
        places: of the truth's images, which predictions in COCO's format need.
        first_frame: the number of the first frame in text and tables, 0 or 1; if not given, 0 for
            tables, and for text what `read_motchallenge` finds.

    Raises:
        DataError: nothing there, nothing that can be read, or more than one tracker's files.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, is_truth, first_frame)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix in _VIDEO_FILES:
        return Source(path=path, videos=_stored(open_videos(path)), is_open_set=True)
    if suffix == ".json":
        read, found_places = read_coco_vid(path, places)
        return Source(path=path, videos=_given(read), places=found_places)
    if suffix == ".npz":
        return Source(path=path, videos=_given(read_npz(path)), has_threshold=True)
    if suffix == ".parquet" or (suffix in (".csv", ".tsv") and is_named_table(path)):
        return Source(path=path, videos=_given(read_table(path, first_frame)))
    read_it = partial(read_annotation, path, is_truth=is_truth, first_frame=first_frame)
    name = path.name.partition(".")[0]
    return Source(path=path, videos={name: read_it}, is_motchallenge=True)


def shown(names: list[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


def sequence_info(folder: Path) -> tuple[int | None, tuple[int, int] | None]:
    """Number of frames and H, W that a MOTChallenge sequence's seqinfo.ini gives; None if not.

    Raises:
        DataError: the file says something else than numbers.
    """
    file = folder / "seqinfo.ini"
    if not file.is_file():
        return None, None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
        said = parser["Sequence"]
        n_frames, height, width = (
            int(said[key]) if key in said else 0 for key in ("seqLength", "imHeight", "imWidth")
        )
    except (configparser.Error, KeyError, ValueError) as error:
        reason = first_line(error)
        raise DataError(f"{file}: not a sequence's description: {reason}") from None
    if not 0 <= n_frames <= 10**7 or min(height, width) < 0:
        raise DataError(f"{file}: impossible seqLength, imHeight or imWidth")
    return n_frames or None, (height, width) if height and width else None


def _given(read: Mapping[str, Annotation]) -> dict[str, Load]:
    return {name: partial(_same, annotation) for name, annotation in read.items()}


def _same(annotation: Annotation) -> Annotation:
    return annotation


def _stored(file: VideoFile) -> dict[str, Load]:
    return {
        f"{group.replace('/', '-')}-{index:05d}": partial(_read_stored, file, group, index)
        for group, n_videos in file.groups.items()
        for index in range(n_videos)
    }


def _read_stored(file: VideoFile, group: str, index: int) -> Annotation:
    video = file.read(group, index, index + 1)
    return Annotation.of(
        f"{group.replace('/', '-')}-{index:05d}",
        video.truth,
        visibility=video.visibility,
        label=video.label,
        frame_size=file.description.frame_size,
    )


def _folder(folder: Path, is_truth: bool, first_frame: int | None) -> Source:
    """The videos of a folder: sequences with gt/gt.txt for the truth, else a file for each."""
    if is_truth:
        sequences = sorted(file.parent.parent for file in folder.rglob("gt/gt.txt"))
        if (folder / "gt.txt").is_file() and folder.name == "gt":
            sequences = [folder.resolve().parent]
        if sequences:
            _check_unique(folder, [sequence.name for sequence in sequences])
            reads = {each.name: partial(_read_sequence, each, first_frame) for each in sequences}
            return Source(path=folder, videos=reads, is_motchallenge=True)
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in _PLAIN
        and file.is_file()
        # Parts of a sequence; a folder that was named may itself be called gt.
        and (file.parent == folder or file.parent.name not in ("gt", "det", "seqmaps", "img1"))
        and not file.name.lower().startswith(("readme", "pedestrian_", "summary"))
    ]
    if not files:
        layout = ", gt/gt.txt" if is_truth else "; gt/gt.txt is read as truth alone"
        raise DataError(f"{folder}: no file of tracks there ({', '.join(_PLAIN)}{layout})")
    homes = sorted({str(file.parent.relative_to(folder)) for file in files})
    if len(homes) > 1:
        raise DataError(f"{folder}: files of several trackers or parts, name one: {shown(homes)}")
    videos: dict[str, Load] = {}
    names: list[str] = []
    held = [open_source(file, is_truth=is_truth, first_frame=first_frame) for file in files]
    for file, each in zip(files, held, strict=True):
        found = dict(each.videos)
        if len(found) == 1:  # the file's name is the video's
            found = {file.name.partition(".")[0]: next(iter(found.values()))}
        videos |= found
        names += found
    _check_unique(folder, names)
    return Source(
        path=folder,
        videos=videos,
        has_threshold=any(each.has_threshold for each in held),
        is_motchallenge=any(each.is_motchallenge for each in held),
    )


def _read_sequence(sequence: Path, first_frame: int | None) -> Annotation:
    n_frames, frame_size = sequence_info(sequence)
    found = read_annotation(
        sequence / "gt" / "gt.txt",
        name=sequence.name,
        is_truth=True,
        n_frames=n_frames,
        first_frame=first_frame,
    )
    return replace(found, frame_size=frame_size)


def _check_unique(folder: Path, names: list[str]) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{folder}: videos of one name: {shown(twice)}; name a part of the folder")
