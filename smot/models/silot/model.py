"""SILOT: discovery, propagation and selection, frame after frame, and its objective."""

import math

import torch
from torch import Tensor, nn

from smot.models.casts import kept_casts
from smot.models.family import Objective
from smot.models.silot import schedules
from smot.models.silot.backbone import Backbone
from smot.models.silot.clips import Clip, Step, Trajectories, trajectories
from smot.models.silot.config import SilotConfig
from smot.models.silot.cropping import random_squares
from smot.models.silot.discovery import Discovery, n_cells
from smot.models.silot.heads import QUIET, Change
from smot.models.silot.noise import (
    SILENCE,
    ClipNoise,
    FrameNoise,
    draw_noise,
    draw_prior_noise,
    step_noise,
)
from smot.models.silot.objects import (
    Objects,
    description,
    ended,
    presence_column,
    unpacked,
)
from smot.models.silot.prior import PriorPropagation
from smot.models.silot.propagation import Propagation, build_features
from smot.models.silot.rendering import Renderer
from smot.models.silot.selection import gather, select
from smot.models.silot.terms import (
    discovery_terms,
    learned_prior_terms,
    presence_terms,
    propagation_terms,
    reconstruction_terms,
)

__all__ = ["Silot", "Trajectories", "trajectories"]


