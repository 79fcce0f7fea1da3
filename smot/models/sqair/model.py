"""SQAIR: sequential attend, infer, repeat, put together."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.errors import DataError
from smot.models.family import Objective
from smot.models.sqair import discovery, propagation
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.discovery import Discovery
from smot.models.sqair.encoders import FrameEncoder, GlimpseEncoder, Mlp
from smot.models.sqair.noise import Noise
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
from smot.models.sqair.objects import Geometry, Samples, Slots, number, pack
from smot.models.sqair.priors import PropagationPrior
from smot.models.sqair.propagation import Propagation


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What inference knows before the first frame of a clip.

    Attributes:
        pixels: the frames, [B, T, C, H, W].
        from_frames: their part of discovery's recurrent product, [T, S, h].
        noise: for S = B * K rows and the most slots allowed.
        counts: how many objects each row has from the first frame to the last, [S]; None where
            that is inferred.
        prior: how objects go on by themselves.
        propagation: weights for its loops.
        discovery: weights for its loops.
    """

    pixels: Tensor
    from_frames: Tensor
    noise: Noise
    counts: Tensor | None
    prior: PropagationPrior
    propagation: propagation.StepLayers
    discovery: discovery.StepLayers


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

    def prepare(
        self, pixels: Tensor, noise: Noise, counts: Tensor | None, prior: PropagationPrior
    ) -> Prepared:
        """What all frames of a clip share; see `Prepared`.

        Args:
            pixels: [B, T, C, H, W].
            noise: for T frames, S = B * K rows and N slots; N may differ from training's.
            counts: of objects in each row, [S]; None to infer them, or as the settings fix them.
            prior: of propagation.
        """
        B, T = pixels.shape[:2]
        features = self.frame_encoder(pixels.transpose(0, 1).flatten(0, 1))
        products = self.discovery.from_frames(features).view(T, B, -1)
        if counts is None and self.fixed:
            counts = products.new_full((noise.n_rows,), float(noise.n_slots))
        return Prepared(
            pixels=pixels,
            from_frames=products.repeat_interleave(noise.n_rows // B, dim=1),
            noise=noise,
            counts=counts,
            prior=prior,
            propagation=self.propagation.step_layers(self.glimpse_encoder),
            discovery=self.discovery.step_layers(self.glimpse_encoder),
        )

    def start(self, n_rows: int) -> Memory:
        """Before the first frame: no objects in S rows."""
        device = self.discovery.start.device
        slots = Slots.empty(n_rows, self.n_what, self.n_hidden, device)
        n_used = torch.zeros(n_rows, dtype=torch.int64, device=device)
        return Memory(slots=slots, n_used=n_used, n_seen=0)

    def advance(self, prepared: Prepared, memory: Memory) -> tuple[FrameSample, Memory]:
        """Sample one frame, given what is known of those before: propagate, discover, pack.

        Source: docs/models/sqair.md 5.
        """
        t, slots, counts = memory.n_seen, memory.slots, prepared.counts
        n_most, prior = prepared.noise.n_slots, prepared.prior
        noise, discovery_noise = prepared.noise.at(t)
        expected, state = prior(slots)
        S, A = slots.what.shape[1:]
        propagated, temporal = Samples.empty(S, A, slots.what.device), slots.temporal
        if slots.n_slots:
            propagated, temporal = self.propagation(
                prepared.pixels[:, t], slots, prepared.propagation, noise, stays=counts is not None
            )
        condition = self._condition(propagated)
        if counts is not None and t:  # all are found in the first frame
            counts = torch.zeros_like(counts)
        discovered = self.discovery(
            prepared.pixels[:, t],
            self.discovery.constant(prepared.from_frames[t], condition),
            prepared.discovery,
            discovery_noise,
            counts=counts,
            logit_shift=self.later_bias if t else 0.0,
        )
        new_ids, n_used = number(discovered.present, memory.n_used)
        ids = torch.where(propagated.present > 0.5, slots.ids, -1)
        starts = (self.propagation.temporal_start, prior.start)
        new_states = (each.expand(*new_ids.shape, -1) for each in starts)
        packed = pack(
            Slots.of(propagated, ids, temporal, state),
            Slots.of(discovered, new_ids, *new_states),
            n_most,
        )
        sample = FrameSample(
            propagated=propagated,
            expected=expected,
            discovered=discovered,
            slots=packed,
            condition=condition,
            staying=expected.logit.sigmoid().sum(0) / n_most - 0.5,
        )
        return sample, Memory(slots=packed, n_used=n_used, n_seen=t + 1)

    def _condition(self, propagated: Samples) -> Tensor:
        """A summary of a set of objects, [S, h]: the sum of a network's outputs for each.

        Source: docs/models/sqair.md 3.4 (a DeepSet).
        """
        n, n_rows = propagated.present.shape
        if n == 0:
            return propagated.what.new_zeros(n_rows, self.n_hidden)
        each: Tensor = self.condition(torch.cat([propagated.what, propagated.where], dim=-1))
        return (each * propagated.present[..., None]).sum(0)


class Sqair(nn.Module):
    """The whole model: inference network, generative model, objective.

    Args:
        config: all settings.
        generator: source of the initial weights.

    Source: Kosiorek, Kim, Posner and Teh 2018, arXiv 1806.01794; details as
    docs/models/sqair.md records them.
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
        prior = self.generative.propagation_prior
        prepared = self.inference.prepare(pixels, noise, counts, prior)
        memory, samples = self.inference.start(noise.n_rows), []
        for _ in range(pixels.shape[1]):
            sample, memory = self.inference.advance(prepared, memory)
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
