"""The report of one evaluation: a single HTML file that fetches nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from smot.evaluation.metrics.occlusion import Occlusion
from smot.evaluation.metrics.table import HEADLINE, MASKS, METRICS, Metric, shares, tallies
from smot.evaluation.report.figures import LegendEntry, Series, bar_panel, curve_panels
from smot.evaluation.report.gallery import Picture
from smot.evaluation.report.tables import Row, mean_over_counts, scores_table
from smot.evaluation.results import CountScores, Results

DRAWN_LARGE = [METRICS[key] for key in HEADLINE[:3]]
"""The metrics of a page's large curves."""
_MAIN = (*HEADLINE, "recall", "precision", "motp", *MASKS)


def render_report(results: Results, pictures: Sequence[Picture] = ()) -> str:
    """The report as HTML.

    Args:
        results: what was found.
        pictures: the worst and typical videos, in the order in which they are shown.

    Returns:
        One self-contained page; text from outside is escaped.
    """
    keys = [key for scores in results.tracking.values() for key in scores.metrics]
    metrics = shares(keys)
    main = [metric for metric in metrics if metric.key in _MAIN]
    other = [metric for metric in metrics if metric.key not in _MAIN] + tallies(keys)
    tables = {
        protocol: [_table(results, scores, some) for some in (main, other)]
        for protocol, scores in _protocols(results).items()
    }
    content = {
        "results": results,
        "headline": _headline(results),
        "metrics": [*metrics, *tallies(keys)],
        "tables": tables,
        "occlusion": _occlusion(results),
        "pictures": pictures,
        **_curves(results, [metric for metric in metrics if metric not in DRAWN_LARGE]),
    }
    return fill("report.html", content)


def _table(
    results: Results, scores: Mapping[int, CountScores], metrics: Sequence[Metric]
) -> tuple[Sequence[Metric], list[Row]]:
    """Those of the metrics that a protocol has (prediction has none of masks), and their rows."""
    known = {key for each in scores.values() for key in each.metrics}
    some = [metric for metric in metrics if metric.key in known]
    return some, scores_table(scores, some, results.dataset.labels)


def _protocols(results: Results) -> dict[str, Mapping[int, CountScores]]:
    """Scores by protocol, as far as there are any."""
    found = {"tracking": results.tracking, "prediction": results.prediction}
    return {protocol: scores for protocol, scores in found.items() if scores is not None}


@dataclass(frozen=True, kw_only=True)
class _Headline:
    key: str
    label: str
    text: str
    note: str


def _headline(results: Results) -> list[_Headline]:
    labels = results.dataset.labels
    cards = [_card(results.tracking, METRICS[key], "", labels) for key in HEADLINE]
    if results.prediction is not None:
        cards.append(_card(results.prediction, METRICS["mota"], "Prediction ", labels))
    return [card for card in cards if card is not None]


def _card(
    scores: Mapping[int, CountScores],
    metric: Metric,
    protocol: str,
    labels: Mapping[int, str] | None,
) -> _Headline | None:
    """One large number; None where the results do not have it."""
    if not all(metric.key in each.metrics for each in scores.values()):
        return None
    counts = sorted(scores)
    shown = [metric.shown(scores[count].metrics[metric.key]) for count in counts]
    text, note = shown[0], f"at {counts[0]}"
    if labels is not None:
        note = labels[counts[0]]  # the first group holds all videos
    elif len(counts) > 1:
        text = metric.shown(mean_over_counts(scores, metric.key))
        note = (
            f"mean of {len(counts)} counts; {shown[0]} at {counts[0]}, {shown[-1]} at {counts[-1]}"
        )
    key = f"{protocol.strip().lower()}-{metric.key}" if protocol else metric.key
    return _Headline(key=key, label=protocol + metric.label, text=text, note=note)


def _curves(results: Results, more: Sequence[Metric]) -> dict[str, Any]:
    """The panels of the page; of groups with names there are none."""
    if results.dataset.labels is not None:
        return {"tracking_panels": [], "tracking_more": [], "prediction_panels": []}
    tracking: Series = (0, results.tracker.name, results.tracking)
    things = results.dataset.things
    panels: dict[str, Any] = {
        "tracking_panels": curve_panels(
            DRAWN_LARGE, [tracking], prefix="tracking", x_label=things
        ),
        "tracking_more": curve_panels(
            more, [tracking], prefix="tracking", x_label=things, small=True
        ),
        "prediction_panels": [],
    }
    if results.prediction is not None:
        observe, horizon = results.settings.observe, results.settings.horizon
        frames = f"frames {observe + 1} to {observe + horizon} from frames 1 to {observe}"
        both: list[Series] = [
            (1, "prediction", results.prediction),
            (0, "tracking", results.tracking),
        ]
        panels["prediction_panels"] = curve_panels(
            DRAWN_LARGE, both, prefix="prediction", x_label=things
        )
        panels["prediction_legend"] = [
            LegendEntry.of(1, f"Prediction of {frames}"),
            LegendEntry.of(0, "Tracking, all frames"),
        ]
    return panels


def _occlusion(results: Results) -> dict[str, Any] | None:
    """Recall and switches by visibility, pooled over all counts."""
    if not results.occlusion:
        return None
    ranges = {
        _visibility(parts[0].visibility): Occlusion.of(
            parts[0].visibility,
            sum(part.n_truth for part in parts),
            sum(part.matches for part in parts),
            sum(part.switches for part in parts),
        )
        for parts in zip(*results.occlusion.values(), strict=True)
    }
    drawn = {"by": "visibility", "x_label": "visible share of the object, %"}
    recall = bar_panel(
        {label.replace("%", ""): each.recall for label, each in ranges.items()},
        label="Recall",
        note="matched share of the true boxes",
        name="occlusion-recall",
        **drawn,
    )
    switches = bar_panel(
        {label.replace("%", ""): each.switch_rate for label, each in ranges.items()},
        label="Switch rate",
        note="share of matches that are switches",
        name="occlusion-switch",
        **drawn,
    )
    return {"panels": [recall, switches], "ranges": ranges, "shown": METRICS["recall"].shown}


def _visibility(visibility: tuple[float, float]) -> str:
    low, high = visibility
    return "100%" if low == high else f"{100 * low:.0f}–{99 if high == 1 else 100 * high:.0f}%"


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
