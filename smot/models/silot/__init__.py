"""SILOT, which discovers objects on a grid and propagates them through time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from smot.errors import UsageError
from smot.models.family import Family, Latents, Objective, Preset, PresetTable, Stage
from smot.models.silot.config import RENAMED, SilotConfig
from smot.models.silot.model import Silot
from smot.models.silot.objects import Trajectories
from smot.models.silot.scenes import Found
from smot.models.silot.tracker import SilotTracker
from smot.tracks import DataDescription

__all__ = [
    "FAMILY",
    "Silot",
    "SilotConfig",
    "SilotTracker",
    "adapted",
    "build",
    "load_plus_tracker",
    "load_tracker",
]


def load_tracker(
    checkpoint: str | None = None,
    device: str = "cpu",
    n_slots: int | None = None,
    refine: int = 0,
    latents: Literal["mean", "sample"] = "mean",
    data: DataDescription | None = None,
) -> SilotTracker:
    """SILOT with trained weights: discovers objects on a grid and propagates them through time.

    Args:
        checkpoint: file of weights, or a run's folder; None for the packaged ones that fit the
            data.
        device: "cpu", "cuda", ...
        n_slots: objects carried at most; None for the larger of the model's own number and the
            number of grid cells of a frame.
        refine: steps of gradient by which each frame's objects are refined; 0 for none.
        latents: "mean", or "sample": what inference draws, as in training.
        data: what the videos are like.

    Raises:
        DataError: a checkpoint that cannot be loaded.
        UsageError: one of another family, no packaged weights that fit, `n_slots` below 1,
            `refine` below 0, no such device.
    """
    return _loaded("silot", checkpoint, device, n_slots, refine, latents, data)


def load_plus_tracker(
    checkpoint: str | None = None,
    device: str = "cpu",
    n_slots: int | None = None,
    refine: int = 0,
    latents: Literal["mean", "sample"] = "mean",
    data: DataDescription | None = None,
) -> SilotTracker:
    """SILOT with a finer grid, taught by clips of objects that it has followed; not the paper's.

    Arguments and errors are those of `load_tracker`; only the packaged weights differ.

    Source: ours; docs/models/silot.md 4.3 and 6.1.
    """
    return _loaded("silot-plus", checkpoint, device, n_slots, refine, latents, data)


def _loaded(
    name: str,
    checkpoint: str | None,
    device: str,
    n_slots: int | None,
    refine: int,
    latents: Literal["mean", "sample"],
    data: DataDescription | None,
) -> SilotTracker:
    from smot.models.packaged import load_fitting

    if n_slots is not None and n_slots < 1:
        raise UsageError(f"{name}: n_slots is {n_slots}, must be at least 1")
    if refine < 0:
        raise UsageError(f"{name}: refine is {refine}, must be at least 0")
    if latents not in ("mean", "sample"):
        raise UsageError(f"{name}: latents must be mean or sample, not {latents!r}")
    module = load_fitting("silot", checkpoint, device, data, tracker=name)
    assert isinstance(module, Silot)
    return SilotTracker(model=module, name=name, n_slots=n_slots, refine=refine, latents=latents)


def build(config: SilotConfig, seed: int) -> Silot:
    """A freshly initialised model; the same one from the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Silot(config)


def adapted(config: SilotConfig, data: DataDescription) -> SilotConfig:
    """The settings for such videos: their background, and all channels where there is colour."""
    grey = all(len(set(colour)) == 1 for colour in (*data.palette, data.background))
    red, green, blue = (level / 255 for level in data.background)
    n_channels = config.n_channels if grey else 3
    return replace(config, background=(red, green, blue), n_channels=n_channels)


def _tracker(module: nn.Module, name: str) -> SilotTracker:
    assert isinstance(module, Silot)
    return SilotTracker(model=module, name=name)


