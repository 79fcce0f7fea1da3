"""The objective: densities of what was inferred, the bound, and the score-function term."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.decoder import Decoder
from smot.models.sqair.objects import (
    ABSENT_LOGIT,
    LOG_2PI,
    Geometry,
    Samples,
    Slots,
    log_bernoulli,
    log_discoveries,
)
from smot.models.sqair.priors import CountPrior, Expected, PropagationPrior, WherePrior


@dataclass(frozen=True, kw_only=True)
class FrameSample:
    """One frame as inferred: N slots (whatever number was in use), S rows.

    Attributes:
        propagated: samples of the objects of the last frame, slots as they were.
        expected: the propagation prior's distributions of the same slots.
        discovered: samples of new objects.
        slots: what the frame ends with, packed.
        condition: summary of what was propagated, [S, h].
        staying: share of the slots that the prior expects to stay, less a half, [S].
    """

    propagated: Samples
    expected: Expected
    discovered: Samples
    slots: Slots
    condition: Tensor
    staying: Tensor


@dataclass(frozen=True, kw_only=True)
class Clip(FrameSample):
    """All frames of a clip, stacked: T in front of all shapes, and every frame has as many slots.

    Attributes:
        n_most: most discoveries in a frame.
        n_seen: frames of the video before the clip.
        known_counts: whether the numbers of objects were given, not inferred.
    """

    n_most: int
    n_seen: int
    known_counts: bool

    @classmethod
    def of(
        cls, frames: Sequence[FrameSample], *, n_most: int, n_seen: int, known_counts: bool
    ) -> "Clip":
        """Stack the frames of a clip, at least one; for the rest see the attributes."""
        return cls(
            propagated=Samples.stack([frame.propagated for frame in frames]),
            expected=Expected.stack([frame.expected for frame in frames]),
            discovered=Samples.stack([frame.discovered for frame in frames]),
            slots=Slots.stack([frame.slots for frame in frames]),
            condition=torch.stack([frame.condition for frame in frames]),
            staying=torch.stack([frame.staying for frame in frames]),
            n_most=n_most,
            n_seen=n_seen,
            known_counts=known_counts,
        )


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
        geometry: how boxes are placed.
        generator: source of the initial weights.

    Source: docs/models/sqair.md 4; densities of samples throughout, no divergence in closed form
    (4.5).
    """

    def __init__(
        self, config: SqairConfig, geometry: Geometry, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.propagation_prior = PropagationPrior(config, generator)
        self.where_prior = WherePrior(config, generator)
        self.count_prior = CountPrior(config, generator)
        self.decoder = Decoder(config, geometry, generator)

    def evidence(self, pixels: Tensor, clip: Clip, step_success: float | None = None) -> Evidence:
        """Log densities of a clip's samples, all frames at once.

        Args:
            pixels: [B, T, C, H, W].
            clip: what was inferred.
            step_success: ratio of the geometric count prior; None for that of the settings.
        """
        kept, found = clip.propagated, clip.discovered
        log_q_stays = log_p_stays = log_q_count = log_p_count = torch.zeros_like(clip.staying)
        if not clip.known_counts:  # else nothing was chosen
            log_q_stays = log_bernoulli(kept.present, kept.logit).sum(1)
            log_p_stays = log_bernoulli(kept.present, clip.expected.logit).sum(1)
            log_q_count = log_discoveries(found.present, found.logit)
            log_p_count = self._log_count(clip, step_success)
        log_p_kept = clip.expected.log_density(kept.what, kept.where) * kept.present
        log_p_where = self.where_prior(found.where, clip.condition, clip.staying)
        log_p_what = -0.5 * (found.what.square() + LOG_2PI).sum(-1)
        painted = self.paint(clip.slots)
        T, S = painted.shape[:2]
        frames = pixels.transpose(0, 1).flatten(0, 1)
        likelihood = self.decoder.log_likelihood(frames, painted.flatten(0, 1)).view(T, S)
        return Evidence(
            likelihood=likelihood,
            kept_prior=log_p_kept.sum(1) + log_p_stays,
            kept_posterior=kept.log_density().sum(1) + log_q_stays,
            found_prior=((log_p_where + log_p_what) * found.present).sum(1) + log_p_count,
            found_posterior=found.log_density().sum(1) + log_q_count,
            score=log_q_stays + log_q_count,
            expected=painted,
        )

    def _log_count(self, clip: Clip, step_success: float | None) -> Tensor:
        """Log p of the numbers of discoveries, [T, S]."""
        counts = self.count_prior(
            clip.n_most, clip.staying, first=clip.n_seen, step_success=step_success
        )
        return self.count_prior.of(clip.discovered.present, counts)

    def paint(self, slots: Slots) -> Tensor:
        """The frames that objects [T, N, S, ...] paint, [T, S, C, H, W]."""
        T, _, S = slots.present.shape
        objects = (slots.what, slots.where, slots.present)
        frames: Tensor = self.decoder(*(part.transpose(1, 2).flatten(0, 1) for part in objects))
        return frames.view(T, S, *frames.shape[1:])


def importance_bound(log_weights: Tensor) -> Tensor:
    """Log of the mean weight of the particles of each video: at most log p(video).

    Args:
        log_weights: [B, K], nats.

    Returns:
        [B], nats.

    Source: IWAE (Burda et al. 2016), equation 8.
    """
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def baselines(log_weights: Tensor) -> Tensor:
    """What each particle's bound would be without its own weight, [B, K], nats.

    The weight of particle j is replaced by the geometric mean of the others', so the result does
    not depend on particle j.

    Args:
        log_weights: [B, K], nats, K at least 2.

    Source: VIMCO (Mnih and Rezende 2016), equation 9.
    """
    K = log_weights.shape[-1]
    others = (log_weights.sum(-1, keepdim=True) - log_weights) / (K - 1)
    own = torch.eye(K, dtype=torch.bool, device=log_weights.device)
    replaced = torch.where(own, others[:, :, None], log_weights[:, None, :])
    return importance_bound(replaced)


def signals(log_weights: Tensor, estimator: str) -> Tensor:
    """What multiplies the gradient of each particle's log q(presence), [B, K], nats.

    Args:
        log_weights: [B, K], nats; no gradient flows through.
        estimator: "code": (log w_j - baseline_j) / K, which estimates the score term of the
            ELBO; "vimco": bound - baseline_j, that of the importance-weighted bound.

    Source: docs/models/sqair.md 6; "code" is what the original computes under the name VIMCO.
    """
    log_weights = log_weights.detach()
    if estimator == "code":
        return (log_weights - baselines(log_weights)) / log_weights.shape[-1]
    return importance_bound(log_weights)[:, None] - baselines(log_weights)


def loss(
    log_weights: Tensor, score: Tensor, *, estimator: str, clip: float, weight: float
) -> Tensor:
    """What is minimised, [B], nats: the negative bound and a term that only has a gradient.

    Args:
        log_weights: [B, K], nats.
        score: log q of all presences of the particle, [B, K], nats.
        estimator: see `signals`.
        clip: bound on the size of the signal, nats; 0 for none.
        weight: of the score term, in [0, 1].
    """
    signal = signals(log_weights, estimator)
    if clip > 0:
        signal = signal.clamp(-clip, clip)
    surrogate = (weight * signal * score).sum(-1)
    return -importance_bound(log_weights) - surrogate


def effective_particles(log_weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 of each video's particles, between 1 and K, [B]."""
    shares = log_weights.softmax(-1)
    return 1 / shares.square().sum(-1)


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
        `count`: objects per frame (0: presence collapsed; N: all slots on). `width`: mean
        width of boxes, pixels (frame wide: scale went to 1). `found_later`: discoveries per
        frame after the first (high: objects are found anew each frame). `lost`: departures per
        frame. `presence`: mean probability of the objects there. `squared_error`: of the
        reconstruction, per frame; `squared_error_empty`: of an empty canvas. `likelihood`,
        `kl_kept`, `kl_found`: nats per frame.
    """
    with torch.no_grad():
        T, S = evidence.likelihood.shape
        present = clip.slots.present
        n_objects = present.sum().clamp(min=1)
        later = max(T - 1, 1)
        frames = pixels.transpose(0, 1)
        repeated = frames.repeat_interleave(S // frames.shape[1], dim=1)
        boxes = geometry.object_boxes(clip.slots.where)
        widths = (boxes[..., 2] - boxes[..., 0]) * present
        found = clip.discovered.present
        before = torch.cat([torch.zeros_like(present[:1]), present[:-1]]).sum()
        return {
            "count": present.sum() / (T * S),
            "width": widths.sum() / n_objects,
            "found_first": found[0].sum() / S,
            "found_later": found[1:].sum() / (later * S),
            "lost": (before - clip.propagated.present.sum()) / (later * S),
            "presence": (clip.slots.logit.sigmoid() * present).sum() / n_objects,
            "squared_error": (repeated - evidence.expected).square().sum() / (T * S),
            "squared_error_empty": frames.square().sum() / (T * frames.shape[1]),
            "likelihood": evidence.likelihood.mean(),
            "kl_kept": (evidence.kept_posterior - evidence.kept_prior).mean(),
            "kl_found": (evidence.found_posterior - evidence.found_prior).mean(),
        }
