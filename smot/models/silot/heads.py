"""Networks that posterior and prior propagation both have, each with weights of its own."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smot.models.chains import Chain
from smot.models.gru import Gru
from smot.models.layers import Mlp, linear
from smot.models.silot import latents
from smot.models.silot.attention import SpatialAttention
from smot.models.silot.latents import Depth, Drawn, Movement, Presence
from smot.models.silot.objects import Objects

WIDTH = 100
"""Width of the hidden layers."""


class StepNoise(NamedTuple):
    """Noise of one propagation step; None in its place means means.

    Attributes:
        where: standard normal, [B, K, 4].
        what: standard normal, [B, K, A].
        depth: standard normal, [B, K, 1].
        pres: logistic, [B, K, 1].
    """

    where: Tensor | None
    what: Tensor | None
    depth: Tensor | None
    pres: Tensor | None


QUIET = StepNoise(None, None, None, None)
"""No noise: every latent is its mean."""


class Change(NamedTuple):
    """One propagation step of all objects, before their recurrent states move.

    Attributes:
        movement: of boxes.
        what: new appearances, and the Gaussians of their increments.
        depth: new depths, and the Gaussians of their steps.
        presence: of "still there".
    """

    movement: Movement
    what: Drawn
    depth: Depth
    presence: Presence

    @property
    def samples(self) -> tuple[Tensor, ...]:
        """All that was drawn, which drives the recurrent state, [B, K, 8 + A] in all."""
        return self.movement.summary, self.what.sample, self.depth.value, self.presence.pres

    def objects(self, hidden: Tensor) -> Objects:
        """The objects after the step."""
        place, _, size_logit = self.movement.summary.split(2, -1)
        return Objects(
            place=place,
            size=self.movement.box[..., 2:],
            what=self.what.sample,
            depth=self.depth.value,
            pres=self.presence.pres,
            hidden=hidden,
            box=self.movement.box,
            size_logit=size_logit,
            depth_logit=self.depth.logit,
        )


class ObjectFeatures(nn.Module):
    """Features that propagation starts from; objects hear each other if they interact.

    Source: supplement (propagation); the original code lets digits propagate independently.
    """

    def __init__(self, n_object: int, n_features: int, sigma: float, *, interacting: bool) -> None:
        super().__init__()
        self.own = Mlp(n_object, (64, 64), n_features)
        self.others = None
        if interacting:
            self.others = SpatialAttention(n_object, n_features, n_features, sigma)

    def forward(self, described: tuple[Tensor, ...], centre: Tensor) -> Tensor:
        """Descriptions [B, K, n_i] of objects at places [B, K, 2] -> [B, K, F], float32."""
        features: Tensor = self.own(*described)
        if self.others is None:
            return features
        heard: Tensor = self.others(torch.cat(described, -1), centre, features, centre)
        return features + heard


class PropagationHeads(nn.Module):
    """From features, and what a glimpse shows if there is one, to the latents of the next frame.

    The first layers of the networks for appearance, depth and presence share their inputs and are
    one layer here. The networks of boxes, depths and presences can be spared gradients.
    """

    def __init__(
        self, n_features: int, n_evidence: int, what_size: int, hidden_size: int, reach: float
    ) -> None:
        super().__init__()
        self.reach = reach
        n_shared = n_features + 6 + n_evidence
        self.where = Mlp(n_features + n_evidence, (WIDTH, WIDTH), 8)
        self.shared = linear(n_shared, 3 * WIDTH)
        self.from_what = linear(what_size, 2 * WIDTH, bias=False)
        self.from_depth = nn.Parameter(torch.empty(WIDTH))
        self.what = Mlp(WIDTH, (WIDTH,), 5 * what_size, adds=True)
        self.depth = Mlp(WIDTH, (WIDTH,), 2, adds=True)
        self.pres = Mlp(WIDTH, (WIDTH,), 1, adds=True)
        self.gru = Gru(6 + what_size + 2, hidden_size)
        self._shared, self._from_what = Chain([self.shared]), Chain([self.from_what])
        self._initialise(n_shared, what_size)

    def _initialise(self, n_shared: int, what_size: int) -> None:
        """Xavier bounds of the separate layers; gates start at a bias of one."""
        widths = [n_shared, n_shared + what_size, n_shared + what_size + 1]
        bounds = [math.sqrt(6 / (n_in + WIDTH)) for n_in in widths]
        for rows, bound in zip(self.shared.weight.data.split(WIDTH), bounds, strict=True):
            rows.uniform_(-bound, bound)
        for rows, bound in zip(self.from_what.weight.data.split(WIDTH), bounds[1:], strict=True):
            rows.uniform_(-bound, bound)
        self.from_depth.data.uniform_(-bounds[2], bounds[2])
        nn.init.ones_(self.what.output_bias.data[2 * what_size :])

    def move(
        self, inputs: tuple[Tensor, ...], objects: Objects, noise: Tensor | None, *, wheels: bool
    ) -> Movement:
        """New boxes.

        Args:
            inputs: features [B, K, F], and the first glimpse's evidence [B, K, E] if any.
            objects: the frame before.
            noise: standard normal, [B, K, 4], or None.
            wheels: whether the network gets no gradient.
        """
        outputs = _spared(self.where(*inputs), wheels)
        return latents.move(
            outputs, objects.place, objects.centre, objects.size_logit, noise, self.reach
        )

    def change(
        self,
        inputs: tuple[Tensor, ...],
        movement: Movement,
        suggestion: Tensor,
        objects: Objects,
        noise: StepNoise,
        *,
        wheels: bool,
    ) -> Change:
        """New appearance, depth and presence.

        Args:
            inputs: features [B, K, F], movement's summary [B, K, 6], and the second glimpse's
                evidence [B, K, E] if any.
            movement: from ``move``.
            suggestion: mean and raw scale of the appearance that the glimpse suggests, [..., 2A].
            objects: the frame before.
            noise: of the step.
            wheels: whether depth and presence networks get no gradient.
        """
        for_what, for_depth, for_pres = self._shared(*inputs).chunk(3, -1)
        what = latents.change_what(suggestion, self.what(for_what), objects.what, noise.what)
        what_for_depth, what_for_pres = self._from_what(what.sample).chunk(2, -1)
        outputs = _spared(self.depth(for_depth, what_for_depth), wheels)
        depth = latents.draw_depth(outputs, objects.depth_logit, noise.depth)
        told = depth.value * self.from_depth
        outputs = _spared(self.pres(for_pres, what_for_pres, told), wheels)
        presence = latents.draw_presence(outputs, objects.pres, noise.pres)
        return Change(movement, what, depth, presence)


def _spared(outputs: Tensor, wheels: bool) -> Tensor:
    return outputs.detach() if wheels else outputs
