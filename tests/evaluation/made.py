"""Videos and results made by hand, for tests of what is done with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smot.evaluation.metrics.table import MASKS
from smot.evaluation.protocols import EvaluationSettings, Job
from smot.evaluation.results import CountScores, Results, TrackerRecord
from smot.evaluation.run import Outcome, run
from smot.evaluation.testsets import RenderedVideos, make_plan
from smot.generators import ShapesSettings
from smot.trackers import Recipe
from smot.tracks import Tracks

SETTINGS = EvaluationSettings(n_resamples=50)


def made_videos(
    *, seed: int = 0, n_val: int = 0, n_test: int = 6, counts: Sequence[int] = (1, 2, 3)
) -> RenderedVideos:
    groups = {f"test/{count:02d}": n_test for count in counts}
    if n_val:
        groups["val"] = n_val
    return RenderedVideos(
        settings=ShapesSettings(max_objects=4), digits=None, groups=groups, seed=seed
    )


def made_outcome(
    data: RenderedVideos, target: str = "oracle-jitter", settings: EvaluationSettings = SETTINGS
) -> Outcome:
    recipe = Recipe(target=target, data=data.description)
    return run(Job(tracker=recipe, data=data, plan=make_plan(data, None, None), settings=settings))


def made_results(
    *,
    name: str = "oracle-jitter",
    seed: int = 0,
    target: str = "oracle-jitter",
    settings: EvaluationSettings = SETTINGS,
) -> Results:
    results = made_outcome(made_videos(seed=seed), target, settings).results
    record = results.tracker
    return replace(results, tracker=TrackerRecord(name=name, target=record.target))


def with_few_metrics(results: Results) -> Results:
    """The same with MOTA alone, and nothing on occlusion: its page takes no time to draw."""

    def few(scores: Mapping[int, CountScores]) -> dict[int, CountScores]:
        return {
            count: replace(each, metrics={"mota": each["mota"]}) for count, each in scores.items()
        }

    assert results.prediction is not None
    return replace(
        results, tracking=few(results.tracking), prediction=few(results.prediction), occlusion={}
    )


def with_masks(results: Results) -> Results:
    """The same with scores of masks, 0.25 each."""
    tracking = {
        count: replace(each, metrics={**each.metrics, **dict.fromkeys(MASKS, 0.25)})
        for count, each in results.tracking.items()
    }
    return replace(results, tracking=tracking)


def one_box(n_videos: int, n_frames: int) -> Tracks:
    """The same box in every frame."""
    shape = (n_videos, n_frames, 1)
    boxes = np.broadcast_to(np.array([4, 4, 18, 18], np.float32), (*shape, 4))
    return Tracks(boxes=boxes, ids=np.zeros(shape, np.int32), confidence=np.ones(shape))
