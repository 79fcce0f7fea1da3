"""Videos with the truth of another tool as a file of smot, which every command takes."""

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from smot.errors import DataError, UsageError
from smot.files import check_target
from smot.interchange.annotation import Annotation, comparable
from smot.interchange.footage import Footage, describe, resized
from smot.interchange.sources import Source, shown
from smot.tracks import DataDescription
from smot.videos import Origin, Videos
from smot.videos.writing import write_videos

Groups = Literal["count", "video"]
Report = Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """How videos become a file.

    Attributes:
        n_frames: T of every clip that videos are cut into; None for the shortest video's.
        frame_size: H, W that frames are resized to; None for their own.
        groups: "count" puts clips into groups by their number of objects, "video" by their video.
        split: "test", "val" or "train"; the last two are one group.
        classes: which true boxes are objects, as in `comparable`.

    Raises:
        UsageError: fewer than one frame, or than one pixel.
    """

    n_frames: int | None = None
    frame_size: tuple[int, int] | None = None
    groups: Groups = "count"
    split: str = "test"
    classes: str = "together"

    def __post_init__(self) -> None:
        if self.n_frames is not None and self.n_frames < 1:
            raise UsageError(f"n_frames={self.n_frames} must be at least 1")
        if self.frame_size is not None and min(self.frame_size) < 1:
            raise UsageError(f"frame_size={self.frame_size} must be at least 1 x 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Clip:
    """Where a clip is: frames on disk, [T', H, W, 3], its first frame, and its objects."""

    frames: np.memmap
    start: int
    objects: Annotation
    slots: Sequence[int]


def convert(
    footage: Sequence[Footage],
    truth: Source,
    out: Path,
    settings: ConvertSettings,
    *,
    force: bool = False,
    report: Report = lambda n_frames: None,  # noqa: ARG005
) -> dict[str, int]:
    """Write a file of smot.

    Args:
        footage: the videos.
        truth: their true tracks, by the same names; those of a single video whatever its name.
        out: the file to make.
        settings: how.
        force: whether to replace an existing file.
        report: called with the number of frames read since the last call.

    Returns:
        Number of clips of each group.

    Raises:
        UsageError: the file exists, or all videos are shorter than the clips; a warning names
            some that are.
        DataError: a video without truth, of another size than the first, or that cannot be read.
    """
    loads = dict(truth.videos)
    if len(footage) == len(loads) == 1:
        loads = {footage[0].name: next(iter(loads.values()))}
    missing = [each.name for each in footage if each.name not in loads]
    if missing:
        raise DataError(f"{truth.path}: no truth for {shown(missing)}")
    described = describe(footage[0])
    size = settings.frame_size or described.frame_size
    check_target(out, replace=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".smot-", dir=out.parent, ignore_cleanup_errors=True
    ) as folder:
        stored = []
        for place, each in enumerate(footage):
            path = Path(folder) / f"{place}.raw"
            stored.append(_on_disk(each, path, size, settings, report))
        T = settings.n_frames or min(len(frames) for frames, _ in stored)
        short = [
            each.name for each, (frames, _) in zip(footage, stored, strict=True) if len(frames) < T
        ]
        if short and len(short) < len(footage):
            warnings.warn(f"left out, shorter than {T} frames: {shown(short)}", stacklevel=2)
        clips: dict[str, list[_Clip]] = {}
        for each, (frames, scale) in zip(footage, stored, strict=True):
            read = loads[each.name]()
            objects, _ = comparable(read, read, settings.classes)
            objects = replace(objects, box=(objects.box * scale).clip(0, size[::-1] * 2))
            last = int(objects.frame.max(initial=-1)) + 1
            if last > len(frames):
                raise DataError(
                    f"{each.name}: truth for frame {last} of a video of {len(frames)} frames"
                )
            for start in range(0, len(frames) - T + 1, T):
                clip = _clip(frames, start, T, objects)
                clips.setdefault(_group(each.name, clip, settings), []).append(clip)
        if not clips:
            raise UsageError(f"no video has {T} frames")
        _write(out, clips, replace(described, frame_size=size, n_frames=T), settings, force)
    return {group: len(some) for group, some in sorted(clips.items())}


def _on_disk(
    footage: Footage,
    path: Path,
    size: tuple[int, int],
    settings: ConvertSettings,
    report: Report,
) -> tuple[np.memmap, np.ndarray]:
    """The frames of a video in a file, [T', H, W, 3], and by what boxes are to be multiplied."""
    shape, n_frames = None, 0
    with path.open("wb") as file:
        for frame in footage.frames():
            shape = shape or frame.shape[:2]
            if settings.frame_size is None and shape != size:
                raise DataError(
                    f"{footage.name}: {shape[0]} x {shape[1]} pixels, and the first video has "
                    f"{size[0]} x {size[1]}: give --resize"
                )
            file.write(np.ascontiguousarray(resized(frame, size)).data)
            n_frames += 1
            report(1)
    if shape is None:
        raise DataError(f"{footage.name}: a video without frames")
    frames = np.memmap(path, np.uint8, "r", shape=(n_frames, *size, 3))
    return frames, np.array([size[1] / shape[1], size[0] / shape[0]] * 2)


def _clip(frames: np.memmap, start: int, n_frames: int, objects: Annotation) -> _Clip:
    """A clip with those of its objects that have something in the frame."""
    box = objects.box.astype(np.float32)
    sides = box[:, 2:] - box[:, :2]
    here = (objects.frame >= start) & (objects.frame < start + n_frames) & (sides > 0).all(1)
    some = objects[here]
    slots = list(dict.fromkeys(some.identity[np.argsort(some.frame, kind="stable")].tolist()))
    return _Clip(frames=frames, start=start, objects=some, slots=slots)


def _group(name: str, clip: _Clip, settings: ConvertSettings) -> str:
    if settings.split != "test":
        return settings.split
    if settings.groups == "count":
        return f"test/{len(clip.slots):02d}"
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    return f"test/{slug}" if re.search(r"[A-Za-z_]", slug) else f"test/video-{slug}"


def _write(
    out: Path,
    clips: dict[str, list[_Clip]],
    described: DataDescription,
    settings: ConvertSettings,
    force: bool,
) -> None:
    most = max(len(clip.slots) for some in clips.values() for clip in some)
    T = described.n_frames

    def produce(group: str, start: int, stop: int) -> Videos:
        K = max(1, *(len(clip.slots) for clip in clips[group]))  # HDF5 stores no empty axis
        parts = [_videos(clip, T, K, described.frame_size) for clip in clips[group][start:stop]]
        return Videos.stack(parts or [_videos(clips[group][0], T, K, described.frame_size)[:0]])

    origin = Origin(
        name=out.stem,
        seed=0,
        settings={"n_frames": T, "classes": settings.classes, "groups": settings.groups},
        description=replace(described, max_objects=most),
    )
    groups = {group: len(some) for group, some in clips.items()}
    write_videos(out, origin, groups, produce, workers=1, force=force)


def _videos(clip: _Clip, n_frames: int, n_slots: int, size: tuple[int, int]) -> Videos:
    """One clip as the layout has it; a velocity is the step between two frames in a row."""
    some, T, K = clip.objects, n_frames, n_slots
    slot_of = {identity: slot for slot, identity in enumerate(clip.slots)}
    slot = np.array([slot_of[each] for each in some.identity.tolist()], np.int64)
    place = (0, some.frame - clip.start, slot)
    H, W = size
    boxes, present = np.zeros((1, T, K, 4), np.float32), np.zeros((1, T, K), np.bool_)
    visibility, label = np.zeros((1, T, K), np.float32), np.full((1, K), -1, np.int16)
    boxes[place] = some.box.astype(np.float32).clip(0, [W, H, W, H])
    present[place] = True
    visibility[place] = 1 if some.visibility is None else some.visibility
    label[0, slot] = (some.category - 1).clip(0, 32767)
    velocity = np.zeros((1, K, 2), np.float32)
    if T > 1:
        both = (present[:, 0] & present[:, 1])[..., None]
        velocity = np.where(both, boxes[:, 1, :, :2] - boxes[:, 0, :, :2], 0).astype(np.float32)
    return Videos(
        frames=np.array(clip.frames[clip.start : clip.start + T])[None],
        boxes=boxes,
        present=present,
        visibility=visibility,
        velocity=velocity,
        label=label,
        source_index=np.full((1, K), -1, np.int32),
        count=np.array([len(clip.slots)], np.int16),
    )
