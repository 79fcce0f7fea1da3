"""Videos in the hands of a tracker: one to look at, or the worst and typical of an evaluation."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from PIL import Image

from smot.errors import UsageError
from smot.evaluation.metrics.counts import VideoCounts
from smot.evaluation.metrics.events import KINDS, Events, events
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import METRICS
from smot.evaluation.protocols import checked, predict_videos, track_videos, why_not
from smot.evaluation.run import Outcome
from smot.evaluation.testsets import SPAN, VideoSource
from smot.filmstrips import MOST_DRAWN, Mark, Span, strip, track_rows
from smot.tracks import ABSENT, Contestant, Explainer, Trace, Tracks
from smot.videos import Videos

N_COUNTS = 3
"""Numbers of objects from which videos are shown."""

# Pixels of a picture for one of the video: twice what a page shows, so that it is sharp on every
# screen. Frames wider than so many pixels are drawn half as large.
_SCALE, _LARGE = 4, 64


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A filmstrip for a page.

    Attributes:
        title: which video it is.
        caption: how it went.
        data: PNG, base64.
        width: pixels.
        height: pixels.
        n_frames: side by side; a page gives each at least 90 pixels, and scrolls.
    """

    title: str
    caption: str
    data: str
    width: int
    height: int
    n_frames: int

    @classmethod
    def of(cls, drawn: Image.Image, title: str, caption: str, n_frames: int) -> Self:
        """A strip drawn at twice its size, in at most 256 colours."""
        written = io.BytesIO()
        drawn.quantize(256).save(written, format="PNG", optimize=True)
        return cls(
            title=title,
            caption=caption,
            data=base64.b64encode(written.getvalue()).decode("ascii"),
            width=drawn.width // 2,
            height=drawn.height // 2,
            n_frames=n_frames,
        )


def gallery(outcome: Outcome, source: VideoSource) -> list[Picture]:
    """For some counts the worst video, a typical one, and the prediction of the typical one.

    The videos are read and tracked once more, in the batch in which they were evaluated.

    Args:
        outcome: of the evaluation.
        source: where its videos came from.
    """
    pictures = []
    for count in shown_counts(sorted(outcome.counts)):
        worst, typical = worst_and_typical(outcome.counts[count])
        shown: list[tuple[int, str | None]] = [(worst, "worst"), (typical, "typical")]
        if outcome.results.prediction is not None:
            shown.append((typical, None))
        pictures += [_picture(outcome, source, count, *each) for each in shown]
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


def _picture(
    outcome: Outcome, source: VideoSource, count: int, video: int, kind: str | None
) -> Picture:
    """One video as it was tracked, of some kind, or, if of none, as it was predicted."""
    tracker, results = outcome.tracker[count], outcome.results
    settings, evaluated = results.settings, results.dataset.videos[count]
    first, stop = (0, None) if kind else (settings.observe, settings.observe + settings.horizon)
    things = results.dataset.things if count != 1 else results.dataset.things.removesuffix("s")
    named = f"{count} {things}, " if results.dataset.labels is None else ""
    kind = kind or f"frames {first + 1} to {stop} predicted"
    # The videos with which it was evaluated, and where it is among them.
    start = video - video % SPAN
    batch = source.read(evaluated.group, start, min(start + SPAN, evaluated.n_videos))
    place, one = (evaluated.group, start), slice(video - start, video - start + 1)
    if stop is None:
        tracks = track_videos(tracker, batch, place)[one]
    else:
        tracks = predict_videos(tracker, batch, first, settings.horizon, place)[one]
    found = events(batch[one].truth[:, first:stop], tracks, settings.match)
    title = f"{named}{kind}: {evaluated.group}, video {video}"
    return _drawn(title, batch[one], tracks.above(settings.confidence), found, first)


def _drawn(title: str, video: Videos, tracks: Tracks, found: Events, first: int) -> Picture:
    """A strip of one video; `tracks` and what was found in them begin at frame `first`.

    Frames that the tracker saw before it predicted have no boxes of its own, and those after are
    left out.
    """
    stop = first + tracks.shape[1]
    video, around = first_frames(video, stop), ((0, 0), (first, 0), (0, 0))
    caption = _caption(found, int(video.present[0, first:].sum()))
    whole = Tracks(
        boxes=np.pad(tracks.boxes, (*around, (0, 0))),
        ids=np.pad(tracks.ids, around, constant_values=ABSENT),
        confidence=np.pad(tracks.confidence, around),
    )
    frames = video.frames[0]
    marks = [
        Mark(frame=int(frame) + first, box=box, kind=str(kind))  # type: ignore[arg-type]
        for frame, box, kind in zip(found.frame, found.box, found.kind, strict=True)
    ]
    # What is missing stands with the truth, what is wrong with the tracker: half as much on each.
    rows = track_rows(frames, whole, truth=video.truth, n_seen=first or None)
    rows = [
        replace(row, marks=[mark for mark in marks if (mark.kind == "miss") == (place == 0)])
        for place, row in enumerate(rows)
    ]
    spans = (
        Span(label="seen", start=0, stop=first),
        Span(label="predicted", start=first, stop=stop),
    )
    crowded = tracks.present.sum(-1).max(initial=0) > MOST_DRAWN
    crowd = f"; only the first {MOST_DRAWN} boxes of a frame are drawn" if crowded else ""
    scale = _SCALE if video.frames.shape[3] <= _LARGE else _SCALE // 2
    picture = strip(rows, scale=scale, spans=spans if first else ())
    return Picture.of(picture, title, caption + crowd, stop)


