"""Refinement: inference goes on by gradient in each frame, as long as it pays.

What the networks propose for a frame is improved by steps down an objective like the one of
training; objects that it does without are dropped, and what the picture lacks is added.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.distributions import clipped_sigmoid
from smot.models.silot.config import SilotConfig
from smot.models.silot.objective import pixel_entropy
from smot.models.silot.objects import FrameNoise, Objects

if TYPE_CHECKING:
    from smot.models.silot.model import Silot

RATES = (0.006, 0.06, 0.1, 0.1)
"""Adam's step for positions (anchors), size logits, appearances and depth logits."""
MOMENTUM, SECOND = 0.8, 0.95
"""Adam's averages: shorter than usual, as there are few steps."""
PIXELS = 3.0
"""Weight of the reconstruction: with it the objective prefers the true parse (nine of ten)."""
NEW, OLD = 18.5, 6.0
"""Nats that a discovered and a propagated object cost beside what its attributes cost."""
DRIFT = (1.0, 0.15, 0.5, 1.0)
"""Deviations of a propagated object's attributes from the networks' (pixels for the position)."""
GAIN = 1.0
"""Nats by which the objective has to fall for an object to be dropped or added."""
SURE = 0.97
"""Presence of what is added."""
LACK = 1.5
"""Unexplained intensity in a square of `WINDOW` pixels from which a frame is searched."""
WINDOW = 9
N_CANDIDATES = 2
"""Places that are tried for an object to add."""


class Parse(NamedTuple):
    """Objects of one frame as refinement moves them, S in each of B videos.

    Attributes:
        centre: y, x, [B, S, 2], anchors.
        size: logits of the sides, [B, S, 2].
        what: appearance, [B, S, A].
        depth: logit, [B, S, 1].
        on: 1 where there is an object, else 0, [B, S].
        old: 1 where propagation brought it, else 0, [B, S].
    """

    centre: Tensor
    size: Tensor
    what: Tensor
    depth: Tensor
    on: Tensor
    old: Tensor

    @classmethod
    def of(cls, objects: Objects, is_new: Tensor, threshold: float) -> Self:
        """From a frame's objects [B, S, ...] and which were discovered in it [B, S]."""
        on = (objects.pres[..., 0] > threshold).float()
        return cls(
            objects.centre,
            objects.size_logit,
            objects.what,
            objects.depth_logit,
            on,
            (~is_new).float(),
        )

    @property
    def moving(self) -> tuple[Tensor, ...]:
        """The attributes that are refined."""
        return self[:4]

    def moved_to(self, values: Sequence[Tensor]) -> "Parse":
        """With other values of these attributes."""
        centre, size, what, depth = values
        return Parse(centre, size, what, depth, self.on, self.old)

    def at(self, videos: Tensor) -> "Parse":
        """Those of some videos, by index; a video may come several times."""
        return Parse(*(each[videos] for each in self))

    def with_object(self, slot: Tensor, values: Sequence[Tensor]) -> "Parse":
        """With a new object in one slot of each video.

        Args:
            slot: [B].
            values: its attributes that are refined, [B, ...] each.
        """
        place = (torch.arange(len(slot), device=slot.device), slot)
        moved = [
            each.index_put(place, value) for each, value in zip(self.moving, values, strict=True)
        ]
        one, zero = self.on.new_ones(()), self.on.new_zeros(())
        on, old = self.on.index_put(place, one), self.old.index_put(place, zero)
        return self.moved_to(moved)._replace(on=on, old=old)

    def objects(self) -> Objects:
        """As the renderer takes them."""
        size = clipped_sigmoid(self.size)
        box = torch.cat([self.centre, size], -1)
        return Objects(
            self.centre,
            size,
            self.what,
            clipped_sigmoid(self.depth),
            self.on[..., None],
            self.what[..., :0],
            box,
            self.size,
            self.depth,
        )