def _posterior_tracks(model: nn.Module, frames: Tensor, _: torch.Generator) -> Latents:
    """The fields of `Trajectories` with videos in front, [B, T or T - 1, K, ...]."""
    assert isinstance(model, Silot)
    paths = model.observe(frames)
    return {name: each.transpose(0, 1) for name, each in paths._asdict().items()}


def _prior_objective(model: nn.Module, latents: Latents, generator: torch.Generator) -> Objective:
    assert isinstance(model, Silot)
    paths = Trajectories(**{name: each.transpose(0, 1) for name, each in latents.items()})
    return model.prior_objective(paths, generator=generator)


def _found(model: nn.Module, frames: Tensor, generator: torch.Generator) -> Latents:
    """The fields of `Found`."""
    assert isinstance(model, Silot)
    return model.find(frames, generator)._asdict()


def _sleep_objective(model: nn.Module, latents: Latents, generator: torch.Generator) -> Objective:
    assert isinstance(model, Silot)
    return model.sleep_objective(Found(**latents), generator=generator)


# White digits are seen in one channel, which counts three times: the same objective, less work.
DIGITS = SilotConfig(n_channels=1)

SHAPES = SilotConfig(
    n_channels=3, interacting=True, sigma=0.15, colour_scale=1.0, alpha_scale=1.0, alpha_bias=3.0
)

SUPPLEMENT = SilotConfig(
    n_backbone_features=128,
    fully_connected_discovery=True,
    interacting=True,
    zero_init_interaction=True,
    exponential_importance=True,
    size_prior_mean=-2.2,
    size_prior_on_increment=True,
)
"""Every statement of the supplement as it is written, for digits and shapes alike. It does not say
what interaction begins with: from usual weights the learned prior's KL begins at 10^8 nats, and
training breaks within 600 updates."""

ORIGINAL_TRAINING = {
    "batch_size": 16,
    "lr": 1e-4,
    "clip_norm": 10.0,
    "curriculum": ((0, 2), (40_000, 4), (80_000, 6), (120_000, 8)),
    "eval_steps": 5_000,
    "patience_start": 160_000,
    "patience_steps": 30_000,
    "n_stages": 3,
}
"""Source: SILOT supplement, section E; evaluation every 5,000 updates: docs/models/silot.md 6."""

SUPPLEMENT_TRAINING = {**ORIGINAL_TRAINING, "patience_start": 120_000}
"""Patience counts from the first update on whole videos."""

LARGE_SHAPES: dict[str, dict[str, Any]] = {
    "shapes-96-crops": {"crop": 60},
    "shapes-96-crops-21-30": {"crop": 60, "n_slots": 25},
    "shapes-96-whole": {},
    "shapes-96-whole-21-30": {"n_slots": 36},
}
"""What the large frames change in a model for shapes: squares of 60 pixels, and as many slots as
the supplement has where a frame, or every other crop, holds more than 16 objects."""

FAST = {
    "batch_size": 32,
    "lr": 8e-4,
    "warmup_steps": 100,
    "schedule": "cosine",
    "decay_from": 0.17,
    "decay_to": 0.03,
    "clip_norm": 10.0,
    "ema_decay": 0.998,
    "curriculum": ((0, 1), (1_200, 2), (1_900, 4), (4_500, 6), (6_000, 8)),
    "precision": "auto",
    "max_hours": 1.5,
    "eval_steps": 500,
}
"""Our choice, measured: discovery learns fastest from single frames and propagation from longer
clips, so the stages in between are short."""

REFINE = {
    **FAST,
    "lr": 4e-4,
    "decay_from": 0.1,
    "curriculum": ((0, 8),),
    "short_every": 2,
    "max_hours": 1.5,
}
"""A second run from the weights of a first, with whole videos and single frames in turn."""

PRIOR = {
    "objective": "prior_objective",
    "only_parameters": ("prior.",),
    "batch_size": 64,
    "lr": 1e-3,
    "warmup_steps": 100,
    "schedule": "cosine",
    "decay_from": 0.3,
    "clip_norm": 10.0,
    "ema_decay": 0.998,
    "max_hours": 0.5,
    "eval_steps": 500,
}
"""A stage of its own for the learned prior, on kept tracks of the frozen posterior."""


