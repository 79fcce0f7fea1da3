"""The objective: densities of what was inferred, the bound, and the score-function term."""

import math
from collections.abc import Sequence
from typing import NamedTuple

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
)
from smot.models.sqair.priors import CountPrior, Expected, PropagationPrior, WherePrior


class FrameSample(NamedTuple):
    """One frame as inferred: N slots (whatever number was in use), S rows.

    Attributes:
        propagated: samples of the objects of the last frame, slots as they were.
        expected: the propagation prior's distributions of the same slots.
        discovered: samples of new objects.
        slots: what the frame ends with, packed.
        condition: summary of what was propagated, [S, h].
        staying: share of the slots that the prior expects to stay, less a half, [S].
        n_most: most discoveries in a frame.
        is_first: whether it is the first of the video.
        known_counts: whether the numbers of objects were given, not inferred.
    """

    propagated: Samples
    expected: Expected
    discovered: Samples
    slots: Slots
    condition: Tensor
    staying: Tensor
    n_most: int
    is_first: bool
    known_counts: bool


class Evidence(NamedTuple):
    """Log densities of what was inferred, nats, [S] each, of a frame or summed over frames.

    Attributes:
        likelihood: log p(frame | objects).
        kept_prior: log p of propagated objects, staying or not included.
        kept_posterior: log q of the same.
        found_prior: log p of discovered objects, their number included.
        found_posterior: log q of the same.
        score: log q of all choices of presence, the part that the score function is for.
        squared_error: of the frame that the objects paint; no density.
    """

    likelihood: Tensor
    kept_prior: Tensor
    kept_posterior: Tensor
    found_prior: Tensor
    found_posterior: Tensor
    score: Tensor
    squared_error: Tensor

    @property
    def log_weights(self) -> Tensor:
        """Log importance weights, [S]."""
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
        n_learned = config.n_slots if config.count_prior == "cat" else 0
        self.propagation_prior = PropagationPrior(config, generator)
        self.where_prior = WherePrior(config.n_hidden, config.scale_prior, generator)
        self.count_prior = CountPrior(config.step_success, n_learned, generator)
        self.decoder = Decoder(config, geometry, generator)

    def evidence(self, pixels: Tensor, samples: Sequence[FrameSample]) -> Evidence:
        """Log densities of frames in a row, summed.

        Args:
            pixels: [B, T, C, H, W].
            samples: what was inferred in each of the T frames.
        """
        frames = map(self._frame_evidence, pixels.unbind(1), samples)
        return Evidence(*(torch.stack(parts).sum(0) for parts in zip(*frames, strict=True)))

    def _frame_evidence(self, pixels: Tensor, sample: FrameSample) -> Evidence:
        """Log densities of one frame, pixels [B, C, H, W]."""
        kept, expected, found, slots, condition, staying, *_ = sample
        likelihood, squared_error = self.decoder.log_likelihood(
            pixels, self.decoder(slots.what, slots.where, slots.present)
        )
        log_p_kept = expected.log_density(kept.what, kept.where) * kept.present
        log_p_where = self.where_prior(found.where, condition, staying)
        log_p_found = log_p_where - 0.5 * (found.what.square() + LOG_2PI).sum(-1)
        log_q_stays = log_p_stays = log_q_count = log_p_count = torch.zeros_like(staying)
        if not sample.known_counts:  # else nothing was chosen
            log_q_stays = log_bernoulli(kept.present, kept.logit).sum(0)
            log_p_stays = log_bernoulli(kept.present, expected.logit).sum(0)
            log_q_count = log_discoveries(found.present, found.logit)
            counts = self.count_prior(sample.n_most, staying, is_first=sample.is_first)
            n_found = found.present.sum(0).long()
            log_p_count = counts.gather(1, n_found[:, None])[:, 0]
        return Evidence(
            likelihood=likelihood,
            kept_prior=log_p_kept.sum(0) + log_p_stays,
            kept_posterior=kept.log_density.sum(0) + log_q_stays,
            found_prior=(log_p_found * found.present).sum(0) + log_p_count,
            found_posterior=found.log_density.sum(0) + log_q_count,
            score=log_q_stays + log_q_count,
            squared_error=squared_error,
        )


