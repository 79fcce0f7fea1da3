"""SQAIR as a tracker: samples weighed by the frames seen so far."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array
from smot.errors import UsageError
from smot.models.sqair.model import Sqair
from smot.models.sqair.noise import Noise
from smot.models.sqair.objective import Clip, FrameSample
from smot.models.sqair.objects import Slots
from smot.tracks import ABSENT, Trace, Tracks, as_frames

VIDEOS_AT_ONCE = 50
CHOICES = ("frame", "video")
LATENTS = ("sample", "mean")
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
        count: how many objects every video has; None to infer it.
    """

    model: Sqair
    config: TrackerConfig
    name: str = "sqair"
    count: int | None = None

    def __post_init__(self) -> None:
        n_slots, model = self._n_slots, self.model.config
        if n_slots > model.n_slots and model.count_prior == "cat":
            raise UsageError(
                f"sqair: n_slots must be at most {model.n_slots} (the learned count prior ends "
                f"there), not {n_slots}"
            )
        if self.count is not None and self.count < 0:
            raise UsageError(f"sqair: count must not be negative, not {self.count}")

    def track(self, videos: UInt8Array) -> Tracks:
        """Track the objects of videos, RGB, [B, T, H, W, 3]."""
        videos = as_frames(videos)
        return self.track_given(videos, self._counts(videos))

    def predict(self, videos: UInt8Array, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing new appears.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            horizon: number of frames to predict, at least 1.
        """
        videos = as_frames(videos)
        return self.predict_given(videos, self._counts(videos), horizon)

    def trace(self, videos: UInt8Array, horizon: int = 0) -> Trace:
        """Track a few videos, carry on for `horizon` frames, and keep what explains both."""
        videos = as_frames(videos)
        counts = self._counts(videos)
        with torch.inference_mode():
            seen, predicted = self._follow_on(videos, counts, horizon)
            known = self.model.knows_counts(counts)
            return explain(self.model, [*seen, *predicted], known_counts=known)

    def with_count(self, count: int) -> "SqairTracker":
        """The same tracker for videos that all have so many objects, from first frame to last."""
        return replace(self, count=count, name=f"{self.name} (oracle count)")

    def track_given(self, videos: UInt8Array, counts: IntArray | None) -> Tracks:
        """Track videos with so many objects each, [B]; None to infer how many."""
        if len(videos) == 0:
            return nothing(videos.shape[1])
        return self._in_batches(videos, counts, lambda some, n: self._follow(some, n)[0])

    def predict_given(self, videos: UInt8Array, counts: IntArray | None, horizon: int) -> Tracks:
        """Predict videos with so many objects each, [B]; None to infer how many."""
        if len(videos) == 0:
            return nothing(horizon)
        return self._in_batches(
            videos, counts, lambda some, n: self._follow_on(some, n, horizon)[1]
        )

    @property
    def _n_slots(self) -> int:
        return self.config.n_slots or self.model.config.n_slots

    @property
    def _n_particles(self) -> int:
        if self.config.latents == "mean":
            return 1
        return self.config.n_particles or self.model.config.n_particles

    def _counts(self, videos: UInt8Array) -> IntArray | None:
        return None if self.count is None else np.full(len(videos), self.count)

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
                known = self.model.knows_counts(counts)
                parts.append(tracks_of(self.model, frames, known_counts=known))
                places.append(some)
        return Tracks.stack(parts)[np.argsort(np.concatenate(places))]

    def _follow(self, videos: UInt8Array, counts: IntArray | None) -> tuple[list[Slots], Slots]:
        """The objects of every frame of a batch of videos, and the state after the last."""
        n_again = self.config.n_first_looks - 1
        videos = np.concatenate([videos[:, :1]] * n_again + [videos], axis=1)
        device = next(self.model.parameters()).device
        pixels = self.model.pixels(torch.tensor(videos, device=device))
        of_rows, n_slots = None, self._n_slots
        if counts is not None:
            of_videos = torch.from_numpy(np.asarray(counts, np.float32)).to(device)
            of_rows = of_videos.repeat_interleave(self._n_particles)
            n_slots = max(int(counts.max(initial=0)), 1)
        causal, noise = self.config.choose == "frame", self._chance(videos, n_slots)
        frames, last = follow(self.model, pixels, *noise, of_rows, causal=causal)
        return frames[n_again:], last

    def _follow_on(
        self, videos: UInt8Array, counts: IntArray | None, horizon: int
    ) -> tuple[list[Slots], list[Slots]]:
        """What is in a batch of videos, and what the prior makes of the frames after."""
        frames, last = self._follow(videos, counts)
        if horizon == 0:
            return frames, []
        noise = self._rollout_noise(videos, horizon, last.n_slots)
        prior = self.model.generative.propagation_prior
        return frames, prior.roll_out(last, noise, stays=counts is not None)

    def _chance(self, videos: UInt8Array, n_slots: int) -> tuple[Noise, Tensor]:
        """Noise for T frames and B * K rows, and Gumbel noise of the draws among particles."""
        B, T, K = len(videos), videos.shape[1], self._n_particles
        A, device = self.model.config.n_what, next(self.model.parameters()).device
        if self.config.latents == "mean":
            noise = Noise.none(T, n_slots, B * K, A, device)
            return noise, torch.zeros(T, B, K, device=device)
        parts, gumbel = [], []
        for video in videos:
            parts.append(Noise.draw(T, n_slots, K, A, self._generator(video, 0)))
            uniform = torch.rand(T, K, generator=self._generator(video, 1))
            gumbel.append(-(-uniform.clamp_(1e-9, 1 - 1e-7).log()).log())
        noise = Noise.side_by_side(parts).to(device)
        return noise, torch.stack(gumbel, dim=1).to(device)

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
        return self.tracker.track_given(as_frames(videos), counts)

    def predict_counted(self, videos: UInt8Array, counts: IntArray, horizon: int) -> Tracks:
        """Track the given frames, then let the propagation prior go on; nothing leaves.

        Args:
            videos: the frames seen, RGB, [B, T, H, W, 3].
            counts: of objects in each video, [B].
            horizon: number of frames to predict, at least 1.
        """
        return self.tracker.predict_given(as_frames(videos), counts, horizon)


def follow(
    model: Sqair,
    pixels: Tensor,
    noise: Noise,
    gumbel: Tensor,
    counts: Tensor | None,
    *,
    causal: bool,
) -> tuple[list[Slots], Slots]:
    """Infer what is in videos.

    Args:
        model: does the inference.
        pixels: [B, T, C, H, W].
        noise: of the samples, for T frames and B * K rows.
        gumbel: noise of the draws among particles, [T, B, K].
        counts: how many objects each row has, [B * K]; None where that is inferred.
        causal: draw a particle after every frame and let all go on from it; else let every
            particle go its own way, and draw one by the weights of all frames.

    Returns:
        The objects of every frame, [N, B, ...], and those after the last frame.
    """
    net, prior = model.inference, model.generative.propagation_prior
    B, T = pixels.shape[:2]
    K = noise.n_rows // B
    known = model.knows_counts(counts)
    prepared, memory = net.prepare(pixels, noise, counts, prior), net.start(noise.n_rows)
    samples: list[FrameSample] = []
    frames = []

    def drawn(first: int, n_seen: int, t: int) -> Tensor:
        """Rows of the particles that the weights of some frames favour, [B]."""
        clip = Clip.of(samples[first:], n_most=noise.n_slots, n_seen=n_seen, known_counts=known)
        weights = model.generative.evidence(pixels[:, first : t + 1], clip).log_weights.sum(0)
        # The largest log weight plus Gumbel noise is a draw by the weights.
        chosen = (weights.view(B, K) + gumbel[t]).argmax(-1)
        return torch.arange(B, device=chosen.device) * K + chosen

    for t in range(T):
        sample, memory = net.advance(prepared, memory)
        samples.append(sample)
        if causal:
            rows = drawn(t, t, t)
            frames.append(sample.slots.rows(rows))
            memory = memory.rows(rows.repeat_interleave(K))
    if causal:
        rows = torch.arange(B, device=pixels.device) * K
    else:
        rows = drawn(0, 0, T - 1)
        frames = [each.slots.rows(rows) for each in samples]
    return frames, memory.slots.rows(rows)


def tracks_of(model: Sqair, frames: Sequence[Slots], *, known_counts: bool = False) -> Tracks:
    """The tracks of objects in consecutive frames; confidence is the presence's probability.

    Where the settings ask for the extent of the ink, a box without ink is no object in that
    frame. One that shows ink again has the identity it had.

    Args:
        model: knows what boxes to report.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
        known_counts: whether the number of objects was given. Then all of them count, however
            unlikely inference would have found them: probabilities are put in the upper half of
            [0, 1].
    """
    slots = _by_video(frames)
    confidence = slots["logit"].sigmoid()
    if known_counts:
        confidence = 0.5 + SLIGHTLY + confidence / 2
    config, ids = model.config, slots["ids"]
    if config.tight_boxes:
        decoder = model.generative.decoder
        boxes, seen = decoder.ink_boxes(slots["what"], slots["where"], config.ink_threshold)
        ids = ids.where(seen, ABSENT)
    else:
        boxes = model.geometry.object_boxes(slots["where"])
    return Tracks(
        boxes=boxes.numpy(force=True),
        ids=ids.numpy(force=True),
        confidence=np.clip(confidence.numpy(force=True), 0, 1),
    )


def _by_video(frames: Sequence[Slots]) -> dict[str, Tensor]:
    """The slots of frames by name, [B, T, N, ...] each, N at least 1."""
    n_slots = max(1, *(each.n_slots for each in frames))
    whole = Slots.stack([each.padded(n_slots) for each in frames])
    return {name: part.movedim(2, 0) for name, part in vars(whole).items()}


def nothing(n_frames: int) -> Tracks:
    """The tracks of no videos."""
    ids = np.zeros((0, n_frames, 1), np.int32)
    return Tracks(boxes=np.zeros((*ids.shape, 4)), ids=ids, confidence=np.zeros(ids.shape))


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
    what, where, present = slots["what"], slots["where"], slots["present"]
    decoder = model.generative.decoder
    painted = decoder(what.flatten(0, 1), where.flatten(0, 1), present.flatten(0, 1))
    pictures = painted.unflatten(0, present.shape[:2]).numpy(force=True)
    patches = decoder.patches(what.flatten(0, 2)).unflatten(0, present.shape).numpy(force=True)
    colours = _rgb(patches, axis=3)
    return Trace(
        tracks=tracks,
        is_new=_first_seen(slots["ids"].numpy(force=True)) & tracks.present,
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
