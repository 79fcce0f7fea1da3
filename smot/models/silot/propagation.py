"""Propagation: the objects of the last frame, found again in this one, or carried on without it.

The posterior looks at the new frame; the learned prior is the same module without the looks.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smot.models.distributions import Gaussian, Presence, clipped_sigmoid, positive_scale
from smot.models.layers import Gru, Mlp, frozen, linear
from smot.models.silot.config import SilotConfig
from smot.models.silot.objects import Drawn, Noise, Objects
from smot.models.sprites import glimpse

WIDTH = 100
"""Width of the hidden layers."""
GATE_LIMIT = 0.9999
"""The most that a gate opens."""


class Change(NamedTuple):
    """One propagation step of all objects, before their recurrent states are updated.

    Attributes:
        objects: after the step, with the recurrent states from before it.
        drawn: the distributions they were drawn from.
        samples: everything that was drawn, which the recurrent state reads, [B, K, 8 + A]: place,
            position logits, size logits, appearance, depth, presence.
    """

    objects: Objects
    drawn: Drawn
    samples: Tensor


class SpatialAttention(nn.Module):
    """Sum over objects k of w_jk * MLP([source_k, place_k - place_j, target_j]) for places j.

    w_jk = exp(-|place_k - place_j|^2 / (2 sigma^2)) / (2 pi sigma^2). The first layer is linear
    in its three inputs and the last layer is linear, so the first is applied to objects and
    places apart and the last after the sum: exact, and most of the work is saved.

    Args:
        n_source: width of the objects' features.
        n_target: width of the places' features, 0 for none.
        width: of the hidden layers and the output.
        sigma: reach, anchors.

    Source: SILOT supplement B.
    """

    def __init__(self, n_source: int, n_target: int, width: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.n_source = n_source
        self.first = linear(n_source + 2 + n_target, width)
        self.second = linear(width, width)
        self.last = linear(width, width)

    def forward(
        self, source: Tensor, place: Tensor, target: Tensor | None, target_place: Tensor
    ) -> Tensor:
        """What each place takes from the objects.

        Args:
            source: features of objects, [B, K, n_source].
            place: y, x of objects, [B, K, 2], anchors.
            target: features of the places, [B, J, n_target], or None for n_target = 0.
            target_place: y, x of the places, [B or 1, J, 2], anchors.

        Returns:
            [B, J, width], float32.
        """
        n = self.n_source
        weight = self.first.weight
        of_objects = F.linear(source, weight[:, :n], self.first.bias).float()
        of_objects = of_objects + _product(place, weight[:, n : n + 2])
        of_places = -_product(target_place, weight[:, n : n + 2])
        if target is not None:
            of_places = of_places + F.linear(target, weight[:, n + 2 :]).float()
        pairs = torch.relu(of_objects[:, None] + of_places[:, :, None])  # [B, J, K, width]
        values = torch.relu_(self.second(pairs))
        gap = place[:, None] - target_place[:, :, None]
        weights = torch.exp((gap * gap).sum(-1) * (-0.5 / self.sigma**2))
        shares = weights * (0.5 / (math.pi * self.sigma**2))  # w_jk, [B, J, K]
        pooled = (shares[..., None] * values).sum(2)
        # The bias of the last layer, which is applied after the sum, counts once per object.
        outputs = F.linear(pooled, self.last.weight).float()
        return outputs + shares.sum(-1, keepdim=True) * self.last.bias


def _product(place: Tensor, weight: Tensor) -> Tensor:
    """Places [..., 2] times weights [width, 2] in float32 under autocast too, [..., width]."""
    return place[..., :1] * weight[:, 0] + place[..., 1:] * weight[:, 1]


class ObjectFeatures(nn.Module):
    """Features that propagation starts from; objects see each other if they interact.

    Args:
        config: sizes, and whether they interact.
        n_more: numbers that describe an object beside its attributes.

    Source: SILOT 3.4. The authors' code lets digits propagate independently.
    """

    def __init__(self, config: SilotConfig, n_more: int = 0) -> None:
        super().__init__()
        n_object = 6 + config.what_size + config.hidden_size + n_more
        n = config.n_features
        self.own = Mlp(n_object, (64, 64), n)
        self.others = (
            SpatialAttention(n_object, n, n, config.sigma) if config.interacting else None
        )
        if self.others is not None and config.zero_init_interaction:
            for values in self.others.last.parameters():
                nn.init.zeros_(values)

    def forward(self, described: Tensor, centre: Tensor) -> Tensor:
        """Descriptions [B, K, 6 + A + H] of objects at places [B, K, 2] -> [B, K, F], float32."""
        features: Tensor = self.own(described)
        if self.others is None:
            return features
        interaction: Tensor = self.others(described, centre, features, centre)
        return features + interaction


class Propagation(nn.Module):
    """Looks where the object was, moves the box, looks there, and updates the object.

    Args:
        config: sizes and scales.
        sees: whether it looks at frames. Without looks it is the learned prior: what the posterior
            reads off the second glimpse is a learned constant.

    Attributes:
        features: the prior's own network of features; None where it shares the posterior's.

    Source: SILOT 3.4 and A.1 (posterior), 3.8 (prior); docs/models/silot.md 4.1 and 4.2.
    """

    def __init__(self, config: SilotConfig, *, sees: bool) -> None:
        super().__init__()
        self.unit, self.glimpse_size = config.anchor, config.glimpse_size
        self.offset_scale = config.glimpse_offset_scale
        n, A = config.n_features, config.what_size
        self.features: ObjectFeatures | None = None
        if sees:
            n_texels = config.glimpse_size**2
            n_pixels = n_texels * config.n_channels
            self.look = Mlp(n, (WIDTH, WIDTH), 4 + 2 * n_texels)
            self.encode_before = Mlp(n_pixels, (256, 128), n)
            self.encode_after = Mlp(n_pixels, (256, 128), n)
            self.suggest = Mlp(n, (WIDTH, WIDTH), 2 * A)
        else:
            if config.prior_own_features:
                self.features = ObjectFeatures(config, 2 * config.prior_momentum)
            self.suggestion = nn.Parameter(torch.zeros(2 * A))
        self.heads = Heads(n, n if sees else 0, A, config.hidden_size, config.where_scale)
        if sees and config.stay_above:
            self.heads.stay_logit = math.log(config.stay_above / (1 - config.stay_above))
        if sees:
            # Masks start nearly open: the "+ 1" of the paper's sigmoid(m + 1).
            nn.init.ones_(self.look.output_bias.data[4:])

    def forward(
        self,
        features: Tensor,
        objects: Objects,
        noise: Noise,
        image: Tensor | None = None,
        *,
        momentum: Tensor | None = None,
        freeze: bool = False,
    ) -> Change:
        """One step.

        Args:
            features: of the objects, [B, K, F].
            objects: of the last frame, [B, K, ...].
            noise: of the step.
            image: the new frame, [B, C, H, W]; None for the prior.
            momentum: position logits of the last step, [B, K, 2], for a prior that has it.
            freeze: whether the networks of boxes, depths and presences get no gradient.
        """
        if image is None:
            motion = self.heads.move((features,), objects, noise.where, momentum, freeze=freeze)
            suggestion = self.suggestion.expand(*features.shape[:-1], -1)
            inputs: tuple[Tensor, ...] = (features, motion.summary)
            return self.heads.change(inputs, motion, suggestion, objects, noise, freeze=freeze)
        n_texels = self.glimpse_size**2
        offset, mask_before, mask_after = self.look(features).split([4, n_texels, n_texels], -1)
        box = torch.add(objects.box, offset, alpha=self.offset_scale)
        evidence = self.encode_before(self._glimpse(image, box, mask_before))
        motion = self.heads.move((features, evidence), objects, noise.where, freeze=freeze)
        evidence = self.encode_after(self._glimpse(image, motion.box, mask_after))
        inputs = (features, motion.summary, evidence)
        suggestion = self.suggest(evidence)
        return self.heads.change(inputs, motion, suggestion, objects, noise, freeze=freeze)

    def _glimpse(self, image: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        seen = glimpse(image, boxes, unit=self.unit, size=self.glimpse_size, mask_logits=mask)
        return seen.flatten(2)


class Motion(NamedTuple):
    """Where objects go.

    Attributes:
        where: Gaussians of position logits and size logits, [..., 4].
        summary: place in the whole frame, position logits, size logits, [..., 6].
        box: y, x, h, w in the frame that the model sees, [..., 4], anchors.
    """

    where: Gaussian
    summary: Tensor
    box: Tensor


class Heads(nn.Module):
    """From features, and evidence from glimpses if there is any, to attributes in the next frame.

    The first layers of the networks of appearance, depth and presence share most of their inputs:
    one layer (`shared`) serves all three, and layers for the new appearance and the new depth add
    to its outputs once these are drawn.

    Args:
        n_features: width of the features.
        n_evidence: width of the evidence, 0 for none.
        what_size: A.
        hidden_size: width of the recurrent state.
        reach: how far an object can move, anchors.

    Attributes:
        stay_logit: what logits of presences are counted from while tracking.
    """

    stay_logit = 0.0

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
        # Xavier bounds of the separate layers; gates start at a bias of one.
        widths = [n_shared, n_shared + what_size, n_shared + what_size + 1]
        bounds = [math.sqrt(6 / (n_in + WIDTH)) for n_in in widths]
        for rows, bound in zip(self.shared.weight.data.split(WIDTH), bounds, strict=True):
            rows.uniform_(-bound, bound)
        for rows, bound in zip(self.from_what.weight.data.split(WIDTH), bounds[1:], strict=True):
            rows.uniform_(-bound, bound)
        self.from_depth.data.uniform_(-bounds[2], bounds[2])
        nn.init.ones_(self.what.output_bias.data[2 * what_size :])

    def move(
        self,
        inputs: tuple[Tensor, ...],
        objects: Objects,
        noise: Tensor | None,
        momentum: Tensor | None = None,
        *,
        freeze: bool,
    ) -> Motion:
        """New boxes: y' = y + reach * tanh(l), and size logits that grow by an increment.

        Args:
            inputs: features [B, K, F], and evidence [B, K, E] of the first glimpse if any.
            objects: the frame before.
            noise: standard normal, [B, K, 4], or None.
            momentum: what the mean of the position logits is counted from, [B, K, 2]; None for 0.
            freeze: whether the network gets no gradient.
        """
        outputs = frozen(self.where(*inputs), freeze)
        shift, growth, raw = outputs.split([2, 2, 4], -1)
        if momentum is not None:
            shift = shift + momentum
        mean = torch.cat([shift, objects.size_logit + growth], -1)
        where = Gaussian(mean, positive_scale(raw))
        sample = where.sample(noise)
        moved = self.reach * torch.tanh(sample[..., :2])
        box = torch.cat([objects.centre + moved, clipped_sigmoid(sample[..., 2:])], -1)
        return Motion(where, torch.cat([objects.place + moved, sample], -1), box)

    def change(
        self,
        inputs: tuple[Tensor, ...],
        motion: Motion,
        suggestion: Tensor,
        objects: Objects,
        noise: Noise,
        *,
        freeze: bool,
    ) -> Change:
        """New appearance, depth and presence.

        Args:
            inputs: features [B, K, F], the motion's summary [B, K, 6], and evidence [B, K, E] of
                the second glimpse if any.
            motion: from `move`.
            suggestion: mean and raw scale of the appearance that the glimpse suggests, [..., 2A].
            objects: the frame before.
            noise: of the step.
            freeze: whether the networks of depth and presence get no gradient.
        """
        for_what, for_depth, for_pres = self.shared(torch.cat(inputs, -1)).float().chunk(3, -1)
        temporal = self.what(torch.relu(for_what))
        increment, appearance = change_what(suggestion, temporal, objects.what, noise.what)
        what_for_depth, what_for_pres = self.from_what(appearance).float().chunk(2, -1)
        outputs = self.depth(torch.relu(for_depth + what_for_depth))
        depth = Gaussian.of(frozen(outputs, freeze))
        depth_logit = objects.depth_logit + depth.sample(noise.depth)
        nearness = clipped_sigmoid(depth_logit)
        outputs = self.pres(torch.relu(for_pres + what_for_pres + nearness * self.from_depth))
        presence = Presence.drawn(frozen(outputs, freeze), noise.pres)
        stays = presence.value
        if not self.training:
            stays = torch.sigmoid(presence.sample - self.stay_logit)
        pres = objects.pres * stays
        place, _, size_logit = motion.summary.split(2, -1)
        size = motion.box[..., 2:]
        changed = Objects(
            place,
            size,
            appearance,
            nearness,
            pres,
            objects.hidden,
            motion.box,
            size_logit,
            depth_logit,
        )
        drawn = Drawn.of((motion.where, increment, depth), presence, pres)
        samples = torch.cat([motion.summary, appearance, nearness, pres], -1)
        return Change(changed, drawn, samples)


def change_what(
    evidence: Tensor, temporal: Tensor, what: Tensor, noise: Tensor | None
) -> tuple[Gaussian, Tensor]:
    """Propagate appearances through forget, input and time gates.

    Args:
        evidence: mean and raw scale that the glimpse suggests, [..., 2A].
        temporal: mean and raw scale that the past suggests, and three gates, [..., 5A].
        what: the frame before, [..., A].
        noise: standard normal, [..., A].

    Returns:
        The Gaussian of the increment, and the new appearance.

    Source: SILOT A.1, after SQAIR; docs/models/silot.md 4.1. The gates' "+ 1" is in the initial
    biases of the network that makes `temporal`.
    """
    A = what.shape[-1]
    seen_mean, seen_scale = evidence.chunk(2, -1)
    time_mean, time_scale, gates = temporal.split([A, A, 3 * A], -1)
    forget, closed, still = (GATE_LIMIT * torch.sigmoid(gates)).chunk(3, -1)
    mean = forget * what + (1 - closed) * seen_mean + (1 - still) * time_mean
    scale = (1 - closed) * positive_scale(seen_scale) + (1 - still) * positive_scale(time_scale)
    return Gaussian(mean - what, scale), Gaussian(mean, scale).sample(noise)
