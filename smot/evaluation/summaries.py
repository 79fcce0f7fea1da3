"""From counts to what results.json says: metrics, intervals, and why there is none."""

import numpy as np

from smot.evaluation.records import EvaluationSettings
from smot.evaluation.results import CountScores, Occlusion
from smot.evaluation.scores import VideoCounts, intervals, occlusion, summarise

VISIBILITY = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0))
"""The ranges behind `smot.evaluation.occlusion.BINS`."""

_NEEDS = {
    "mota": "truth", "recall": "truth", "idr": "truth", "ap": "truth",
    "precision": "predictions", "idp": "predictions",
    "motp": "matches", "loca": "matches",
    "idf1": "boxes", "hota": "boxes", "deta": "boxes", "assa": "boxes",
    "count_error": "frames",
}  # fmt: skip
_LACKING = {
    "truth": "no object in the ground truth",
    "predictions": "no prediction above the confidence",
    "matches": "no prediction was matched",
    "boxes": "neither an object nor a prediction",
    "frames": "no frames",
}


def count_scores(
    counts: VideoCounts, settings: EvaluationSettings, generator: np.random.Generator
) -> CountScores:
    """The metrics of some videos pooled, with their confidence intervals.

    Args:
        counts: one row for each video.
        settings: how many resamples.
        generator: where the resamples come from.
    """
    metrics = summarise(counts)
    ends = intervals(counts, n_resamples=settings.n_resamples, generator=generator)
    return CountScores(
        metrics=metrics,
        intervals={key: pair for key, pair in ends.items() if pair is not None},
        reasons={key: reason(key) for key, value in metrics.items() if value is None},
        counts=counts.to_json(),
    )


def reason(metric: str) -> str:
    """Why a metric can be without a value."""
    return _LACKING[_NEEDS[metric]]


def occlusion_ranges(counts: VideoCounts) -> tuple[Occlusion, ...]:
    """Recall and switches by visibility, of counts made with visibility."""
    table = occlusion(counts)
    return tuple(
        Occlusion(
            visibility=ends,
            n_truth=int(row["n_truth"] or 0),
            matches=int(row["matches"] or 0),
            switches=int(row["switches"] or 0),
            recall=row["recall"],
            switch_rate=row["switch_rate"],
        )
        for ends, row in zip(VISIBILITY, table.values(), strict=True)
    )
