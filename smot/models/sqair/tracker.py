"""SQAIR as a tracker: samples weighed by the frames seen so far."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import UsageError
from smot.models.sqair.model import Following, Sqair
from smot.models.sqair.objects import Noise, Slots
from smot.tracks import ABSENT, Trace, Tracks, as_frames

VIDEOS_AT_ONCE = 50
# Puts the least confidence of an object of known number above one half.
SLIGHTLY = 1e-6


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """How a model tracks and predicts.

    Attributes:
        n_slots: most objects at once; 0 for as many as the model was trained with.
        n_particles: samples per video; 0 for as many as the model was trained with.
        choose: "frame": after every frame one particle is drawn by its weight and all go on from
            it, which is causal; "video": as published, every particle goes its own way and one is
            drawn by the weights of all frames, later ones included.
        latents: "sample", as published; or "mean": means in place of samples and the likelier of
            present and absent, with one particle.
        rollout: the same for prediction.
        n_first_looks: how often the first frame is shown; 1 as published. Ours: from the second
            look on propagation corrects what discovery placed badly. Only the last counts.
        mode: "normal"; or "oracle-count": an evaluation tells how many objects each video has.
        count: how many objects every video has, where that is known; None to infer it.
        seed: of all noise.

    Raises:
        UsageError: a value outside its range, or a count in mode "oracle-count".
    """

    n_slots: int = 0
    n_particles: int = 0
    choose: Literal["frame", "video"] = "frame"
    latents: Literal["sample", "mean"] = "sample"
    rollout: Literal["sample", "mean"] = "sample"
    n_first_looks: int = 1
    mode: Literal["normal", "oracle-count"] = "normal"
    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n_slots", 0), ("n_particles", 0), ("n_first_looks", 1), ("seed", 0)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise UsageError(f"sqair: {name} must be at least {least}, not {value}")
        if self.count is not None and self.count < 0:
            raise UsageError(f"sqair: count must be at least 0, not {self.count}")
        if self.count is not None and self.mode == "oracle-count":
            raise UsageError(
                "sqair: count is not for mode 'oracle-count', which counts for itself"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class SqairTracker:
    """A tracker around a model.

    The noise for a video follows from the seed and the video's first frame alone, not from the
    other videos of a batch or the frames to come.

    Attributes:
        model: in eval mode.
        config: how it tracks.
        name: what tables and curves call it.
    """

    model: Sqair = field(repr=False)
    config: TrackerConfig
    name: str = "sqair"

    def __post_init__(self) -> None:
        n_slots, model = self._n_slots, self.model.config
        if n_slots > model.n_slots and model.count_prior == "cat":
            raise UsageError(
                f"sqair: n_slots must be at most {model.n_slots} (the learned count prior ends "
                f"there), not {n_slots}"
            )

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        return self.given(videos, self._counts(videos))

    def track_masks(self, videos: UInt8Array) -> Tracks:
        """The same with masks: the ink of each object; see `smot.models.sprites.owners`."""
        return self.given(videos, self._counts(videos), masks=True)

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing new appears.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        return self.given(videos, self._counts(videos), horizon)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for `horizon` frames, and keep what explains both."""
        counts = self._counts(videos)
        with torch.inference_mode():
            frames = self._objects(as_frames(videos), counts, horizon)
            return explain(self.model, frames, known_counts=counts is not None)

    def given(
        self,
        videos: UInt8Array,
        counts: IntArray | None,
        horizon: int = 0,
        *,
        masks: bool = False,
    ) -> Tracks:
        """Track videos, or predict the frames after them.

        Videos of which the number of objects is given go with others of that number: how many
        slots there are decides which noise a slot gets.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            counts: of objects in each video, [B]; None to infer them.
            horizon: number of frames to predict; 0 to track those seen.
            masks: whether to say which object each pixel belongs to.
        """
        videos, parts, places = as_frames(videos), [], []
        if len(videos) == 0:
            shape = (0, horizon or videos.shape[1], 1)
            ids, scores = np.zeros(shape, np.int32), np.zeros(shape)
            owners = np.zeros((*shape[:2], *videos.shape[2:4]), np.int32) if masks else None
            return Tracks(boxes=np.zeros((*shape, 4)), ids=ids, confidence=scores, masks=owners)
        with torch.inference_mode():
            for some in _batches(len(videos), counts):
                these = None if counts is None else counts[some]
                frames = self._objects(videos[some], these, horizon)[-horizon:]
                known = counts is not None
                parts.append(tracks_of(self.model, frames, known_counts=known, masks=masks))
                places.append(some)
        return Tracks.stack(parts)[np.argsort(np.concatenate(places))]

    @property
    def _n_slots(self) -> int:
        return self.config.n_slots or self.model.config.n_slots

    def _counts(self, videos: UInt8Array) -> IntArray | None:
        return None if self.config.count is None else np.full(len(videos), self.config.count)

    def _objects(self, videos: UInt8Array, counts: IntArray | None, horizon: int) -> list[Slots]:
        """What is in each frame of a batch of videos, and what the prior makes of those after."""
        config, n_slots, of_rows = self.config, self._n_slots, None
        videos = np.concatenate([videos[:, :1]] * (config.n_first_looks - 1) + [videos], axis=1)
        K = config.n_particles or self.model.config.n_particles
        if config.latents == "mean":
            K = 1
        device = next(self.model.parameters()).device
        pixels = self.model.pixels(torch.tensor(videos, device=device))
        if counts is not None:
            of_rows = torch.tensor(np.repeat(counts, K), dtype=torch.float32, device=device)
            n_slots = max(int(counts.max()), 1)
        noise = self._noise(videos, (videos.shape[1], n_slots, K), 0, config.latents)
        following = Following(self.model, pixels, noise, of_rows)
        gumbel, causal = self._gumbel(videos, K).to(device), config.choose == "frame"
        frames = follow(following, pixels, gumbel, causal=causal)
        frames = frames[config.n_first_looks - 1 :]
        if horizon:
            # As many slots as there may be, so that the noise is the same for any number in use.
            n_slots = max(self._n_slots, frames[-1].n_slots)
            noise = self._noise(videos, (horizon, n_slots, 1), 2, config.rollout)
            prior = self.model.generative.propagation_prior
            frames += prior.roll_out(frames[-1], noise, stays=counts is not None)
        return frames

    def _noise(
        self, videos: UInt8Array, shape: tuple[int, int, int], purpose: int, kind: str
    ) -> Noise:
        """Noise for T frames, N slots and K rows for each video; see `_generator`."""
        (T, N, K), A = shape, self.model.config.n_what
        if kind == "mean":
            parts = [Noise.none(T, N, K * len(videos), A)]
        else:
            parts = [Noise.draw(T, N, K, A, self._generator(video, purpose)) for video in videos]
        device = next(self.model.parameters()).device
        return Noise(*(torch.cat(each, 3).to(device) for each in zip(*parts, strict=True)))

    def _gumbel(self, videos: UInt8Array, K: int) -> Tensor:
        """Gumbel noise of the draws among particles, [T, B, K]."""
        shape = (videos.shape[1], K)
        uniform = [torch.rand(shape, generator=self._generator(video, 1)) for video in videos]
        return -(-torch.stack(uniform, dim=1).clamp_(1e-9, 1 - 1e-7).log()).log()

    def _generator(self, video: UInt8Array, purpose: int) -> torch.Generator:
        """A generator that depends on the seed, the video's first frame, and what it is for."""
        content = zlib.crc32(np.ascontiguousarray(video[0]).tobytes())
        words = np.random.SeedSequence([self.config.seed, content, purpose]).generate_state(2)
        return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))


