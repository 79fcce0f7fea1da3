"""Videos from wherever they are: video files, GIFs, folders of frames, arrays, files of smot.

    for video in open_footage("street.mp4"):
        for frame in video.frames():
            ...

Frames are read one after another, so that memory does not grow with a video's length.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from smot.arrays import UInt8Array
from smot.errors import DataError, SmotError, UsageError, first_line
from smot.interchange.sources import sequence_info, shown
from smot.tracks import DataDescription, as_frames
from smot.videos import VideoFile, open_videos

VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".webp")
ARRAY_SUFFIXES = (".npy", ".npz")
_NOTHING = f"no video ({', '.join((*VIDEO_SUFFIXES, '.gif', *ARRAY_SUFFIXES, '.h5'))})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """One video.

    Attributes:
        name: that of its file or folder, with a number where a file holds several.
        frames: reads the frames from the first, RGB, [H, W, 3] each; all of one size.
        n_frames: T; None if only reading tells.
    """

    name: str
    frames: Callable[[], Iterator[UInt8Array]]
    n_frames: int | None = None

    def first(self) -> UInt8Array:
        """The first frame, [H, W, 3].

        Raises:
            DataError: there is none, or it cannot be read.
        """
        for frame in self.frames():
            return frame
        raise DataError(f"{self.name}: a video without frames")


def open_footage(path: str | os.PathLike[str], group: str | None = None) -> list[Footage]:
    """Find the videos of a file or folder.

    Args:
        path: a video file (which needs PyAV), a GIF, a folder of frames (its own, or in img1/), a
            folder of such folders or files, an npy or npz, or a file of smot.
        group: of a file of smot; its only one if not given.

    Raises:
        UsageError: no such group, or PyAV is missing.
        DataError: nothing there, or nothing that can be read.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        _pyav(path)
        return [Footage(name=path.stem, frames=partial(_decoded, path))]
    if suffix in (".gif", *IMAGE_SUFFIXES):
        return [Footage(name=path.stem, frames=partial(_pictures, path))]
    if suffix in ARRAY_SUFFIXES:
        return _arrays(path)
    if suffix in (".h5", ".hdf5"):
        return _stored(open_videos(path), group)
    raise DataError(f"{path}: {_NOTHING}")


def total_frames(footage: Sequence[Footage]) -> int | None:
    """Frames of all videos; None if only reading tells."""
    lengths = [each.n_frames for each in footage]
    return None if None in lengths else sum(filter(None, lengths))


def describe(footage: Footage) -> DataDescription:
    """What a tracker may know of a video, from its first frame."""
    return DataDescription.seen_in(footage.first(), n_frames=footage.n_frames or 1)


