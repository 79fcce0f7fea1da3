"""SQAIR: sequential attend, infer, repeat, put together."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from smot.errors import DataError
from smot.models.family import Objective
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.discovery import Discovery
from smot.models.sqair.encoders import FrameEncoder, Geometry, GlimpseEncoder, Mlp
from smot.models.sqair.objective import (
    Clip,
    FrameSample,
    Generative,
    diagnosis,
    effective_particles,
    importance_bound,
    logit_excess,
    loss,
)
from smot.models.sqair.objects import Noise, Samples, SlotNoise, Slots, number, pack
from smot.models.sqair.priors import PropagationPrior
from smot.models.sqair.propagation import Propagation


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a model knows between two frames.

    Attributes:
        slots: the objects, in S rows.
        n_used: identities given so far, [S], int64.
        n_seen: frames seen so far.
    """

    slots: Slots
    n_used: Tensor
    n_seen: int

    def rows(self, rows: Tensor) -> "Memory":
        """The memory of some rows, by index [S'], in that order; rows may repeat."""
        return Memory(slots=self.slots.rows(rows), n_used=self.n_used[rows], n_seen=self.n_seen)


class Inference(nn.Module):
    """Everything that looks at pixels: encoders, propagation, discovery.

    Args:
        config: all settings.
        geometry: how boxes are placed.
        generator: source of the initial weights.
    """

    def __init__(
        self, config: SqairConfig, geometry: Geometry, generator: torch.Generator
    ) -> None:
        super().__init__()
        h, A, C = config.n_hidden, config.n_what, config.channels
        self.fixed = config.presence == "fixed"
        self.n_what, self.n_hidden = A, h
        self.later_bias = config.later_bias
        self.frame_encoder = FrameEncoder(
            (C, *config.frame_size),
            h,
            generator,
            n_filters=config.n_filters if config.encoder == "conv" else 0,
            filter_gain=config.filter_gain,
        )
        self.glimpse_encoder = GlimpseEncoder(geometry, C, h, A, generator)
        self.propagation = Propagation(config, generator)
        self.discovery = Discovery(config, self.frame_encoder.n_features, generator)
        self.condition = Mlp((A + 4, h, h), generator, elu_output=True)

    def from_frames(self, pixels: Tensor, n_particles: int) -> Tensor:
        """The frames' part of discovery's recurrent product, once per frame for all particles.

        Args:
            pixels: [B, T, C, H, W].
            n_particles: K.

        Returns:
            [T, B * K, h].
        """
        B, T = pixels.shape[:2]
        features = self.frame_encoder(pixels.transpose(0, 1).flatten(0, 1))
        products = self.discovery.from_frames(features).view(T, B, -1)
        return products.repeat_interleave(n_particles, dim=1)

    def start(self, n_rows: int) -> Memory:
        """Before the first frame: no objects in S rows."""
        device = self.discovery.start.device
        slots = Slots.empty(n_rows, self.n_what, self.n_hidden, device)
        n_used = torch.zeros(n_rows, dtype=torch.int64, device=device)
        return Memory(slots=slots, n_used=n_used, n_seen=0)

    def advance(
        self,
        pixels: Tensor,
        from_frame: Tensor,
        memory: Memory,
        noise: tuple[SlotNoise, SlotNoise],
        prior: PropagationPrior,
        counts: Tensor | None,
    ) -> tuple[FrameSample, Memory]:
        """Sample one frame: propagate, discover, pack.

        Args:
            pixels: the frame, [B, C, H, W].
            from_frame: its part of discovery's product, [S, h].
            memory: of the frames before.
            noise: of propagation and of discovery, for S rows and the most slots allowed.
            prior: how objects go on by themselves.
            counts: how many objects each row has from the first frame to the last, [S]; None
                where presence is inferred, or fixed by the settings.

        Source: docs/models/sqair.md 5.
        """
        n_most, slots = len(noise[1].presence), memory.slots
        if counts is None and self.fixed:
            counts = from_frame.new_full((len(from_frame),), float(n_most))
        expected, state = prior(slots)
        moved = replace(slots, prior=state)
        propagated, moved = self._propagate(pixels, moved, noise[0], stays=counts is not None)
        condition = self._condition(propagated)
        discovered = self.discovery(
            pixels,
            self.discovery.constant(from_frame, condition),
            self.glimpse_encoder,
            noise[1],
            # All objects of known number are found in the first frame.
            counts=torch.zeros_like(counts) if counts is not None and memory.n_seen else counts,
            logit_shift=self.later_bias if memory.n_seen else 0.0,
        )
        new, n_used = self._new_slots(discovered, memory.n_used, prior.start)
        packed = pack(moved, new, n_most)
        sample = FrameSample(
            propagated=propagated,
            expected=expected,
            discovered=discovered,
            slots=packed,
            condition=condition,
            staying=expected.logit.sigmoid().sum(0) / n_most - 0.5,
        )
        return sample, Memory(slots=packed, n_used=n_used, n_seen=memory.n_seen + 1)

    def _propagate(
        self, pixels: Tensor, slots: Slots, noise: SlotNoise, *, stays: bool
    ) -> tuple[Samples, Slots]:
        """Where inference finds the objects of the last frame: samples, and slots made of them."""
        if slots.n_slots == 0:
            n_rows = slots.present.shape[1]
            return Samples.empty(n_rows, self.n_what, slots.present.device), slots
        samples, temporal = self.propagation(
            pixels, slots, self.glimpse_encoder, noise, stays=stays
        )
        moved = Slots(
            what=samples.what,
            where=samples.where,
            present=samples.present,
            logit=samples.logit,
            temporal=temporal,
            prior=slots.prior,
            ids=torch.where(samples.present > 0.5, slots.ids, -1),
        )
        return samples, moved

    def _condition(self, propagated: Samples) -> Tensor:
        """A summary of a set of objects, [S, h]: the sum of a network's outputs for each.

        Source: docs/models/sqair.md 3.4 (a DeepSet).
        """
        n, n_rows = propagated.present.shape
        if n == 0:
            return propagated.what.new_zeros(n_rows, self.n_hidden)
        each: Tensor = self.condition(torch.cat([propagated.what, propagated.where], dim=-1))
        return (each * propagated.present[..., None]).sum(0)

    def _new_slots(
        self, discovered: Samples, n_used: Tensor, prior_start: Tensor
    ) -> tuple[Slots, Tensor]:
        """Discovered objects with fresh states and identities."""
        n, n_rows = discovered.present.shape
        ids, n_used = number(discovered.present, n_used)
        slots = Slots(
            what=discovered.what,
            where=discovered.where,
            present=discovered.present,
            logit=discovered.logit,
            temporal=self.propagation.temporal_start.expand(n, n_rows, -1),
            prior=prior_start.expand(n, n_rows, -1),
            ids=ids,
        )
        return slots, n_used