def log_discoveries(present: Tensor, logit: Tensor) -> Tensor:
    """Log q(n) of the number of discoveries: the Bernoulli terms up to and with the first stop.

    Args:
        present: 1 for the first n slots, then 0, [N, S].
        logit: of each step, [N, S].

    Returns:
        [S].

    Source: docs/models/sqair.md 4.5; the original's clamp at 1e-16 is not needed with logits.
    """
    before = torch.cat([torch.ones_like(present[:1]), present[:-1]])
    return (before * log_bernoulli(present, logit)).sum(0)


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


def logit_excess(samples: Sequence[FrameSample], limit: float, later_bias: float) -> Tensor:
    """How far discovery's logits lie beyond a limit, squared, summed over frames and slots, [S].

    Only logits that were a choice count, not those ruled out; each as the network gave it, so
    that the limit does not undo what was added to them.

    Args:
        samples: what was inferred, frame by frame.
        limit: largest size that costs nothing.
        later_bias: what was added to the logits of all frames of the video but the first.
    """
    total = torch.zeros_like(samples[0].staying)
    for sample in samples:
        logit = sample.discovered.logit
        raw = logit if sample.is_first else logit - later_bias
        beyond = (raw.abs() - limit).clamp(min=0) * (logit.abs() < -ABSENT_LOGIT)
        total = total + beyond.square().sum(0)
    return total


@torch.no_grad()
def diagnosis(
    pixels: Tensor, samples: Sequence[FrameSample], evidence: Evidence, geometry: Geometry
) -> dict[str, Tensor]:
    """Figures that tell the known ways of failing apart, [] each, detached.

    Args:
        pixels: [B, T, C, H, W].
        samples: what was inferred, frame by frame.
        evidence: its densities.
        geometry: how boxes are placed.

    Returns:
        `count`: objects per frame (0: presence collapsed; N: all slots on). `width`: mean
        width of boxes, pixels (frame wide: scale went to 1). `found_later`: discoveries per
        frame after the first (high: objects are found anew each frame). `lost`: departures per
        frame. `presence`: mean probability of the objects there. `squared_error`, and that of an
        empty canvas, `squared_error_empty`: per frame. `likelihood`, `kl_kept`, `kl_found`: nats
        per frame.
    """
    (B, T), S = pixels.shape[:2], len(evidence.score)
    slots = [sample.slots for sample in samples]
    logits = torch.cat([each.logit[each.present > 0] for each in slots])
    boxes = geometry.object_boxes(torch.cat([each.where[each.present > 0] for each in slots]))
    n_there = torch.stack([each.present.sum() for each in slots]) / S
    n_kept = torch.stack([sample.propagated.present.sum() for sample in samples]) / S
    n_found = torch.stack([sample.discovered.present.sum() for sample in samples]) / S
    n_objects, n_later = max(len(boxes), 1), max(T - 1, 1)
    return {
        "count": n_there.mean(),
        "width": (boxes[:, 2] - boxes[:, 0]).sum() / n_objects,
        "found_first": n_found[0],
        "found_later": n_found[1:].sum() / n_later,
        "lost": (n_there[:-1] - n_kept[1:]).sum() / n_later,
        "presence": logits.sigmoid().sum() / n_objects,
        "squared_error": evidence.squared_error.mean() / T,
        "squared_error_empty": pixels.square().sum() / (B * T),
        "likelihood": evidence.likelihood.mean() / T,
        "kl_kept": (evidence.kept_posterior - evidence.kept_prior).mean() / T,
        "kl_found": (evidence.found_posterior - evidence.found_prior).mean() / T,
    }
