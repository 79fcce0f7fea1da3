"""SILOT as a tracker: means or samples, identities from slots or by motion."""

import math
import zlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import UsageError
from smot.models.silot.discovery import grid_shape
from smot.models.silot.model import THRESHOLD, Silot
from smot.models.silot.objects import Clip, ClipNoise, FrameNoise, Noise, Objects, draw_noise
from smot.models.sprites import ink_boxes
from smot.tracks import ABSENT, Trace, Tracks, as_frames

VIDEOS_AT_ONCE = 50
"""Videos in one batch, so that memory does not grow with their number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SilotTracker:
    """A tracker around a model.

    Attributes:
        model: in eval mode.
        name: what tables and curves call it.
        n_slots: objects carried at most; None for the larger of the model's number and the
            number of grid cells.
        refine: steps of gradient by which each frame's objects are refined; 0 for none.
        latents: "mean", or "sample": what inference draws, as in training. The noise of a video
            follows from its first frame and the number of frames alone. Prediction goes on from
            the last frame seen by means.

    Source: the supplement does not say which it evaluates; the mean is our choice.
    """

    model: Silot = field(repr=False)
    name: str = "silot"
    n_slots: int | None = None
    refine: int = 0
    latents: Literal["mean", "sample"] = "mean"

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        return self._given(videos, 0)

    def track_masks(self, videos: UInt8Array) -> Tracks:
        """The same with masks: the ink of each object; see `smot.models.sprites.owners`."""
        return self._given(videos, 0, masks=True)

    def stream(self) -> "SilotStream":
        """Begin a video of which frames come one after another.

        Raises:
            UsageError: latents are samples, or frames are refined.
        """
        if self.latents == "sample" or self.refine:
            raise UsageError(f"{self.name}: a stream takes means, without refine")
        return SilotStream(self)

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Follow objects through `videos`, then let the learned prior carry them on.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.

        Returns:
            Tracks of the frames after those seen, with the identities that `track` gives.
        """
        return self._given(videos, horizon)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for `horizon` frames, and keep what explains both."""
        videos = self.frames(videos)
        with torch.no_grad():
            clip = self._sweep(videos)
            objects = self.model.unpacked(clip.states)
            if horizon:
                imagined = self.model.imagine(clip, horizon)
                seen = objects._replace(hidden=objects.hidden[..., :0])
                objects = Objects(*map(torch.cat, zip(seen, imagined, strict=True)))
            painted = self.model.renderer(objects, videos.shape[2:4])
            sprites = self.model.renderer.appearances(objects.what)
            is_new = np.pad(_numpy(clip.is_new), ((0, horizon), (0, 0), (0, 0)))
            tracks = self._linked(self.tracks(objects, is_new, None)[0]).above(THRESHOLD)
        return Trace(
            tracks=tracks,
            is_new=is_new.swapaxes(0, 1) & tracks.present,
            appearances=_rgb(_numpy(sprites).swapaxes(0, 1), axis=3),
            reconstruction=_rgb(_numpy(painted).transpose(1, 0, 3, 4, 2), axis=-1),
        )

    def slots(self, videos: UInt8Array) -> int:
        """K for videos [B, T, H, W, 3]."""
        n_cells = math.prod(grid_shape(*videos.shape[2:4]))
        return self.n_slots or max(self.model.config.n_slots, n_cells)

    def frames(self, videos: UInt8Array) -> UInt8Array:
        """Videos as the model takes them; refuses those on the inverse background."""
        background = [round(255 * level) for level in self.model.config.background]
        return as_frames(videos, background)

    def _sweep(self, videos: UInt8Array) -> Clip:
        device = next(self.model.parameters()).device
        # A copy: torch takes no arrays that are read-only.
        frames = torch.from_numpy(np.array(videos)).to(device)
        K = self.slots(videos)
        noise = self._noise(videos, K, device) if self.latents == "sample" else None
        images = self.model.images(frames)
        return self.model.sweep(images, noise=noise, n_slots=K, refine=self.refine)

    def _noise(self, videos: UInt8Array, n_slots: int, device: torch.device) -> ClipNoise:
        """Noise of a batch, each video's drawn for itself."""
        T, H, W, _ = videos.shape[1:]
        config = self.model.config
        shape = (1, T, n_slots, math.prod(grid_shape(H, W, config.cell)))
        parts = []
        for video in videos:
            content = zlib.crc32(np.ascontiguousarray(video[:1]).tobytes())
            generator = torch.Generator().manual_seed(content)
            parts.append(draw_noise(shape, config.what_size, generator, dropout=None))
        kinds = zip(*(part[:3] for part in parts), strict=True)  # of discovery, propagation, prior
        discovery, propagation, prior = (
            Noise(*(torch.cat(arrays, 1).to(device) for arrays in zip(*kind, strict=True)))
            for kind in kinds
        )
        return ClipNoise(discovery, propagation, prior, None, None)

    def _masks(self, objects: Objects, frame_size: tuple[int, int]) -> IntArray:
        """Owners of pixels, [B, T, H, W], of objects [T, B, K, ...], frame after frame."""
        ink, renderer = self.model.config.ink_threshold, self.model.renderer
        owners = [
            renderer.owners(frame, frame.pres[..., 0] > THRESHOLD, frame_size, ink=ink)
            for frame in (Objects(*each) for each in zip(*objects, strict=True))
        ]
        return _numpy(torch.stack(owners, dim=1))

    @torch.no_grad()
    def _given(self, videos: UInt8Array, horizon: int, *, masks: bool = False) -> Tracks:
        """Tracks of the frames given, or, with a horizon, of those after them."""
        parts = []
        for some in _batches(self.frames(videos)):
            clip = self._sweep(some)
            objects = self.model.unpacked(clip.states)
            seen, _ = self.tracks(objects, _numpy(clip.is_new), None)
            if masks:
                seen = replace(seen, masks=self._masks(objects, some.shape[2:4]))
            tracks = self._linked(seen)
            if horizon:
                states = self.model.imagine(clip, horizon)
                nothing_new = np.zeros(states.pres.shape[:-1], bool)
                tracks, _ = self.tracks(states, nothing_new, tracks.ids[:, -1])
            parts.append(tracks)
        return Tracks.stack(parts)

    def tracks(
        self, objects: Objects, is_new: BoolArray, ids: IntArray | None, first_id: int = 0
    ) -> tuple[Tracks, IntArray]:
        """Tracks of objects, and the identities of the last frame, [B, K].

        Args:
            objects: selected objects of consecutive frames, [T, B, K, ...].
            is_new: which were discovered in their frame, [T, B, K].
            ids: identities of the slots before, [B, K]; None at the start of videos.
            first_id: new identities are not below it.
        """
        pres = _numpy(objects.pres)[..., 0]
        _, B, K = pres.shape
        current = np.full((B, K), ABSENT, np.int32) if ids is None else ids
        fresh = current.max(axis=1, keepdims=True, initial=first_id - 1) + 1
        frames: list[IntArray] = []
        for starts in is_new:
            current = np.where(starts, fresh + np.cumsum(starts, axis=1) - 1, current)
            fresh = fresh + starts.sum(axis=1, keepdims=True)
            frames.append(np.where(pres[len(frames)] > 0, current, ABSENT))
        tracks = Tracks(
            boxes=self._boxes(objects).swapaxes(0, 1),
            ids=np.stack(frames, axis=1).astype(np.int32),
            confidence=pres.swapaxes(0, 1),
        )
        return tracks, current.astype(np.int32)

    def _linked(self, tracks: Tracks) -> Tracks:
        """Identities by motion, where the model's settings ask for them."""
        config = self.model.config
        if not config.link_reach:
            return tracks
        return linked(
            tracks,
            reach=config.link_reach,
            memory=config.link_memory,
            confidence=THRESHOLD,
        )

    def _boxes(self, objects: Objects) -> FloatArray:
        """x0, y0, x1, y1 of objects, [T, B, K, 4], pixels."""
        config, box = self.model.config, objects.box
        if config.tight_boxes:
            renderer = self.model.renderer
            looks = renderer.appearances(objects.what)
            box = ink_boxes(box, looks, renderer.background, config.ink_threshold)
        return _numpy(corner_boxes(box, config.anchor))


