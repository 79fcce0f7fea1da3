"""Pictures of a model at work on validation videos, for TensorBoard."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from smot.experiments.data import Source
from smot.filmstrips import Row, rows_of, strip
from smot.models.family import Family

N_VIDEOS = 3


def validation_pictures(
    family: Family, source: Source
) -> Callable[[nn.Module], dict[str, Tensor]]:
    """What draws the first validation videos: truth, tracks and the model's reconstruction.

    Args:
        family: wraps a module in its tracker; a tracker with a ``trace`` method tells its
            reconstruction.
        source: has the videos.

    Returns:
        A function from a module to pictures by name, [H, W, 3], float in [0, 1].
    """
    videos = source.validation(0, min(N_VIDEOS, source.n_validation))

    def pictures(module: nn.Module) -> dict[str, Tensor]:
        tracker = family.tracker(module, family.name)
        found = tracker.track(videos.frames)
        trace = getattr(tracker, "trace", None)
        painted = trace(videos.frames).reconstruction if trace is not None else None
        drawn = {}
        for place in range(len(videos)):
            one = slice(place, place + 1)
            rows = rows_of(videos.frames[place], truth=videos.truth[one], predicted=found[one])
            if painted is not None:
                frames = np.round(255 * painted[place]).astype(np.uint8)
                rows.append(Row(label="model", frames=frames, tracks=found[one]))
            image = np.asarray(strip(rows, scale=2).convert("RGB"), np.float32) / 255
            drawn[f"video {place}"] = torch.from_numpy(image)
        return drawn

    return pictures
