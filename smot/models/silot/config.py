"""The settings of SILOT; every default is that of the paper."""

from dataclasses import dataclass, fields
from typing import Literal

from smot.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SilotConfig:
    """What a SILOT model is, plain values only.

    Attributes:
        n_channels: channels that the model sees: 3, or 1 where objects are white (the first
            channel is taken and the reconstruction counts three times: the same objective).
        anchor: side of the anchor box, the unit of all boxes, pixels.
        crop: side of the random square crop that training sees, pixels; 0 for whole frames.
        n_slots: objects carried from frame to frame.
        cell: side of a grid cell of discovery, pixels: 12 as in the paper, or 6 with a backbone of
            residual blocks.
        sleep_ink: difference to the background, in [0, 1], from which on a pixel belongs to an
            object in such a stage: more for noisy videos.
        sleep_frames: frames of the clips of known objects that inference is taught by, in a stage
            of its own; see `smot.models.silot.scenes`.
        n_backbone_filters: width of the backbone's convolutions.
        kaiming_backbone: whether the backbone's hidden layers begin with He's larger weights in
            place of Xavier's.
        n_features: width of the features of cells and objects, and of encoded glimpses.
        n_backbone_features: width of what the backbone hands to the fuser; 0 for `n_features`.
        fully_connected_discovery: whether the fuser and the networks of boxes, appearances,
            depths and presences have two hidden layers of 100 for each cell by itself, in place
            of two 3x3 convolutions and one layer as wide as its input.
        glimpse_size: side G of glimpses and sprites, pixels.
        what_size: size of an object's appearance latent.
        hidden_size: size of an object's recurrent state.
        where_scale: how far an object can move in one frame, anchors.
        glimpse_offset_scale: how far the first glimpse may stray from the object's last box,
            anchors per unit of network output.
        interacting: whether objects see each other in propagation.
        zero_init_interaction: zero-initialise object-object attention, so that weights trained
            without it give the same output at first (`--init-from`).
        sigma: reach of the attention between places, anchors.
        colour_scale: factor of the decoder's colour logits.
        alpha_scale: factor of the decoder's transparency logits.
        alpha_bias: added to the scaled transparency logits.
        importance_temperature: divides presence times depth where sprites overlap.
        importance_floor: smallest importance under a sprite.
        exponential_importance: whether importance is the exponential of presence times depth over
            the temperature, so that sprites share a pixel by a softmax; it then has no floor.
        background: colour behind all objects, RGB in [0, 1].
        log_floor: added inside the logarithms of the reconstruction's cross entropy.
        size_prior_mean: of the logits of a box's sides (in anchors).
        size_prior_std: of the same.
        size_prior_on_increment: whether propagation's prior of sizes is N(0, where_prior_std) on
            the increments of the logits, in place of discovery's on the logits themselves.
        where_prior_std: of the position increments in propagation.
        what_prior_std: of the appearance increments in propagation.
        discovery_dropout: chance that a frame after the first discovers nothing (training).
        track_dropout: chance that an object is lost before a frame that may discover (training).
        end_below: presence below which an object ends before the next frame, so that discovery
            may find anew what is there; 0 lets faint objects stay as in the paper.
        end_below_training: the same while training, where presences are samples: as high a bound
            would end objects by chance, and they learn not to stay.
        stay_above: probability of staying above which an object goes on while tracking: it then
            has a presence above 1/2, and enters the next frame with 1; 0 for the product of its
            probabilities so far, as in the paper. It then needs `end_below`.
        freeze_attributes: updates during which box, depth and presence networks get no gradient.
        count_odds_start: odds of the count prior at the first update.
        count_odds_end: odds that it falls to.
        count_odds_decay: updates in which the difference falls to a tenth.
        learned_prior_weight: factor of the KL against the learned prior; 0 leaves it untrained.
        prior_own_features: whether the learned prior has its own feature network.
        prior_state_input: what drives the prior's recurrent state while frames are seen: its
            "own" samples or those of the "posterior".
        prior_momentum: whether the learned prior reads an object's last displacement, and counts
            its mean from that; it then needs `prior_own_features`.
        roll_out_weight: factor of the prior's error over several steps in a row, in a stage of its
            own.
        what_warmup: updates in which the weight of the fixed appearance priors' KLs grows from
            nearly 0 to 1; 0 for their full weight from the start.
        initial_what_std: what posteriors of appearances begin with, below 2.
        tight_boxes: whether the tracker reports the extent of an object's ink in place of its
            box; see `smot.models.sprites.ink_boxes`.
        ink_threshold: least difference to the background that counts as ink, in [0, 1].
        link_reach: how far from where it should be by now the tracker looks for an object,
            pixels; 0 keeps the identities of slots. See `linked` in `tracker.py`.
        link_memory: frames for which it looks for an object that it has lost.

    Raises:
        UsageError: a value outside its range.

    Source: the supplement's tables of hyperparameters, and where the authors' code overrides
    them, that; the preset "supplement" has the others. docs/models/silot.md 10 lists every
    difference.
    """

    n_channels: int = 3
    anchor: float = 48.0
    crop: int = 0
    n_slots: int = 16
    cell: int = 12
    sleep_ink: float = 0.02
    sleep_frames: int = 8
    n_backbone_filters: int = 128
    kaiming_backbone: bool = False
    n_features: int = 64
    n_backbone_features: int = 0
    fully_connected_discovery: bool = False
    glimpse_size: int = 14
    what_size: int = 64
    hidden_size: int = 128
    where_scale: float = 1.0
    glimpse_offset_scale: float = 0.1
    interacting: bool = False
    zero_init_interaction: bool = False
    sigma: float = 0.1
    colour_scale: float = 2.0
    alpha_scale: float = 0.1
    alpha_bias: float = 5.0
    importance_temperature: float = 0.25
    importance_floor: float = 0.01
    exponential_importance: bool = False
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    log_floor: float = 1e-9
    size_prior_mean: float = -2.197
    size_prior_std: float = 0.5
    size_prior_on_increment: bool = False
    where_prior_std: float = 0.3
    what_prior_std: float = 0.4
    discovery_dropout: float = 0.5
    track_dropout: float = 0.0
    end_below: float = 0.0
    end_below_training: float = 0.0
    stay_above: float = 0.0
    freeze_attributes: int = 1000
    count_odds_start: float = 1e6
    count_odds_end: float = 0.0125
    count_odds_decay: int = 1000
    learned_prior_weight: float = 1.0
    prior_own_features: bool = False
    prior_state_input: Literal["own", "posterior"] = "own"
    prior_momentum: bool = False
    roll_out_weight: float = 0.0
    what_warmup: int = 0
    initial_what_std: float = 1.0
    tight_boxes: bool = False
    ink_threshold: float = 0.12
    link_reach: float = 0.0
    link_memory: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "background", tuple(self.background))
        self._check("n_channels", self.n_channels in (1, 3), "1 or 3")
        self._check("cell", self.cell in (6, 12), "6 or 12")
        for name in _POSITIVE:
            self._check(name, getattr(self, name) > 0, "above 0")
        for field in fields(self):
            if field.type in (int, float) and field.name not in _SIGNED:
                self._check(field.name, getattr(self, field.name) >= 0, "at least 0")
        for name in ("discovery_dropout", "track_dropout", "end_below", "end_below_training"):
            self._check(name, getattr(self, name) <= 1, "between 0 and 1")
        self._check("link_memory", self.link_memory >= 1, "at least 1")
        self._check("n_slots", self.n_slots <= 10_000, "at most 10,000")
        self._check("initial_what_std", self.initial_what_std < 2, "below 2")
        colours = len(self.background) == 3 and all(0 <= c <= 1 for c in self.background)
        self._check("background", colours, "three numbers between 0 and 1")
        self._check("stay_above", self.stay_above < 1, "below 1")
        fits = self.end_below > 0 or not self.stay_above
        self._check("stay_above", fits, "0 without end_below")
        fits = self.prior_own_features or not self.prior_momentum
        self._check("prior_momentum", fits, "false without prior_own_features")
        known = self.prior_state_input in ("own", "posterior")
        self._check("prior_state_input", known, "own or posterior")

    def _check(self, name: str, right: bool, allowed: str) -> None:
        if not right:
            raise UsageError(f"silot: {name} is {getattr(self, name)!r}, must be {allowed}")


_POSITIVE = (
    "anchor",
    "sleep_ink",
    "sleep_frames",
    "n_slots",
    "n_backbone_filters",
    "n_features",
    "glimpse_size",
    "what_size",
    "hidden_size",
    "where_scale",
    "sigma",
    "importance_temperature",
    "log_floor",
    "size_prior_std",
    "where_prior_std",
    "what_prior_std",
    "initial_what_std",
    "count_odds_start",
    "count_odds_end",
    "count_odds_decay",
)
_SIGNED = ("colour_scale", "alpha_scale", "alpha_bias", "size_prior_mean")

RENAMED = {
    "training_wheels": "freeze_attributes",
    "deaf_at_first": "zero_init_interaction",
    **dict.fromkeys(
        ("sleep_weight", "anneal_from", "anneal_until", "log_floor_end", "size_prior_std_end"), ""
    ),
}
"""Settings as older checkpoints name them; "" for those that are gone."""
