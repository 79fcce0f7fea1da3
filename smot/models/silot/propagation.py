"""Posterior propagation: objects of the last frame, found again in this one."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smot.models.layers import Mlp
from smot.models.silot.config import SilotConfig
from smot.models.silot.heads import WIDTH, Change, ObjectFeatures, PropagationHeads
from smot.models.silot.objects import Objects
from smot.models.sprites import glimpse


class PropagationNoise(NamedTuple):
    """Noise of one propagation step; None in its place means means.

    Attributes:
        where: standard normal, [B, K, 4].
        what: standard normal, [B, K, A].
        depth: standard normal, [B, K, 1].
        pres: logistic, [B, K, 1].
    """

    where: Tensor
    what: Tensor
    depth: Tensor
    pres: Tensor


class Propagation(nn.Module):
    """Looks where the object was, moves the box, looks there, and updates the object.

    Source: supplement (propagation), with the gates of SQAIR.
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.unit, self.glimpse_size = config.anchor, config.glimpse_size
        self.offset_scale = config.glimpse_offset_scale
        n, n_texels = config.n_features, config.glimpse_size**2
        self.look = Mlp(n, (WIDTH, WIDTH), 4 + 2 * n_texels)
        # Masks begin half open wide: the "+ 1" of the paper's sigmoid(m + 1).
        nn.init.ones_(self.look.output_bias.data[4:])
        n_pixels = n_texels * config.n_channels
        self.encode_before = Mlp(n_pixels, (256, 128), n)
        self.encode_after = Mlp(n_pixels, (256, 128), n)
        self.suggest = Mlp(n, (WIDTH, WIDTH), 2 * config.what_size)
        self.heads = PropagationHeads(
            n, n, config.what_size, config.hidden_size, config.where_scale
        )

    def forward(
        self,
        image: Tensor,
        features: Tensor,
        objects: Objects,
        noise: PropagationNoise | None,
        *,
        wheels: bool,
    ) -> tuple[Change, Objects]:
        """One step.

        Args:
            image: the new frame, [B, C, H, W].
            features: of the objects, [B, K, F].
            objects: of the last frame, [B, K, ...].
            noise: None for means.
            wheels: whether the networks of boxes, depths and presences get no gradient.

        Returns:
            What changed and the objects after it.
        """
        n_texels = self.glimpse_size**2
        offset, mask_before, mask_after = self.look(features).split([4, n_texels, n_texels], -1)
        box = objects.box + self.offset_scale * offset
        evidence = self.encode_before(self._glimpse(image, box, mask_before))
        movement = self.heads.move(
            features, evidence, objects, noise.where if noise else None, wheels=wheels
        )
        box = torch.cat([movement.centre, movement.size], -1)
        evidence = self.encode_after(self._glimpse(image, box, mask_after))
        change = self.heads.change(
            features, movement, evidence, self.suggest(evidence), objects,
            (noise.what, noise.depth, noise.pres) if noise else (None, None, None),
            wheels=wheels,
        )  # fmt: skip
        hidden = self.heads.gru(change.summary, objects.hidden)
        return change, change.objects(hidden)

    def _glimpse(self, image: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        seen = glimpse(image, boxes, unit=self.unit, size=self.glimpse_size, mask_logits=mask)
        return seen.flatten(2)


def build_features(config: SilotConfig) -> ObjectFeatures:
    """The network that turns objects into features for propagation."""
    n_object = 6 + config.what_size + config.hidden_size
    return ObjectFeatures(
        n_object, config.n_features, config.sigma, interacting=config.interacting
    )
