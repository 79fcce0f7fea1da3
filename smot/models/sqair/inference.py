"""The inference network: what is in a frame, given the frame and the objects of the last one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair import discovery, propagation
from smot.models.sqair.clips import FrameSample, Memory
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.discovery import Discovery
from smot.models.sqair.encoders import FrameEncoder, GlimpseEncoder
from smot.models.sqair.layers import Mlp
from smot.models.sqair.noise import FrameNoise
from smot.models.sqair.priors import PropagationPrior
from smot.models.sqair.propagation import Propagation
from smot.models.sqair.samples import Chosen
from smot.models.sqair.slots import Slots, Usage, number, pack


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Weights cut and joined for the loops; made once per clip so that gradients meet once."""

    propagation: propagation.Weights
    discovery: discovery.Weights


class Inference(nn.Module):
    """Everything that looks at pixels: encoders, propagation, discovery.

    Args:
        config: all settings.
        generator: source of the initial weights.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        h = config.n_hidden
        self.fixed = config.presence == "fixed"
        self.n_what, self.n_hidden = config.n_what, h
        self.later_bias = config.later_bias
        self.frame_encoder = FrameEncoder(config, generator)
        self.glimpse_encoder = GlimpseEncoder(config, generator)
        self.propagation = Propagation(config, generator)
        self.discovery = Discovery(config, self.frame_encoder.n_features, generator)
        self.condition = Mlp((config.n_what + 4, h, h), generator, elu_output=True)

    def prepared(self) -> Prepared:
        """The weights as the loops want them."""
        return Prepared(
            propagation=self.propagation.weights(self.glimpse_encoder),
            discovery=self.discovery.weights(self.glimpse_encoder),
        )

    def given(self, pixels: Tensor, n_particles: int, prepared: Prepared) -> Tensor:
        """The frames' part of discovery's recurrent product, once per frame for all particles.

        Args:
            pixels: [B, T, C, H, W].
            n_particles: K.
            prepared: from `prepared`.

        Returns:
            [T, B * K, h].
        """
        B, T = pixels.shape[:2]
        features = self.frame_encoder(pixels.transpose(0, 1).flatten(0, 1))
        given = self.discovery.from_frames(features, prepared.discovery)
        return given.view(T, B, -1).repeat_interleave(n_particles, dim=1)

    def start(self, n_rows: int) -> Memory:
        """Before the first frame: no objects in S rows."""
        device = self.discovery.start.device
        slots = Slots.empty(n_rows, self.n_what, self.n_hidden, device)
        n_used = torch.zeros(n_rows, dtype=torch.int64, device=device)
        return Memory(slots=slots, n_used=n_used, n_seen=0)

    def advance(
        self,
        pixels: Tensor,
        given: Tensor,
        memory: Memory,
        noise: FrameNoise,
        prior: PropagationPrior,
        prepared: Prepared,
        *,
        counts: Tensor | None = None,
        early_exit: bool = True,
    ) -> tuple[FrameSample, Memory]:
        """Sample one frame: propagate, discover, pack.

        Args:
            pixels: the frame, [B, C, H, W].
            given: its part of discovery's product, [S, h].
            memory: of the frames before.
            noise: for S rows and the most slots allowed.
            prior: how objects go on by themselves.
            prepared: from `prepared`.
            counts: how many objects each row has from the first frame to the last, [S]; None
                where presence is inferred, or fixed by the settings.
            early_exit: skip slots that no row uses; the outcome is the same either way.
        """
        n_most = noise.n_slots
        if counts is None and self.fixed:
            counts = given.new_full((len(given),), float(n_most))
        slots = memory.slots if early_exit else memory.slots.padded(n_most)
        usage = Usage.of(slots.present) if early_exit else Usage.whole(slots.present)
        expected, state = prior(slots.what, slots.where, slots.present, slots.logit, slots.prior)
        propagated, moved = self._propagate(
            pixels, slots, usage, state, noise, prepared, stays=counts is not None
        )
        staying = expected.logit.sigmoid().sum(0) / n_most - 0.5
        condition = self._condition(propagated)
        if counts is not None and memory.n_seen:
            counts = torch.zeros_like(counts)
        given = torch.addmm(given, condition, prepared.discovery.condition.T)
        discovered = self.discovery(
            pixels, given, self.glimpse_encoder, prepared.discovery, noise.discovery,
            counts=counts, logit_shift=self.later_bias if memory.n_seen else 0.0,
            early_exit=early_exit,
        )  # fmt: skip
        new, n_used = self._new_slots(discovered, memory.n_used, prior.start)
        packed = pack(moved, new, n_most)
        sample = FrameSample(
            propagated=propagated, expected=expected, discovered=discovered, condition=condition,
            staying=staying, slots=packed,
        )  # fmt: skip
        return sample, Memory(slots=packed, n_used=n_used, n_seen=memory.n_seen + 1)

    def _propagate(
        self,
        pixels: Tensor,
        slots: Slots,
        usage: Usage,
        prior: Tensor,
        noise: FrameNoise,
        prepared: Prepared,
        *,
        stays: bool,
    ) -> tuple[Chosen, Slots]:
        """Where inference finds the objects of the last frame: samples, and slots made of them."""
        if slots.n_slots == 0:
            return Chosen.empty(slots.present.shape[1], self.n_what, prior.device), slots
        chosen, temporal = self.propagation(
            pixels, slots, usage, self.glimpse_encoder, prepared.propagation, noise.propagation,
            stays,
        )  # fmt: skip
        moved = Slots(
            what=chosen.what,
            where=chosen.where,
            present=chosen.present,
            logit=chosen.logit,
            temporal=temporal,
            prior=prior,
            ids=torch.where(chosen.present > 0.5, slots.ids, -1),
        )
        return chosen, moved

    def _condition(self, propagated: Chosen) -> Tensor:
        """A summary of a set of objects, [S, h]: the sum of a network's outputs for each.

        Source: sqair.md 3.4 (a DeepSet).
        """
        n, n_rows = propagated.present.shape
        if n == 0:
            return propagated.what.new_zeros(n_rows, self.n_hidden)
        each: Tensor = self.condition(torch.cat([propagated.what, propagated.where], dim=-1))
        return (each * propagated.present[..., None]).sum(0)

    def _new_slots(
        self, discovered: Chosen, n_used: Tensor, prior_start: Tensor
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
