"""Posterior propagation: objects of the last frame, found again in this one."""

import torch
from torch import Tensor, nn

from smot.models.layers import Mlp
from smot.models.silot.config import SilotConfig
from smot.models.silot.heads import WIDTH, Change, ObjectFeatures, PropagationHeads, StepNoise
from smot.models.silot.objects import Objects, described_width
from smot.models.sprites import glimpse


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
        noise: StepNoise,
        *,
        wheels: bool,
    ) -> tuple[Change, Objects]:
        """One step.

        Args:
            image: the new frame, [B, C, H, W].
            features: of the objects, [B, K, F].
            objects: of the last frame, [B, K, ...].
            noise: of the step.
            wheels: whether the networks of boxes, depths and presences get no gradient.

        Returns:
            What changed and the objects after it.
        """
        n_texels = self.glimpse_size**2
        offset, mask_before, mask_after = self.look(features).split([4, n_texels, n_texels], -1)
        box = torch.add(objects.box, offset, alpha=self.offset_scale)
        evidence = self.encode_before(self._glimpse(image, box, mask_before))
        movement = self.heads.move((features, evidence), objects, noise.where, wheels=wheels)
        evidence = self.encode_after(self._glimpse(image, movement.box, mask_after))
        change = self.heads.change(
            (features, movement.summary, evidence), movement, self.suggest(evidence), objects,
            noise, wheels=wheels,
        )  # fmt: skip
        return change, change.objects(self.heads.gru(change.samples, objects.hidden))

    def _glimpse(self, image: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        seen = glimpse(image, boxes, unit=self.unit, size=self.glimpse_size, mask_logits=mask)
        return seen.flatten(2)


def build_features(config: SilotConfig) -> ObjectFeatures:
    """The network that turns objects into features for propagation."""
    n_object = described_width(config.what_size, config.hidden_size)
    features = ObjectFeatures(
        n_object, config.n_features, config.sigma, interacting=config.interacting
    )
    if features.others is not None and config.deaf_at_first:
        features.others.silence()
    return features
