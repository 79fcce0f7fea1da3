"""The weights that come with the package, and which of them fit given videos."""

from collections.abc import Iterator
from pathlib import Path

from torch import nn

from smot.errors import UsageError
from smot.models.checkpoints import load_checkpoint, load_model
from smot.tracks import DataDescription

FOLDER = Path(__file__).parent / "weights"


def load_fitting(
    family: str,
    checkpoint: str | None,
    device: str,
    data: DataDescription | None,
    *,
    tracker: str = "",
) -> nn.Module:
    """A trained model: that of a checkpoint, or the packaged one that fits the data.

    Args:
        family: key of `smot.models.family.FAMILIES`.
        checkpoint: a checkpoint file, or a run's folder; None for packaged weights.
        device: where to put the model.
        data: what the videos are like; needed where there is no checkpoint.
        tracker: whose packaged weights, where the family has several trackers; "" for its first.

    Raises:
        DataError: a checkpoint that cannot be loaded.
        UsageError: a checkpoint of another family, no packaged weights that fit, no such device.
    """
    path = Path(checkpoint) if checkpoint else packaged_weights(tracker or family, data)
    module, about = load_model(path, device)
    if about.family != family:
        raise UsageError(f"checkpoint {path} holds a {about.family} model, not {family}")
    return module


def packaged_weights(tracker: str, data: DataDescription | None) -> Path:
    """The packaged weights trained on videos most like these.

    Objects must be of the same kind, in the same colours, on the same background; in videos that
    were not generated here ("video") they may be of any kind. Then the same
    frame size is preferred, then training with at least as many objects, but no more than needed.

    Raises:
        UsageError: none are packaged for such videos.
    """
    fitting = []
    for path, trained in _packaged(tracker):
        if data is None or trained.background != data.background:
            continue
        if data.dataset not in ("video", trained.dataset):
            continue
        if set(data.palette) <= set(trained.palette):
            more = trained.max_objects - data.max_objects
            fitting.append(((trained.frame_size != data.frame_size, more < 0, abs(more)), path))
    if not fitting:
        kind = data.dataset if data else "unknown"
        raise UsageError(
            f"no weights of {tracker} are packaged for {kind} videos like these; train a model "
            f"(smot train {tracker.partition('-')[0]}) and name its checkpoint"
        )
    return min(fitting)[1]


def _packaged(tracker: str) -> Iterator[tuple[Path, DataDescription]]:
    """Weights whose file is named `tracker-...`; those of silot-plus are not silot's."""
    for path in sorted(FOLDER.glob(f"{tracker}-*.pt")):
        if path.name.startswith(f"{tracker}-plus-"):
            continue
        trained = load_checkpoint(path).about.data
        if trained is not None:
            yield path, trained
