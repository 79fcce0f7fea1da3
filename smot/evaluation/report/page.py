"""The report of one evaluation: a single HTML file that fetches nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from smot.evaluation.metrics.occlusion import Occlusion
from smot.evaluation.metrics.table import HEADLINE, METRICS, Metric, shares, tallies
from smot.evaluation.report.figures import (
    LegendEntry,
    Panel,
    Size,
    bar_figure,
    curve_of,
    curve_panel,
)
from smot.evaluation.report.gallery import Picture
from smot.evaluation.report.tables import scores_table
from smot.evaluation.results import CountScores, Results, mean_over_counts

DRAWN_LARGE = HEADLINE[:3]
"""The metrics of a page's large curves."""
_MAIN = (*HEADLINE, "recall", "precision", "motp")
Scores = Mapping[int, CountScores]


def render_report(results: Results, pictures: Sequence[Picture] = ()) -> str:
    """The report as HTML.

    Args:
        results: what was found.
        pictures: the worst and typical videos, in the order in which they are shown.

    Returns:
        One self-contained page; text from outside is escaped.
    """
    metrics = shares(key for scores in results.tracking.values() for key in scores.metrics)
    main = [metric for metric in metrics if metric.key in _MAIN]
    keys = [key for scores in results.tracking.values() for key in scores.metrics]
    other = [metric for metric in metrics if metric.key not in _MAIN] + tallies(keys)
    labels = results.dataset.labels
    content = {
        "title": f"{results.tracker.name} on {results.dataset.name}",
        "standfirst": _standfirst(results),
        "things": results.dataset.things,
        "headline": _headline(results),
        "notices": _notices(results),
        "tracking_title": f"Tracking against the number of {results.dataset.things}"
        if labels is None
        else "Tracking",
        "table_title": "Every count" if labels is None else "Every group",
        "tracking_lead": _TRACKING_LEAD if labels is None else _GROUPS_LEAD,
        "tracking_panels": _panels(results, [METRICS[key] for key in DRAWN_LARGE]),
        "tracking_more": _panels(
            results, [each for each in metrics if each.key not in DRAWN_LARGE], small=True
        ),
        "metrics": [*metrics, *tallies(keys)],
        "main_metrics": main,
        "other_metrics": other,
        "tracking_rows": scores_table(results.tracking, main, labels),
        "tracking_other": scores_table(results.tracking, other, labels),
        "occlusion": _occlusion(results),
        "pictures": pictures,
        "pictures_lead": _PICTURES_LEAD,
        "facts": facts(results),
    }
    return fill("report.html", content | _prediction(results, main, other))


_TRACKING_LEAD = (
    "Every value is pooled over the videos of its count: errors are summed, then divided. The "
    "band is a 95% confidence interval from a bootstrap over videos."
)
_GROUPS_LEAD = (
    "Every value is pooled over the videos of its group: errors are summed, then divided. "
    "Intervals, where there are several videos, are from a bootstrap over them."
)
_PICTURES_LEAD = (
    "For some counts the video with the worst MOTA and the one in the middle. The upper row of a "
    "strip has the true boxes, the lower row the tracker's; a colour is an identity. Errors are "
    "marked in red in the frame in which they happen: misses above, where the truth is, and false "
    "positives and switches below."
)


def _standfirst(results: Results) -> str:
    dataset, counts = results.dataset, results.counts
    H, W = dataset.frame_size
    if dataset.labels is not None:
        size = f", {W} × {H} pixels" if H else ""
        length = f" of {dataset.n_frames} frames" if dataset.n_frames else ""
        convention = f"CLEAR-MOT in the convention of {results.settings.convention}."
        return f"{dataset.n_videos:,} videos{length}{size}. {convention}"
    span = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    source = f" Digits: {dataset.digit_source}." if dataset.digit_source else ""
    return (
        f"{dataset.n_videos:,} test videos of {dataset.n_frames} frames, {W} × {H} pixels, "
        f"with {span} {dataset.things}.{source} CLEAR-MOT in the convention of "
        f"{results.settings.convention}."
    )


@dataclass(frozen=True, kw_only=True)
class _Headline:
    key: str
    label: str
    text: str
    note: str


def _headline(results: Results) -> list[_Headline]:
    labels = results.dataset.labels
    cards = [_card(results.tracking, METRICS[key], "", "", labels) for key in HEADLINE]
    if results.prediction is not None:
        cards.append(
            _card(results.prediction, METRICS["mota"], "prediction-", "Prediction ", labels)
        )
    return [card for card in cards if card is not None]


def _card(
    scores: Scores, metric: Metric, prefix: str, label: str, labels: Mapping[int, str] | None
) -> _Headline | None:
    if not all(metric.key in each.metrics for each in scores.values()):
        return None
    counts = sorted(scores)
    if labels is not None:
        # The first group holds all videos.
        text = metric.shown(scores[counts[0]][metric.key])
        return _Headline(
            key=prefix + metric.key, label=label + metric.label, text=text, note=labels[counts[0]]
        )
    first, last = (metric.shown(scores[count][metric.key]) for count in (counts[0], counts[-1]))
    note = f"mean of {len(counts)} counts; {first} at {counts[0]}, {last} at {counts[-1]}"
    return _Headline(
        key=prefix + metric.key,
        label=label + metric.label,
        text=metric.shown(mean_over_counts(scores, metric.key)),
        note=note if len(counts) > 1 else f"at {counts[0]}",
    )


def _notices(results: Results) -> list[str]:
    notices = []
    if results.tracker.is_oracle:
        notices.append(
            "This is an oracle: it is shown the ground truth. Its curves are marks to read "
            "trackers against."
        )
    tuning = results.tracker.tuning
    if tuning is not None:
        scope = "one for each count" if tuning.scope == "per-count" else "one for all counts"
        notices.append(
            f"Setting chosen on {tuning.n_videos:,} videos of {tuning.split} by MOTA, {scope}: "
            f"{_choices(tuning.chosen)}."
        )
    return notices


