"""Unsupervised multi-object tracking: data sets, trackers, metrics.

    import smot

    with smot.open_videos("data/scattered-mnist-12.h5") as data:
        tracker = smot.build_tracker("conncomp", {}, data.description)
        results = smot.evaluate(tracker, data, counts=[1, 6, 12])
    print(results.tracking[6]["mota"])

The names below are loaded when they are first used; the import itself costs nothing.
"""

import importlib

TYPE_CHECKING = False  # as `typing` has it, without the time that loading it takes
if TYPE_CHECKING:
    from typing import Any

    __version__: str
    from smot.errors import DataError, SmotError, UsageError
    from smot.evaluation.metrics.matching import MatchSettings
    from smot.evaluation.metrics.table import score
    from smot.evaluation.protocols import EvaluationSettings
    from smot.evaluation.results import Results, read_results, write_results
    from smot.evaluation.run import evaluate
    from smot.generators import MnistSettings, ShapesSettings, generate, load_digits, render
    from smot.trackers import build_tracker, list_trackers
    from smot.tracks import DataDescription, Predictor, Tracker, Tracks
    from smot.videos import VideoDataset, VideoFile, Videos, open_videos

__all__ = [
    "DataDescription",
    "DataError",
    "EvaluationSettings",
    "MatchSettings",
    "MnistSettings",
    "Predictor",
    "Results",
    "ShapesSettings",
    "SmotError",
    "Tracker",
    "Tracks",
    "UsageError",
    "VideoDataset",
    "VideoFile",
    "Videos",
    "__version__",
    "build_tracker",
    "evaluate",
    "generate",
    "list_trackers",
    "load_digits",
    "open_videos",
    "read_results",
    "render",
    "score",
    "write_results",
]

_HOMES = {
    "smot.errors": ("DataError", "SmotError", "UsageError"),
    "smot.evaluation.metrics.table": ("score",),
    "smot.evaluation.run": ("evaluate",),
    "smot.evaluation.metrics.matching": ("MatchSettings",),
    "smot.evaluation.protocols": ("EvaluationSettings",),
    "smot.evaluation.results": ("Results", "read_results", "write_results"),
    "smot.generators": ("MnistSettings", "ShapesSettings", "generate", "load_digits", "render"),
    "smot.trackers": ("build_tracker", "list_trackers"),
    "smot.tracks": ("DataDescription", "Predictor", "Tracker", "Tracks"),
    "smot.videos": ("VideoDataset", "VideoFile", "Videos", "open_videos"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> "Any":
    """Load a name when it is first used."""
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("smot")
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
