"""SQAIR: sequential attend, infer, repeat, put together."""

import torch
from torch import Tensor, nn

from smot.errors import DataError
from smot.models.family import Objective
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.discovery import Discovery, DiscoveryLoop
from smot.models.sqair.encoders import FrameEncoder, GlimpseEncoder, Mlp
from smot.models.sqair.objective import (
    FrameSample,
    Generative,
    diagnosis,
    effective_particles,
    importance_bound,
    logit_excess,
    loss,
)
from smot.models.sqair.objects import Geometry, Noise, Samples, Slots, number, pack
from smot.models.sqair.propagation import Propagation, PropagationLoop


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
        self.frame_encoder = FrameEncoder(
            (C, *config.frame_size),
            h,
            generator,
            n_filters=config.n_filters if config.encoder == "conv" else 0,
            filter_gain=config.filter_gain,
        )
        sizes = (C * config.glimpse_size**2, h, h, 2 * A)
        self.glimpse_encoder = GlimpseEncoder(geometry, sizes, generator)
        self.propagation = Propagation(config, generator)
        self.discovery = Discovery(config, self.frame_encoder.n_features, generator)
        self.condition = Mlp((A + 4, h, h), generator, elu_output=True)

    def summary(self, propagated: Samples) -> Tensor:
        """What discovery is told of propagation, [S, h]: a sum over objects.

        Source: docs/models/sqair.md 3.4 (a DeepSet).
        """
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
        self.geometry = Geometry(config.frame_size, config.glimpse_size, config.scale_bounds)
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
        samples = self.infer(pixels, noise)
        evidence = self.generative.evidence(pixels, samples)
        log_weights = evidence.log_weights.view(B, -1)
        per_video = loss(
            log_weights,
            evidence.score.view(B, -1),
            estimator=config.estimator,
            clip=config.signal_clip * T,
            weight=config.score_weight_at(step),
        )
        if config.logit_limit > 0:
            excess = logit_excess(samples, config.logit_limit, config.later_bias)
            per_video = per_video + excess.view(B, -1).mean(-1)
        terms = diagnosis(pixels, samples, evidence, self.geometry)
        weights = log_weights.detach()
        terms["bound"] = importance_bound(weights).mean() / T
        terms["elbo"] = weights.mean() / T
        terms["effective_particles"] = effective_particles(weights).mean()
        terms["weight_spread"] = weights.std(-1).mean()
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

    def infer(
        self, pixels: Tensor, noise: Noise, *, counts: Tensor | None = None
    ) -> list[FrameSample]:
        """Sample what is in the frames of a clip; for the arguments see `Following`."""
        following = Following(self, pixels, noise, counts)
        return [following.advance() for _ in range(pixels.shape[1])]


class Following:
    """Inference over a clip, frame by frame.

    Args:
        model: does it.
        pixels: [B, T, C, H, W].
        noise: for T frames, S = B * K rows and N slots; N may differ from training's.
        counts: how many objects each row has from the first frame to the last, [S]; None where
            that is inferred.

    Source: docs/models/sqair.md 5.
    """

    def __init__(
        self, model: Sqair, pixels: Tensor, noise: Noise, counts: Tensor | None = None
    ) -> None:
        net, (B, T) = model.inference, pixels.shape[:2]
        self.model, self.noise, self.counts = model, noise, counts
        _, _, self.n_most, S = noise.presence.shape
        # By frame, and for every particle.
        frames = pixels.transpose(0, 1)
        features = net.frame_encoder(frames.flatten(0, 1)).view(T, B, -1)
        self.frames = frames.repeat_interleave(S // B, dim=1)
        look = net.glimpse_encoder.reused()
        self.propagate = PropagationLoop(net.propagation, look)
        self.discover = DiscoveryLoop(net.discovery, look, features, S // B)
        self.t = 0
        self.n_used = torch.zeros(S, dtype=torch.int64, device=pixels.device)
        self.slots = Slots.empty(S, model.config.n_what, model.config.n_hidden, pixels.device)

    def advance(self) -> FrameSample:
        """Sample the next frame given those before: propagate, discover, pack."""
        t, slots, frames, counts = self.t, self.slots, self.frames[self.t], self.counts
        net, prior = self.model.inference, self.model.generative.propagation_prior
        expected, state = prior(slots)
        propagated, temporal = self.propagate(
            frames, slots, self.noise.at(t, 0), stays=counts is not None
        )
        condition = net.summary(propagated)
        discovered = self.discover(
            t,
            frames,
            condition,
            self.noise.at(t, 1),
            # All are found in the first frame.
            counts=torch.zeros_like(counts) if counts is not None and t else counts,
            logit_shift=self.model.config.later_bias if t else 0.0,
        )
        new_ids, self.n_used = number(discovered.present, self.n_used)
        ids = torch.where(propagated.present > 0.5, slots.ids, -1)
        starts = (net.propagation.temporal_start, prior.start)
        new_states = (each.expand(*new_ids.shape, -1) for each in starts)
        self.t += 1
        self.slots = pack(
            Slots.of(propagated, ids, temporal, state),
            Slots.of(discovered, new_ids, *new_states),
            self.n_most,
        )
        return FrameSample(
            propagated=propagated,
            expected=expected,
            discovered=discovered,
            slots=self.slots,
            condition=condition,
            staying=expected.logit.sigmoid().sum(0) / self.n_most - 0.5,
            n_most=self.n_most,
            is_first=t == 0,
            known_counts=counts is not None,
        )

    def go_on_from(self, rows: Tensor) -> None:
        """Replace what is known by that of some rows, by index [S]; rows may repeat."""
        self.slots, self.n_used = self.slots.rows(rows), self.n_used[rows]


def build(config: SqairConfig, seed: int) -> Sqair:
    """A freshly initialised model; the same one from the same seed."""
    return Sqair(config, torch.Generator().manual_seed(seed))
