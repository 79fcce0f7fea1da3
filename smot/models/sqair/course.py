"""Following the objects of videos frame by frame, and choosing among the particles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smot.models.extents import ink_boxes
from smot.models.sqair.clips import Clip, FrameSample, Memory
from smot.models.sqair.model import Sqair
from smot.models.sqair.noise import Noise
from smot.models.sqair.placement import sprite_boxes
from smot.models.sqair.slots import Slots
from smot.tracks import ABSENT, Tracks

SLIGHTLY = 1e-6


@dataclass(frozen=True, kw_only=True)
class Course:
    """What was found in videos, one row per video.

    Attributes:
        frames: the objects of every frame.
        memory: after the last frame.
    """

    frames: list[Slots]
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class Chances:
    """Everything random about following B videos with K particles each.

    Attributes:
        noise: of the samples, for T frames and B * K rows.
        luck: Gumbel noise of the draws among particles, [T, B, K].
    """

    noise: Noise
    luck: Tensor


def follow(
    model: Sqair, pixels: Tensor, chances: Chances, counts: Tensor | None, *, causal: bool
) -> Course:
    """Infer what is in videos.

    Args:
        model: does the inference.
        pixels: [B, T, C, H, W].
        chances: for them.
        counts: how many objects each row has, [B * K]; None where that is inferred.
        causal: draw a particle after every frame and let all go on from it; else let every
            particle go its own way, and draw one by the weights of all frames.
    """
    net, prior = model.inference, model.generative.propagation_prior
    B, T = pixels.shape[:2]
    noise, K = chances.noise, chances.noise.n_rows // B
    prepared = net.prepared()
    given = net.given(pixels, K, prepared)
    memory = net.start(noise.n_rows)
    samples, frames = [], []
    for t in range(T):
        sample, memory = net.advance(
            pixels[:, t], given[t], memory, noise.at(t), prior, prepared, counts=counts
        )
        samples.append(sample)
        if causal:
            weights = _weights(model, pixels[:, t : t + 1], [sample], t, noise, counts)
            rows = _drawn(weights, chances.luck[t])
            frames.append(sample.slots.rows(rows))
            memory = memory.rows(rows.repeat_interleave(K))
    if causal:
        rows = torch.arange(B, device=pixels.device) * K
    else:
        rows = _drawn(_weights(model, pixels, samples, 0, noise, counts), chances.luck[T - 1])
        frames = [each.slots.rows(rows) for each in samples]
    return Course(frames=frames, memory=memory.rows(rows))


def tracks_of(model: Sqair, frames: Sequence[Slots], *, told: bool = False) -> Tracks:
    """The tracks of objects in consecutive frames; confidence is the presence's probability.

    Where the settings ask for the extent of the ink, a box without ink is no object in that
    frame. One that shows ink again has the identity it had.

    Args:
        model: knows what boxes to report.
        frames: objects of T frames, at least one, with one row per video, [N, B, ...] each.
        told: whether the number of objects was given. Then all of them count, however unlikely
            inference would have found them: probabilities are put in the upper half of [0, 1].
    """
    n_slots = max(1, *(each.n_slots for each in frames))
    whole = [each.padded(n_slots) for each in frames]

    def by_video(name: str) -> Tensor:
        return torch.stack([getattr(each, name) for each in whole]).movedim(2, 0)

    sure = by_video("logit").sigmoid()
    boxes, seen = reported_boxes(model, by_video("what"), by_video("where"))
    return Tracks(
        boxes=boxes.numpy(force=True),
        ids=by_video("ids").where(seen, ABSENT).numpy(force=True),
        confidence=np.clip((0.5 + SLIGHTLY + sure / 2 if told else sure).numpy(force=True), 0, 1),
    )


def reported_boxes(model: Sqair, what: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of objects: their patches, or what is bright in these if the settings say so.

    Slots that are not needed rest where nothing is and paint black, which costs the objective
    next to nothing. So a patch in which nothing is bright is no object.

    Args:
        model: knows the settings, and paints.
        what: appearances, [..., A].
        where: places, [..., 4].

    Returns:
        x0, y0, x1, y1, [..., 4], pixels; and whether there is an object to report, bool, [...].

    Source: ours; the original reports patches. SILOT's tight boxes here are found alike.
    """
    config, decoder = model.config, model.generative.decoder
    if not config.tight_boxes:
        boxes = config.geometry.object_boxes(where)
        return boxes, torch.ones_like(boxes[..., 0], dtype=torch.bool)
    patches = decoder.patches(what.flatten(0, -2)).clamp(0, 1)
    opaque = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
    black = patches.new_zeros(config.channels)
    sprites = sprite_boxes(where.flatten(0, -2), model.inference.glimpse_encoder.window)
    boxes = ink_boxes(sprites, opaque, black, config.ink_threshold).flip(-1)
    size, centre = boxes.split(2, dim=-1)
    seen = patches.flatten(1).amax(1) >= config.ink_threshold
    ends = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    return ends.view(*where.shape), seen.view(*where.shape[:-1])


def nothing(n_frames: int) -> Tracks:
    """The tracks of no videos."""
    ids = np.zeros((0, n_frames, 1), np.int32)
    return Tracks(boxes=np.zeros((*ids.shape, 4)), ids=ids, confidence=np.zeros(ids.shape))


def _weights(
    model: Sqair,
    pixels: Tensor,
    samples: list[FrameSample],
    n_seen: int,
    noise: Noise,
    counts: Tensor | None,
) -> Tensor:
    """Log importance weights of the particles over some frames, [B, K]."""
    told = counts is not None or model.config.presence == "fixed"
    clip = Clip.of(samples, n_most=noise.n_slots, n_seen=n_seen, told=told)
    return model.evidence(pixels, clip).log_weights.sum(0).view(len(pixels), -1)


def _drawn(log_weights: Tensor, luck: Tensor) -> Tensor:
    """Rows of the particles drawn by their weights, [B]: the largest log weight plus luck wins."""
    B, K = log_weights.shape
    chosen = (log_weights + luck).argmax(-1)
    return torch.arange(B, device=chosen.device) * K + chosen
