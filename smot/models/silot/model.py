"""SILOT: discovery, propagation and selection, frame after frame, and its objective."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smot.models.family import Objective
from smot.models.silot.config import SilotConfig
from smot.models.silot.discovery import Discovery, build_backbone, grid_shape
from smot.models.silot.objective import (
    count_log_odds,
    learned_prior_terms,
    posterior_terms,
    presence_term,
    roll_out_term,
    what_weight,
)
from smot.models.silot.objects import (
    POSITION_LOGITS,
    Clip,
    ClipNoise,
    Drawn,
    FrameNoise,
    Noise,
    Objects,
    Trajectories,
    description,
    draw_noise,
    ended,
    unpacked,
)
from smot.models.silot.propagation import Change, ObjectFeatures, Propagation
from smot.models.silot.refinement import refined
from smot.models.silot.rendering import Renderer
from smot.models.silot.scenes import Found, compose, followed
from smot.models.silot.sleep import LOST, sleep_terms

THRESHOLD = 0.5
"""Presence above which an object counts; what is below matters for average precision alone."""
N_SEEN = 3
"""After how many frames roll-outs of the prior begin: as the test of prediction has it."""


class Memory(NamedTuple):
    """What the learned prior remembers of objects.

    Attributes:
        hidden: its recurrent state, [B, K, H].
        momentum: position logits of their last step, [B, K, 2]; 0 for new ones.
    """

    hidden: Tensor
    momentum: Tensor


class Step(NamedTuple):
    """What the posterior made of one frame.

    Attributes:
        state: selected objects, packed, [B, K, S].
        is_new: which of them were discovered in this frame, [B, K].
        source: each slot's object by its index among [propagated, discovered], [B, K].
        proposed: what discovery proposed, [B, J, ...].
        found: what discovery drew for that.
        change: propagation into this frame; None in the first.
    """

    state: Tensor
    is_new: Tensor
    source: Tensor
    proposed: Objects
    found: Drawn
    change: Change | None


class Silot(nn.Module):
    """The model.

    Attributes:
        config: its settings.

    Source: Crawford & Pineau, AAAI 2020, and its supplement; docs/models/silot.md.
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.features = ObjectFeatures(config)
        self.propagation = Propagation(config, sees=True)
        self.prior = Propagation(config, sees=False)
        self.discovery = Discovery(config)
        self.renderer = Renderer(config)
        # The networks of appearances start with the configured standard deviation.
        share, propagation = config.initial_what_std / 2, self.propagation
        for network in (self.discovery.what, propagation.suggest, propagation.heads.what):
            raw = network.output_bias.data[config.what_size : 2 * config.what_size]
            raw.fill_(math.log(share / (1 - share)))

    def images(self, frames: Tensor) -> Tensor:
        """Frames as the model sees them: uint8 [B, T, H, W, 3] -> [T, B, C, H, W] in [0, 1]."""
        seen = frames[..., : self.config.n_channels].permute(1, 0, 4, 2, 3)
        return seen.contiguous().float() / 255

    def sweep(
        self,
        images: Tensor,
        *,
        noise: ClipNoise | None = None,
        n_slots: int | None = None,
        offset: Tensor | None = None,
        freeze: bool = False,
        refine: int = 0,
    ) -> Clip:
        """Follow objects through a clip; frame t is made from frames up to t alone.

        Args:
            images: [T, B, C, H, W].
            noise: None for means, no dropout.
            n_slots: objects carried, K; None for the configured number.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors.
            freeze: whether networks of boxes, depths and presences get no gradient.
            refine: steps of gradient by which each frame's objects are refined; 0 for none.
        """
        frames = [noise.frame(t) if noise else FrameNoise() for t in range(len(images))]
        steps = self.steps(
            images, frames, n_slots=n_slots, offset=offset, freeze=freeze, refine=refine
        )
        changes = [step.change for step in steps if step.change]
        states = torch.stack([step.state for step in steps])
        return Clip(
            states=states,
            is_new=torch.stack([step.is_new for step in steps]),
            found=Drawn.stacked([step.found for step in steps]),
            moved=Drawn.stacked([change.drawn for change in changes]) if changes else None,
            samples=torch.stack([change.samples for change in changes] or [states[0, :, :0]]),
        )

    def steps(
        self,
        images: Tensor,
        noise: Sequence[FrameNoise],
        *,
        n_slots: int | None = None,
        offset: Tensor | None = None,
        freeze: bool = False,
        refine: int = 0,
    ) -> list[Step]:
        """The frames of a clip one after another; arguments as `sweep` has them."""
        T, B = images.shape[:2]
        cells = self.backbone(images.flatten(0, 1)).unflatten(0, (T, B))
        step = self.begin(images[0], cells[0], noise[0], offset, n_slots=n_slots, freeze=freeze)
        steps: list[Step] = []
        for t in range(T):
            if t:
                step = self.advance(
                    images[t], cells[t], step.state, noise[t], offset, freeze=freeze
                )
            if refine:
                state, is_new = refined(
                    self, images[t], step.state, step.is_new, refine, THRESHOLD
                )
                step = step._replace(state=state, is_new=is_new)
            steps.append(step)
        return steps

    def begin(
        self,
        image: Tensor,
        cells: Tensor,
        noise: FrameNoise,
        offset: Tensor | None = None,
        *,
        n_slots: int | None = None,
        freeze: bool = False,
    ) -> Step:
        """The objects of a first frame; arguments as `steps` and `advance` have them."""
        # Nothing exists before the first frame, so there is nothing to propagate into it.
        objects, found = self.discovery(image, cells, None, noise, offset, freeze=freeze)
        packed = objects.packed()
        nothing = packed.new_zeros(len(image), n_slots or self.config.n_slots, packed.shape[-1])
        return self._selected(nothing, nothing[..., 0], objects, found, None)

    def advance(
        self,
        image: Tensor,
        cells: Tensor,
        state: Tensor,
        noise: FrameNoise,
        offset: Tensor | None = None,
        *,
        freeze: bool = False,
    ) -> Step:
        """From the objects of one frame to those of the next.

        Args:
            image: the new frame, [B, C, H, W].
            cells: what the backbone makes of it, [B, grid height, grid width, F].
            state: objects of the last frame, packed, [B, K, S].
            noise: of the step, and what training drops.
            offset: y, x of the seen frame's corner in the whole frame, [B, 2], anchors.
            freeze: whether networks of boxes, depths and presences get no gradient.
        """
        state = self._continued(state, noise.keeps)
        objects = self.unpacked(state)
        if self.config.stay_above and not self.training:
            objects = objects._replace(pres=objects.pres.ceil())  # all that goes on is there
            state = objects.packed()
        features = self.features(description(state), objects.centre)
        change = self.propagation(features, objects, noise.propagation, image, freeze=freeze)
        hidden = self.propagation.heads.gru(change.samples, objects.hidden)
        propagated = change.objects._replace(hidden=hidden)
        packed = propagated.packed()
        explained = (description(packed), propagated.centre)
        objects, found = self.discovery(image, cells, explained, noise, offset, freeze=freeze)
        return self._selected(packed, propagated.pres[..., 0], objects, found, change)

    def _continued(self, state: Tensor, keeps: Tensor | None = None) -> Tensor:
        """Packed objects [B, K, S] that reach the next frame; `keeps` as in `FrameNoise`."""
        bound = self.config.end_below_training if self.training else self.config.end_below
        if keeps is None and not bound:
            return state
        ends = self.unpacked(state).pres < bound
        return ended(state, ends if keeps is None else ends | (keeps == 0))

    def _selected(
        self,
        propagated: Tensor,
        pres: Tensor,
        objects: Objects,
        found: Drawn,
        change: Change | None,
    ) -> Step:
        """What is made of a frame: of all objects those that remain.

        Args:
            propagated: packed, [B, K, S].
            pres: their presence, [B, K].
            objects: discovered, [B, J, ...].
            found: what was drawn for these.
            change: what propagation did.
        """
        source, is_new = select(pres.detach(), objects.pres[..., 0].detach())
        state = gather(torch.cat([propagated, objects.packed()], dim=1), source)
        return Step(state, is_new, source, objects, found, change)

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        """What training minimises; see `Family.build`. Only training crops and drops."""
        freeze = step < self.config.freeze_attributes
        config = self.config
        images, offset = self.images(frames), None
        if config.crop and self.training:
            images, corner = random_squares(images, config.crop, generator)
            offset = corner / config.anchor
        noise = self._noise(images, generator, drops=self.training)
        clip = self.sweep(images, noise=noise, offset=offset, freeze=freeze)
        height, width = images.shape[-2:]
        painted = self.renderer(self.unpacked(clip.states), (height, width))
        terms = posterior_terms(config, images, painted, clip, what_weight(config, step))
        if clip.moved is not None and config.learned_prior_weight:
            learned = self.learned_terms(self.trajectories(clip), noise.prior, freeze=freeze)
            weight = config.learned_prior_weight
            terms |= {name: weight * value for name, value in learned.items()}
        log_odds = torch.tensor(count_log_odds(config, step), dtype=torch.float64)
        terms["presence"] = presence_term(clip, log_odds.to(frames.device))
        return _objective(terms)

    def sleep_objective(self, found: Found, *, generator: torch.Generator) -> Objective:
        """What inference makes of clips composed from what was found, against what is in them.

        By its means and with the bounds of a tracker, whether or not the model is training.

        Args:
            found: by this model or another of the same sizes.
            generator: source of the scenes.
        """
        config, training = self.config, self.training
        scene = compose(self, found, config.sleep_frames, generator)
        T, B = scene.box.shape[:2]
        chance = torch.rand(T - 1, B, config.n_slots, generator=generator, device=scene.box.device)
        keeps = chance >= LOST
        noise = [FrameNoise(), *(FrameNoise(keeps=each[..., None]) for each in keeps)]
        self.eval()
        steps = self.steps(scene.images, noise, offset=found.offset)
        self.train(training)
        return _objective(sleep_terms(scene, steps, keeps, self))

    def _noise(self, images: Tensor, generator: torch.Generator, *, drops: bool) -> ClipNoise:
        T, B, _, H, W = images.shape
        config = self.config
        dropout = (config.discovery_dropout, config.track_dropout) if drops else None
        n_cells = math.prod(grid_shape(H, W, config.cell))
        shape = (B, T, config.n_slots, n_cells)
        return draw_noise(shape, config.what_size, generator, dropout=dropout)

    def observe(self, frames: Tensor) -> Trajectories:
        """What the posterior, held fixed, makes of clips: to train the learned prior on.

        By its means and without dropping anything, as a tracker does: noise of positions would
        hide the motion that the prior has to learn.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3]; at least two frames.
        """
        return self.trajectories(self._watched(self.images(frames)))

    def find(self, frames: Tensor, generator: torch.Generator) -> Found:
        """What the posterior, held fixed, follows through clips: to teach from.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3].
            generator: source of the random squares that are seen of them, where training crops.
        """
        images, config = self.images(frames), self.config
        offset = images.new_zeros(images.shape[1], 2)
        if config.crop:
            images, corner = random_squares(images, config.crop, generator)
            offset = corner / config.anchor
        # Room for all that could be there: what is left out would count as free space.
        H, W = images.shape[-2:]
        n_cells = math.prod(grid_shape(H, W, config.cell))
        clip = self._watched(images, offset, max(config.n_slots, n_cells))
        return followed(self, images, clip, offset)

    def _watched(
        self, images: Tensor, offset: Tensor | None = None, n_slots: int | None = None
    ) -> Clip:
        training = self.training
        self.eval()
        with torch.no_grad():
            clip = self.sweep(images, n_slots=n_slots, offset=offset)
        self.train(training)
        return clip

    def trajectories(self, clip: Clip) -> Trajectories:
        """What the learned prior reads of a clip of at least two frames."""
        assert clip.moved is not None
        states = self._without_hidden(clip.states)
        return Trajectories(states, clip.is_new, *clip.moved, clip.samples)

    def prior_objective(self, paths: Trajectories, *, generator: torch.Generator) -> Objective:
        """The learned prior's part of the objective alone, on what a frozen posterior made.

        Args:
            paths: from `trajectories`; they carry no gradient.
            generator: source of the prior's noise.
        """
        normal = torch.randn(paths.mean.shape, generator=generator, device=generator.device)
        uniform = torch.rand(paths.logit.shape, generator=generator, device=generator.device)
        terms = self.learned_terms(paths, Noise.of(normal, uniform))
        if self.config.roll_out_weight and len(paths.states) > N_SEEN:
            states, is_new, samples = paths.states, paths.is_new, paths.samples
            horizon = len(states) - N_SEEN
            known = states[:N_SEEN], is_new[:N_SEEN], samples[: N_SEEN - 1]
            imagined = self._imagined(*known, horizon)
            seen = self.unpacked(states[N_SEEN - 1 :])
            term = roll_out_term(imagined, seen, is_new[N_SEEN:], self.config.anchor)
            terms["prior_roll_out"] = self.config.roll_out_weight * term
        return _objective(terms)

    def learned_terms(
        self, paths: Trajectories, noise: Noise | None, *, freeze: bool = False
    ) -> dict[str, Tensor]:
        """KLs of propagation against the learned prior, by name.

        Args:
            paths: the posterior's objects.
            noise: of the prior's own steps; None for means.
            freeze: whether networks of boxes, depths and presences get no gradient.
        """
        drawn, _ = self._follow(paths.states, paths.is_new, paths.samples, noise, freeze=freeze)
        return learned_prior_terms(paths.drawn, Drawn.stacked(drawn))

    def imagine(self, clip: Clip, horizon: int) -> Objects:
        """Let the learned prior carry on the objects of the last frame, by its means.

        Args:
            clip: what was seen, at least one frame.
            horizon: number of frames to imagine.

        Returns:
            Objects of the frames that follow, [horizon, B, K, ...]; they have no recurrent state.
        """
        states = self._without_hidden(clip.states)
        return self._imagined(states, clip.is_new, clip.samples, horizon)

    def _imagined(self, states: Tensor, is_new: Tensor, samples: Tensor, horizon: int) -> Objects:
        _, memory = self._follow(states, is_new, samples)
        imagined = [states[-1]]
        for _ in range(horizon):
            change = self._prior_step(imagined[-1], memory, Noise())
            memory = self._remembered(change, change.samples, memory)
            imagined.append(change.objects.packed())
        return self.unpacked(torch.stack(imagined[1:]))

    def _follow(
        self,
        states: Tensor,
        is_new: Tensor,
        samples: Tensor,
        noise: Noise | None = None,
        *,
        freeze: bool = False,
    ) -> tuple[list[Drawn], Memory]:
        """Let the learned prior run beside what the posterior made; arguments as elsewhere here.

        Returns:
            What it drew from the second frame on, and what it remembers at the end.
        """
        memory = self._reset_new(is_new[0])
        drawn = []
        for t in range(1, len(states)):
            step = noise.step(t - 1) if noise else Noise()
            change = self._prior_step(states[t - 1], memory, step, freeze)
            drawn.append(change.drawn)
            memory = self._remembered(change, samples[t - 1], memory)
            memory = self._reset_new(is_new[t], memory)
        return drawn, memory

    def _prior_step(
        self, state: Tensor, memory: Memory, noise: Noise, freeze: bool = False
    ) -> Change:
        """The prior's step from objects [B, K, S - H] and what it remembers of them."""
        state = self._continued(state)
        objects = self.unpacked(state)
        network = self.prior.features or self.features
        described = [description(state), memory.hidden]
        momentum = memory.momentum if self.config.prior_momentum else None
        if momentum is not None:
            described.append(momentum)
        features = network(torch.cat(described, -1), objects.centre)
        change: Change = self.prior(features, objects, noise, momentum=momentum, freeze=freeze)
        return change

    def _remembered(self, change: Change, posterior_samples: Tensor, memory: Memory) -> Memory:
        """What the prior remembers after a step, driven as configured."""
        driven = self.config.prior_state_input == "posterior"
        samples = posterior_samples if driven else change.samples
        hidden: Tensor = self.prior.heads.gru(samples, memory.hidden)
        return Memory(hidden, samples[..., POSITION_LOGITS])

    def _reset_new(self, is_new: Tensor, memory: Memory | None = None) -> Memory:
        """What the prior remembers of objects, of new ones nothing."""
        hidden, momentum = memory or (0.0, 0.0)
        new = is_new[..., None]
        return Memory(
            torch.where(new, self.discovery.initial_hidden, hidden),
            torch.where(new, self.discovery.initial_hidden.new_zeros(2), momentum),
        )

    def _without_hidden(self, states: Tensor) -> Tensor:
        parts = self.unpacked(states)
        return torch.cat([*parts[:5], *parts[6:]], -1)

    def unpacked(self, states: Tensor) -> Objects:
        """Packed objects by name, with or without recurrent states."""
        return unpacked(states, self.config.what_size)


