"""Settings of SQAIR: plain values, checked when made."""

from dataclasses import dataclass
from typing import Literal

from smot.errors import UsageError

LEAST = {
    "n_slots": 1,
    "n_particles": 2,
    "glimpse_size": 2,
    "n_what": 1,
    "n_hidden": 2,
    "n_filters": 1,
    "what_std_floor": 0,
    "score_ramp_steps": 0,
    "signal_clip": 0,
    "slot_steps": 0,
    "logit_limit": 0,
}


@dataclass(frozen=True, kw_only=True)
class SqairConfig:
    """Sizes, priors and objective of SQAIR.

    The defaults are those of the comparison in the SILOT paper for up to six digits. The
    constants of the original release, and those for twelve digits, are presets.

    Attributes:
        frame_size: H, W, pixels.
        channels: 3 reads the frames as they are; 1 their mean over the colours, for white digits.
            The likelihood sums over channels: 3 channels weigh the image three times, so 1 channel
            with `output_std` 0.3 / sqrt(3) is the same problem.
        n_slots: N, most objects in a frame, and most discoveries in a frame.
        n_particles: K, importance samples per video.
        glimpse_size: G, side of the patch that an object is seen and painted through, pixels.
        n_what: A, numbers that describe an object's appearance.
        n_hidden: width of every hidden layer and recurrent state, even; some are half as wide.
        encoder: "mlp" or "conv", how the whole frame is read by discovery.
        n_filters: of every convolution.
        filter_gain: deviation of the convolutions' initial weights, in units of (inputs)^-1/2,
            before they are cut at two deviations. 1 as in both codes, with which a frame all but
            vanishes behind six layers; 1.6 keeps its size through the ReLUs.
        count_prior: prior of the number of discoveries: "cat" (learned) or "geom" (truncated).
        step_success: ratio of successive probabilities of the "geom" prior.
        discovery_bias: initial bias of the posterior's logit of one more discovery.
        later_bias: added to the posterior's logits of discovery in all frames but the first. 0 as
            in both codes; well below 0, what was found once is followed before anything is found
            again.
        propagation_bias: initial bias of the posterior's logit that an object stays.
        prior_propagation_bias: added to the prior's logit that an object stays.
        propagation_prior: what the learned prior's means are relative to: "rnn" nothing, "rw" the
            last value itself, "guided" the last value with a small learned change.
        where_std_bias: initial bias before the softplus of the posterior's box deviations.
        scale_bounds: smallest and largest size of a box, shares of the frame.
        scale_prior: initial mean of the size logits under the discovery prior.
        output_scale: initial factor on painted patches.
        output_std: deviation of the pixel likelihood.
        mean_image: initial value of every pixel of the learned mean image.
        what_std_floor: added to the deviation of a propagated object's appearance; 0 as in the
            original, which then rests on gates that never quite close.
        estimator: score-function signal, "code" (as in the original code) or "vimco".
        score_ramp_steps: updates over which the score term grows from 0 to its full weight.
        shared_noise: whether the particles of a video get the same noise for places and looks in
            training, so that their weights differ by what they decided about presence alone.
        signal_clip: bound on the size of the score signal, nats per frame of the clip; 0 leaves
            it alone.
        slot_steps: updates after which training allows one more slot, beginning with one; 0
            allows all from the start.
        logit_limit: discovery's logits of presence, before `later_bias`, are penalised by the
            square of what their size exceeds this by, so that no choice is ever certain and
            something can still be learned about it; 0 for none.
        tight_boxes: whether the tracker reports the extent of an object's ink in place of the
            patch that it is painted through, and nothing where there is none. Nothing in the
            objective asks for a tight patch, and little against a black one.
        ink_threshold: least brightness that counts as ink, in (0, 1).

    Raises:
        UsageError: a value outside its range.
    """

    frame_size: tuple[int, int] = (48, 48)
    channels: Literal[1, 3] = 3
    n_slots: int = 6
    n_particles: int = 2
    glimpse_size: int = 14
    n_what: int = 50
    n_hidden: int = 256
    encoder: Literal["mlp", "conv"] = "mlp"
    n_filters: int = 128
    filter_gain: float = 1.0
    count_prior: Literal["cat", "geom"] = "geom"
    step_success: float = 0.516
    discovery_bias: float = 5.0
    later_bias: float = 0.0
    propagation_bias: float = 5.0
    prior_propagation_bias: float = 10.0
    propagation_prior: Literal["rnn", "rw", "guided"] = "rnn"
    where_std_bias: float = -3.0
    scale_bounds: tuple[float, float] = (0.0, 1.0)
    scale_prior: float = -2.0
    output_scale: float = 0.25
    output_std: float = 0.3
    mean_image: float = 0.0
    what_std_floor: float = 0.0
    estimator: Literal["code", "vimco"] = "code"
    score_ramp_steps: int = 0
    shared_noise: bool = False
    signal_clip: float = 0.0
    slot_steps: int = 0
    logit_limit: float = 0.0
    tight_boxes: bool = False
    ink_threshold: float = 0.12

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        low, high = self.scale_bounds
        for name, fits, allowed in (
            ("frame_size", min(self.frame_size) >= 8, "at least 8 pixels high and wide"),
            ("n_hidden", self.n_hidden % 2 == 0, "even"),
            ("filter_gain", self.filter_gain > 0, "above 0"),
            ("output_std", self.output_std > 0, "above 0"),
            ("step_success", 0 < self.step_success <= 1, "in (0, 1]"),
            ("ink_threshold", 0 < self.ink_threshold < 1, "in (0, 1)"),
            ("scale_bounds", 0 <= low < high <= 1, "two rising numbers within [0, 1]"),
        ):
            if not fits:
                raise UsageError(f"{name} must be {allowed}, not {getattr(self, name)}")
        if self.slot_steps and self.count_prior == "cat":
            raise UsageError("slot_steps must be 0 with count_prior 'cat', which has its own size")

    def score_weight_at(self, step: int) -> float:
        """Weight of the score term after so many updates, in [0, 1]."""
        return min(step / self.score_ramp_steps, 1.0) if self.score_ramp_steps else 1.0

    def n_slots_at(self, step: int) -> int:
        """Slots that training allows after so many updates."""
        return min(1 + step // self.slot_steps, self.n_slots) if self.slot_steps else self.n_slots
