"""Several results on one set of curves: checked to be of the same videos, printed, drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smot.errors import UsageError
from smot.evaluation.metrics.table import HEADLINE, MASKS, METRICS, Metric, shares
from smot.evaluation.report.figures import N_STYLES, LegendEntry, curve_panels
from smot.evaluation.report.page import DRAWN_LARGE, fill
from smot.evaluation.report.tables import MEAN, Cell, Row, aligned, scores_table
from smot.evaluation.results import CountScores, Results
from smot.evaluation.seeds import MeanResults

_SCORING = ("convention", "iou_threshold", "confidence")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of the results that are compared.

    Attributes:
        label: what its curve is called; no two are alike.
        results: what was found.
        difference: how its videos differ from those of the first; "" if they do not.
    """

    label: str
    results: Results
    difference: str = ""


def line_up(results: Mapping[Path, Results], *, allow_different_data: bool = False) -> list[Entry]:
    """Check that results may stand on one set of curves, and name each.

    Args:
        results: by the file that each was read from, in the order in which they are drawn.
        allow_different_data: whether different videos are only noted, not refused.

    Raises:
        UsageError: too many; scored in different ways; of different videos.
    """
    if not 1 <= len(results) <= N_STYLES:
        raise UsageError(f"compare takes 1 to {N_STYLES} results, not {len(results)}")
    first_path, first = next(iter(results.items()))
    entries = []
    for (path, each), label in zip(results.items(), _labels(results), strict=True):
        unlike = _scored_unlike(first, each)
        if unlike:
            raise UsageError(f"{path} cannot be compared with {first_path}: {unlike}")
        difference = data_difference(first, each)
        if difference and not allow_different_data:
            raise UsageError(
                f"{path} is not of the same videos as {first_path}: {difference} "
                "(--allow-different-data draws them all the same, and says so)"
            )
        entries.append(Entry(label=label, results=each, difference=difference))
    return entries


def data_difference(first: Results, other: Results) -> str:
    """How the videos of two results differ; "" if those of every count that both have agree."""
    ours, theirs = first.dataset, other.dataset
    for name in ("kind", "digit_source", "frame_size"):
        one, another = getattr(ours, name), getattr(theirs, name)
        if one != another:
            return f"{name.replace('_', ' ')} {_written(another)} instead of {_written(one)}"
    shared = [count for count in ours.videos if count in theirs.videos]
    if not shared and ours.settings_fingerprint != theirs.settings_fingerprint:
        return f"{theirs.name} instead of {ours.name}"
    for count in shared:
        mine, yours = ours.videos[count], theirs.videos[count]
        if mine.n_videos != yours.n_videos:
            return f"{yours.n_videos} videos of {yours.group} instead of {mine.n_videos}"
        if mine.fingerprint != yours.fingerprint:
            return f"other content in {yours.group} ({theirs.name} instead of {ours.name})"
    return ""


def comparison_table(entries: Sequence[Entry]) -> str:
    """What the command line prints: the main metrics of each result at each count."""
    texts = []
    for table in comparison_tables(entries):
        heads = [table.things, *table.labels]
        body = [[row.label, *(cell.text for cell in row.cells)] for row in table.rows]
        n_counts = sum(not row.is_mean for row in table.rows)
        texts.append(f"{table.caption}\n{aligned(heads, body, rule_before=n_counts)}")
    return "\n\n".join(texts)


@dataclass(frozen=True, kw_only=True)
class ComparisonTable:
    """One metric of one protocol: what `comparison_rows` gives, and what stands above it."""

    protocol: str
    metric: Metric
    things: str
    labels: Sequence[str]
    rows: Sequence[Row]

    @property
    def caption(self) -> str:
        """Such as "MOTA, tracking"."""
        return f"{self.metric.label}, {self.protocol}"


def comparison_tables(entries: Sequence[Entry]) -> list[ComparisonTable]:
    """The main metrics; in each table the results that have it."""
    tables: list[ComparisonTable] = []
    for protocol, keys in (("tracking", (*HEADLINE, *MASKS)), ("prediction", HEADLINE[:1])):
        for key in keys:
            chosen = [each for each in entries if has(each.results, protocol, key)]
            if chosen:
                table = ComparisonTable(
                    protocol=protocol,
                    metric=METRICS[key],
                    things=chosen[0].results.dataset.things,
                    labels=[each.label for each in chosen],
                    rows=comparison_rows(chosen, protocol, METRICS[key]),
                )
                tables.append(table)
    return tables


def _labels(results: Mapping[Path, Results]) -> list[str]:
    """Trackers' names, oracles marked; where they repeat, with the folder or file behind them."""
    trackers = [each.tracker for each in results.values()]
    names = [
        f"{each.name} (oracle)" if each.is_oracle and "oracle" not in each.name else each.name
        for each in trackers
    ]
    labels = [
        name if names.count(name) == 1 else f"{name} ({_place(path)})"
        for name, path in zip(names, results, strict=True)
    ]
    return [
        label if labels.count(label) == 1 else f"{label} [{place + 1}]"
        for place, label in enumerate(labels)
    ]


