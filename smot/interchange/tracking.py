"""A tracker on videos from anywhere, frame after frame, its tracks and pictures written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from smot.arrays import UInt8Array
from smot.errors import DataError, UsageError, described, was_interrupted
from smot.files import write_text
from smot.filmstrips import Row, animation, save_gif, save_strip, save_video
from smot.interchange.coco_vid import write_coco_vid
from smot.interchange.columns import write_npz
from smot.interchange.footage import Footage, resized
from smot.interchange.motchallenge import format_video
from smot.tracks import Streamer, Tracker, Tracks

T = TypeVar("T")
TrackFormat = Literal["mot", "coco", "npz"]
ENDINGS: dict[TrackFormat, str] = {"mot": ".txt", "coco": ".json", "npz": ".npz"}
WHOLE = 1 << 28
"""Bytes of frames that a tracker which takes whole videos is handed at most."""
LONGEST_GIF = 1000
"""Frames: the pictures of a GIF are held in memory until it is written."""
_CONFIDENCE = 0.5
_MOST_IN_STRIP = 16
_WIDTH = 256  # pixels that pictures of small videos are enlarged to


@dataclass(kw_only=True, eq=False)
class Followed:
    """A video on which a tracker goes on; what is kept of it does not hold its frames.

    Attributes:
        footage: the video.
        tracker: made for its (resized) frames.
        size: H, W that frames are resized to for the tracker; None for their own.
        report: called with the number of frames done since the last call.
        kept: objects of the frames so far, [1, 1, K] each, pixels of the video itself.
        samples: up to 16 frames spread over those so far, and their places.
    """

    footage: Footage
    tracker: Tracker
    size: tuple[int, int] | None = None
    report: Callable[[int], object] = lambda n_frames: None  # noqa: ARG005
    kept: list[Tracks] = field(default_factory=list)
    samples: list[tuple[int, UInt8Array]] = field(default_factory=list)

    def frames(self) -> Iterator[tuple[UInt8Array, Tracks]]:
        """Each frame, [H, W, 3], with the objects in it, [1, 1, K].

        Raises:
            UsageError: a tracker without a stream, and a video too long to be held.
            DataError: a video that cannot be read, or has no frames; or the tracker failed.
        """
        stride = 1
        for t, (frame, found) in enumerate(self._streamed()):
            here = found.present[0, 0]
            scale = np.ones(4)
            if self.size is not None:
                scale = np.array(
                    [frame.shape[1] / self.size[1], frame.shape[0] / self.size[0]] * 2
                )
            tracks = Tracks(
                boxes=found.boxes[:, :, here] * scale,
                ids=found.ids[:, :, here],
                confidence=found.confidence[:, :, here],
            )
            self.kept.append(tracks)
            if t % stride == 0:
                self.samples.append((t, frame))
            if len(self.samples) > _MOST_IN_STRIP:
                self.samples, stride = self.samples[::2], 2 * stride
            self.report(1)
            yield frame, tracks
        if not self.kept:
            raise DataError(f"{self.footage.name}: a video without frames")

    def _streamed(self) -> Iterator[tuple[UInt8Array, Tracks]]:
        if isinstance(self.tracker, Streamer):
            stream = self._asked(self.tracker.stream)
            for frame in self.footage.frames():
                yield frame, self._found(partial(stream.update, self._resized(frame)), 1)
            return
        frames: list[UInt8Array] = []
        n_bytes = 0
        for frame in self.footage.frames():
            frames.append(frame)
            n_bytes += frame.nbytes
            if n_bytes > WHOLE:
                raise UsageError(
                    f"{self.footage.name}: {self.tracker.name} has no stream and takes videos "
                    f"whole, at most {WHOLE // frame.nbytes:,} frames of this size"
                )
        if frames:
            whole = np.stack([self._resized(frame) for frame in frames])
            found = self._found(partial(self.tracker.track, whole[None]), len(frames))
            for t, frame in enumerate(frames):
                yield frame, found[:, t : t + 1]

    def _found(self, ask: Callable[[], Tracks], n_frames: int) -> Tracks:
        """What the tracker gives for some frames, of which there is no telling: what counts."""
        found: object = self._asked(ask)
        if not isinstance(found, Tracks) or found.shape[:2] != (1, n_frames):
            raise DataError(
                f"tracker {self.tracker.name!r} gave {found!r} on {self.footage.name}, not Tracks "
                f"of 1 video of {n_frames} frames"
            )
        return found.above(_CONFIDENCE)

    def _asked(self, ask: Callable[[], T]) -> T:
        """What a tracker answers; whatever it raises becomes one line."""
        try:
            return ask()
        except (Exception, SystemExit) as error:
            if was_interrupted(error):
                raise KeyboardInterrupt from error
            who = f"tracker {self.tracker.name!r} failed on {self.footage.name}"
            raise DataError(f"{who}: {described(error)}") from error

    def _resized(self, frame: UInt8Array) -> UInt8Array:
        return frame if self.size is None else resized(frame, self.size)

    def tracks(self) -> Tracks:
        """Everything found so far, [1, T, K]."""
        return Tracks.stack(self.kept, axis=1)


def run(followed: Followed, overlay: Path | None = None) -> Tracks:
    """Track a video to its end, and film it with its boxes on the way.

    Args:
        followed: the video.
        overlay: an MP4, or a GIF of at most 1,000 frames; None for no film.

    Raises:
        UsageError: a longer GIF; or as `Followed.frames` has it.
        DataError: as there.
    """
    if overlay is None:
        for _ in followed.frames():
            pass
        return followed.tracks()
    is_gif = overlay.suffix.lower() == ".gif"
    overlay.parent.mkdir(parents=True, exist_ok=True)
    (save_gif if is_gif else save_video)(overlay, _pictures(followed, is_gif), seconds=0.1)
    return followed.tracks()


def _pictures(followed: Followed, is_gif: bool) -> Iterator[Image.Image]:
    for t, (frame, tracks) in enumerate(followed.frames()):
        if is_gif and t == LONGEST_GIF:
            raise UsageError(
                f"{followed.footage.name}: more than {LONGEST_GIF:,} frames, too many for a GIF: "
                "give --overlay FILE.mp4"
            )
        row = Row(label="", frames=frame[None], tracks=tracks)
        (picture,) = animation([row], scale=_scale(frame))
        yield picture


def save_filmstrip(followed: Followed, path: Path) -> None:
    """Draw up to 16 frames, spread over the video, with what was found in them."""
    places = [t for t, _ in followed.samples]
    frames = np.stack([frame for _, frame in followed.samples])
    whole = followed.tracks()
    tracks = Tracks(
        boxes=whole.boxes[:, places],
        ids=whole.ids[:, places],
        confidence=whole.confidence[:, places],
    )
    row = Row(label=followed.tracker.name, frames=frames, tracks=tracks)
    numbers = [place + 1 for place in places]
    save_strip(path, [row], scale=max(1, _scale(frames[0]) // 2), numbers=numbers)


def _scale(frame: UInt8Array) -> int:
    return max(1, _WIDTH // max(int(side) for side in frame.shape[:2]))


def write_tracks(tracks: Tracks, path: Path, kind: TrackFormat, size: tuple[int, int]) -> None:
    """Write the tracks of one video, [1, T, K], of frames of H x W pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "mot":
        write_text(path, format_video(tracks, is_truth=False))
    elif kind == "coco":
        write_coco_vid(path, tracks, frame_size=size)
    else:
        write_npz(path, {"": tracks})
