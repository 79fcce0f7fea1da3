"""SQAIR as a tracker: samples weighed by the frames seen so far."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smot.arrays import IntArray, UInt8Array
from smot.errors import UsageError
from smot.models.sqair.clips import Clip, FrameSample, Memory
from smot.models.sqair.model import Sqair
from smot.models.sqair.noise import Noise
from smot.models.sqair.placement import Geometry
from smot.models.sqair.prediction import Rollout, roll_out
from smot.models.sqair.slots import Slots
from smot.models.sqair.trace import explained, following
from smot.tracks import ABSENT, Trace, Tracks

VIDEOS_AT_ONCE = 50
CHOICES = ("frame", "video")
LATENTS = ("sample", "mean")


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
        seed: of all noise.

    Raises:
        UsageError: a value outside what is said above.
    """

    n_slots: int = 0
    n_particles: int = 0
    choose: str = "frame"
    latents: str = "sample"
    rollout: str = "sample"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("choose", CHOICES), ("latents", LATENTS), ("rollout", LATENTS)):
            if getattr(self, name) not in allowed:
                value = getattr(self, name)
                raise UsageError(f"sqair: {name} must be {' or '.join(allowed)}, not {value!r}")
        for name in ("n_slots", "n_particles", "seed"):
            if getattr(self, name) < 0:
                value = getattr(self, name)
                raise UsageError(f"sqair: {name} must not be negative, not {value}")


