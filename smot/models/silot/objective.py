"""The objective's terms, each summed over frames and averaged over videos, and its schedules."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.distributions import (
    EPSILON,
    Gaussian,
    bernoulli_kl,
    gaussian_kl,
    relaxed_bernoulli_log_density,
)
from smot.models.silot.config import SilotConfig
from smot.models.silot.objects import Clip, Drawn, Objects, unpacked

PARTS = ("where", "size", "what", "depth")


def posterior_terms(
    config: SilotConfig, images: Tensor, painted: Tensor, clip: Clip, what_weight: float
) -> dict[str, Tensor]:
    """Reconstruction, and KLs of the posterior from the fixed priors, by name, [] each, nats.

    Args:
        config: settings of the model.
        images: what was seen, [T, B, C, H, W].
        painted: the reconstruction, the same.
        clip: what the posterior made of the images.
        what_weight: of the KLs of appearances; see the function of that name.

    Source: SILOT 3.7 and E.1.
    """
    reconstruction = cross_entropy(images, painted, config.log_floor)
    # Where one channel is seen, it stands for three equal ones.
    terms = {"reconstruction": 3 / config.n_channels * reconstruction}
    kinds = {"discovery": (clip.found, prior_of_discovery(config, images))}
    if clip.moved is not None:
        prior = prior_of_propagation(config, images)
        if config.size_prior_on_increment:
            prior = around_last_sizes(prior, clip.states[:-1], config)
        kinds["propagation"] = clip.moved, prior
    for kind, (drawn, prior) in kinds.items():
        parts = gaussian_terms(drawn, prior)
        parts["what"] = what_weight * parts["what"]
        terms |= {f"{kind}_{name}": value for name, value in parts.items()}
    return terms


def learned_prior_terms(posterior: Drawn, prior: Drawn) -> dict[str, Tensor]:
    """KLs of propagation from the learned prior, by name, [] each, nats.

    Args:
        posterior: of propagation, [T - 1, B, K, ...].
        prior: of the learned prior's own steps beside it, the same.

    Source: SILOT 3.7. No gradient is stopped: the posterior is drawn to the prior as well.
    """
    parts = gaussian_terms(posterior, Gaussian(prior.mean, prior.scale))
    parts["presence"] = presence_divergence(posterior.sample, posterior.logit, prior.logit)
    return {f"prior_{name}": value for name, value in parts.items()}


def roll_out_term(imagined: Objects, seen: Objects, is_new: Tensor, anchor: float) -> Tensor:
    """How far imagined objects are from those seen, [], per video.

    The KLs judge single steps from the posterior's states. What several steps in a row add up to,
    bounces above all, only this term sees. Source: ours.

    Objects count as long as the posterior carries them on: with the distance of their boxes
    (smooth L1, quadratic below half a pixel), and with minus the log of their presence.

    Args:
        imagined: the frames after those seen, [h, B, K, ...].
        seen: the last seen frame and the same frames, [1 + h, B, K, ...].
        is_new: of the frames after those seen, [h, B, K].
        anchor: pixels in a unit of boxes.
    """
    there = (seen.pres[..., 0] > 0.5).float()
    stays = (there[:1] * (there[1:] * ~is_new).cumprod(0)).detach()
    boxes = (imagined.box * anchor, seen.box[1:].detach() * anchor)
    distance = F.smooth_l1_loss(*boxes, reduction="none", beta=0.5).sum(-1)
    absence = -torch.log(imagined.pres[..., 0] + EPSILON)
    return (stays * (distance + absence)).sum() / is_new.shape[1]


def presence_term(clip: Clip, log_odds: Tensor) -> Tensor:
    """KL of all presences from the count prior, [], nats.

    The units of a frame are the K slots, then the J cells; in the first frame there are cells
    only, and the count starts behind the slots.

    Source: SILOT 3.7; docs/models/silot.md 5.3.
    """
    K, J = clip.states.shape[2], clip.found.logit.shape[2]
    tables = count_prior(K + J, log_odds)
    found, found_on = clip.found.logit[..., 0], clip.found.pres[..., 0] > 0.5
    term = count_divergence(found[:1], found_on[:1], tables, K)
    if clip.moved is not None:
        logits = torch.cat([clip.moved.logit[..., 0], found[1:]], -1)
        on = torch.cat([clip.moved.pres[..., 0] > 0.5, found_on[1:]], -1)
        term = term + count_divergence(logits, on, tables, 0)
    return term


def cross_entropy(images: Tensor, painted: Tensor, floor: float) -> Tensor:
    """Bernoulli cross entropy of pixels in [0, 1], per video, nats.

    Args:
        images: truth, [T, B, C, H, W].
        painted: reconstruction, same shape, in [0, 1] as the renderer's always are.
        floor: added inside the logarithms.
    """
    return pixel_entropy(images, painted, floor).sum() / images.shape[1]


def pixel_entropy(images: Tensor, painted: Tensor, floor: float) -> Tensor:
    """The same of each pixel."""
    # Not (1 + floor) - painted: in float32 1 + 1e-9 is 1, and a painted 1 would leave log(0).
    on, off = torch.log(painted + floor), torch.log((1 - painted) + floor)
    return -torch.lerp(off, on, images)


def gaussian_terms(drawn: Drawn, prior: Gaussian) -> dict[str, Tensor]:
    """KLs of objects' Gaussians, each object's weighted with its presence, by part.

    Args:
        drawn: [T, B, N, ...].
        prior: [T, B, N, 5 + A] or [5 + A].
    """
    divergence = drawn.pres * gaussian_kl(drawn.mean, drawn.scale, *prior)
    sums = divergence.sum((0, 1, 2)) / drawn.pres.shape[1]
    parts = sums.split([2, 2, len(sums) - 5, 1])
    return {name: part.sum() for name, part in zip(PARTS, parts, strict=True)}


def prior_of_discovery(config: SilotConfig, like: Tensor) -> Gaussian:
    """The fixed prior of discovered attributes, [5 + A]: N(0, 1) but for the size logits.

    Source: docs/models/silot.md 5.2.
    """
    mean, scale = like.new_zeros(5 + config.what_size), like.new_ones(5 + config.what_size)
    mean[2:4] = config.size_prior_mean
    scale[2:4] = config.size_prior_std
    return Gaussian(mean, scale)


def prior_of_propagation(config: SilotConfig, like: Tensor) -> Gaussian:
    """The fixed prior of propagated attributes, [5 + A].

    Source: docs/models/silot.md 5.2: the authors' code compares the size logits themselves with
    the prior of discovery, the supplement their increments with N(0, 0.3).
    """
    mean, scale = prior_of_discovery(config, like)
    scale[:2] = config.where_prior_std
    scale[4:-1] = config.what_prior_std
    if config.size_prior_on_increment:
        scale[2:4] = config.where_prior_std
    return Gaussian(mean, scale)


def around_last_sizes(prior: Gaussian, states: Tensor, config: SilotConfig) -> Gaussian:
    """The prior of propagation with size logits expected where they were, [T, B, K, 5 + A].

    Args:
        prior: of propagated attributes, [5 + A].
        states: packed objects that are propagated, [T, B, K, S].
        config: of the model.
    """
    last = unpacked(states, config.what_size).size_logit
    mean = prior.mean.expand(*states.shape[:-1], -1)
    return Gaussian(torch.cat([mean[..., :2], last, mean[..., 4:]], -1), prior.scale)


def count_divergence(
    logits: Tensor, on: Tensor, tables: tuple[Tensor, Tensor], first_unit: int
) -> Tensor:
    """KL of presences from the count prior, nats per video.

    Args:
        logits: of the units in the prior's order, [T, B, n].
        on: whether each is on, [T, B, n].
        tables: of `count_prior`.
        first_unit: number of units before the first of these, all off.
    """
    n = logits.shape[-1]
    before = on.long().cumsum(-1) - on.long()
    units = torch.arange(first_unit, first_unit + n, device=logits.device)
    log_on, log_off = (table[units, before] for table in tables)
    return bernoulli_kl(torch.sigmoid(logits), log_on, log_off).sum() / logits.shape[1]


def presence_divergence(sample: Tensor, logits: Tensor, prior_logits: Tensor) -> Tensor:
    """One-sample estimate of the KL between relaxed presences, nats per video.

    Args:
        sample: logits of the samples, [T, B, K, 1].
        logits: posterior.
        prior_logits: learned prior.
    """
    posterior = relaxed_bernoulli_log_density(sample, logits)
    prior = relaxed_bernoulli_log_density(sample, prior_logits)
    return (posterior - prior).sum() / sample.shape[1]


def count_prior(n: int, log_odds: Tensor) -> tuple[Tensor, Tensor]:
    """Logs of the chances that the next unit is on, and off, given how many before it are on.

    The number C of units on, of n, has P(C) ~ s^C, and which are on is uniform given C. With i
    units seen and c of them on, P(next on) = sum_C w_C (C - c) / (n - i) / sum_C w_C with
    w_C = s^C binom(n - i, C - c) / binom(n, C), C from c to c + n - i.

    Args:
        n: number of units.
        log_odds: log(s / (1 - s)), [] float64.

    Returns:
        Two tables [n, n + 1], float32: row i units seen, column c on; log(p + 1e-9) and
        log(1 - p + 1e-9). Columns c > i never occur and hold p = 0.

    Source: docs/models/silot.md 5.3; the closed form of the authors' loop over units.
    """
    ways, ratios = _count_ways(n, log_odds.device)
    logs = ways + torch.arange(n + 1, device=log_odds.device) * F.logsigmoid(log_odds)
    # Where c > i nothing is possible: the clamps keep the empty sums from dividing 0 by 0.
    top = logs.amax(-1, keepdim=True).clamp(min=-1e300)
    weights = torch.exp(logs - top)
    total = weights.sum(-1).clamp(min=1e-300)
    on = (weights * ratios).sum(-1) / total
    off = (weights * (1 - ratios)).sum(-1) / total
    return torch.log(on + EPSILON).float(), torch.log(off + EPSILON).float()


@cache
def _count_ways(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What no schedule changes, [n, n + 1, n + 1]: log(w_C / s^C) and (C - c) / (n - i)."""
    seen, on, count = torch.meshgrid(
        torch.arange(n), torch.arange(n + 1), torch.arange(n + 1), indexing="ij"
    )
    left, more = n - seen, count - on
    possible = (more >= 0) & (more <= left) & (on <= seen)
    ways = _log_binomial(left, more) - _log_binomial(torch.full_like(count, n), count)
    ratios = torch.where(possible, more / left, 0.0).double()
    return ways.masked_fill(~possible, -torch.inf).to(device), ratios.to(device)


def _log_binomial(n: Tensor, k: Tensor) -> Tensor:
    """Log of the binomial coefficient; meaningless where k is not in 0..n."""
    n, k = n.double(), k.double()
    rest = (n - k).clamp(min=0)
    return torch.lgamma(n + 1) - torch.lgamma(k.clamp(min=0) + 1) - torch.lgamma(rest + 1)


def count_log_odds(config: SilotConfig, step: int) -> float:
    """Log odds of the count prior: a high start that invites objects, then a low end.

    Source: docs/models/silot.md 6; odds = (start - end) * 0.1 ** (step / decay) + end.
    """
    start, end = config.count_odds_start, config.count_odds_end
    fallen = 0.1 ** (step / config.count_odds_decay)
    return math.log((start - end) * fallen + end + 1e-6)


def what_weight(config: SilotConfig, step: int) -> float:
    """Weight of the KLs of appearances against their fixed priors.

    Without it, the prior wins while boxes are still poor and all cells are on, and appearances
    have to be learned a second time. Source: ours.
    """
    return min(1.0, 0.02 + step / config.what_warmup) if config.what_warmup else 1.0