def refined(
    model: "Silot", image: Tensor, state: Tensor, is_new: Tensor, n_steps: int, threshold: float
) -> tuple[Tensor, Tensor]:
    """Objects of a frame, refined.

    Args:
        model: in eval mode; its weights stay as they are.
        image: the frame, [B, C, H, W].
        state: its selected objects, packed, [B, K, S].
        is_new: which of them were discovered in it, [B, K].
        n_steps: of gradient, each time objects are moved.
        threshold: presence above which an object is there.

    Returns:
        The same, [B, K, S] and [B, K]; what was added is new.
    """
    pres = model.unpacked(state).pres[..., 0]
    # One slot more than there are objects in any of the videos, the surest first.
    n = min(int((pres > threshold).sum(1).max()) + 1, pres.shape[1])
    slots = pres.topk(n, dim=1).indices
    rows = torch.arange(len(state), device=state.device)[:, None]
    state, is_new = state.clone(), is_new.clone()
    objects = model.unpacked(state[rows, slots])
    start = Parse.of(objects, is_new[rows, slots], threshold)
    frame = Frame(model, image, start)
    parse = frame.thinned(frame.moved(start, n_steps))
    parse, added = frame.completed(parse, n_steps)
    there, lost = parse.on[..., None] > 0, (start.on > parse.on)[..., None]
    pres = torch.where(lost, 0.0, objects.pres)
    pres = torch.where(added[..., None], SURE, pres)
    found = parse.objects()
    hidden = torch.where(added[..., None], model.discovery.initial_hidden, objects.hidden)
    changed = found._replace(pres=pres, hidden=hidden)
    kept = objects._replace(pres=pres)
    state[rows, slots] = torch.where(there, changed.packed(), kept.packed())
    is_new[rows, slots] |= added
    return state, is_new


