"""The worst and the typical videos of an evaluation, as filmstrips."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smot.evaluation.events import KINDS
from smot.evaluation.handover import track_videos
from smot.evaluation.harness import Outcome
from smot.evaluation.legend import METRICS
from smot.evaluation.prediction import future_truth, predict_videos
from smot.evaluation.records import EvaluationSettings
from smot.evaluation.results import Results
from smot.evaluation.scores import Events, VideoCounts, events
from smot.evaluation.scoring import SPAN
from smot.evaluation.testsets import VideoSource
from smot.filmstrips import Mark, filmstrip
from smot.tracks import Tracks
from smot.videos import Videos

N_COUNTS = 3
"""Numbers of objects from which videos are shown."""

_LARGE = 64  # frames wider than this are drawn smaller


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A filmstrip for the report.

    Attributes:
        title: which video it is.
        caption: how it went.
        data: PNG, base64.
        width: pixels.
        height: pixels.
    """

    title: str
    caption: str
    data: str
    width: int
    height: int


def gallery(outcome: Outcome, source: VideoSource) -> list[Picture]:
    """For some counts the worst video, a typical one, and the prediction of the typical one.

    The videos are read and tracked once more, in the batch in which they were evaluated.

    Args:
        outcome: of the evaluation.
        source: where its videos came from.
    """
    pictures = []
    for count in shown_counts(outcome.results.counts):
        worst, typical = worst_and_typical(outcome.counts[count])
        for kind, video in (("worst", worst), ("typical", typical)):
            pictures.append(_tracking(outcome, source, count, kind, video))
        if outcome.results.prediction is not None:
            pictures.append(_prediction(outcome, source, count, typical))
    return pictures


def shown_counts(counts: Sequence[int]) -> list[int]:
    """At most `N_COUNTS` counts, evenly apart, the largest among them."""
    n = len(counts)
    places = {-(-n * part // N_COUNTS) - 1 for part in range(1, N_COUNTS + 1)}
    return [counts[place] for place in sorted(places) if place >= 0]


def worst_and_typical(counts: VideoCounts) -> tuple[int, int]:
    """The video with the lowest MOTA and the one in the middle; of equals the first.

    Args:
        counts: one row for each video.
    """
    errors = counts.misses + counts.false_positives + counts.switches
    mota = 1 - errors / np.maximum(counts.n_truth, 1)
    order = np.argsort(mota, kind="stable")
    return int(order[0]), int(order[(len(order) - 1) // 2])


def _tracking(outcome: Outcome, source: VideoSource, count: int, kind: str, video: int) -> Picture:
    tracker, group = outcome.tracker[count], outcome.results.dataset.videos[count].group
    batch, place = _batch(outcome.results, source, count, video)
    tracks = track_videos(tracker, batch, f"{group}, video {video}")[place : place + 1]
    one = batch[place : place + 1]
    title = f"{count} {outcome.results.dataset.things}, {kind}: {group}, video {video}"
    return _drawn(title, one.frames[0], one.truth, tracks, outcome.results.settings)


def _prediction(outcome: Outcome, source: VideoSource, count: int, video: int) -> Picture:
    settings = outcome.results.settings
    observe, horizon = settings.observe, settings.horizon
    tracker, group = outcome.tracker[count], outcome.results.dataset.videos[count].group
    batch, place = _batch(outcome.results, source, count, video)
    tracks = predict_videos(tracker, batch, observe, horizon, f"{group}, video {video}")
    one = batch[place : place + 1]
    title = (
        f"{count} {outcome.results.dataset.things}, frames {observe + 1} to "
        f"{observe + horizon} predicted: {group}, video {video}"
    )
    return _drawn(
        title, one.frames[0, observe : observe + horizon], future_truth(one, observe, horizon),
        tracks[place : place + 1], settings,
    )  # fmt: skip


def _batch(results: Results, source: VideoSource, count: int, video: int) -> tuple[Videos, int]:
    """The videos with which one was evaluated, and its place among them."""
    evaluated = results.dataset.videos[count]
    start = video - video % SPAN
    stop = min(start + SPAN, evaluated.n_videos)
    return source.read(evaluated.group, start, stop), video - start


def _drawn(
    title: str, frames: np.ndarray, truth: Tracks, tracks: Tracks, settings: EvaluationSettings
) -> Picture:
    found = events(truth, tracks, settings.match)
    strip = filmstrip(
        frames, truth=truth, predicted=tracks.above(settings.confidence), marks=_marks(found),
        scale=3 if frames.shape[2] <= _LARGE else 2,
    )  # fmt: skip
    written = io.BytesIO()
    strip.save(written, format="PNG", optimize=True)
    return Picture(
        title=title,
        caption=_caption(found, int(truth.present.sum())),
        data=base64.b64encode(written.getvalue()).decode("ascii"),
        width=strip.width,
        height=strip.height,
    )


def _marks(found: Events) -> list[Mark]:
    return [
        Mark(frame=int(frame), box=box, kind=str(kind))  # type: ignore[arg-type]
        for frame, box, kind in zip(found.frame, found.box, found.kind, strict=True)
    ]


def _caption(found: Events, n_truth: int) -> str:
    n_errors = {kind: int((found.kind == kind).sum()) for kind in KINDS}
    if n_truth == 0:
        return f"no objects, {n_errors['false positive']} false positives"
    mota = METRICS["mota"].shown(1 - len(found) / n_truth)
    return (
        f"MOTA {mota}: {n_errors['miss']} missed, {n_errors['false positive']} false positives, "
        f"{n_errors['switch']} switches; {n_truth} true boxes"
    )