def linked(tracks: Tracks, *, reach: float, memory: int, confidence: float) -> Tracks:
    """The same boxes, their identities given anew by how objects move.

    Slots lose an object for a frame when another covers it, and discovery then finds it under a
    new identity; or two objects that cross change slots. Each frame's objects are joined with
    those of the last frames, moved on at their own speed, at the least sum of distances
    (Hungarian method). No frame is looked at before its time.

    Args:
        tracks: identities as slots give them.
        reach: largest distance to where an object should be, pixels.
        memory: frames for which an object is looked for after it was last seen, at least 1.
        confidence: entries that do not exceed it are not linked; they keep identities of their
            own, different from those of the others.

    Source: ours; the paper's identities are those of slots.
    """
    sure = tracks.present & (tracks.confidence > confidence)
    centres = (tracks.boxes[..., :2] + tracks.boxes[..., 2:]) / 2
    ids = [_linked_video(*video, reach, memory) for video in zip(centres, sure, strict=True)]
    new = np.stack(ids) if ids else tracks.ids
    beyond = new.max(axis=(1, 2), keepdims=True, initial=ABSENT) + 1
    own = np.where(tracks.present, tracks.ids + beyond, ABSENT)
    return replace(tracks, ids=np.where(sure, new, own).astype(np.int32))


def _linked_video(centres: FloatArray, sure: BoolArray, reach: float, memory: int) -> IntArray:
    """Identities of one video: centres [T, K, 2], which entries are linked [T, K] -> [T, K]."""
    ids = np.full(sure.shape, ABSENT, np.int32)
    links = _Links(reach, memory)
    for t, entries in enumerate(map(np.flatnonzero, sure)):
        ids[t, entries] = links.update(centres[t, entries])
    return ids