def _place(path: Path) -> str:
    if path.name == "results.json":
        return path.parent.name or path.stem
    return path.name if path.is_dir() else path.stem


def _scored_unlike(first: Results, other: Results) -> str:
    for name in _SCORING:
        mine, yours = getattr(first.settings, name), getattr(other.settings, name)
        if mine != yours:
            return f"{name} {yours} instead of {mine}"
    if first.prediction is None or other.prediction is None:
        return ""
    mine = first.settings.observe, first.settings.horizon
    yours = other.settings.observe, other.settings.horizon
    if mine != yours:
        return (
            f"prediction of {yours[1]} frames from {yours[0]} instead of {mine[1]} from {mine[0]}"
        )
    return ""


def _written(value: object) -> str:
    return " x ".join(map(str, value)) if isinstance(value, tuple) else repr(value)


def comparison_rows(entries: Sequence[Entry], protocol: str, metric: Metric) -> list[Row]:
    """One metric of one protocol: a row for each count, with a cell for each result.

    The row of means ends it where all results have the same counts. Groups with names have none.
    """
    names = entries[0].results.dataset.labels
    columns = [_column(each, protocol, metric) for each in entries]
    counts = sorted({int(label) for column in columns for label in column if label != MEAN})
    shared = all(set(column) == set(columns[0]) for column in columns)
    has_mean = shared and MEAN in columns[0] and names is None
    labels = [*map(str, counts), *([MEAN] if has_mean else [])]
    nothing = Cell(metric=metric.key, value=None, text="–", interval="", reason="not evaluated")
    return [
        Row(
            label=label if names is None else names.get(int(label), label),
            cells=[column.get(label, nothing) for column in columns],
            is_mean=label == MEAN,
        )
        for label in labels
    ]


def _column(entry: Entry, protocol: str, metric: Metric) -> dict[str, Cell]:
    """A result's cells by row; those of several runs say which interval is over what."""
    rows = scores_table(scores_of(entry, protocol), [metric])
    cells = {row.label: row.cells[0] for row in rows}
    if isinstance(entry.results, MeanResults):
        for label, cell in cells.items():
            if cell.interval:
                ends = entry.results.over_videos(protocol, int(label), metric.key)
                low, high = map(metric.shown, ends)
                text = f"{cell.interval} over runs, {low} to {high} over videos"
                cells[label] = replace(cell, interval=text)
    return cells


def scores_of(entry: Entry, protocol: str) -> Mapping[int, CountScores]:
    """A result's scores by count in one protocol, "tracking" or "prediction"; empty without."""
    scores: Mapping[int, CountScores] | None = getattr(entry.results, protocol)
    return scores or {}


def has(results: Results, protocol: str, key: str) -> bool:
    """Whether results have a metric of "tracking" or "prediction" at any count."""
    return any(key in each.metrics for each in (getattr(results, protocol) or {}).values())


def render_comparison(entries: Sequence[Entry]) -> str:
    """The comparison as HTML.

    Args:
        entries: from `line_up`.

    Returns:
        One self-contained page.
    """
    metrics = shares(
        key
        for each in entries
        for scores in each.results.tracking.values()
        for key in scores.metrics
    )
    x_label = entries[0].results.dataset.things
    tracking, prediction = (
        [(n, each.label, scores_of(each, protocol)) for n, each in enumerate(entries)]
        for protocol in ("tracking", "prediction")
    )
    more = [metric for metric in metrics if metric not in DRAWN_LARGE]
    content = {
        "entries": entries,
        "different": [each for each in entries if each.difference],
        "legend": [
            LegendEntry.of(place, each.label, _note(each, entries))
            for place, each in enumerate(entries)
        ],
        "tracking_panels": curve_panels(DRAWN_LARGE, tracking, prefix="tracking", x_label=x_label),
        "prediction_panels": curve_panels(
            DRAWN_LARGE, prediction, prefix="prediction", x_label=x_label
        ),
        "more_panels": curve_panels(
            more, tracking, prefix="tracking", x_label=x_label, small=True
        ),
        "metrics": metrics,
        "tables": comparison_tables(entries),
    }
    return fill("compare.html", content)


def _note(entry: Entry, entries: Sequence[Entry]) -> str:
    """What stands behind a curve's name: which data, if not all are of the same."""
    tuning = entry.results.tracker.tuning
    notes = [f"tuned {tuning.scope} on {tuning.split}"] if tuning else []
    if isinstance(entry.results, MeanResults):
        notes.append(f"mean of {len(entry.results.runs)} runs, band over runs")
    if entry.results.tracker.is_oracle:
        notes.append("sees the truth")
    if any(each.difference for each in entries):
        dataset = entry.results.dataset
        sizes = sorted({videos.n_videos for videos in dataset.videos.values()})
        source = f", {dataset.digit_source}" if dataset.digit_source else ""
        notes.append(f"on {dataset.name}{source}, {sizes[-1]:,} videos per count")
    return "; ".join(notes)