class Sqair(nn.Module):
    """The whole model: inference network, generative model, objective.

    Args:
        config: all settings.
        generator: source of the initial weights.

    Source: Kosiorek, Kim, Posner and Teh 2018, arXiv 1806.01794; details from the original code
    as docs/models/sqair.md records them.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.geometry = Geometry(
            frame_size=config.frame_size,
            glimpse_size=config.glimpse_size,
            scale_bounds=config.scale_bounds,
        )
        self.inference = Inference(config, self.geometry, generator)
        self.generative = Generative(config, self.geometry, generator)

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        """The importance-weighted bound with its score term, per frame.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3].
            step: number of updates made so far.
            generator: source of all noise.

        Returns:
            Everything in float32, whatever autocast says: densities need it, and products of
            some thirty rows gain little. The total is divided by the number of frames, as in the
            original: what its optimiser does depends on the size of the gradient. Terms are nats
            per frame, or see `smot.models.sqair.objective.diagnosis`.
        """
        with torch.autocast(frames.device.type, enabled=False):
            return self._objective(self.pixels(frames), step, generator)

    def _objective(self, pixels: Tensor, step: int, generator: torch.Generator) -> Objective:
        config = self.config
        B, T = pixels.shape[:2]
        n_rows, n_slots = B * config.n_particles, config.n_slots_at(step)
        noise = Noise.draw(T, n_slots, n_rows, config.n_what, generator)
        if config.shared_noise and self.training:
            noise = noise.shared(config.n_particles)
        clip = self.infer(pixels, noise)
        evidence = self.generative.evidence(pixels, clip, config.step_success_at(step))
        log_weights = evidence.log_weights.sum(0).view(B, -1)
        per_video = loss(
            log_weights,
            evidence.score.sum(0).view(B, -1),
            estimator=config.estimator,
            clip=config.signal_clip * T,
            weight=config.score_weight_at(step),
        )
        if config.logit_limit > 0:
            excess = logit_excess(clip, config.logit_limit, config.later_bias).view(B, -1).mean(-1)
            per_video = per_video + config.logit_pull * excess
        terms = diagnosis(pixels, clip, evidence, self.geometry)
        terms["bound"] = importance_bound(log_weights.detach()).mean() / T
        terms["elbo"] = log_weights.detach().mean() / T
        terms["effective_particles"] = effective_particles(log_weights.detach()).mean()
        terms["weight_spread"] = log_weights.detach().std(-1).mean()
        return Objective(total=per_video.mean() / T, terms=terms)

    def pixels(self, frames: Tensor) -> Tensor:
        """Frames as the model reads them.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3].

        Returns:
            [B, T, C, H, W], in [0, 1].

        Raises:
            DataError: frames of another size than the model was made for.
        """
        if frames.dim() != 5 or tuple(frames.shape[2:]) != (*self.config.frame_size, 3):
            H, W = self.config.frame_size
            expected = f"[B, T, {H}, {W}, 3]"
            raise DataError(f"this SQAIR reads frames {expected}, not {list(frames.shape)}")
        pixels = frames.permute(0, 1, 4, 2, 3).float() / 255
        return pixels.mean(2, keepdim=True) if self.config.channels == 1 else pixels.contiguous()

    def infer(self, pixels: Tensor, noise: Noise, *, counts: Tensor | None = None) -> Clip:
        """Sample what is in a clip.

        Args:
            pixels: [B, T, C, H, W].
            noise: for T frames, S = B * K rows and N slots; N may differ from training's.
            counts: how many objects each row has from the first frame to the last, [S]; None
                where presence is inferred (or fixed by the settings).

        Returns:
            All samples and what their densities need.
        """
        from_frames = self.inference.from_frames(pixels, noise.n_rows // len(pixels))
        memory = self.inference.start(noise.n_rows)
        prior = self.generative.propagation_prior
        samples = []
        for t in range(pixels.shape[1]):
            sample, memory = self.inference.advance(
                pixels[:, t], from_frames[t], memory, noise.at(t), prior, counts
            )
            samples.append(sample)
        known = self.knows_counts(counts)
        return Clip.of(samples, n_most=noise.n_slots, n_seen=0, known_counts=known)

    def knows_counts(self, counts: object | None) -> bool:
        """Whether the number of objects is given, by someone or by the settings."""
        return counts is not None or self.config.presence == "fixed"


def build(config: SqairConfig, seed: int) -> Sqair:
    """A freshly initialised model.

    Args:
        config: all settings.
        seed: of the initial weights.
    """
    return Sqair(config, torch.Generator().manual_seed(seed))