def _choices(chosen: Mapping[int, str]) -> str:
    different = list(dict.fromkeys(chosen.values()))
    if len(different) == 1:
        return different[0]
    first, last = min(chosen), max(chosen)
    return f"{chosen[first]} at {first}, {chosen[last]} at {last}; all are under Settings"


def _panels(results: Results, metrics: Sequence[Metric], *, small: bool = False) -> list[Panel]:
    panels: list[Panel] = []
    if results.dataset.labels is not None:
        return panels  # nothing to draw a curve against
    for metric in metrics:
        curve = curve_of(results.tracking, metric, label=results.tracker.name, style=0)
        name = f"tracking-{metric.key.replace('_', '-')}"
        if any(value is not None for value in curve.values.values()):
            chosen: Size = "small" if small else "middle" if panels else "large"
            things = results.dataset.things
            panels.append(curve_panel(metric, [curve], name=name, x_label=things, size=chosen))
    return panels


def _prediction(results: Results, main: list[Metric], other: list[Metric]) -> dict[str, Any]:
    settings = results.settings
    first, last = settings.observe + 1, settings.observe + settings.horizon
    frames = f"frames {first} to {last} from frames 1 to {settings.observe}"
    found: dict[str, Any] = {
        "prediction_lead": f"The tracker sees the first {settings.observe} frames of a video and "
        f"predicts where the objects are in the next {settings.horizon}, which it never sees. "
        "Only those are scored, and identities start anew.",
        "prediction_caption": f"Prediction of {frames}.",
        "prediction_reason": results.prediction_reason,
        "prediction_panels": [],
        "prediction_rows": [],
    }
    if results.prediction is None:
        return found
    panels: list[Panel] = []
    for key in DRAWN_LARGE if results.dataset.labels is None else ():
        if not any(key in each.metrics for each in results.prediction.values()):
            continue
        curves = [
            curve_of(results.prediction, METRICS[key], label="prediction", style=1),
            curve_of(results.tracking, METRICS[key], label="tracking", style=0),
        ]
        panels.append(
            curve_panel(
                METRICS[key],
                curves,
                name=f"prediction-{key.replace('_', '-')}",
                x_label=results.dataset.things,
                size="middle" if panels else "large",
            )
        )
    return found | {
        "prediction_panels": panels,
        "prediction_legend": [
            LegendEntry(style=1, label=f"Prediction of {frames}"),
            LegendEntry(style=0, label="Tracking, all frames"),
        ],
        "prediction_rows": scores_table(results.prediction, main, results.dataset.labels),
        "prediction_other": scores_table(results.prediction, other, results.dataset.labels),
    }


def _occlusion(results: Results) -> dict[str, Any] | None:
    """Recall and switches by visibility, pooled over all counts."""
    if not results.occlusion:
        return None
    ranges = [
        Occlusion.of(
            parts[0].visibility,
            sum(part.n_truth for part in parts),
            sum(part.matches for part in parts),
            sum(part.switches for part in parts),
        )
        for parts in zip(*results.occlusion.values(), strict=True)
    ]
    labels = [_visibility(each).replace("%", "") for each in ranges]
    panels = [
        Panel(
            label=title,
            note=note,
            svg=bar_figure(
                labels,
                values,
                name=name,
                title=f"{title} by visibility",
                x_label="visible share of the object, %",
            ),
            name=name,
            data=[("visibility", title), *zip(labels, values, strict=True)],
        )
        for name, title, note, values in (
            (
                "occlusion-recall",
                "Recall",
                "matched share of the true boxes",
                [each.recall for each in ranges],
            ),
            (
                "occlusion-switch",
                "Switch rate",
                "share of matches that are switches",
                [each.switch_rate for each in ranges],
            ),
        )
    ]
    return {
        "lead": _OCCLUSION_LEAD,
        "panels": panels,
        "heads": _OCCLUSION_HEADS,
        "rows": [_occlusion_row(each) for each in ranges],
    }


_OCCLUSION_LEAD = (
    "True boxes by how much of the object can be seen: the share of its pixels that no object "
    "drawn later covers. All counts pooled."
)
_OCCLUSION_HEADS = (
    "Visible share",
    "True boxes",
    "Matched",
    "Recall",
    "Switches",
    "Switch rate",
)


def _occlusion_row(each: Occlusion) -> list[str]:
    share = METRICS["recall"].shown
    return [
        _visibility(each),
        f"{each.n_truth:,}",
        f"{each.matches:,}",
        share(each.recall),
        f"{each.switches:,}",
        share(each.switch_rate),
    ]


def _visibility(each: Occlusion) -> str:
    low, high = each.visibility
    return "100%" if low == high else f"{100 * low:.0f}–{99 if high == 1 else 100 * high:.0f}%"


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
        Fact(
            label="Prediction test", value=f"sees {settings.observe}, predicts {settings.horizon}"
        ),
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
        Fact(
            label="Frames",
            value=f"{dataset.n_frames} of {W} × {H} pixels" if H else "of several sizes",
        ),
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


def fill(template: str, content: Mapping[str, Any]) -> str:
    """Fill one of the templates beside this module.

    Args:
        template: the file's name.
        content: what the template names. Text is escaped; only what is marked `safe` in the
            templates is not, and that is drawings made here.

    Returns:
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("smot.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sheet = files("smot.evaluation.report").joinpath("templates/style.css").read_text("utf-8")
    known = {"style": sheet, "version": version("smot")}
    return environment.get_template(template).render(known | dict(content))
