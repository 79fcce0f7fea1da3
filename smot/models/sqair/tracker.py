"""SQAIR as a tracker: samples weighed by the frames seen so far."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from smot.arrays import IntArray, UInt8Array
from smot.errors import UsageError
from smot.models.sqair.course import Chances, Course, follow, nothing, tracks_of
from smot.models.sqair.model import Sqair
from smot.models.sqair.noise import Noise
from smot.models.sqair.prediction import roll_out
from smot.models.sqair.slots import Slots
from smot.models.sqair.trace import explained
from smot.tracks import Trace, Tracks

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
        n_first_looks: how often the first frame is shown; 1 as published. Ours: from the second
            look on propagation corrects what discovery placed badly. Only the last counts.
        seed: of all noise.

    Raises:
        UsageError: a value outside what is said above.
    """

    n_slots: int = 0
    n_particles: int = 0
    choose: str = "frame"
    latents: str = "sample"
    rollout: str = "sample"
    n_first_looks: int = 1
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
        if self.n_first_looks < 1:
            value = self.n_first_looks
            raise UsageError(f"sqair: n_first_looks must be at least 1, not {value}")


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

    def told(self, count: int) -> "OneCount":
        """The same tracker for videos of which all have so many objects."""
        return OneCount(oracle=CountOracle(tracker=self), count=count)

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
            return nothing(videos.shape[1])
        return self._in_batches(videos, counts, lambda some, told: self._follow(some, told).frames)

    def _predict(self, videos: UInt8Array, horizon: int, counts: IntArray | None) -> Tracks:
        if len(videos) == 0:
            return nothing(horizon)
        return self._in_batches(
            videos, counts, lambda some, told: self._foresee(some, told, horizon)[1]
        )

    def _trace(self, videos: UInt8Array, horizon: int, counts: IntArray | None) -> Trace:
        with torch.inference_mode():
            course, predicted = self._foresee(videos, counts, horizon)
            told = self._is_told(counts)
            return explained(self.model, [*course.frames, *predicted], told=told)

    def _in_batches(
        self,
        videos: UInt8Array,
        counts: IntArray | None,
        found: Callable[[UInt8Array, IntArray | None], list[Slots]],
    ) -> Tracks:
        """Tracks of what is found in videos, some at a time.

        Videos of which the number of objects is given go with others of that number: how many
        slots there are decides which noise a slot gets.
        """
        parts, places = [], []
        with torch.inference_mode():
            for some in _batches(len(videos), counts):
                frames = found(videos[some], None if counts is None else counts[some])
                parts.append(tracks_of(self.model, frames, told=self._is_told(counts)))
                places.append(some)
        return Tracks.stack(parts)[np.argsort(np.concatenate(places))]

    def _is_told(self, counts: IntArray | None) -> bool:
        return counts is not None or self.model.config.presence == "fixed"

    def _follow(self, videos: UInt8Array, counts: IntArray | None) -> Course:
        """Infer what is in a batch of videos."""
        n_again = self.config.n_first_looks - 1
        videos = np.concatenate([videos[:, :1]] * n_again + [videos], axis=1)
        device = next(self.model.parameters()).device
        pixels = self.model.pixels(torch.from_numpy(np.ascontiguousarray(videos)).to(device))
        told, n_slots = None, self._n_slots
        if counts is not None:
            rows = torch.from_numpy(np.asarray(counts, np.float32)).to(device)
            told = rows.repeat_interleave(self._n_particles)
            n_slots = max(int(counts.max(initial=0)), 1)
        chances = self._chances(videos, n_slots)
        course = follow(self.model, pixels, chances, told, causal=self.config.choose == "frame")
        return replace(course, frames=course.frames[n_again:])

    def _foresee(
        self, videos: UInt8Array, counts: IntArray | None, horizon: int
    ) -> tuple[Course, list[Slots]]:
        """What is in a batch of videos, and what the prior makes of the frames after."""
        course = self._follow(videos, counts)
        if horizon == 0:
            return course, []
        last = course.memory.slots
        noise = self._rollout_noise(videos, horizon, last.n_slots)
        prior = self.model.generative.propagation_prior
        rollout = roll_out(prior, last, noise, stays=counts is not None)
        return course, rollout.frames(last)

    def _chances(self, videos: UInt8Array, n_slots: int) -> Chances:
        """Noise for all frames and rows, and the luck of the draws among particles."""
        B, T, K = len(videos), videos.shape[1], self._n_particles
        A, device = self.model.config.n_what, next(self.model.parameters()).device
        if self.config.latents == "mean":
            noise = Noise.none(T, n_slots, B * K, A, device)
            return Chances(noise=noise, luck=torch.zeros(T, B, K, device=device))
        parts, luck = [], []
        for video in videos:
            parts.append(Noise.draw(T, n_slots, K, A, self._generator(video, 0)))
            chances = torch.rand(T, K, generator=self._generator(video, 1))
            luck.append(-(-chances.clamp_(1e-9, 1 - 1e-7).log()).log())
        noise = Noise.side_by_side(parts).to(device)
        return Chances(noise=noise, luck=torch.stack(luck, dim=1).to(device))

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


def _batches(n_videos: int, counts: IntArray | None) -> list[IntArray]:
    """Places of videos that are tracked together, all with the same count where it is given."""
    places = np.arange(n_videos)
    alike = [places] if counts is None else [places[counts == n] for n in np.unique(counts)]
    starts = [(group, start) for group in alike for start in range(0, len(group), VIDEOS_AT_ONCE)]
    return [group[start : start + VIDEOS_AT_ONCE] for group, start in starts]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountOracle:
    """SQAIR that is told how many objects each video has: so many are found, and none ever leaves.

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
        return self.tracker._track(videos, counts)

    def predict_counted(self, videos: UInt8Array, counts: IntArray, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing leaves.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            counts: of objects in each video, [B].
            horizon: number of frames to predict, at least 1.
        """
        return self.tracker._predict(videos, horizon, counts)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneCount:
    """SQAIR that is told one number of objects for all videos, so that it needs no oracle to run.

    Attributes:
        oracle: does the work.
        count: of objects in every video.
    """

    oracle: CountOracle
    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise UsageError(f"sqair: count must not be negative, not {self.count}")

    @property
    def name(self) -> str:
        """What tables and curves call it."""
        return self.oracle.name

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        return self.oracle.track_counted(videos, self._counts(videos))

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing leaves.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        return self.oracle.predict_counted(videos, self._counts(videos), horizon)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for ``horizon`` frames, and keep what explains both."""
        return self.oracle.tracker._trace(videos, horizon, self._counts(videos))

    def _counts(self, videos: UInt8Array) -> IntArray:
        return np.full(len(videos), self.count)
