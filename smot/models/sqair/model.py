"""SQAIR: sequential attend, infer, repeat, put together.

Shapes beyond the usual letters: K particles of a video lie side by side in S = B * K rows; slots
come before rows, so that the loops over slots read whole blocks; N slots may be fewer than the
most allowed wherever no row uses more.
"""

import torch
from torch import Tensor, nn

from smot.errors import DataError
from smot.models.family import Objective
from smot.models.sqair.clips import Clip
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.generative import Evidence, Generative, diagnosis, logit_excess
from smot.models.sqair.inference import Inference
from smot.models.sqair.noise import Noise
from smot.models.sqair.objective import effective_particles, importance_bound, loss


class Sqair(nn.Module):
    """The whole model: inference network, generative model, objective.

    Args:
        config: all settings.
        generator: source of the initial weights.

    Source: Kosiorek, Kim, Posner and Teh 2018, arXiv 1806.01794; details from the original code
    as sqair.md records them.
    """

    def __init__(self, config: SqairConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.inference = Inference(config, generator)
        self.generative = Generative(config, generator)

    def objective(self, frames: Tensor, *, step: int, generator: torch.Generator) -> Objective:
        """The importance-weighted bound with its score term, per frame.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3].
            step: number of updates made so far.
            generator: source of all noise.

        Returns:
            Everything in float32, whatever autocast says: densities need it, and products of
            some thirty rows gain little. The total is divided by the number of frames, as in the
            original: what its optimiser does depends on the size of the gradient. Terms are nats
            per frame, or see `smot.models.sqair.generative.diagnosis`.
        """
        with torch.autocast(frames.device.type, enabled=False):
            return self._objective(self.pixels(frames), step, generator)

    def _objective(self, pixels: Tensor, step: int, generator: torch.Generator) -> Objective:
        config = self.config
        B, T = pixels.shape[:2]
        n_rows, n_slots = B * config.n_particles, config.n_slots_at(step)
        noise = Noise.draw(T, n_slots, n_rows, config.n_what, generator)
        if config.shared_noise and self.training:
            noise = noise.shared(config.n_particles)
        clip = self.infer(pixels, noise)
        evidence = self.generative.evidence(pixels, clip, config.step_success_at(step))
        log_weights = evidence.log_weights.sum(0).view(B, -1)
        per_video = loss(
            log_weights,
            evidence.score.sum(0).view(B, -1),
            estimator=config.estimator,
            clip=config.signal_clip * T,
            weight=config.score_weight_at(step),
        )
        if config.logit_limit > 0:
            excess = logit_excess(clip, config.logit_limit, config.later_bias).view(B, -1).mean(-1)
            per_video = per_video + config.logit_pull * excess
        terms = diagnosis(pixels, clip, evidence, config.geometry)
        terms["bound"] = importance_bound(log_weights.detach()).mean() / T
        terms["elbo"] = log_weights.detach().mean() / T
        terms["effective_particles"] = effective_particles(log_weights.detach()).mean()
        terms["weight_spread"] = log_weights.detach().std(-1).mean()
        return Objective(total=per_video.mean() / T, terms=terms)

    def pixels(self, frames: Tensor) -> Tensor:
        """Frames as the model reads them.

        Args:
            frames: uint8 RGB, [B, T, H, W, 3].

        Returns:
            [B, T, C, H, W], in [0, 1].

        Raises:
            DataError: frames of another size than the model was made for.
        """
        if frames.dim() != 5 or tuple(frames.shape[2:]) != (*self.config.frame_size, 3):
            H, W = self.config.frame_size
            expected = f"[B, T, {H}, {W}, 3]"
            raise DataError(f"this SQAIR reads frames {expected}, not {list(frames.shape)}")
        pixels = frames.permute(0, 1, 4, 2, 3).float() / 255
        return pixels.mean(2, keepdim=True) if self.config.channels == 1 else pixels.contiguous()

    def infer(
        self,
        pixels: Tensor,
        noise: Noise,
        *,
        counts: Tensor | None = None,
        early_exit: bool = True,
    ) -> Clip:
        """Sample what is in a clip.

        Args:
            pixels: [B, T, C, H, W].
            noise: for T frames, S = B * K rows and N slots; N may differ from training's.
            counts: how many objects each row has from the first frame to the last, [S]; None
                where presence is inferred (or fixed by the settings).
            early_exit: skip slots that no row uses; the outcome is the same either way.

        Returns:
            All samples and what their densities need.
        """
        prepared = self.inference.prepared()
        given = self.inference.given(pixels, noise.n_rows // len(pixels), prepared)
        memory = self.inference.start(noise.n_rows)
        samples = []
        for t in range(pixels.shape[1]):
            sample, memory = self.inference.advance(
                pixels[:, t], given[t], memory, noise.at(t), self.generative.propagation_prior,
                prepared, counts=counts, early_exit=early_exit,
            )  # fmt: skip
            samples.append(sample)
        told = counts is not None or self.config.presence == "fixed"
        return Clip.of(samples, n_most=noise.n_slots, told=told)

    def evidence(self, pixels: Tensor, clip: Clip, step_success: float | None = None) -> Evidence:
        """Log densities of a clip; see `smot.models.sqair.generative.Generative.evidence`."""
        return self.generative.evidence(pixels, clip, step_success)


def build(config: SqairConfig, seed: int) -> Sqair:
    """A freshly initialised model.

    Args:
        config: all settings.
        seed: of the initial weights.
    """
    return Sqair(config, torch.Generator().manual_seed(seed))