class Silot(nn.Module):
    """The model.

    Attributes:
        config: its settings.

    Source: Crawford & Pineau, AAAI 2020, and its supplement.
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(
            config.n_channels,
            config.n_backbone_filters,
            config.n_features,
            kaiming=config.kaiming_backbone,
        )
        self.features = build_features(config)
        self.propagation = Propagation(config)
        self.prior = PriorPropagation(config)
        self.discovery = Discovery(config)
        self.renderer = Renderer(config)
        self._begin_sure(config)

    def _begin_sure(self, config: SilotConfig) -> None:
        """Let the networks of appearances begin with the configured standard deviation."""
        share = config.initial_what_std / 2
        for network in (
            self.discovery.what,
            self.propagation.suggest,
            self.propagation.heads.what,
        ):
            raw = network.output_bias.data[config.what_size : 2 * config.what_size]
            raw.fill_(math.log(share / (1 - share)))

    def images(self, frames: Tensor) -> Tensor:
        """Frames as the model sees them: uint8 [B, T, H, W, 3] -> [T, B, C, H, W] in [0, 1]."""
        seen = frames[..., : self.config.n_channels].permute(1, 0, 4, 2, 3)
        return seen.contiguous().float() / 255

    @kept_casts()
    def sweep(
        self,
        images: Tensor,
        *,
        noise: ClipNoise | None = None,
        wheels: bool = False,
        n_slots: int | None = None,
        offset: Tensor | None = None,
    ) -> Clip:
        """Follow objects through a clip; frame t is made from frames up to t alone.

        Args:
            images: [T, B, C, H, W].
            noise: None for means, no dropout.
            wheels: whether networks of boxes, depths and presences get no gradient.
            n_slots: objects carried, K; None for the configured number.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors.
        """
        T, B = images.shape[:2]
        cells = self.backbone(images.flatten(0, 1)).unflatten(0, (T, B))
        first = noise.of_frame(0) if noise else SILENCE
        found = self.discovery(
            images[0], cells[0], None, first.discovery, offset=offset, wheels=wheels
        )
        packed = found.objects.packed()
        nothing = packed.new_zeros(B, n_slots or self.config.n_slots, packed.shape[-1])
        steps = [Step(*self._selected(nothing, packed), found, None)]
        for t in range(1, T):
            frame_noise = noise.of_frame(t) if noise else SILENCE
            steps.append(
                self.advance(
                    images[t], cells[t], steps[-1].state, frame_noise, offset, wheels=wheels
                )
            )
        return Clip.of(steps)

    def advance(
        self,
        image: Tensor,
        cells: Tensor,
        state: Tensor,
        noise: FrameNoise = SILENCE,
        offset: Tensor | None = None,
        *,
        wheels: bool = False,
    ) -> Step:
        """From the objects of one frame to those of the next.

        Args:
            image: the new frame, [B, C, H, W].
            cells: what the backbone makes of it, [B, grid height, grid width, F].
            state: objects of the last frame, packed, [B, K, S].
            noise: of the step; by default means, and nothing dropped.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors.
            wheels: whether networks of boxes, depths and presences get no gradient.
        """
        state = self._continued(state, noise.keeps)
        objects = self.unpacked(state)
        features = self.features((self._described(state),), objects.centre)
        change, propagated = self.propagation(
            image, features, objects, noise.propagation, wheels=wheels
        )
        packed = propagated.packed()
        explained = (self._described(packed), propagated.centre)
        found = self.discovery(
            image, cells, explained, noise.discovery,
            discovers=noise.discovers, offset=offset, wheels=wheels,
        )  # fmt: skip
        state, is_new = self._selected(packed, found.objects.packed())
        return Step(state, is_new, found, change)

    @kept_casts()
    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        """What training minimises; see ``LearnedModel``. Only training crops and drops."""
        config = self.config
        images, offset = self.images(frames), None
        if config.crop and self.training:
            images, corner = random_squares(images, config.crop, generator)
            offset = corner / config.anchor
        T, B, _, H, W = images.shape
        cells = n_cells(H, W)
        shape = (B, T, config.n_slots, cells)
        noise = draw_noise(config, shape, generator, drops=self.training)
        wheels = schedules.has_training_wheels(config, step)
        clip = self.sweep(images, noise=noise, wheels=wheels, offset=offset)
        painted = self.renderer(self.unpacked(clip.states), (H, W))
        terms = reconstruction_terms(config, images, painted, step)
        terms |= discovery_terms(config, clip, step)
        if T > 1:
            paths = trajectories(clip, config)
            terms |= propagation_terms(config, paths, step)
            if config.learned_prior_weight:
                learned = self.learned_terms(paths, noise.prior, wheels=wheels)
                weight = config.learned_prior_weight
                terms |= {name: weight * value for name, value in learned.items()}
        terms |= presence_terms(config, clip, step)
        return _objective(terms)

    def observe(self, frames: Tensor, *, generator: torch.Generator | None) -> Trajectories:
        """What the posterior, held fixed, makes of clips: to train the learned prior on.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3]; at least two frames.
            generator: source of the posterior's noise; None for means.
        """
        with torch.no_grad():
            images = self.images(frames)
            T, B, _, H, W = images.shape
            noise = None
            if generator is not None:
                shape = (B, T, self.config.n_slots, n_cells(H, W))
                noise = draw_noise(self.config, shape, generator, drops=True)
            return trajectories(self.sweep(images, noise=noise), self.config)

    @kept_casts()
    def prior_objective(self, paths: Trajectories, *, generator: torch.Generator) -> Objective:
        """The learned prior's part of the objective alone, on what a frozen posterior made.

        Args:
            paths: from ``trajectories``; they carry no gradient.
            generator: source of the prior's noise.
        """
        steps, B, K, _ = paths.logit.shape
        noise = draw_prior_noise(self.config, (steps, B, K), generator)
        terms = self.learned_terms(paths, noise)
        return _objective(terms)

    def follow(
        self,
        paths: Trajectories,
        noise: tuple[Tensor, Tensor] | None,
        *,
        wheels: bool = False,
    ) -> tuple[list[Change], Tensor]:
        """Let the learned prior run beside what the posterior made.

        Args:
            paths: the posterior's objects.
            noise: normal [T - 1, B, K, 5 + A] and logistic [T - 1, B, K, 1]; None for means.
            wheels: whether networks of boxes, depths and presences get no gradient.

        Returns:
            Its own steps from the second frame on, and its recurrent state before the last of
            them, [B, K, H].
        """
        hidden = self._prior_begins(paths, 0, torch.zeros_like(self.discovery.initial_hidden))
        changes: list[Change] = []
        for t in range(1, len(paths.states)):
            if changes:
                hidden = self._prior_state(paths, changes, hidden)
            drawn = step_noise(noise, t - 1) if noise else QUIET
            before = self._continued(paths.states[t - 1])
            changes.append(self.prior(before, hidden, self.features, drawn, wheels=wheels))
        return changes, hidden

    def _prior_state(self, paths: Trajectories, changes: list[Change], hidden: Tensor) -> Tensor:
        """The learned prior's recurrent state after the last of its steps, from that before."""
        t = len(changes)
        hidden = self.prior.advance(changes[-1], paths.summary[t - 1], hidden)
        return self._prior_begins(paths, t, hidden)

    def _prior_begins(self, paths: Trajectories, t: int, hidden: Tensor) -> Tensor:
        """Recurrent states in frame t, where those of new objects begin anew."""
        is_new = paths.is_new[t][..., None]
        return torch.where(is_new, self.discovery.initial_hidden, hidden)

    def learned_terms(
        self, paths: Trajectories, noise: tuple[Tensor, Tensor] | None, *, wheels: bool = False
    ) -> dict[str, Tensor]:
        """KLs of propagation against the learned prior, by name; arguments as in ``follow``."""
        changes, _ = self.follow(paths, noise, wheels=wheels)
        return learned_prior_terms(paths, changes)

    @kept_casts()
    def imagine(self, clip: Clip, horizon: int) -> Objects:
        """Let the learned prior carry on the objects of the last frame, by its means.

        Args:
            clip: what was seen, at least one frame.
            horizon: number of frames to imagine.

        Returns:
            Objects of the frames that follow, [horizon, B, K, ...]; they have no recurrent state.
        """
        paths = trajectories(clip, self.config)
        changes, hidden = self.follow(paths, None)
        if changes:
            hidden = self._prior_state(paths, changes, hidden)
        states = [paths.states[-1]]
        nothing = hidden[..., :0]
        for _ in range(horizon):
            before = self._continued(states[-1])
            change = self.prior(before, hidden, self.features, QUIET, wheels=False)
            hidden = self.prior.advance(change, None, hidden)
            states.append(change.objects(nothing).packed())
        return unpacked(torch.stack(states[1:]), self.config.what_size, 0)

    def _continued(self, state: Tensor, keeps: Tensor | None = None) -> Tensor:
        """Packed objects [B, K, S] that go on into the next frame; ``keeps`` as in the noise."""
        bound = self.config.end_below_training if self.training else self.config.end_below
        if keeps is None and not bound:
            return state
        ends = state[..., presence_column(self.config.what_size), None] < bound
        return ended(state, ends if keeps is None else ends | (keeps == 0))

    def unpacked(self, states: Tensor) -> Objects:
        """Packed objects by name."""
        return unpacked(states, self.config.what_size, self.config.hidden_size)

    def _described(self, state: Tensor) -> Tensor:
        return description(state, self.config.what_size, self.config.hidden_size)

    def _selected(self, propagated: Tensor, discovered: Tensor) -> tuple[Tensor, Tensor]:
        """The objects that go on, packed [B, K, S], and which are new [B, K]."""
        pres = presence_column(self.config.what_size)
        chosen = select(propagated[..., pres].detach(), discovered[..., pres].detach())
        both = torch.cat([propagated, discovered], dim=1)
        return gather(both, chosen.source), chosen.is_new


def _objective(terms: dict[str, Tensor]) -> Objective:
    total = torch.stack(list(terms.values())).sum()
    return Objective(total=total, terms={name: each.detach() for name, each in terms.items()})