def fast_model(model: SilotConfig) -> SilotConfig:
    """The settings that find objects within minutes: see docs/training.md for what each does."""
    return replace(
        model,
        end_below=0.5,
        prior_own_features=True,
        prior_state_input="posterior",
        n_backbone_filters=64,
        kaiming_backbone=True,
        where_scale=0.2,
        log_floor=0.01,
        freeze_attributes=300,
        what_warmup=4_000,
        initial_what_std=0.2,
        tight_boxes=True,
        count_odds_decay=300,
    )


DIGIT_SETS = ("mnist-6", "mnist-12")
# Digits move at one known speed, so that lost ones can be linked by motion. Shapes do not: with
# linking, MOTA falls by 0.004 (12 pixels) to 0.07 (6 pixels).
LINKED = {"link_reach": 6.0}
FAST_DIGITS = replace(fast_model(DIGITS), size_prior_std=0.25, link_reach=6.0)
# Shapes are larger and move faster than digits: sides of 14 pixels and a longer reach.
FAST_SHAPES = replace(
    fast_model(SHAPES), where_scale=0.3, size_prior_mean=-0.9, size_prior_std=0.25
)

BEGUN = {
    "freeze_attributes": 0,
    "count_odds_start": SilotConfig().count_odds_end,
    "what_warmup": 0,
    "tight_boxes": True,
}
"""Schedules that weights have behind them; and boxes that an ELBO leaves loose."""

REFINED = {**BEGUN, "interacting": True, "zero_init_interaction": True, "end_below_training": 0.1}
"""Objects are found and followed: now they see each other, and those that are lost end in training
too, so that discovery learns to find them again. On shapes, with all of it from the
start, propagation left its work to discovery (5 objects too many after 4,000 updates). Two slots
more than there are objects are enough."""

# The narrow prior of sizes, and the high floor, are needed until boxes have found their digits.
REFINED_DIGITS = {**REFINED, "size_prior_std": 0.4, "log_floor": 0.002, **LINKED}

SLEEP = {
    "objective": "sleep_objective",
    "only_parameters": ("backbone.", "discovery.", "renderer."),
    "batch_size": 48,
    "lr": 1e-3,
    "warmup_steps": 100,
    "schedule": "cosine",
    "decay_from": 0.1,
    "decay_to": 0.03,
    "clip_norm": 20.0,
    "ema_decay": 0.998,
    "precision": "auto",
    "max_hours": 0.4,
    "eval_steps": 500,
}
"""Discovery and renderer, on clips of objects that the weights it starts from have followed."""

FOLLOW = {
    **SLEEP,
    "only_parameters": ("backbone.", "discovery.", "features.", "propagation.", "renderer."),
    "lr": 5e-4,
    "max_hours": 1.0,
}
"""Propagation too, on such clips: how objects are followed through crossings."""

SLEEPING = {**REFINED, "zero_init_interaction": False, "cell": 6, "sleep_frames": 2}
FOLLOWING = {**BEGUN, "sleep_frames": 8, "tight_boxes": False}  # boxes learn to be tight

PREDICTION = {"score": "mota+prior"}

# The prior that ships, whatever the weights it is trained beside had before.
MOVING = {
    "prior_own_features": True,
    "prior_state_input": "posterior",
    "prior_momentum": True,
    "roll_out_weight": 1.0,
}

LARGE_CONTINUED = {name: {"n_slots": 12, **changes} for name, changes in LARGE_SHAPES.items()}
"""What weights that go on on large frames are to have, whatever they were trained on before."""

# Two slots more than there are objects; where there are 21 to 30, those of `LARGE_SHAPES`.
SLOTS = {
    "mnist-6": {"n_slots": 8},
    "mnist-12": {"n_slots": 16},
    "shapes-48": {"n_slots": 10},
    **LARGE_CONTINUED,
}