def resized(frame: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """A frame as H x W pixels, averaged where it shrinks."""
    if frame.shape[:2] == size:
        return frame
    H, W = size
    return np.asarray(Image.fromarray(frame).resize((W, H), Image.Resampling.BILINEAR))


def _folder(folder: Path) -> list[Footage]:
    if (folder / "img1").is_dir():
        (inside,) = _folder(folder / "img1")
        said, _ = sequence_info(folder)
        if said is not None and said != inside.n_frames:
            raise DataError(f"{folder}: {inside.n_frames} frames, and seqinfo.ini says {said}")
        return [Footage(name=folder.name, frames=inside.frames, n_frames=inside.n_frames)]
    entries = sorted(folder.iterdir(), key=_numbered)
    images = [each for each in entries if each.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        read = partial(_images, images)
        return [Footage(name=folder.resolve().name, frames=read, n_frames=len(images))]
    kinds = (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES, ".gif")
    found: list[Footage] = []
    for each in entries:
        if each.is_dir() and each.name not in ("gt", "det"):
            try:
                found += _folder(each)
            except DataError as error:
                if _NOTHING not in str(error):
                    raise
        elif each.suffix.lower() in kinds:
            found += open_footage(each)
    if not found:
        raise DataError(f"{folder}: {_NOTHING}, and no folder of frames")
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{folder}: videos of one name: {shown(twice)}")
    return found


def _numbered(path: Path) -> list[Any]:
    """Sorts frame 10 behind frame 9."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _images(paths: list[Path]) -> Iterator[UInt8Array]:
    size = None
    for path in paths:
        with _blamed(path), Image.open(path) as picture:
            frame = np.asarray(picture.convert("RGB"))
        size = size or frame.shape
        if frame.shape != size:
            H, W, _ = frame.shape
            raise DataError(f"{path}: {H} x {W} pixels, and the first is {size[0]} x {size[1]}")
        yield frame


def _pictures(path: Path) -> Iterator[UInt8Array]:
    """The frames of a GIF, or of another picture that moves."""
    with _blamed(path), Image.open(path) as picture:
        for frame in ImageSequence.Iterator(picture):
            yield np.asarray(frame.convert("RGB"))


def _pyav(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise UsageError(f"{path}: video files need PyAV: pip install 'smot[video]'") from None
    return av


def _decoded(path: Path) -> Iterator[UInt8Array]:
    av = _pyav(path)
    size = None
    with _blamed(path), av.open(str(path)) as file:
        if not file.streams.video:
            raise DataError(f"{path}: there is no video in it")
        for picture in file.decode(video=0):
            frame: UInt8Array = picture.to_ndarray(format="rgb24")
            size = size or frame.shape
            if frame.shape != size:
                raise DataError(f"{path}: its frames change their size")
            yield frame


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Whatever a library says of a damaged file becomes one line."""
    try:
        yield
    except (SmotError, KeyboardInterrupt, GeneratorExit):
        raise
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a video: {first_line(error)}") from None


def _arrays(path: Path) -> list[Footage]:
    with _blamed(path):
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                array = stored[_array_name(path, stored.files)]
    videos = _first_axis_is_video(path, array)
    several = len(videos) > 1
    return [
        Footage(
            name=f"{path.stem}-{index:05d}" if several else path.stem,
            frames=partial(_array_frames, path, videos, index),
            n_frames=videos.shape[1],
        )
        for index in range(len(videos))
    ]


def _array_name(path: Path, names: Sequence[str]) -> str:
    for name in ("frames", "videos", "video", *(names if len(names) == 1 else ())):
        if name in names:
            return name
    raise DataError(f"{path}: no array called frames or videos, but {shown(list(names))}")


def _first_axis_is_video(path: Path, array: Any) -> Any:
    """The array as [N, T, H, W] or [N, T, H, W, C]; says what had to be assumed."""
    shape = array.shape
    if 0 in shape:
        raise DataError(f"{path}: {list(shape)} is a video without frames or pixels")
    if len(shape) not in (3, 4, 5) or (len(shape) == 5 and shape[4] not in (1, 3)):
        raise DataError(
            f"{path}: videos must be [T, H, W], [T, H, W, C], [T, N, H, W] or [N, T, H, W, C] "
            f"with 1 or 3 colours, not {list(shape)}"
        )
    if len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3)):
        return array[None]
    if len(shape) == 4:
        # Moving MNIST has 20 frames of 10,000 videos; nobody has more frames than videos there.
        is_moving_mnist = shape[0] <= shape[1]
        order = "[T, N, H, W], as Moving MNIST" if is_moving_mnist else "[N, T, H, W]"
        warnings.warn(f"{path}: {list(shape)} is taken as {order}", stacklevel=2)
        return array.swapaxes(0, 1) if is_moving_mnist else array
    return array


def _array_frames(path: Path, videos: Any, index: int) -> Iterator[UInt8Array]:
    for frame in videos[index]:
        try:
            yield as_frames(np.asarray(frame)[None, None])[0, 0]
        except DataError as error:
            raise DataError(f"{path}: {error}") from None


def _stored(file: VideoFile, group: str | None) -> list[Footage]:
    if group is None:
        if len(file.groups) != 1:
            raise UsageError(f"{file.path}: name one of its groups: {', '.join(file.groups)}")
        (group,) = file.groups
    file.check_range(group, 0, 0)
    stem = group.replace("/", "-")
    return [
        Footage(
            name=f"{stem}-{index:05d}",
            frames=partial(_stored_frames, file, group, index),
            n_frames=file.description.n_frames,
        )
        for index in range(file.groups[group])
    ]


def _stored_frames(file: VideoFile, group: str, index: int) -> Iterator[UInt8Array]:
    yield from file.read_field(group, "frames", index, index + 1)[0]
