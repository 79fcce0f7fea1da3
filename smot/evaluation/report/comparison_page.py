"""The page of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

from smot.evaluation.metrics.table import METRICS, Metric, shares
from smot.evaluation.report.compare import TABLES, Entry, comparison_rows, scores_of
from smot.evaluation.report.facts import Fact, FactGroup
from smot.evaluation.report.figures import curve_figure
from smot.evaluation.report.page import curve_of
from smot.evaluation.report.pages import LegendEntry, Panel, fill
from smot.evaluation.report.tables import Row

_FIRST = ("mota", "ap", "count_error")


def render_comparison(entries: Sequence[Entry]) -> str:
    """The comparison as HTML.

    Args:
        entries: from `line_up`.

    Returns:
        One self-contained page.
    """
    first = entries[0].results
    metrics = shares(
        key for each in entries for scores in each.results.tracking.values()
        for key in scores.metrics
    )  # fmt: skip
    settings, things = first.settings, first.dataset.things
    main = [METRICS[key] for key in _FIRST]
    more = [metric for metric in metrics if metric.key not in _FIRST]
    content = {
        "title": " · ".join(each.label for each in entries),
        "standfirst": _standfirst(entries),
        "notices": _notices(entries),
        "legend": [
            LegendEntry(style=place, label=each.label, note=_note(each, entries))
            for place, each in enumerate(entries)
        ],
        "things": things,
        "labels": [each.label for each in entries],
        "tracking_lead": "Pooled over the videos of each count; bands are 95% confidence "
        "intervals from a bootstrap over videos.",
        "tracking_panels": _panels(entries, "tracking", main),
        "prediction_lead": f"Frames {settings.observe + 1} to "
        f"{settings.observe + settings.horizon}, said from frames 1 to {settings.observe} alone.",
        "prediction_panels": _panels(entries, "prediction", main),
        "without_prediction": [
            f"{each.label}: no prediction, {each.results.prediction_reason}."
            for each in entries
            if each.results.prediction is None
        ],
        "more_panels": _panels(entries, "tracking", more, small=True),
        "metrics": metrics,
        "tables": _tables(entries),
        "facts": [_facts(each) for each in entries],
    }
    return fill("compare.html", content)


def _standfirst(entries: Sequence[Entry]) -> str:
    dataset, settings = entries[0].results.dataset, entries[0].results.settings
    counts = entries[0].results.counts
    source = f" Digits: {dataset.digit_source}." if dataset.digit_source else ""
    n_videos = sum(videos.n_videos for videos in dataset.videos.values())
    return (
        f"{dataset.name}: {n_videos:,} test videos with {counts[0]} to {counts[-1]} "
        f"{dataset.things}.{source} CLEAR-MOT in the convention of {settings.convention}."
    )


def _notices(entries: Sequence[Entry]) -> list[str]:
    different = [each for each in entries if each.difference]
    if not different:
        return []
    listed = "; ".join(f"{each.label}: {each.difference}" for each in different)
    return [f"These results are not of the same videos, and their curves cannot be read against "
            f"each other as if they were. {listed}."]  # fmt: skip


def _note(entry: Entry, entries: Sequence[Entry]) -> str:
    """What stands behind a curve's name: which data, if not all are of the same."""
    tuning = entry.results.tracker.tuning
    notes = [f"tuned {tuning.scope} on {tuning.split}"] if tuning else []
    if entry.results.tracker.is_oracle:
        notes.append("sees the truth")
    if any(each.difference for each in entries):
        dataset = entry.results.dataset
        sizes = sorted({videos.n_videos for videos in dataset.videos.values()})
        source = f", {dataset.digit_source}" if dataset.digit_source else ""
        notes.append(f"on {dataset.name}{source}, {sizes[-1]:,} videos per count")
    return "; ".join(notes)


def _panels(
    entries: Sequence[Entry], protocol: str, metrics: Sequence[Metric], *, small: bool = False
) -> list[Panel]:
    panels = []
    for metric in metrics:
        curves = [
            curve_of(scores, metric, label=each.label, style=place)
            for place, each in enumerate(entries)
            for scores in [scores_of(each, protocol)]
            if any(metric.key in one.metrics for one in scores.values())
        ]
        if curves:
            name = f"{protocol}-{metric.key.replace('_', '-')}"
            things = entries[0].results.dataset.things
            svg = curve_figure(metric, curves, name=name, x_label=things, small=small)
            panels.append(Panel(label=metric.label, note=metric.meaning, svg=svg))
    return panels


@dataclass(frozen=True, kw_only=True)
class _Table:
    caption: str
    protocol: str
    metric: str
    rows: Sequence[Row]


def _tables(entries: Sequence[Entry]) -> list[_Table]:
    tables = []
    for protocol, keys in (("tracking", TABLES), ("prediction", TABLES[:1])):
        if not any(scores_of(each, protocol) for each in entries):
            continue
        for key in keys:
            rows = comparison_rows(entries, protocol, METRICS[key])
            caption = f"{METRICS[key].label}, {protocol}"
            tables.append(_Table(caption=caption, protocol=protocol, metric=key, rows=rows))
    return tables


def _facts(entry: Entry) -> FactGroup:
    results = entry.results
    dataset, tracker = results.dataset, results.tracker
    lines = [Fact(label=key, value=value) for key, value in tracker.options.items()]
    lines += [
        Fact(label="Data", value=dataset.name),
        Fact(label="Digit source", value=dataset.digit_source or "none"),
        Fact(label="Settings hash", value=dataset.settings_fingerprint[:16], is_hash=True),
        *(
            Fact(
                label=f"{videos.group}, {videos.n_videos:,}",
                value=videos.fingerprint[:16],
                is_hash=True,
            )
            for videos in dataset.videos.values()
        ),
    ]
    return FactGroup(title=entry.label, facts=lines)