class _Links:
    """Identities by motion, frame after frame; forgets what it no longer looks for."""

    def __init__(self, reach: float, memory: int) -> None:
        self._reach, self._memory = reach, memory
        self._t = self._n_identities = 0
        # Of each identity: where it was last seen, when, its velocity, and in how many frames.
        self._place, self._velocity = np.zeros((0, 2)), np.zeros((0, 2))
        self._ids, self._seen, self._n_seen = (np.zeros(0, np.int64) for _ in range(3))

    def update(self, found: FloatArray) -> IntArray:
        """Identities of the next frame's centres, [n, 2] -> [n]."""
        reach, t = self._reach, self._t
        live = t - self._seen <= self._memory
        place, velocity, known = self._place[live], self._velocity[live], self._ids[live]
        seen, n_seen = self._seen[live], self._n_seen[live]
        ahead = place + velocity * (t - seen)[:, None]
        distance = np.linalg.norm(ahead[:, None] - found, axis=-1)
        rows, columns = linear_sum_assignment(distance.clip(max=3 * reach))
        near = distance[rows, columns] < reach
        old, again = rows[near], columns[near]
        step = (found[again] - place[old]) / (t - seen[old])[:, None]
        speed = np.linalg.norm(step, axis=-1, keepdims=True)
        step *= np.minimum(1, reach / 2 / speed.clip(min=1e-9))
        # The first step is all that is known; later ones are averaged with what was known.
        first = (n_seen[old] == 1)[:, None]
        velocity[old] = np.where(first, step, (velocity[old] + step) / 2)
        place[old], seen[old] = found[again], t
        n_seen[old] += 1
        new = np.setdiff1d(np.arange(len(found)), again)
        fresh = self._n_identities + np.arange(len(new))
        ids = np.empty(len(found), np.int32)
        ids[again], ids[new] = known[old], fresh
        self._place = np.concatenate([place, found[new]])
        self._velocity = np.concatenate([velocity, np.zeros((len(new), 2))])
        self._ids = np.concatenate([known, fresh])
        self._seen = np.concatenate([seen, np.full(len(new), t)])
        self._n_seen = np.concatenate([n_seen, np.ones(len(new), np.int64)])
        self._t, self._n_identities = t + 1, self._n_identities + len(new)
        return ids


class SilotStream:
    """SILOT on one video, frame after frame, in memory that does not grow with its length."""

    def __init__(self, tracker: SilotTracker) -> None:
        self._tracker = tracker
        config = tracker.model.config
        self._links = _Links(config.link_reach, config.link_memory) if config.link_reach else None
        self._state: Tensor | None = None
        self._ids: IntArray | None = None
        self._next_id = 0

    def update(self, frame: UInt8Array) -> Tracks:
        """The objects of the next frame, RGB, [H, W, 3]: those that count, [1, 1, K]."""
        tracker, model = self._tracker, self._tracker.model
        video = tracker.frames(frame[None, None])
        with torch.no_grad():
            device = next(model.parameters()).device
            image = model.images(torch.from_numpy(np.array(video)).to(device))[0]
            cells = model.backbone(image)
            if self._state is None:
                step = model.begin(image, cells, FrameNoise(), n_slots=tracker.slots(video))
            else:
                step = model.advance(image, cells, self._state, FrameNoise())
            self._state = step.state
            objects = model.unpacked(step.state[None])
            is_new = _numpy(step.is_new)[None]
            tracks, self._ids = tracker.tracks(objects, is_new, self._ids, self._next_id)
        self._next_id = max(self._next_id, int(self._ids.max()) + 1)
        found = tracks.above(THRESHOLD)
        if self._links is None:
            return found
        sure = found.present[0, 0]
        centres = (found.boxes[0, 0, sure, :2] + found.boxes[0, 0, sure, 2:]) / 2
        ids = np.full(found.shape, ABSENT, np.int32)
        ids[0, 0, sure] = self._links.update(centres)
        return Tracks(boxes=found.boxes, ids=ids, confidence=found.confidence)


def corner_boxes(box: Tensor, anchor: float) -> Tensor:
    """x0, y0, x1, y1 in pixels from y, x, h, w in anchors, [..., 4]."""
    centre, size = box.split(2, -1)
    low, high = (centre - size / 2) * anchor, (centre + size / 2) * anchor
    return torch.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], -1)


def _batches(videos: UInt8Array) -> list[UInt8Array]:
    return [
        videos[start : start + VIDEOS_AT_ONCE]
        for start in range(0, max(len(videos), 1), VIDEOS_AT_ONCE)
    ]


def _numpy(values: Tensor) -> np.ndarray:
    return values.numpy(force=True)


def _rgb(values: FloatArray, axis: int) -> FloatArray:
    """Three colours from one (or three) along an axis, whatever follows them kept."""
    n = values.shape[axis]
    if n >= 3:
        return values
    return values.take([0] * 3 + list(range(1, n)), axis=axis)
