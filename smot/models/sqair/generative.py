"""The generative model: priors of what inference sampled, and the likelihood of the frames."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.clips import Clip
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.decoder import Decoder
from smot.models.sqair.placement import Geometry
from smot.models.sqair.priors import CountPrior, PropagationPrior, WherePrior
from smot.models.sqair.samples import LOG_2PI, log_bernoulli, log_discoveries
from smot.models.sqair.slots import ABSENT_LOGIT


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Log densities of a clip, nats, [T, S] each unless said.

    Attributes:
        likelihood: log p(frame | objects).
        kept_prior: log p of propagated objects, staying or not included.
        kept_posterior: log q of the same.
        found_prior: log p of discovered objects, their number included.
        found_posterior: log q of the same.
        score: log q of all choices of presence, the part that the score function is for.
        expected: the frames that the objects paint, [T, S, C, H, W].
    """

    likelihood: Tensor
    kept_prior: Tensor
    kept_posterior: Tensor
    found_prior: Tensor
    found_posterior: Tensor
    score: Tensor
    expected: Tensor

    @property
    def log_weights(self) -> Tensor:
        """Log importance weight of every frame, [T, S]; a particle's is their sum over frames."""
        prior = self.kept_prior + self.found_prior
        return self.likelihood + prior - self.kept_posterior - self.found_posterior


class Generative(nn.Module):
    """Priors and decoder.

    Args:
        config: all settings.
        generator: source of the initial weights.

    Source: sqair.md 4; densities of samples throughout, no divergence in closed form (4.5).
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.propagation_prior = PropagationPrior(config, generator)
        self.where_prior = WherePrior(config, generator)
        self.count_prior = CountPrior(config, generator)
        self.decoder = Decoder(config, generator)

    def evidence(self, pixels: Tensor, clip: Clip, step_success: float | None = None) -> Evidence:
        """Log densities of a clip's samples, all frames at once.

        Args:
            pixels: [B, T, C, H, W].
            clip: what was inferred.
            step_success: ratio of the geometric count prior; None for that of the settings.
        """
        kept, found, expected = clip.propagated, clip.discovered, clip.expected
        n_found = self._number(clip, step_success)
        places = self.where_prior(found.where, clip.condition, clip.staying)
        looks = -0.5 * (found.what.square() + LOG_2PI).sum(-1)
        stays = log_bernoulli(kept.present, kept.logit).sum(1)
        stops = log_discoveries(found.present, found.logit)
        if clip.told:  # nothing was chosen
            stays, stops = torch.zeros_like(stays), torch.zeros_like(stops)
        kept_density = (expected.log_density(kept.what, kept.where) * kept.present).sum(1)
        painted = self.paint(clip)
        return Evidence(
            likelihood=self._likelihood(pixels, painted),
            kept_prior=kept_density + self._staying(clip),
            kept_posterior=kept.log_density().sum(1) + stays,
            found_prior=((places + looks) * found.present).sum(1) + n_found,
            found_posterior=found.log_density().sum(1) + stops,
            score=stays + stops,
            expected=painted,
        )

    def _number(self, clip: Clip, step_success: float | None) -> Tensor:
        """Log p of the numbers of discoveries, [T, S]; nothing where they were given."""
        if clip.told:
            return torch.zeros_like(clip.staying)
        counts = self.count_prior(
            clip.n_most, clip.staying, first=clip.n_seen, step_success=step_success
        )
        return self.count_prior.of(clip.discovered.present, counts)

    def _staying(self, clip: Clip) -> Tensor:
        """Log p of who stays, [T, S]; nothing where that was given."""
        if clip.told:
            return torch.zeros_like(clip.staying)
        return clip.expected.log_presence(clip.propagated.present).sum(1)

    def paint(self, clip: Clip) -> Tensor:
        """The frames that a clip's objects paint, [T, S, C, H, W]."""
        T, _, S = clip.present.shape
        objects = (clip.what, clip.where, clip.present)
        frames: Tensor = self.decoder(*(part.transpose(1, 2).flatten(0, 1) for part in objects))
        return frames.view(T, S, *frames.shape[1:])

    def _likelihood(self, pixels: Tensor, painted: Tensor) -> Tensor:
        """Log p(frame | objects), [T, S]."""
        T, S = painted.shape[:2]
        frames = pixels.transpose(0, 1).flatten(0, 1)
        return self.decoder.log_likelihood(frames, painted.flatten(0, 1)).view(T, S)


def logit_excess(clip: Clip, limit: float, later_bias: float) -> Tensor:
    """How far discovery's logits lie beyond a limit, squared, summed over frames and slots, [S].

    Only logits that were a choice count, not those ruled out; each as the network gave it, so
    that the limit does not undo what was added to them.

    Args:
        clip: what was inferred.
        limit: largest size that costs nothing.
        later_bias: what was added to the logits of all frames of the video but the first.
    """
    logit = clip.discovered.logit
    chosen = logit.abs() < -ABSENT_LOGIT
    later = torch.arange(len(logit), device=logit.device) + clip.n_seen > 0
    raw = logit - later_bias * later[:, None, None]
    return ((raw.abs() - limit).clamp(min=0) * chosen).square().sum((0, 1))


def diagnosis(
    pixels: Tensor, clip: Clip, evidence: Evidence, geometry: Geometry
) -> dict[str, Tensor]:
    """Figures that tell the known ways of failing apart, [] each, detached.

    Args:
        pixels: [B, T, C, H, W].
        clip: what was inferred.
        evidence: its densities.
        geometry: how boxes are placed.

    Returns:
        ``count``: objects per frame (0: presence collapsed; N: all slots on). ``width``: mean
        width of boxes, pixels (frame wide: scale went to 1). ``found_later``: discoveries per
        frame after the first (high: objects are found anew each frame). ``lost``: departures per
        frame. ``presence``: mean probability of the objects there. ``squared_error``: of the
        reconstruction, per frame; ``squared_error_empty``: of an empty canvas. ``likelihood``,
        ``kl_kept``, ``kl_found``: nats per frame.
    """
    with torch.no_grad():
        T, S = evidence.likelihood.shape
        present = clip.present
        n_objects = present.sum().clamp(min=1)
        later = max(T - 1, 1)
        frames = pixels.transpose(0, 1)
        repeated = frames.repeat_interleave(S // frames.shape[1], dim=1)
        boxes = geometry.object_boxes(clip.where)
        widths = (boxes[..., 2] - boxes[..., 0]) * present
        found = clip.discovered.present
        before = torch.cat([torch.zeros_like(present[:1]), present[:-1]]).sum()
        return {
            "count": present.sum() / (T * S),
            "width": widths.sum() / n_objects,
            "found_first": found[0].sum() / S,
            "found_later": found[1:].sum() / (later * S),
            "lost": (before - clip.propagated.present.sum()) / (later * S),
            "presence": (clip.logit.sigmoid() * present).sum() / n_objects,
            "squared_error": (repeated - evidence.expected).square().sum() / (T * S),
            "squared_error_empty": frames.square().sum() / (T * frames.shape[1]),
            "likelihood": evidence.likelihood.mean(),
            "kl_kept": (evidence.kept_posterior - evidence.kept_prior).mean(),
            "kl_found": (evidence.found_posterior - evidence.found_prior).mean(),
        }