@dataclass(frozen=True, kw_only=True)
class _Course:
    """Where inference stands after the frames of a batch of videos.

    Attributes:
        boxes: x0, y0, x1, y1, [T, N, B, 4], pixels.
        ids: [T, N, B].
        confidence: [T, N, B].
        memory: after the last frame, one row per video.
        slots: the objects themselves, one row per video, for each frame.
    """

    boxes: Tensor
    ids: Tensor
    confidence: Tensor
    memory: Memory
    slots: list[Slots]


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

    model: Sqair
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
        return self._track(videos, None)

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing new appears.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        return self._predict(videos, horizon, None)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for ``horizon`` frames, and keep what explains both."""
        return self._trace(videos, horizon, None)

    def told(self, count: int) -> "CountOracle":
        """The same tracker for videos of which the number of objects is known."""
        return CountOracle(tracker=self, count=count)

    @property
    def _geometry(self) -> Geometry:
        return self.model.config.geometry

    @property
    def _n_slots(self) -> int:
        return self.config.n_slots or self.model.config.n_slots

    @property
    def _n_particles(self) -> int:
        if self.config.latents == "mean":
            return 1
        return self.config.n_particles or self.model.config.n_particles

    def _track(self, videos: UInt8Array, counts: IntArray | None) -> Tracks:
        if len(videos) == 0:
            return _nothing(videos.shape[1])
        parts = []
        with torch.inference_mode():
            for some in _batches(len(videos)):
                course = self._follow(videos[some], None if counts is None else counts[some])
                parts.append(_tracks(course.boxes, course.ids, course.confidence))
        return Tracks.stack(parts)

    def _predict(self, videos: UInt8Array, horizon: int, counts: IntArray | None) -> Tracks:
        if len(videos) == 0:
            return _nothing(horizon)
        parts = []
        with torch.inference_mode():
            for some in _batches(len(videos)):
                told = None if counts is None else counts[some]
                memory = self._follow(videos[some], told).memory
                rollout = self._roll_out(videos[some], horizon, memory, stays=told is not None)
                parts.append(self._rollout_tracks(rollout, memory))
        return Tracks.stack(parts)

    def _trace(self, videos: UInt8Array, horizon: int, counts: IntArray | None) -> Trace:
        with torch.inference_mode():
            course = self._follow(videos, counts)
            frames, memory = course.slots, course.memory
            if horizon:
                stays = counts is not None
                rollout = self._roll_out(videos, horizon, memory, stays=stays)
                frames = [*frames, *following(memory.slots, rollout)]
            return explained(self.model, frames)

    def _roll_out(
        self, videos: UInt8Array, horizon: int, memory: Memory, *, stays: bool
    ) -> Rollout:
        noise = self._rollout_noise(videos, horizon, memory.slots.n_slots)
        prior = self.model.generative.propagation_prior
        return roll_out(prior, memory.slots, noise, stays=stays)

    def _follow(self, videos: UInt8Array, counts: IntArray | None) -> _Course:
        """Infer what is in a batch of videos."""
        pixels = self.model.pixels(self._tensor(videos))
        K = self._n_particles
        told, n_slots = None, self._n_slots
        if counts is not None:
            rows = torch.from_numpy(np.asarray(counts, np.float32)).to(pixels.device)
            told, n_slots = rows.repeat_interleave(K), max(int(counts.max(initial=0)), 1)
        noise, luck = self._noise(videos, n_slots)
        walk = self._each_frame if self.config.choose == "frame" else self._whole_video
        return walk(pixels, noise, luck, told)

    def _each_frame(
        self, pixels: Tensor, noise: Noise, luck: Tensor, counts: Tensor | None
    ) -> _Course:
        """Draw a particle after every frame, and let all go on from it."""
        net, prior = self.model.inference, self.model.generative.propagation_prior
        B, T = pixels.shape[:2]
        K = noise.n_rows // B
        prepared = net.prepared()
        given = net.given(pixels, K, prepared)
        memory = net.start(noise.n_rows)
        slots, boxes, ids, confidence = [], [], [], []
        for t in range(T):
            sample, memory = net.advance(
                pixels[:, t], given[t], memory, noise.at(t), prior, prepared, counts=counts
            )
            weights = self._weights(pixels[:, t : t + 1], [sample], t, noise.n_slots, counts)
            rows = _drawn(weights.view(B, K), luck[t])
            chosen = memory.slots.rows(rows)
            slots.append(chosen)
            boxes.append(self._geometry.object_boxes(chosen.where))
            ids.append(chosen.ids)
            confidence.append(chosen.logit.sigmoid())
            memory = memory.rows(rows.repeat_interleave(K))
        first = torch.arange(B, device=pixels.device) * K
        return _Course(
            boxes=_stacked(boxes), ids=_stacked(ids, ABSENT), confidence=_stacked(confidence),
            memory=memory.rows(first), slots=slots,
        )  # fmt: skip

    def _whole_video(
        self, pixels: Tensor, noise: Noise, luck: Tensor, counts: Tensor | None
    ) -> _Course:
        """Let every particle go its own way, and draw one by the weights of all frames."""
        net, prior = self.model.inference, self.model.generative.propagation_prior
        B, T = pixels.shape[:2]
        K = noise.n_rows // B
        prepared = net.prepared()
        given = net.given(pixels, K, prepared)
        memory = net.start(noise.n_rows)
        samples = []
        for t in range(T):
            sample, memory = net.advance(
                pixels[:, t], given[t], memory, noise.at(t), prior, prepared, counts=counts
            )
            samples.append(sample)
        weights = self._weights(pixels, samples, 0, noise.n_slots, counts)
        rows = _drawn(weights.view(B, K), luck[T - 1])
        slots = [sample.slots.rows(rows) for sample in samples]
        return _Course(
            boxes=_stacked([self._geometry.object_boxes(each.where) for each in slots]),
            ids=_stacked([each.ids for each in slots], ABSENT),
            confidence=_stacked([each.logit.sigmoid() for each in slots]),
            memory=memory.rows(rows),
            slots=slots,
        )

    def _weights(
        self,
        pixels: Tensor,
        samples: list[FrameSample],
        n_seen: int,
        n_most: int,
        counts: Tensor | None,
    ) -> Tensor:
        """Log importance weights of the rows over some frames, [S]."""
        told = counts is not None or self.model.config.presence == "fixed"
        clip = Clip.of(samples, n_most=n_most, n_seen=n_seen, told=told)
        return self.model.evidence(pixels, clip).log_weights.sum(0)

    def _noise(self, videos: UInt8Array, n_slots: int) -> tuple[Noise, Tensor]:
        """Noise for all frames and rows, and the luck of the draws among particles, [T, B, K]."""
        T, K = videos.shape[1], self._n_particles
        A, device = self.model.config.n_what, next(self.model.parameters()).device
        if self.config.latents == "mean":
            noise = Noise.none(T, n_slots, len(videos) * K, A, device)
            return noise, torch.zeros(T, len(videos), K, device=device)
        parts, luck = [], []
        for video in videos:
            generator = self._generator(video, 0)
            parts.append(Noise.draw(T, n_slots, K, A, generator))
            chances = torch.rand(T, K, generator=self._generator(video, 1))
            luck.append(-(-chances.clamp_(1e-9, 1 - 1e-7).log()).log())
        return Noise.side_by_side(parts).to(device), torch.stack(luck, dim=1).to(device)

    def _rollout_noise(self, videos: UInt8Array, horizon: int, n_slots: int) -> Noise:
        """Noise for the frames to predict, one row per video."""
        A, device = self.model.config.n_what, next(self.model.parameters()).device
        if self.config.rollout == "mean":
            return Noise.none(horizon, n_slots, len(videos), A, device)
        n_drawn = max(self._n_slots, n_slots)
        parts = [Noise.draw(horizon, n_drawn, 1, A, self._generator(video, 2)) for video in videos]
        return Noise.side_by_side(parts).to(device)

    def _generator(self, video: UInt8Array, purpose: int) -> torch.Generator:
        """A generator that depends on the seed, the video's first frame, and what it is for."""
        content = zlib.crc32(np.ascontiguousarray(video[0]).tobytes())
        words = np.random.SeedSequence([self.config.seed, content, purpose]).generate_state(2)
        return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))

    def _tensor(self, videos: UInt8Array) -> Tensor:
        device = next(self.model.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(videos)).to(device)

    def _rollout_tracks(self, rollout: Rollout, memory: Memory) -> Tracks:
        ids = torch.where(rollout.present > 0.5, memory.slots.ids, ABSENT)
        boxes = self._geometry.object_boxes(rollout.where)
        return _tracks(boxes, ids, rollout.logit.sigmoid())