def select(propagated_pres: Tensor, discovered_pres: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the K objects with the largest presence; propagated ones stay in their slots.

    Freed slots are filled in increasing order with the kept discovered objects in increasing
    order. Ties go to the lower index, so to propagated objects first.

    Args:
        propagated_pres: [B, K].
        discovered_pres: [B, J].

    Returns:
        Each slot's object by its index among [propagated, discovered], [B, K], and whether it is
        a discovered one, [B, K].

    Source: SILOT 3.5; the order of slots is ours.
    """
    K, J = propagated_pres.shape[1], discovered_pres.shape[1]
    pres = torch.cat([propagated_pres, discovered_pres], dim=1)
    best = pres.argsort(dim=1, descending=True, stable=True)[:, :K]
    chosen = torch.zeros_like(pres, dtype=torch.bool).scatter_(1, best, True)
    stays, enters = chosen[:, :K], chosen[:, K:]
    cells = torch.arange(J, device=pres.device)
    # Cells that enter come first, in order: the others are sorted behind all of them.
    entering = (cells + (J + 1) * ~enters).argsort(dim=1)
    rank = ((~stays).cumsum(1) - 1).clamp(0, J - 1)
    slots = torch.arange(K, device=pres.device)
    source = torch.where(stays, slots, K + entering.gather(1, rank))
    return source, ~stays


def gather(objects: Tensor, source: Tensor) -> Tensor:
    """Rows of packed objects [B, N, S] by index [B, K] -> [B, K, S]."""
    B, N, S = objects.shape
    offsets = torch.arange(B, device=source.device)[:, None] * N
    rows = objects.reshape(B * N, S).index_select(0, (source + offsets).reshape(-1))
    return rows.view(B, source.shape[1], S)


def random_squares(images: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One random square of each video, the same in all its frames: cheaper training.

    Args:
        images: [T, B, C, H, W].
        side: of the squares, pixels; frames smaller than that stay whole along that axis.
        generator: source of the corners, on the images' device.

    Returns:
        The squares, [T, B, C, min(H, side), min(W, side)], and y, x of their corners, [B, 2],
        pixels.

    Source: the authors' code; the supplement does not mention crops (docs/models/silot.md 10).
    """
    B, H, W = images.shape[1], *images.shape[-2:]
    device = images.device
    shares = torch.rand(B, 2, generator=generator, device=device)
    room = max(H - side, 0) + 1, max(W - side, 0) + 1
    corner = torch.stack([(share * n).long() for share, n in zip(shares.T, room, strict=True)], 1)
    rows = corner[:, :1] + torch.arange(min(H, side), device=device)
    columns = corner[:, 1:] + torch.arange(min(W, side), device=device)
    video = torch.arange(B, device=device)[:, None, None]
    # Indexed axes come first: [B, rows, columns, T, C].
    squares = images.transpose(0, 1)[video, :, :, rows[:, :, None], columns[:, None]]
    return squares.permute(3, 0, 4, 1, 2).contiguous(), corner


def _objective(terms: dict[str, Tensor]) -> Objective:
    total = torch.stack(list(terms.values())).sum()
    return Objective(total=total, terms={name: each.detach() for name, each in terms.items()})
