"""Prior propagation: how objects go on when nobody looks."""

import torch
from torch import Tensor, nn

from smot.models.silot.config import SilotConfig
from smot.models.silot.heads import Change, ObjectFeatures, PropagationHeads, StepNoise
from smot.models.silot.objects import description, unpacked
from smot.models.silot.propagation import build_features


class PriorPropagation(nn.Module):
    """The learned prior; its recurrent state runs beside the posterior's.

    Attributes:
        features: a feature network of its own, or None to be lent the posterior's.

    Source: supplement (prior propagation). Where the original code encodes zeros in place of a
    glimpse, what remains is a learned constant (``suggestion``). A feature network of its own and
    the posterior's samples as input of the recurrent state are ours, and optional.
    """

    def __init__(self, config: SilotConfig) -> None:
        super().__init__()
        self.driven_by_posterior = config.prior_state_input == "posterior"
        self.features: ObjectFeatures | None = None
        if config.prior_own_features:
            self.features = build_features(config)
        self.what_size = config.what_size
        self.suggestion = nn.Parameter(torch.zeros(2 * config.what_size))
        self.heads = PropagationHeads(
            config.n_features, 0, config.what_size, config.hidden_size, config.where_scale
        )

    def forward(
        self,
        state: Tensor,
        hidden: Tensor,
        shared: ObjectFeatures,
        noise: StepNoise,
        *,
        wheels: bool,
    ) -> Change:
        """One step.

        Args:
            state: objects of the last frame, packed without a recurrent state, [B, K, S - H].
            hidden: the prior's recurrent state, [B, K, H].
            shared: the posterior's feature network.
            noise: of the step.
            wheels: whether the networks of boxes, depths and presences get no gradient.
        """
        objects = unpacked(state, self.what_size, 0)
        visible = description(state, self.what_size, 0)
        features = (self.features or shared)((visible, hidden), objects.centre)
        movement = self.heads.move((features,), objects, noise.where, wheels=wheels)
        suggestion = self.suggestion.expand(*features.shape[:-1], -1)
        return self.heads.change(
            (features, movement.summary), movement, suggestion, objects, noise, wheels=wheels
        )

    def advance(self, change: Change, posterior_samples: Tensor | None, hidden: Tensor) -> Tensor:
        """The recurrent state after a step, [B, K, H].

        Args:
            change: the prior's own step.
            posterior_samples: all that the posterior drew in that step, [B, K, 8 + A]; None where
                the prior is on its own.
            hidden: the state before.
        """
        samples = change.samples
        if self.driven_by_posterior and posterior_samples is not None:
            samples = (posterior_samples,)
        state: Tensor = self.heads.gru(samples, hidden)
        return state