class Frame(NamedTuple):
    """One frame of B videos, and what the networks made of it.

    Attributes:
        model: in eval mode.
        image: [B, C, H, W].
        start: the networks' objects.
    """

    model: "Silot"
    image: Tensor
    start: Parse

    def at(self, videos: Tensor) -> "Frame":
        """That of some videos, by index."""
        return Frame(self.model, self.image[videos], self.start.at(videos))

    def painted(self, parse: Parse) -> Tensor:
        """The picture of a parse, [B, C, H, W]."""
        picture: Tensor = self.model.renderer(parse.objects(), self.image.shape[-2:])
        return picture

    def energy(self, parse: Parse) -> Tensor:
        """What is minimised, nats, [B]."""
        config = self.model.config
        error = pixel_entropy(self.image, self.painted(parse), config.log_floor).sum((1, 2, 3))
        cost = _cost(parse, self.start, config)
        energy: Tensor = PIXELS * 3 / config.n_channels * error + (parse.on * cost).sum(1)
        return energy

    def moved(self, parse: Parse, n_steps: int) -> Parse:
        """After steps of Adam down the energy."""
        values = [each.clone().requires_grad_(True) for each in parse.moving]
        optimiser = torch.optim.Adam(
            [{"params": [value], "lr": rate} for value, rate in zip(values, RATES, strict=True)],
            betas=(MOMENTUM, SECOND),
        )
        with torch.enable_grad():
            for _ in range(n_steps):
                energy = self.energy(parse.moved_to(values))
                # Of these alone: the weights gather no gradient.
                gradients = torch.autograd.grad(energy.sum(), values)
                for value, gradient in zip(values, gradients, strict=True):
                    value.grad = gradient
                optimiser.step()
        return parse.moved_to([value.detach() for value in values])

    def thinned(self, parse: Parse) -> Parse:
        """Without the object, if there is one, that the energy does best without."""
        B, S = parse.on.shape
        every = torch.arange(B, device=parse.on.device).repeat_interleave(S)
        without = parse.on[:, None] * (1 - torch.eye(S, device=parse.on.device))
        tried = self.at(every).energy(parse.at(every)._replace(on=without.flatten(0, 1)))
        least, which = tried.view(B, S).masked_fill(parse.on == 0, torch.inf).min(1)
        drops = least < self.energy(parse) - GAIN
        return parse._replace(on=parse.on * (1 - F.one_hot(which, S) * drops[:, None]))

    def completed(self, parse: Parse, n_steps: int) -> tuple[Parse, Tensor]:
        """With one object more where that pays, and which it is, bool, [B, S]."""
        added = torch.zeros_like(parse.on, dtype=torch.bool)
        searched, proposed = self._proposed(parse)
        if not len(searched):
            return parse, added
        n = proposed[0].shape[1]
        videos, values = searched.repeat_interleave(n), [each.flatten(0, 1) for each in proposed]
        slot = parse.on[videos].argmin(1)
        frame = self.at(videos)
        frame = frame._replace(start=frame.start.with_object(slot, values))
        tried = frame.moved(parse.at(videos).with_object(slot, values), n_steps)
        least, which = frame.energy(tried).view(-1, n).min(1)
        pays = least < self.at(searched).energy(parse.at(searched)) - GAIN
        best = (n * torch.arange(len(which), device=which.device) + which)[pays]
        gaining = searched[pays]
        parts = zip(parse, tried.at(best), strict=True)
        added[gaining, slot[best]] = True
        return Parse(*(old.index_put((gaining,), new) for old, new in parts)), added

    def _proposed(self, parse: Parse) -> tuple[Tensor, list[Tensor]]:
        """Videos with something unexplained and a free slot, [R], and what discovery finds there.

        The second are attributes as `Parse.moving` has them, [R, candidates, ...] each.
        """
        model, background = self.model, self.model.renderer.background
        rest = _unexplained(self.image, self.painted(parse), background)
        lack = (rest - background[:, None, None]).abs().amax(1, keepdim=True)
        lack = F.avg_pool2d(lack, WINDOW, 1, WINDOW // 2)[:, 0] * WINDOW**2
        searched = ((lack.amax((1, 2)) > LACK) & (parse.on == 0).any(1)).nonzero()[:, 0]
        rest, lack = rest[searched], lack[searched]
        found, _ = model.discovery(rest, model.backbone(rest), None, FrameNoise())
        H, W = rest.shape[-2:]
        y, x = (found.centre * model.config.anchor).long().unbind(-1)
        rows = torch.arange(len(searched), device=rest.device)[:, None]
        mass = lack[rows, y.clamp(0, H - 1), x.clamp(0, W - 1)]
        cells = mass.topk(min(N_CANDIDATES, mass.shape[1]), dim=1).indices
        values = (found.centre, found.size_logit, found.what, found.depth_logit)
        return searched, [each[rows, cells] for each in values]


def _cost(parse: Parse, start: Parse, config: SilotConfig) -> Tensor:
    """What each object costs, nats, [B, S]: its prior, or how far it is from the networks'."""
    size = (parse.size - config.size_prior_mean) / config.size_prior_std
    fresh = NEW + sum((each**2).sum(-1) / 2 for each in (size, parse.what, parse.depth))
    scales = (DRIFT[0] / config.anchor, *DRIFT[1:])
    drift = OLD + sum(
        (((each - begun) / scale) ** 2).sum(-1) / 2
        for each, begun, scale in zip(parse.moving, start.moving, scales, strict=True)
    )
    return torch.where(parse.old > 0, drift, fresh)


def _unexplained(image: Tensor, picture: Tensor, background: Tensor) -> Tensor:
    """The frame without what is painted already: background where the picture is right."""
    behind = background[:, None, None]
    error = (image - picture).abs().amax(1, keepdim=True)
    seen = (image - behind).abs().amax(1, keepdim=True)
    share = (error / seen.clamp(min=1e-3)).clamp(max=1)
    covered = (picture - behind).abs().amax(1, keepdim=True) > seen
    return behind + (image - behind) * share * ~covered