@dataclass(frozen=True, kw_only=True, eq=False)
class CountOracle:
    """SQAIR that is told how many objects a video has: discovery finds so many, none ever leaves.

    The comparison in the SILOT paper evaluated SQAIR so beyond the numbers it was trained with.

    Attributes:
        tracker: does the work.
        count: of objects in every video.
    """

    tracker: SqairTracker
    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise UsageError(f"sqair: count must not be negative, not {self.count}")

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        return f"{self.tracker.name} (oracle count)"

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        return self.track_counted(videos, np.full(len(videos), self.count))

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing leaves.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        return self.predict_counted(videos, np.full(len(videos), self.count), horizon)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for ``horizon`` frames, and keep what explains both."""
        return self.tracker._trace(videos, horizon, np.full(len(videos), self.count))

    def track_counted(self, videos: UInt8Array, counts: IntArray) -> Tracks:
        """Track videos, [B, T, H, W, 3], with so many objects each, [B]."""
        return self.tracker._track(videos, counts)

    def predict_counted(self, videos: UInt8Array, counts: IntArray, horizon: int) -> Tracks:
        """Predict videos, [B, T, H, W, 3], with so many objects each, [B]."""
        return self.tracker._predict(videos, horizon, counts)


def _batches(n_videos: int) -> list[slice]:
    starts = range(0, n_videos, VIDEOS_AT_ONCE)
    return [slice(start, start + VIDEOS_AT_ONCE) for start in starts]


def _drawn(log_weights: Tensor, luck: Tensor) -> Tensor:
    """Rows of the particles drawn by their weights, [B]: the largest log weight plus luck wins."""
    B, K = log_weights.shape
    chosen = (log_weights + luck).argmax(-1)
    return torch.arange(B, device=chosen.device) * K + chosen


def _stacked(parts: list[Tensor], value: float = 0.0) -> Tensor:
    """Frames of different numbers of slots, [N, B, ...] each, as one, [T, N, B, ...]."""
    n_slots = max(max(len(part) for part in parts), 1)
    whole = parts[0].new_full((len(parts), n_slots, *parts[0].shape[1:]), value)
    for t, part in enumerate(parts):
        whole[t, : len(part)] = part
    return whole


def _nothing(n_frames: int) -> Tracks:
    """Tracks of no videos."""
    empty = torch.zeros(n_frames, 1, 0)
    return _tracks(empty[..., None].expand(-1, -1, -1, 4), empty.long(), empty)


def _tracks(boxes: Tensor, ids: Tensor, confidence: Tensor) -> Tracks:
    """Tracks of tensors [T, N, B, ...]."""

    def by_video(part: Tensor) -> np.ndarray:
        return part.movedim(2, 0).numpy(force=True)

    return Tracks(
        boxes=by_video(boxes), ids=by_video(ids), confidence=by_video(confidence).clip(0, 1)
    )
