"""SQAIR ported line by line: what the package's rearrangements are timed and tested against.

Every step concatenates all of its inputs, the frame is encoded again in every discovery step, all
slots are always computed, sampling goes through `grid_sample`, every slot paints a canvas of its
own, and densities are evaluated where they arise. The weights are those of a `Sqair` module.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from smot.models.sqair import Sqair
from smot.models.sqair.encoders import Gru, Mlp, Product
from smot.models.sqair.objects import Noise
from smot.models.sqair.priors import PropagationPrior


@dataclass
class Weights:
    """Log importance weights and log q of presence, [S] each, summed over the clip."""

    log_weight: Tensor
    score: Tensor
    present: list[Tensor] = field(default_factory=list)


class Port:
    """The straightforward model around the weights of ``module`` ("rnn" prior, "mlp" encoder)."""

    def __init__(self, module: Sqair) -> None:
        self.config = module.config
        self.inference, self.generative = module.inference, module.generative

    def __call__(self, pixels: Tensor, noise: Noise) -> Weights:
        """Weights of a clip: pixels [B, T, C, H, W], noise for S = B * K rows."""
        N, S = noise.presence.shape[2:]
        frames = pixels.repeat_interleave(S // len(pixels), dim=0)
        zeros = frames.new_zeros(S)
        outcome = Weights(log_weight=zeros, score=zeros)
        state = self._start(S, N)
        for t in range(frames.shape[1]):
            state = self._frame(frames[:, t], t, state, noise, outcome)
            outcome.present.append(torch.stack([slot["present"] for slot in state]))
        return outcome

    def _start(self, S: int, N: int) -> list[dict[str, Tensor]]:
        h, A = self.config.n_hidden, self.config.n_what
        zeros = torch.zeros(S, 1)
        return [
            {
                "what": zeros.expand(S, A),
                "where": zeros.expand(S, 4),
                "present": zeros[:, 0],
                "temporal": zeros.expand(S, h),
                "prior": zeros.expand(S, h),
            }
            for _ in range(N)
        ]

    def _frame(
        self,
        frames: Tensor,
        t: int,
        state: list[dict[str, Tensor]],
        noise: Noise,
        outcome: Weights,
    ) -> list[dict[str, Tensor]]:
        N = len(state)
        kept, staying = self._propagate(frames, t, state, noise, outcome)
        condition = torch.zeros(len(frames), self.config.n_hidden)
        for slot in kept:
            both = torch.cat([slot["what"], slot["where"]], dim=1)
            each = mlp(self.inference.condition, both)
            condition = condition + slot["present"][:, None] * each
        staying = (staying - 0.5 * N) / N
        found = self._discover(frames, t, condition, staying, noise, outcome)
        state = pack(kept + found)[:N]
        outcome.log_weight = outcome.log_weight + self._likelihood(frames, state)
        return state

    def _propagate(
        self,
        frames: Tensor,
        t: int,
        state: list[dict[str, Tensor]],
        noise: Noise,
        outcome: Weights,
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        net, prior = self.inference.propagation, self.generative.propagation_prior
        S, A, G = len(frames), self.config.n_what, self.config.glimpse_size
        r = net.relation_start.expand(S, -1)
        before = torch.zeros(S, A + 5)
        lower = torch.zeros(4, 4)
        lower[torch.tril_indices(4, 4).unbind()] = net.where_factor
        kept, staying = [], torch.zeros(S)
        for k, old in enumerate(state):
            was, tau = old["present"], old["temporal"]
            stay_logit, expected, prior_state = self._expected(prior, old)
            staying = staying + stay_logit.sigmoid()
            mask = mlp(net.mask, tau).sigmoid().view(S, 1, G, G)
            place = old["where"] + 0.1 * mlp(net.proposal, tau)
            proposal, _ = self._encode(crop(frames, place, G) * mask)
            inputs = torch.cat(
                [proposal, before, old["what"], old["where"], was[:, None], tau], dim=1
            )
            r = torch.tanh(linear(net.relation, inputs) + linear(net.relation_state, r))
            moved = mlp(net.where, torch.cat([r, old["where"], tau], dim=1))
            std = F.softplus(moved[:, 4:] + net.where_std - 1) + 0.01
            factor = std[:, :, None] * lower + torch.diag_embed(std)
            shift = (factor @ noise.where[t, 0, k][..., None])[..., 0]
            where = old["where"] + moved[:, :4] + shift
            seen, seen_std = self._encode(crop(frames, where, G) * mask)
            temporal = gru(net.temporal, torch.cat([r, where, seen, seen_std], dim=1), tau)
            trend = linear(net.temporal_what, temporal)
            trend, trend_std = trend[:, :A], F.softplus(trend[:, A:]) + 0.01
            gates = 0.9999 * linear(net.gates, temporal).sigmoid()
            f, i, g = gates.split(A, dim=1)
            looks = Normal(
                f * old["what"] + (1 - i) * seen + (1 - g) * trend,
                (1 - i) * seen_std + (1 - g) * trend_std,
            )
            what = looks.loc + looks.scale * noise.what[t, 0, k]
            logit = mlp(net.presence, torch.cat([r, tau, what], dim=1))[:, 0]
            logit = was * logit + (was - 1) * 88
            present = (noise.presence[t, 0, k] < logit.sigmoid()).float() * was
            squares = Normal(0.0, 1.0).log_prob(noise.where[t, 0, k]).sum(1)
            log_q_where = squares - factor.diagonal(dim1=1, dim2=2).log().sum(1)
            log_q = (log_q_where + looks.log_prob(what).sum(1)) * present
            log_p = sum(
                dist.log_prob(value).sum(1)
                for dist, value in zip(expected, (where, what), strict=True)
            )
            score = was * Bernoulli(logits=logit).log_prob(present)
            stay = was * Bernoulli(logits=stay_logit).log_prob(present)
            outcome.log_weight = outcome.log_weight + log_p * present + stay - log_q - score
            outcome.score = outcome.score + score
            before = torch.cat([what, where, present[:, None]], dim=1)
            kept.append(
                {
                    "what": what,
                    "where": where,
                    "present": present,
                    "temporal": temporal,
                    "prior": prior_state,
                }
            )
        return kept, staying

    def _expected(
        self, prior: PropagationPrior, old: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Normal, Normal], Tensor]:
        A, was = self.config.n_what, old["present"]
        state = gru(prior.gru, torch.cat([old["what"], old["where"]], dim=1), old["prior"])
        out = linear(prior.output, state)
        logit = was * (out[:, 0] + self.config.prior_propagation_bias) + (was - 1) * 88
        where = Normal(out[:, 1:5], F.softplus(out[:, 5:9]) + 0.01)
        what = Normal(out[:, 9 : 9 + A], F.softplus(out[:, 9 + A :]) + 0.01)
        return logit, (where, what), state

    def _discover(
        self,
        frames: Tensor,
        t: int,
        condition: Tensor,
        staying: Tensor,
        noise: Noise,
        outcome: Weights,
    ) -> list[dict[str, Tensor]]:
        net, prior = self.inference.discovery, self.generative.where_prior
        S, A, N = len(frames), self.config.n_what, noise.presence.shape[2]
        d, present = net.start.expand(S, -1), torch.ones(S)
        what, where = torch.zeros(S, A), torch.zeros(S, 4)
        context = torch.cat([prior.context_start.expand(S, -1), condition, staying[:, None]], 1)
        context = F.elu(linear(prior.context, context))
        place = prior.where_start.expand(S, -1)
        found, n_found = [], torch.zeros(S)
        for k in range(N):
            features = mlp(self.inference.frame_encoder.mlp, frames.flatten(1))
            inputs = torch.cat([features, condition, what, where, present[:, None]], dim=1)
            d = torch.tanh(linear(net.recurrent, inputs) + linear(net.recurrent_state, d))
            placed = mlp(net.where, d)
            places = Normal(placed[:, :4], F.softplus(placed[:, 4:] + net.where_std) + 0.01)
            where = places.loc + places.scale * noise.where[t, 1, k]
            looks = Normal(*self._encode(crop(frames, where, self.config.glimpse_size)))
            what = looks.loc + looks.scale * noise.what[t, 1, k]
            logit = mlp(net.presence, torch.cat([d, what], dim=1))[:, 0]
            logit = logit + (self.config.later_bias if t else 0.0)
            logit = present * logit + (present - 1) * 88
            now = (noise.presence[t, 1, k] < logit.sigmoid()).float() * present
            score = present * Bernoulli(logits=logit).log_prob(now)
            hidden = torch.tanh(
                linear(prior.from_where, place) + linear(prior.from_context, context)
            )
            out = linear(prior.output, hidden)
            expected = Normal(out[:, :4], F.softplus(out[:, 4:]) + 0.01)
            log_q = places.log_prob(where).sum(1) + looks.log_prob(what).sum(1)
            log_p = expected.log_prob(where).sum(1) + Normal(0.0, 1.0).log_prob(what).sum(1)
            outcome.log_weight = outcome.log_weight + (log_p - log_q) * now - score
            outcome.score = outcome.score + score
            place, present, n_found = where, now, n_found + now
            found.append(
                {
                    "what": what,
                    "where": where,
                    "present": now,
                    "temporal": self.inference.propagation.temporal_start.expand(S, -1),
                    "prior": self.generative.propagation_prior.start.expand(S, -1),
                }
            )
        counts = torch.tensor([self.config.step_success**n for n in range(N + 1)])
        log_p = (counts / counts.sum()).log()[n_found.long()]
        outcome.log_weight = outcome.log_weight + log_p
        return found

    def _encode(self, glimpses: Tensor) -> tuple[Tensor, Tensor]:
        codes = mlp(self.inference.glimpse_encoder.mlp, glimpses.flatten(1))
        A = self.config.n_what
        return codes[:, :A], F.softplus(codes[:, A:]) + 0.01

    def _likelihood(self, frames: Tensor, state: list[dict[str, Tensor]]) -> Tensor:
        decoder, G = self.generative.decoder, self.config.glimpse_size
        H, W = self.config.frame_size
        canvas, cover = torch.zeros_like(frames), torch.zeros_like(frames[:, :1])
        for slot in state:
            patch = mlp(decoder.mlp, slot["what"]) * decoder.output_scale
            patch = patch.view(len(frames), self.config.channels, G, G)
            shown = slot["present"][:, None, None, None]
            canvas = canvas + shown * place_patch(patch, slot["where"], H, W)
            cover = cover + shown * place_patch(torch.ones_like(patch[:, :1]), slot["where"], H, W)
        canvas = canvas + decoder.mean_image * torch.sigmoid(20 * cover - 10)
        density: Tensor = Normal(canvas, self.config.output_std).log_prob(frames)
        return density.sum((1, 2, 3))


def linear(layer: Product, inputs: Tensor) -> Tensor:
    return F.linear(inputs, layer.weight, getattr(layer, "bias", None))


def mlp(layers: Mlp | None, inputs: Tensor) -> Tensor:
    assert layers is not None
    for number, layer in enumerate(layers.layers):
        assert isinstance(layer, Product)
        inputs = linear(layer, F.elu(inputs) if number else inputs)
    return F.elu(inputs) if layers.elu_output else inputs


def gru(cell: Gru, inputs: Tensor, state: Tensor) -> Tensor:
    weights = (cell.from_input.weight, cell.from_state.weight)
    return torch.gru_cell(inputs, state, *weights, cell.from_input.bias, cell.from_state.bias)


def geometry(where: Tensor) -> tuple[Tensor, ...]:
    """Scales and shifts along x and y, [S] each; scales not below 1e-4."""
    scale = where[:, :2].sigmoid()
    scale = scale + (scale.clamp(min=1e-4) - scale).detach()
    return *scale.unbind(1), *where[:, 2:].tanh().unbind(1)


def crop(frames: Tensor, where: Tensor, size: int) -> Tensor:
    """Glimpses [S, C, size, size] by affine grid and grid sampling."""
    sx, sy, tx, ty = geometry(where)
    zero = torch.zeros_like(sx)
    theta = torch.stack([sx, zero, tx, zero, sy, ty], dim=1).view(-1, 2, 3)
    shape = [len(frames), frames.shape[1], size, size]
    return F.grid_sample(
        frames, F.affine_grid(theta, shape, align_corners=True), align_corners=True
    )


def place_patch(patch: Tensor, where: Tensor, H: int, W: int) -> Tensor:
    """The inverse of `crop`: [S, C, H, W]."""
    sx, sy, tx, ty = geometry(where)
    zero = torch.zeros_like(sx)
    theta = torch.stack([1 / sx, zero, -tx / sx, zero, 1 / sy, -ty / sy], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(patch), patch.shape[1], H, W], align_corners=True)
    return F.grid_sample(patch, grid, align_corners=True)


def pack(slots: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """All slots with those that hold an object first, in their order."""
    present = torch.stack([slot["present"] for slot in slots])
    order = torch.sort(1 - present, dim=0, stable=True).indices
    rows = torch.arange(present.shape[1])
    stacked = {name: torch.stack([slot[name] for slot in slots]) for name in slots[0]}
    return [{name: part[each, rows] for name, part in stacked.items()} for each in order]
