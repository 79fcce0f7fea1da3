"""Networks that posterior and prior propagation both have, each with weights of its own."""

import math

import torch
from torch import Tensor, nn

from smot.models.layers import Gru, Mlp, linear
from smot.models.silot import latents
from smot.models.silot.attention import SpatialAttention
from smot.models.silot.latents import Gaussian, Movement, Presence
from smot.models.silot.objects import Objects, visible_width

WIDTH = 100
"""Width of the hidden layers."""


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

    def forward(self, objects: Tensor, centre: Tensor) -> Tensor:
        """Descriptions [B, K, n_object] at places [B, K, 2] -> [B, K, n_features], float32."""
        features: Tensor = self.own(objects)
        if self.others is None:
            return features
        heard: Tensor = self.others(objects, centre, features, centre)
        return features + heard


class PropagationHeads(nn.Module):
    """From features, and what a glimpse shows if there is one, to the latents of the next frame.

    The first layers of the networks for appearance, depth and presence share their inputs and are
    one layer here.

    Attributes:
        n_evidence: width of the encoded glimpses; 0 for the prior, which has none.
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
        self.what = Mlp(WIDTH, (WIDTH,), 5 * what_size)
        self.depth = Mlp(WIDTH, (WIDTH,), 2)
        self.pres = Mlp(WIDTH, (WIDTH,), 1)
        self.gru = Gru(6 + what_size + 2, hidden_size)
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
        self, features: Tensor, evidence: Tensor | None, objects: Objects,
        noise: Tensor | None, *, wheels: bool,
    ) -> Movement:  # fmt: skip
        """New boxes from features [B, K, F] and the first glimpse's evidence [B, K, E]."""
        outputs = self.where(_joined(features, evidence))
        return latents.move(outputs.detach() if wheels else outputs, objects, noise, self.reach)

    def change(
        self,
        features: Tensor,
        movement: Movement,
        evidence: Tensor | None,
        suggestion: Tensor,
        objects: Objects,
        noise: tuple[Tensor | None, Tensor | None, Tensor | None],
        *,
        wheels: bool,
    ) -> "Change":
        """New appearance, depth and presence.

        Args:
            features: [B, K, F].
            movement: from ``move``.
            evidence: encoded second glimpse, [B, K, E], or None.
            suggestion: mean and raw scale of the appearance that the glimpse suggests, [..., 2A].
            objects: the frame before.
            noise: normal for appearance [B, K, A] and depth [B, K, 1], logistic for presence
                [B, K, 1]; None for means.
            wheels: whether depth and presence networks get no gradient.
        """
        shared = self.shared(_joined(torch.cat([features, movement.summary], -1), evidence))
        for_what, for_depth, for_pres = shared.chunk(3, -1)
        temporal = self.what(torch.relu(for_what))
        increment, what = latents.change_what(suggestion, temporal, objects.what, noise[0])
        what_for_depth, what_for_pres = self.from_what(what).chunk(2, -1)
        outputs = self.depth(torch.relu(for_depth + what_for_depth))
        outputs = outputs.detach() if wheels else outputs
        step, depth_logit = latents.draw_depth(outputs, objects.depth_logit, noise[1])
        depth = torch.sigmoid(depth_logit.clamp(-latents.LOGIT_LIMIT, latents.LOGIT_LIMIT))
        told = for_pres + what_for_pres + depth * self.from_depth
        outputs = self.pres(torch.relu(told))
        presence = latents.draw_presence(outputs.detach() if wheels else outputs, noise[2])
        return Change(
            movement=movement,
            increment=increment,
            step=step,
            what=what,
            depth=depth,
            depth_logit=depth_logit,
            presence=presence,
            pres=objects.pres * presence.value,
        )


class Change:
    """One propagation step of all objects, before their recurrent states move.

    Attributes:
        latent: Gaussians of position, size, appearance and depth, [B, K, 5 + A].
        presence: of "still there".
        summary: all samples, which drive the recurrent state, [B, K, 8 + A].
    """

    def __init__(
        self,
        *,
        movement: Movement,
        increment: Gaussian,
        step: Gaussian,
        what: Tensor,
        depth: Tensor,
        depth_logit: Tensor,
        presence: Presence,
        pres: Tensor,
    ) -> None:
        self.movement, self.presence, self.pres = movement, presence, pres
        self.what, self.depth, self.depth_logit = what, depth, depth_logit
        parts = (movement.latent, increment, step)
        self.latent = Gaussian(
            torch.cat([part.mean for part in parts], -1),
            torch.cat([part.scale for part in parts], -1),
        )
        self.summary = torch.cat([movement.summary, what, depth, pres], -1)

    def objects(self, hidden: Tensor) -> Objects:
        """The objects after the step."""
        return Objects(
            place=self.movement.place,
            size=self.movement.size,
            what=self.what,
            depth=self.depth,
            pres=self.pres,
            hidden=hidden,
            centre=self.movement.centre,
            size_logit=self.movement.size_logit,
            depth_logit=self.depth_logit,
        )


def object_width(what_size: int, hidden_size: int) -> int:
    """Numbers that describe an object to the networks."""
    return visible_width(what_size) + hidden_size


def _joined(features: Tensor, evidence: Tensor | None) -> Tensor:
    return features if evidence is None else torch.cat([features, evidence], -1)