def follow(following: Following, pixels: Tensor, gumbel: Tensor, *, causal: bool) -> list[Slots]:
    """Infer what is in videos.

    Args:
        following: of their B * K particles; at the first frame.
        pixels: [B, T, C, H, W].
        gumbel: noise of the draws among particles, [T, B, K].
        causal: draw a particle after every frame and let all go on from it; else let every
            particle go its own way, and draw one by the weights of all frames.

    Returns:
        The objects of every frame, [N, B, ...].
    """
    (T, B, K), evidence = gumbel.shape, following.model.generative.evidence
    first = torch.arange(B, device=pixels.device) * K
    log_weights, frames = pixels.new_zeros(B * K), []
    for t in range(T):
        sample = following.advance()
        log_weights = log_weights + evidence(pixels[:, t : t + 1], [sample]).log_weights
        # The largest log weight plus Gumbel noise is a draw by the weights.
        rows = first + (log_weights.view(B, K) + gumbel[t]).argmax(-1)
        frames.append(sample.slots.rows(rows) if causal else sample.slots)
        if causal:
            following.go_on_from(rows.repeat_interleave(K))
            log_weights = torch.zeros_like(log_weights)
    return frames if causal else [slots.rows(rows) for slots in frames]


def _batches(n_videos: int, counts: IntArray | None) -> list[IntArray]:
    """Places of videos that are tracked together, all with the same count where it is given."""
    places = np.arange(n_videos)
    alike = [places] if counts is None else [places[counts == n] for n in np.unique(counts)]
    starts = [(group, start) for group in alike for start in range(0, len(group), VIDEOS_AT_ONCE)]
    return [group[start : start + VIDEOS_AT_ONCE] for group, start in starts]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountOracle:
    """SQAIR with the true number of objects in each video: so many are found, and none leaves.

    The comparison in the SILOT paper evaluated SQAIR so beyond the numbers it was trained with.

    Attributes:
        tracker: does the work.
    """

    tracker: SqairTracker

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        return f"{self.tracker.name} (oracle count)"

    def track_counted(self, videos: UInt8Array, counts: IntArray) -> Tracks:
        """Track videos, RGB, [B, T, H, W, 3], with so many objects each, [B]."""
        return self.tracker.given(videos, counts)

    def predict_counted(self, videos: UInt8Array, counts: IntArray, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing leaves.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            counts: of objects in each video, [B].
            horizon: number of frames to predict, at least 1.
        """
        return self.tracker.given(videos, counts, horizon)


def tracks_of(
    model: Sqair, frames: Sequence[Slots], *, known_counts: bool = False, masks: bool = False
) -> Tracks:
    """The tracks of objects in consecutive frames; confidence is the presence's probability.

    Where the settings ask for the extent of the ink, a box without ink is no object in that
    frame. One that shows ink again has the identity it had.

    Args:
        model: knows what boxes to report.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
        known_counts: whether the number of objects was given. Then all of them count, however
            unlikely inference would have found them: probabilities are put in the upper half of
            [0, 1].
        masks: whether to say which object each pixel belongs to.
    """
    slots = _by_video(frames)
    confidence = slots.logit.sigmoid()
    if known_counts:
        confidence = 0.5 + SLIGHTLY + confidence / 2
    config, ids = model.config, slots.ids
    if config.tight_boxes:
        decoder = model.generative.decoder
        boxes, seen = decoder.ink_boxes(slots.what, slots.where, config.ink_threshold)
        ids = ids.where(seen, ABSENT)
    else:
        boxes = model.geometry.object_boxes(slots.where)
    owners = None
    if masks:
        counts = (ids >= 0) & (confidence > 0.5)
        parts = zip(slots.what.unbind(1), slots.where.unbind(1), counts.unbind(1), strict=True)
        found = [model.generative.decoder.owners(*part, config.ink_threshold) for part in parts]
        owners = torch.stack(found, dim=1).numpy(force=True)
    return Tracks(
        boxes=boxes.numpy(force=True),
        ids=ids.numpy(force=True),
        confidence=np.clip(confidence.numpy(force=True), 0, 1),
        masks=owners,
    )


def _by_video(frames: Sequence[Slots]) -> Slots:
    """The slots of frames, [B, T, N, ...], N at least 1."""
    n_slots = max(1, *(each.n_slots for each in frames))
    parts = zip(*(each.padded(n_slots) for each in frames), strict=True)
    return Slots(*(torch.stack(part).movedim(2, 0) for part in parts))


def explain(model: Sqair, frames: Sequence[Slots], *, known_counts: bool = False) -> Trace:
    """The tracks of objects in consecutive frames, and how the model paints them.

    Patches are opaque: the model adds them up, and black adds nothing.

    Args:
        model: decodes them.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
        known_counts: whether the number of objects was given.
    """
    tracks = tracks_of(model, frames, known_counts=known_counts)
    slots = _by_video(frames)
    decoder, shape = model.generative.decoder, slots.present.shape
    objects = (part.flatten(0, 1).transpose(0, 1) for part in slots[:3])
    pictures = decoder(*objects).unflatten(0, shape[:2]).numpy(force=True)
    patches = decoder.patches(slots.what.flatten(0, 2)).unflatten(0, shape).numpy(force=True)
    colours = _rgb(patches, axis=3)
    return Trace(
        tracks=tracks,
        is_new=_first_seen(slots.ids.numpy(force=True)) & tracks.present,
        appearances=np.concatenate([colours, np.ones_like(colours[:, :, :, :1])], axis=3),
        reconstruction=np.moveaxis(_rgb(pictures, axis=2), 2, -1),
    )


def _first_seen(ids: IntArray) -> BoolArray:
    """Which entries of ids [B, T, K] were not in the frame before."""
    before = np.pad(ids, ((0, 0), (1, 0), (0, 0)), constant_values=ABSENT)[:, :-1]
    known = (ids[..., :, None] == before[..., None, :]).any(-1)
    first: BoolArray = (ids >= 0) & ~known
    return first


def _rgb(values: FloatArray, axis: int) -> FloatArray:
    """Three colours in [0, 1] from one or three along an axis."""
    clipped = values.clip(0, 1)
    return clipped if values.shape[axis] == 3 else clipped.repeat(3, axis=axis)
