"""Scores as rows: for the terminal, for CSV, for a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smot.evaluation.metrics.table import HEADLINE, MASKS, METRICS, Metric, shares, tallies
from smot.evaluation.results import CountScores, Results
from smot.files import csv_text

MEAN = "mean of counts"
"""What the row of `mean_over_counts` is called wherever it is shown."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric at one count, as it is shown.

    Attributes:
        metric: its name in results.json.
        value: what is shown, unrounded; None without a value.
        text: the value, rounded.
        interval: its 95% interval, rounded; "" without one.
        ends: of the interval, unrounded; None without one.
        reason: why there is no value; "" if there is.
    """

    metric: str
    value: float | None
    text: str
    interval: str
    reason: str
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """All metrics at one count, or the plain mean over counts."""

    label: str
    cells: Sequence[Cell]
    is_mean: bool


def scores_table(
    scores: Mapping[int, CountScores],
    metrics: Sequence[Metric],
    labels: Mapping[int, str] | None = None,
) -> list[Row]:
    """A row for each count and, beyond one count, the mean of the rows, so labelled.

    Groups that have names (`DatasetRecord.labels`) have no such mean.
    """
    rows = [
        Row(
            label=str(count) if labels is None else labels[count],
            cells=[_cell(scores[count], metric) for metric in metrics],
            is_mean=False,
        )
        for count in sorted(scores)
    ]
    if len(scores) > 1 and labels is None:
        cells = [_mean_cell(scores, metric) for metric in metrics]
        rows.append(Row(label=MEAN, cells=cells, is_mean=True))
    return rows


def mean_over_counts(scores: Mapping[int, CountScores], metric: str) -> float | None:
    """The plain mean of a metric's values at the counts; None if a count has no value.

    This is a mean of ratios, each pooled over its own videos, and is to be labelled as such.

    Source: the papers quote "mean MOTA over counts"; everything else here is pooled.
    """
    values = [each.metrics.get(metric) for each in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def terminal_table(results: Results) -> str:
    """The main metrics of both protocols at each count, under two lines that say of what."""
    keys = _keys(results.tracking)
    shown = [METRICS[key] for key in (*HEADLINE, "switches", *MASKS[:3]) if key in keys]
    heads = [results.dataset.things, *(metric.label for metric in shown)]
    body = [
        [row.label, *(cell.text for cell in row.cells)]
        for row in scores_table(results.tracking, shown, results.dataset.labels)
    ]
    if results.prediction is not None:
        predicted = scores_table(results.prediction, [METRICS["mota"]], results.dataset.labels)
        heads.append("Prediction MOTA")
        for line, row in zip(body, predicted, strict=True):
            line.append(row.cells[0].text)
    return "\n".join(
        [*_about(results), "", aligned(heads, body, rule_before=len(results.tracking))]
    )


def _about(results: Results) -> list[str]:
    dataset, tuning = results.dataset, results.tracker.tuning
    digits = f" ({dataset.digit_source})" if dataset.digit_source else ""
    lines = [
        f"{results.tracker.name} on {dataset.name}{digits}: {dataset.n_videos:,} videos, "
        f"CLEAR-MOT as in {results.settings.convention}"
    ]
    if tuning is not None:
        choices = list(dict.fromkeys(tuning.chosen.values()))
        chosen = choices[0] if len(choices) == 1 else f"{len(choices)} different settings"
        lines.append(
            f"tuned {tuning.scope} on {tuning.n_videos:,} videos of {tuning.split}: {chosen}"
        )
    if results.prediction is None:
        lines.append(f"no prediction: {results.prediction_reason}")
    return lines


def to_csv(results: Results) -> str:
    """One line for each protocol and count: every metric with the ends of its interval."""
    protocols = {"tracking": results.tracking, "prediction": results.prediction or {}}
    keys, labels = _keys(results.tracking), results.dataset.labels
    metrics = [*shares(keys), *tallies(keys)]
    heads = [f"{metric.key}{end}" for metric in metrics for end in ("", "_low", "_high")]
    rows: list[list[object]] = [["tracker", "protocol", "count", *heads]]
    for protocol, scores in protocols.items():
        for count, each in sorted(scores.items()):
            label = count if labels is None else labels[count]
            row: list[object] = [results.tracker.name, protocol, label]
            for metric in metrics:
                ends = each.intervals.get(metric.key, (None, None))
                row += [each.metrics.get(metric.key), *ends]
            rows.append(row)
    return csv_text(rows)


def _keys(scores: Mapping[int, CountScores]) -> set[str]:
    return {key for each in scores.values() for key in each.metrics}


def _cell(scores: CountScores, metric: Metric) -> Cell:
    ends = scores.intervals.get(metric.key)
    value = scores.metrics.get(metric.key)
    return Cell(
        metric=metric.key,
        value=value,
        text=metric.shown(value),
        interval=f"{metric.shown(ends[0])} to {metric.shown(ends[1])}" if ends else "",
        reason=scores.reasons.get(metric.key, ""),
        ends=ends,
    )


def _mean_cell(scores: Mapping[int, CountScores], metric: Metric) -> Cell:
    """The mean of the values shown above it; numbers of things have none."""
    value = mean_over_counts(scores, metric.key) if metric.digits else None
    text = metric.shown(value) if metric.digits else ""
    return Cell(metric=metric.key, value=value, text=text, interval="", reason="")


def aligned(heads: Sequence[str], body: Sequence[Sequence[str]], *, rule_before: int) -> str:
    """Columns as wide as they need, first to the left, the rest to the right."""
    lines = [heads, *body]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    texts = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "─" * max(map(len, texts))
    texts.insert(1, rule)
    if len(body) > rule_before:
        texts.insert(2 + rule_before, rule)
    return "\n".join(texts)
