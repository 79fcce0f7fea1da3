"""SQAIR, which finds objects one after another and follows them by weighted samples."""

from dataclasses import replace

from torch import nn

from smot.errors import UsageError
from smot.models.family import Family, Preset, PresetTable
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.model import Sqair, build
from smot.models.sqair.tracker import CountOracle, SqairTracker, TrackerConfig
from smot.tracks import DataDescription

__all__ = [
    "FAMILY",
    "PRESETS",
    "CountOracle",
    "Sqair",
    "SqairConfig",
    "SqairTracker",
    "TrackerConfig",
    "build",
    "load_tracker",
]


def load_tracker(
    options: TrackerConfig,
    checkpoint: str | None = None,
    device: str = "cpu",
    data: DataDescription | None = None,
) -> SqairTracker | CountOracle:
    """SQAIR with trained weights: finds objects in turn and follows them by weighted samples.

    Args:
        options: how it tracks.
        checkpoint: file of weights; None for the packaged ones that fit the data.
        device: "cpu", "cuda", ...
        data: what the videos are like.

    Raises:
        DataError: a checkpoint that cannot be loaded.
        UsageError: a setting that cannot be, or no packaged weights that fit.
    """
    from smot.models.packaged import load_fitting

    name = "sqair" if options.count is None else "sqair (oracle count)"
    tracker = _tracker(load_fitting("sqair", checkpoint, device, data), name, options)
    return CountOracle(tracker=tracker) if options.mode == "oracle-count" else tracker


def _tracker(module: nn.Module, name: str, config: TrackerConfig | None = None) -> SqairTracker:
    if not isinstance(module, Sqair):
        raise UsageError(f"not a SQAIR model: {type(module).__name__}")
    return SqairTracker(model=module, config=config or TrackerConfig(), name=name)


ORIGINAL = SqairConfig(
    frame_size=(50, 50),
    channels=1,
    n_slots=3,
    n_particles=5,
    glimpse_size=20,
    count_prior="cat",
    discovery_bias=1.0,
    mean_image=0.04,
)
"""Source: docs/models/sqair.md 2, the original; 0-2 digits of 28 pixels."""

ORIGINAL_TRAINING = {
    "batch_size": 32,
    "optimiser": "tf_rmsprop",
    "lr": 1e-5,
    "schedule": "drops",
    "drops": (0.2, 0.5),
    "clip_norm": 0.0,
    "curriculum": tuple((100_000 * stage, 3 + stage) for stage in range(8)),
    "max_steps": 1_000_000,
    "eval_steps": 10_000,
}
"""Source: docs/models/sqair.md 2, the original (1M updates)."""

COMPARISON = SqairConfig(mean_image=0.04)
"""Three channels of white digits, as in the comparison: see `SqairConfig.channels`."""

COMPARISON_12 = replace(COMPARISON, n_slots=12, step_success=0.4, mean_image=0.07)

COMPARISON_TRAINING = {
    "batch_size": 16,
    "optimiser": "tf_rmsprop",
    "lr": 1e-5,
    "clip_norm": 0.0,
    "curriculum": ((0, 2), (20_000, 4), (40_000, 6), (60_000, 8)),
    "max_hours": 96.0,
    "eval_steps": 5_000,
    "patience_start": 80_000,
    "patience_steps": 30_000,
    "n_stages": 3,
}
"""Source: docs/models/sqair.md 2, the comparison."""

COMPARISON_VALIDATION = {"score": "mota+prior", "by_count": True, "n_videos": 128}

CPU = SqairConfig(
    channels=1,
    output_std=0.173,
    n_hidden=128,
    encoder="conv",
    n_filters=32,
    filter_gain=1.6,
    scale_bounds=(0.2, 0.34),
    scale_prior=0.0,
    slot_steps=500,
    later_bias=-8.0,
    logit_limit=4.0,
    mean_image=0.04,
    estimator="vimco",
    score_ramp_steps=3_000,
    shared_noise=True,
    signal_clip=50.0,
    what_std_floor=1e-4,
    tight_boxes=True,
)
"""Reduced for CPUs and not SQAIR as published: half the width, a quarter of the filters, one
channel with the deviation that weighs it like three, the estimator of the importance-weighted
bound, boxes of about the digits' size, one more slot every 500 updates, discovery held back after
the first frame, and noise that particles share. docs/sqair.md says what each of these did."""

CPU_12 = replace(CPU, n_slots=12, step_success=0.4, mean_image=0.07)

CPU_TRAINING = {
    "batch_size": 32,
    "lr": 1.5e-3,
    "clip_norm": 10.0,
    "ema_decay": 0.998,
    "curriculum": ((0, 1), (6_000, 2), (7_000, 4), (8_000, 8)),
    "short_every": 2,
    "schedule": "cosine",
    "decay_from": 0.5,
    "max_hours": 4.0,
    "eval_steps": 2_000,
}
"""Single frames first: most of learning is finding digits, and one frame costs least. Every other
update has one later too, so that discovery goes on learning."""

# The original's task with the reduced recipe: its digits are large, and one deviation fits all.
CPU_ORIGINAL = replace(
    CPU,
    frame_size=ORIGINAL.frame_size,
    n_slots=ORIGINAL.n_slots,
    glimpse_size=ORIGINAL.glimpse_size,
    count_prior=ORIGINAL.count_prior,
    output_std=ORIGINAL.output_std,
    scale_bounds=(0.2, 0.6),
    slot_steps=0,
    score_ramp_steps=2_000,
)
CPU_ORIGINAL_TRAINING = {
    **CPU_TRAINING,
    "lr": 1e-3,
    "curriculum": ((0, 1), (4_000, 2), (5_000, 4), (6_000, 10)),
}

COMPARED = {
    name: Preset(model=model, train=COMPARISON_TRAINING, validation=COMPARISON_VALIDATION)
    for name, model in (("mnist-6", COMPARISON), ("mnist-12", COMPARISON_12))
}

PRESETS: PresetTable = {
    "original": {"mnist-original": Preset(model=ORIGINAL, train=ORIGINAL_TRAINING)},
    "aaai2020": COMPARED,
    "conv": {
        name: replace(preset, model=replace(preset.model, encoder="conv"))
        for name, preset in COMPARED.items()
    },
    "cpu": {
        "mnist-6": Preset(model=CPU, train=CPU_TRAINING),
        "mnist-12": Preset(model=CPU_12, train=CPU_TRAINING),
        "mnist-original": Preset(model=CPU_ORIGINAL, train=CPU_ORIGINAL_TRAINING),
    },
}

# Settings of older checkpoints that no weights depend on.
GONE = (
    *("where_bias", "logit_pull", "count_anneal_start", "count_anneal_steps"),
    *("presence", "masked_glimpse"),
)

FAMILY = Family(
    name="sqair",
    config_type=SqairConfig,
    build=build,
    tracker=_tracker,
    presets=PRESETS,
    default_preset="cpu",
    renamed=dict.fromkeys(GONE, ""),
)