# About two more than there are objects, of which a crop has fewer: with room for more, discovery
# finds everything anew in each frame, and propagation never learns to follow (docs/results.md).
FAST_SHAPE_SETS: dict[str, dict[str, Any]] = {
    **LARGE_SHAPES,
    "shapes-48": {"n_slots": 10},
    "shapes-96-crops": {"crop": 60, "n_slots": 8},
    "shapes-96-crops-21-30": {"crop": 60, "n_slots": 20},
    "shapes-96-whole": {"n_slots": 12},
}

FAST_MODELS = {
    "mnist-6": FAST_DIGITS,
    "mnist-12": FAST_DIGITS,
    **{name: replace(FAST_SHAPES, **changes) for name, changes in FAST_SHAPE_SETS.items()},
}
"""By data set."""

FULL_VALIDATION = {"n_videos": 1_000}


def _continuing(
    train: dict[str, Any], changes: Callable[[str], dict[str, Any]]
) -> dict[str, Preset]:
    """A run from weights on every data set, by which the model changes."""
    return {
        name: Preset(model=model, train=train, continued=changes(name), needs_weights=True)
        for name, model in FAST_MODELS.items()
    }


def _paper(digits: SilotConfig, shapes: SilotConfig, train: dict[str, Any]) -> dict[str, Preset]:
    """The long run of the paper on every data set."""
    models = {"mnist-6": digits, "mnist-12": digits, "shapes-48": shapes}
    models |= {name: replace(shapes, **changes) for name, changes in LARGE_SHAPES.items()}
    return {
        name: Preset(model=model, train=train, validation=FULL_VALIDATION)
        for name, model in models.items()
    }


ORIGINAL = _paper(DIGITS, SHAPES, ORIGINAL_TRAINING)

PRESETS: PresetTable = {
    "supplement": _paper(replace(SUPPLEMENT, n_channels=1), SUPPLEMENT, SUPPLEMENT_TRAINING),
    "original": ORIGINAL,
    "paper": ORIGINAL,  # its name before there was the supplement's
    "fast": {
        name: Preset(
            model=model,
            train=FAST,
            validation={"n_videos": 100} if name in LARGE_SHAPES else {},
            continued=BEGUN,
        )
        for name, model in FAST_MODELS.items()
    },
    "refine": _continuing(
        REFINE,
        lambda name: {**(REFINED_DIGITS if name in DIGIT_SETS else REFINED), **SLOTS[name]},
    ),
    "sleep": _continuing(
        SLEEP,
        lambda name: {**SLEEPING, **SLOTS[name], **(LINKED if name in DIGIT_SETS else {})},
    ),
    "follow": _continuing(
        FOLLOW,
        lambda name: {
            **FOLLOWING,
            "stay_above": 0.8 if name in DIGIT_SETS else 0.65,
            **LARGE_CONTINUED.get(name, {}),
        },
    ),
    "prior": {
        name: Preset(model=model, train=PRIOR, validation=PREDICTION, continued=MOVING)
        for name, model in FAST_MODELS.items()
    },
}

FAMILY = Family(
    name="silot",
    config_type=SilotConfig,
    build=build,
    tracker=_tracker,
    adapted=adapted,
    presets=PRESETS,
    default_preset="fast",
    recipes={
        "silot": (("fast", 1.2), ("refine", 0.9), ("follow", 0.5), ("prior", 0.4)),
        "silot-plus": (
            ("fast", 1.2),
            ("refine", 0.9),
            ("sleep", 0.4),
            ("follow", 1.0),
            ("prior", 0.4),
        ),
    },
    renamed=RENAMED,
    stages={
        # The learned prior alone, on tracks of the frozen posterior.
        "prior_objective": Stage(latents=_posterior_tracks, objective=_prior_objective),
        # Discovery, or all inference, taught by what the model at the start followed.
        "sleep_objective": Stage(latents=_found, objective=_sleep_objective, by_teacher=True),
    },
)
