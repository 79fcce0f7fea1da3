"""SILOT's presets: the schedule of the paper, and the fastest recipe known here."""

from dataclasses import replace
from typing import Any

from smot.models.family import Preset, PresetTable
from smot.models.silot.config import SilotConfig

# White digits are seen in one channel, which counts three times: the same objective, less work.
DIGITS = SilotConfig(n_channels=1)

SHAPES = SilotConfig(
    n_channels=3, interacting=True, sigma=0.15, colour_scale=1.0, alpha_scale=1.0, alpha_bias=3.0
)

PAPER = {
    "batch_size": 16,
    "lr": 1e-4,
    "clip_norm": 10.0,
    "curriculum": ((0, 2), (40_000, 4), (80_000, 6), (120_000, 8)),
    "eval_steps": 5_000,
    "patience_start": 160_000,
    "patience_steps": 30_000,
    "n_stages": 3,
}
"""Source: SILOT supplement, section E; evaluation every 5,000 updates as in the original code."""

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
        training_wheels=300,
        what_warmup=4_000,
        initial_what_std=0.2,
        tight_boxes=True,
        count_odds_decay=300,
    )


FAST_DIGITS = replace(fast_model(DIGITS), size_prior_std=0.25)
# Shapes are larger and move faster than digits: sides of 14 pixels and a longer reach.
FAST_SHAPES = replace(
    fast_model(SHAPES), where_scale=0.3, size_prior_mean=-0.9, size_prior_std=0.25
)

BEGUN = {"training_wheels": 0, "count_odds_start": SilotConfig().count_odds_end, "what_warmup": 0}
"""Schedules that weights have behind them."""

REFINED = {**BEGUN, "interacting": True, "deaf_at_first": True, "end_below_training": 0.1}
"""Objects have been found and are followed: now they hear each other, and those that are lost end
in training too, so that discovery learns to find them again. On shapes, with all of it from the
start, propagation left its work to discovery (5 objects too many after 4,000 updates). Two slots
more than there are objects are enough."""

# The narrow prior of sizes, and the high floor, are needed until boxes have found their digits.
REFINED_DIGITS = {**REFINED, "size_prior_std": 0.4, "log_floor": 0.002}

PREDICTION = {"score": "mota+prior"}

FULL_VALIDATION = {"n_videos": 1_000}


def _refined(model: SilotConfig, changes: dict[str, Any]) -> Preset:
    return Preset(model=model, train=REFINE, continued=changes, needs_weights=True)


PRESETS: PresetTable = {
    "paper": {
        "mnist-6": Preset(model=DIGITS, train=PAPER, validation=FULL_VALIDATION),
        "mnist-12": Preset(model=DIGITS, train=PAPER, validation=FULL_VALIDATION),
        "shapes-48": Preset(model=SHAPES, train=PAPER, validation=FULL_VALIDATION),
        "shapes-96-crops": Preset(
            model=replace(SHAPES, crop=60), train=PAPER, validation=FULL_VALIDATION
        ),
    },
    "fast": {
        "mnist-6": Preset(model=FAST_DIGITS, train=FAST, continued=BEGUN),
        "mnist-12": Preset(model=FAST_DIGITS, train=FAST, continued=BEGUN),
        "shapes-48": Preset(model=replace(FAST_SHAPES, n_slots=10), train=FAST, continued=BEGUN),
        "shapes-96-crops": Preset(
            model=replace(FAST_SHAPES, crop=60),
            train=FAST,
            validation={"n_videos": 100},
            continued=BEGUN,
        ),
    },
    "refine": {
        "mnist-6": _refined(FAST_DIGITS, {**REFINED_DIGITS, "n_slots": 8}),
        "mnist-12": _refined(FAST_DIGITS, {**REFINED_DIGITS, "n_slots": 16}),
        "shapes-48": _refined(FAST_SHAPES, {**REFINED, "n_slots": 10}),
    },
    "prior": {
        "mnist-6": Preset(model=FAST_DIGITS, train=PRIOR, validation=PREDICTION),
        "mnist-12": Preset(model=FAST_DIGITS, train=PRIOR, validation=PREDICTION),
        "shapes-48": Preset(model=FAST_SHAPES, train=PRIOR, validation=PREDICTION),
        "shapes-96-crops": Preset(model=FAST_SHAPES, train=PRIOR, validation=PREDICTION),
    },
}