def _caption(found: Events, n_truth: int) -> str:
    n_errors = {kind: int((found.kind == kind).sum()) for kind in KINDS}
    if n_truth == 0:
        return f"no objects, {n_errors['false positive']} false positives"
    mota = METRICS["mota"].shown(1 - sum(n_errors.values()) / n_truth)
    return (
        f"MOTA {mota}: {n_errors['miss']} missed, {n_errors['false positive']} false positives, "
        f"{n_errors['switch']} switches; {n_truth} true boxes"
    )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a tracker makes of one video.

    Attributes:
        tracks: what it is scored on, B = 1.
        trace: how it came to them, with these tracks; None if it does not say.
    """

    tracks: Tracks
    trace: Trace | None = None


def follow(tracker: Contestant, video: Videos, group: str, index: int) -> Shown:
    """Let a tracker see all frames of a video.

    Args:
        tracker: whose turn it is.
        video: N = 1.
        group: where it is, "test/03", for the message.
        index: its number there.

    Raises:
        DataError: the tracker failed; names tracker and video.
    """
    if isinstance(tracker, Explainer):
        return _explained(tracker, video, 0, (group, index))
    return Shown(tracks=_above(track_videos(tracker, video, (group, index))))


def foresee(
    tracker: Contestant, video: Videos, observe: int, horizon: int, group: str, index: int
) -> Shown:
    """Let a tracker see some frames of a video and predict the next.

    Args:
        tracker: whose turn it is.
        video: N = 1.
        observe: frames seen, at least 1.
        horizon: frames predicted, at least 1.
        group: where the video is, "test/03", for the message.
        index: its number there.

    Returns:
        Tracks of `observe + horizon` frames.

    Raises:
        UsageError: the tracker does not predict, or the video is too short.
        DataError: the tracker failed; names tracker and video.
    """
    reason = why_not(tracker, video.frames.shape[1], observe, horizon)
    if reason:
        raise UsageError(f"no prediction: {reason}")
    seen = first_frames(video, observe)
    if isinstance(tracker, Explainer):
        return _explained(tracker, seen, horizon, (group, index))
    followed = track_videos(tracker, seen, (group, index))
    predicted = predict_videos(tracker, video, observe, horizon, (group, index))
    # Masks, if a tracker gives some unasked, are of the frames seen alone.
    parts = [replace(part, masks=None) for part in (followed, predicted)]
    return Shown(tracks=_above(Tracks.stack(parts, axis=1)))


def segment(tracker: Contestant, video: Videos, group: str, index: int) -> Tracks:
    """A tracker's masks of a video that has masks itself; arguments of `follow`.

    Raises:
        UsageError: the tracker gives none.
        DataError: it failed; names tracker and video.
    """
    tracks = _above(track_videos(tracker, video, (group, index)))
    if tracks.masks is None:
        raise UsageError(f"{tracker.name} gives no masks")
    return tracks


def first_frames(videos: Videos, n_frames: int) -> Videos:
    """Copies of the first frames of videos, and what is in them; without masks."""
    return replace(
        videos,
        frames=np.array(videos.frames[:, :n_frames]),
        boxes=videos.boxes[:, :n_frames],
        present=videos.present[:, :n_frames],
        visibility=videos.visibility[:, :n_frames],
        owner=None,
    )


def _explained(tracker: Explainer, seen: Videos, horizon: int, place: tuple[str, int]) -> Shown:
    traces = []

    def attempt(part: Videos) -> Tracks:
        traces.append(tracker.trace(part.frames, horizon))
        return traces[-1].tracks

    n_frames = seen.frames.shape[1] + horizon
    tracks = _above(checked(tracker.name, attempt, seen, place, n_frames))
    return Shown(tracks=tracks, trace=replace(traces[0], tracks=tracks))


def _above(tracks: Tracks) -> Tracks:
    """What counts for MOTA."""
    return tracks.above(MatchSettings().confidence)
