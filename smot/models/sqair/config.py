"""Settings of SQAIR: plain values, checked when made."""

from dataclasses import dataclass

from smot.errors import UsageError

ENCODERS = ("mlp", "conv")
PRESENCES = ("inferred", "fixed")
COUNT_PRIORS = ("cat", "geom")
PROPAGATION_PRIORS = ("rnn", "rw", "guided")
ESTIMATORS = ("code", "vimco")


@dataclass(frozen=True, kw_only=True)
class SqairConfig:
    """Sizes, priors and objective of SQAIR.

    The defaults are those of the comparison in the SILOT paper for up to six digits. The
    constants of the original release, and those for twelve digits, are presets of
    `smot.experiments`.

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
        presence: "inferred"; or "fixed": exactly N objects from the first frame to the last.
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
        where_bias: initial mean of the posterior's size logits of a discovered box; 0 (half the
            frame) as in both codes.
        scale_bounds: smallest and largest size of a box, shares of the frame.
        scale_prior: initial mean of the size logits under the discovery prior.
        output_scale: initial factor on painted patches.
        output_std: deviation of the pixel likelihood.
        mean_image: initial value of every pixel of the learned mean image.
        masked_glimpse: whether propagation looks through a learned mask.
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
        logit_limit: discovery's logits of presence, before `later_bias`, are penalised where
            their size exceeds this, so that no choice is ever certain and something can still be
            learned about it; 0 for none.
        logit_pull: strength of that penalty, nats per squared logit beyond the limit.
        count_anneal_start: ratio of the "geom" prior at step 0, moving to `step_success`
            geometrically over `count_anneal_steps`; with 0 steps it plays no part.
        count_anneal_steps: see above.
        tight_boxes: whether the tracker reports the extent of an object's ink in place of the
            patch that it is painted through, and nothing where there is none. Nothing in the
            objective asks for a tight patch, and little against a black one.
        ink_threshold: least brightness that counts as ink, in (0, 1).

    Raises:
        UsageError: a value outside its range, or a name that is not known.
    """

    frame_size: tuple[int, int] = (48, 48)
    channels: int = 3
    n_slots: int = 6
    n_particles: int = 2
    glimpse_size: int = 14
    n_what: int = 50
    n_hidden: int = 256
    encoder: str = "mlp"
    n_filters: int = 128
    filter_gain: float = 1.0
    presence: str = "inferred"
    count_prior: str = "geom"
    step_success: float = 0.516
    discovery_bias: float = 5.0
    later_bias: float = 0.0
    propagation_bias: float = 5.0
    prior_propagation_bias: float = 10.0
    propagation_prior: str = "rnn"
    where_std_bias: float = -3.0
    where_bias: float = 0.0
    scale_bounds: tuple[float, float] = (0.0, 1.0)
    scale_prior: float = -2.0
    output_scale: float = 0.25
    output_std: float = 0.3
    mean_image: float = 0.0
    masked_glimpse: bool = True
    what_std_floor: float = 0.0
    estimator: str = "code"
    score_ramp_steps: int = 0
    shared_noise: bool = False
    signal_clip: float = 0.0
    slot_steps: int = 0
    logit_limit: float = 0.0
    logit_pull: float = 1.0
    count_anneal_start: float = 1.0
    count_anneal_steps: int = 0
    tight_boxes: bool = False
    ink_threshold: float = 0.12

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame_size", tuple(self.frame_size))
        object.__setattr__(self, "scale_bounds", tuple(self.scale_bounds))
        _check_names(self)
        _check_sizes(self)
        _check_reals(self)

    def score_weight_at(self, step: int) -> float:
        """Weight of the score term after so many updates, in [0, 1]."""
        return min(step / self.score_ramp_steps, 1.0) if self.score_ramp_steps else 1.0

    def n_slots_at(self, step: int) -> int:
        """Slots that training allows after so many updates."""
        return min(1 + step // self.slot_steps, self.n_slots) if self.slot_steps else self.n_slots

    def step_success_at(self, step: int) -> float:
        """Ratio of the "geom" count prior after so many updates."""
        if step >= self.count_anneal_steps:
            return self.step_success
        share = step / self.count_anneal_steps
        return float(self.count_anneal_start ** (1 - share) * self.step_success**share)


def _check_names(config: SqairConfig) -> None:
    for name, allowed in (
        ("encoder", ENCODERS),
        ("presence", PRESENCES),
        ("count_prior", COUNT_PRIORS),
        ("propagation_prior", PROPAGATION_PRIORS),
        ("estimator", ESTIMATORS),
    ):
        value = getattr(config, name)
        if value not in allowed:
            raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _check_sizes(config: SqairConfig) -> None:
    height, width = config.frame_size
    for name, value, least in (
        ("frame_size[0]", height, 8),
        ("frame_size[1]", width, 8),
        ("n_slots", config.n_slots, 1),
        ("n_particles", config.n_particles, 2),
        ("glimpse_size", config.glimpse_size, 2),
        ("n_what", config.n_what, 1),
        ("n_hidden", config.n_hidden, 2),
        ("n_filters", config.n_filters, 1),
        ("slot_steps", config.slot_steps, 0),
        ("score_ramp_steps", config.score_ramp_steps, 0),
        ("count_anneal_steps", config.count_anneal_steps, 0),
    ):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if config.channels not in (1, 3):
        raise UsageError(f"channels must be 1 or 3, not {config.channels}")
    if config.slot_steps and config.count_prior == "cat":
        raise UsageError(
            "slot_steps must be 0 with count_prior 'cat', which has a size of its own"
        )
    if config.n_hidden % 2:
        raise UsageError(f"n_hidden must be even, not {config.n_hidden}")


def _check_reals(config: SqairConfig) -> None:
    if config.output_std <= 0:
        raise UsageError(f"output_std must be above 0, not {config.output_std}")
    low, high = config.scale_bounds
    if not 0 <= low < high <= 1:
        raise UsageError(f"scale_bounds must rise within [0, 1], not {low}, {high}")
    if config.filter_gain <= 0:
        raise UsageError(f"filter_gain must be above 0, not {config.filter_gain}")
    for name in ("step_success", "count_anneal_start"):
        value = getattr(config, name)
        if not 0 < value <= 1:
            raise UsageError(f"{name} must be in (0, 1], not {value}")
    if not 0 < config.ink_threshold < 1:
        raise UsageError(f"ink_threshold must be in (0, 1), not {config.ink_threshold}")
    for name in ("signal_clip", "what_std_floor", "logit_limit", "logit_pull"):
        value = getattr(config, name)
        if value < 0:
            raise UsageError(f"{name} must not be negative, not {value}")
