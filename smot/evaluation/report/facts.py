"""Settings, versions and fingerprints of a result as lines for a page."""

import json
from dataclasses import dataclass

from smot.evaluation.results import Results


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line.

    Attributes:
        label: what it is.
        value: its value as text.
        is_hash: whether the value is a fingerprint.
    """

    label: str
    value: str
    is_hash: bool = False


@dataclass(frozen=True, kw_only=True)
class FactGroup:
    """Lines that belong together, under a title."""

    title: str
    facts: list[Fact]


def facts(results: Results) -> list[FactGroup]:
    """Everything that it takes to get the same result again."""
    return [
        FactGroup(title="Tracker", facts=_tracker(results)),
        FactGroup(title="Scoring", facts=_scoring(results)),
        FactGroup(title="Data set", facts=_dataset(results)),
        FactGroup(title="Run", facts=_run(results)),
        FactGroup(title="Generator settings", facts=_generator(results)),
        FactGroup(title="Videos evaluated", facts=_videos(results)),
    ]


def _tracker(results: Results) -> list[Fact]:
    tracker = results.tracker
    lines = [Fact(label="Name", value=tracker.name)]
    if tracker.target and tracker.target != tracker.name:
        lines.append(Fact(label="Built as", value=tracker.target))
    lines += [Fact(label=key, value=value) for key, value in tracker.options.items()]
    if tracker.tuning is not None:
        tuning = tracker.tuning
        lines.append(Fact(label="Tuned", value=f"{tuning.scope}, on {tuning.split}, by MOTA"))
        lines += [
            Fact(label=f"at {count}", value=f"{choice} (MOTA {tuning.scores[count]:.3f})")
            for count, choice in tuning.chosen.items()
        ]
    return lines


def _scoring(results: Results) -> list[Fact]:
    settings = results.settings
    return [
        Fact(label="Convention", value=settings.convention),
        Fact(label="Engine", value=settings.backend),
        Fact(label="Match", value=f"IoU at least {settings.iou_threshold:g}"),
        Fact(label="Prediction counts", value=f"confidence above {settings.confidence:g}"),
        Fact(label="Prediction test", value=f"sees {settings.observe}, says {settings.horizon}"),
        Fact(label="Intervals", value=f"95%, {settings.n_resamples:,} resamples of videos"),
        Fact(label="Seed of the bootstrap", value=str(settings.seed)),
    ]


def _dataset(results: Results) -> list[Fact]:
    dataset = results.dataset
    H, W = dataset.frame_size
    lines = [
        Fact(label="Name", value=dataset.name),
        Fact(label="Origin", value=dataset.origin),
        Fact(label="Digit source", value=dataset.digit_source or "none"),
        Fact(label="Seed", value=str(dataset.seed)),
        Fact(label="Frames", value=f"{dataset.n_frames} of {W} × {H} pixels"),
        Fact(label="Settings hash", value=dataset.settings_fingerprint, is_hash=True),
    ]
    if dataset.content_fingerprint:
        lines.append(Fact(label="File hash", value=dataset.content_fingerprint, is_hash=True))
    return lines


def _run(results: Results) -> list[Fact]:
    timing = results.timing
    return [
        Fact(label="Ended", value=timing.created),
        Fact(label="Took", value=f"{timing.seconds:,.1f} s, {timing.n_workers} processes"),
        Fact(label="Of that in the tracker", value=f"{timing.tracker_seconds:,.1f} s"),
        Fact(label="Speed", value=f"{timing.videos_per_second:,.0f} videos/s"),
        *(Fact(label=name, value=found) for name, found in results.versions.items()),
    ]


def _generator(results: Results) -> list[Fact]:
    return [
        Fact(label=key, value=value if isinstance(value, str) else json.dumps(value))
        for key, value in results.dataset.settings.items()
    ]


def _videos(results: Results) -> list[Fact]:
    return [
        Fact(
            label=f"{videos.group}, {videos.n_videos:,}",
            value=videos.fingerprint[:16],
            is_hash=True,
        )
        for videos in results.dataset.videos.values()
    ]
