"""SQAIR, which finds objects one after another and follows them by weighted samples."""

from torch import nn

from smot.errors import UsageError
from smot.models.family import Family
from smot.models.sqair.config import SqairConfig
from smot.models.sqair.model import Sqair, build
from smot.models.sqair.presets import PRESETS
from smot.models.sqair.tracker import CountOracle, SqairTracker, TrackerConfig
from smot.tracks import DataDescription

__all__ = [
    "FAMILY",
    "CountOracle",
    "Sqair",
    "SqairConfig",
    "SqairTracker",
    "TrackerConfig",
    "build",
    "load_tracker",
]

MODES = ("normal", "oracle-count")


def load_tracker(
    checkpoint: str | None = None,
    device: str = "cpu",
    n_slots: int = 0,
    n_particles: int = 0,
    choose: str = "frame",
    latents: str = "sample",
    rollout: str = "sample",
    n_first_looks: int = 1,
    seed: int = 0,
    mode: str = "normal",
    count: int | None = None,
    data: DataDescription | None = None,
) -> SqairTracker | CountOracle:
    """SQAIR with trained weights: finds objects in turn and follows them by weighted samples.

    Args:
        checkpoint: file of weights; None for the packaged ones that fit the data.
        device: "cpu", "cuda", ...
        n_slots: most objects at once; 0 for as many as the model was trained with.
        n_particles: samples per video; 0 for as many as the model was trained with.
        choose: "frame" or "video", see `TrackerConfig`.
        latents: "sample" or "mean", see `TrackerConfig`.
        rollout: "sample" or "mean", see `TrackerConfig`.
        n_first_looks: how often the first frame is shown, see `TrackerConfig`.
        seed: of all noise.
        mode: "normal"; or "oracle-count": an evaluation tells how many objects each video has.
        count: how many objects every video has, where that is known; None to infer it.
        data: what the videos are like.

    Raises:
        DataError: a checkpoint that cannot be loaded.
        UsageError: a setting that cannot be, or no packaged weights that fit.
    """
    from smot.models.packaged import load_fitting

    if mode not in MODES:
        raise UsageError(f"sqair: mode must be {' or '.join(MODES)}, not {mode!r}")
    if mode == "oracle-count" and count is not None:
        raise UsageError("sqair: count is not for mode 'oracle-count', which counts for itself")
    config = TrackerConfig(
        n_slots=n_slots,
        n_particles=n_particles,
        choose=choose,
        latents=latents,
        rollout=rollout,
        n_first_looks=n_first_looks,
        seed=seed,
    )
    module = load_fitting("sqair", checkpoint, device, data)
    tracker = _tracker(module, "sqair", config)
    if mode == "oracle-count":
        return CountOracle(tracker=tracker)
    return tracker if count is None else tracker.with_count(count)


def _tracker(module: nn.Module, name: str, config: TrackerConfig | None = None) -> SqairTracker:
    if not isinstance(module, Sqair):
        raise UsageError(f"not a SQAIR model: {type(module).__name__}")
    return SqairTracker(model=module, config=config or TrackerConfig(), name=name)


FAMILY = Family(
    name="sqair",
    config_type=SqairConfig,
    build=build,
    tracker=_tracker,
    presets=PRESETS,
    default_preset="cpu",
)
