"""Figures and tables for papers: named results, a few metrics, one file."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smot.errors import UsageError, did_you_mean
from smot.evaluation.metrics.table import METRICS, Metric
from smot.evaluation.report.compare import Entry, comparison_rows, has
from smot.evaluation.report.figures import (
    N_STYLES,
    PRINT,
    Curve,
    curve_of,
    draw_curves,
    dress,
)
from smot.evaluation.report.tables import Cell, Row
from smot.evaluation.results import Results
from smot.evaluation.seeds import MeanResults
from smot.files import atomic_path, check_suffix, csv_text, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = (".pdf", ".svg", ".png")
TABLES = (".tex", ".md", ".csv")

_PROTOCOLS = ("tracking", "prediction")
# Inches: one column and the whole width of a page with two, as the field's conferences have them.
_WIDTHS = {1: 3.3, 2: 6.9}
_PANEL_HEIGHT, _MOST_BESIDE = 1.75, 3
_FONT_SIZE = 8
_RESOLUTION = 300  # of PNG, per inch


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A metric of one protocol, written `mota` or `prediction.mota`."""

    protocol: str
    metric: Metric

    @property
    def title(self) -> str:
        """What an axis or a table calls it."""
        label = self.metric.label
        return label if self.protocol == "tracking" else f"Prediction {label}"


def read_quantity(text: str) -> Quantity:
    """The quantity that a text names.

    Raises:
        UsageError: there is no such metric, or it is a count, which cannot be compared.
    """
    protocol, dot, key = text.strip().rpartition(".")
    drawable = [metric.key for metric in METRICS.values() if metric.digits]
    names = [*drawable, *(f"prediction.{name}" for name in drawable)]
    if (dot and protocol not in _PROTOCOLS) or key not in drawable:
        raise UsageError(f"no metric {text.strip()!r}{did_you_mean(text, names)}")
    return Quantity(protocol=protocol or "tracking", metric=METRICS[key])


def write_figure(
    path: str | Path,
    curves: Mapping[str, Results],
    metrics: Sequence[str],
    *,
    columns: int = 1,
) -> None:
    """Draw metrics against the number of objects, a panel each, to a PDF, SVG or PNG.

    Bands are 95% intervals: over videos, or over runs of a `smot.evaluation.seeds.MeanResults`.

    Args:
        path: what to write; its suffix says how.
        curves: label -> results, in the order of the legend. That they are of the same videos
            is the caller's to know (`smot.evaluation.report.compare.line_up` checks it).
        metrics: names such as "mota", "ap", "count_error", "prediction.mota".
        columns: of a paper with two columns: 1 stacks the panels, 2 puts up to three beside
            each other.

    Raises:
        UsageError: an unknown suffix, metric or number of columns; too many curves, or none.
    """
    from matplotlib import rc_context

    path = check_suffix(path, FIGURES)
    quantities = [read_quantity(text) for text in metrics]
    if not (1 <= len(curves) <= N_STYLES and quantities):
        raise UsageError(f"a figure takes a metric and 1 to {N_STYLES} results")
    if columns not in _WIDTHS:
        raise UsageError(f"columns={columns!r}: there are 1 and 2")
    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with rc_context(
        {
            "font.size": _FONT_SIZE,
            # Letters stay letters, and the same results give the same bytes.
            "pdf.fonttype": 42,
            "svg.fonttype": "none",
            "svg.hashsalt": "smot",
        }
    ):
        figure = _figure(curves, quantities, columns)
        with atomic_path(path) as draft:
            figure.savefig(
                draft,
                format=path.suffix[1:].lower(),
                dpi=_RESOLUTION,
                metadata=dates.get(path.suffix.lower()),
            )


def _figure(
    curves: Mapping[str, Results], quantities: Sequence[Quantity], columns: int
) -> "Figure":
    from matplotlib.figure import Figure

    beside = min(len(quantities), _MOST_BESIDE) if columns > 1 else 1
    if len(quantities) == 4 and columns > 1:
        beside = 2  # two and two rather than three and one
    above = -(-len(quantities) // beside)
    size = (_WIDTHS[columns], above * _PANEL_HEIGHT + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(above, beside, squeeze=False)
    things = next(iter(curves.values())).dataset.things
    for axes, quantity in zip(grid.flat, quantities, strict=False):
        drawn = _curves(curves, quantity)
        dress(axes, palette=PRINT, font_size=_FONT_SIZE - 0.5)
        # Beside others a panel is narrow, and markers would hide the dashes between them.
        look: dict[str, Any] = {"n_ticks": 12 // beside + 2, "weight": 1 - 0.2 * (beside - 1)}
        draw_curves(axes, quantity.metric, drawn, palette=PRINT, **look)
        arrow = "↓" if quantity.metric.lower_is_better else "↑"
        axes.set_ylabel(f"{quantity.title} {arrow}", color=PRINT.ink)
        axes.set_xlabel(things, color=PRINT.muted)
    figure.align_ylabels()
    for axes in grid.flat[len(quantities) :]:
        axes.remove()
    handles = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = [label for label in curves if label in handles]
    for n_columns in range(min(len(labels), 2 * columns), 0, -1):
        legend = figure.legend(
            [handles[label] for label in labels],
            labels,
            loc="outside upper center",
            ncols=n_columns,
            frameon=False,
            labelcolor=PRINT.ink,
        )
        figure.draw_without_rendering()
        if legend.get_window_extent().width <= figure.bbox.width or n_columns == 1:
            break
        legend.remove()
    return figure


def _curves(curves: Mapping[str, Results], quantity: Quantity) -> list[Curve]:
    key = quantity.metric.key
    found = []
    for style, (label, results) in enumerate(curves.items()):
        if has(results, quantity.protocol, key):
            scores = getattr(results, quantity.protocol)
            found.append(curve_of(scores, quantity.metric, label=label, style=style))
    if not found:
        raise UsageError(f"none of the results has {quantity.title}")
    return found


def write_table(path: str | Path, entries: Sequence[Entry], metrics: Sequence[str]) -> None:
    """Write metrics of results at every count as LaTeX (booktabs), Markdown or CSV.

    LaTeX and Markdown have a block for each metric, with a row for each count and a column for
    each result; the best of a row, as it is shown and oracles apart, is bold, and 95% intervals
    stand behind the values: over videos, or over runs where the head says of how many. CSV has a
    row for each value, unrounded, and of a mean of runs both intervals.

    Args:
        path: what to write; its suffix says how.
        entries: from `smot.evaluation.report.compare.line_up`.
        metrics: names, as of `write_figure`.

    Raises:
        UsageError: an unknown suffix or metric.
    """
    path = check_suffix(path, TABLES)
    blocks = []
    for quantity in map(read_quantity, metrics):
        which = quantity.protocol, quantity.metric.key
        if not any(has(each.results, *which) for each in entries):
            raise UsageError(f"none of the results has {quantity.title}")
        blocks.append((quantity, comparison_rows(entries, quantity.protocol, quantity.metric)))
    text = _WRITERS[path.suffix.lower()](entries, blocks, entries[0].results.dataset.things)
    write_text(path, text)


_Blocks = Sequence[tuple[Quantity, Sequence[Row]]]


def _are_best(row: Row, entries: Sequence[Entry], metric: Metric) -> list[bool]:
    """Which cells are the best: all that look the same; oracles take no part."""
    competing = [
        cell
        for cell, entry in zip(row.cells, entries, strict=True)
        if cell.value is not None and not entry.results.tracker.is_oracle
    ]
    if len(competing) < 2:
        return [False] * len(row.cells)
    choose = min if metric.lower_is_better else max
    best = choose(competing, key=lambda cell: cell.value or 0.0).text
    return [cell in competing and cell.text == best for cell in row.cells]


def _head(entry: Entry) -> str:
    """A label, and of how many runs it is the mean."""
    results = entry.results
    runs = f" (mean of {len(results.runs)} runs)" if isinstance(results, MeanResults) else ""
    return f"{entry.label}{runs}"


def _as_latex(entries: Sequence[Entry], blocks: _Blocks, things: str) -> str:
    labels = [_head(each) for each in entries]
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{r{'l' * len(labels)}}}",
        "\\toprule",
        " & ".join([things, *map(_escaped, labels)]) + " \\\\",
    ]
    for quantity, rows in blocks:
        arrow = "$\\downarrow$" if quantity.metric.lower_is_better else "$\\uparrow$"
        title = f"{_escaped(quantity.title)} {arrow}"
        lines += ["\\midrule", f"\\multicolumn{{{len(labels) + 1}}}{{l}}{{{title}}} \\\\"]
        for row in rows:
            best = _are_best(row, entries, quantity.metric)
            cells = [_latex_cell(*each) for each in zip(row.cells, best, strict=True)]
            lines.append(" & ".join([row.label, *cells]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _latex_cell(cell: Cell, is_best: bool) -> str:
    text = f"\\textbf{{{cell.text}}}" if is_best else cell.text
    if cell.ends:
        text += f" {{\\scriptsize {_interval(cell)}}}"
    return text.replace("−", "$-$").replace("–", "--")


def _escaped(text: str) -> str:
    """A label in LaTeX."""
    text = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/"))
    return text.replace("~", "\\textasciitilde{}").replace("^", "\\textasciicircum{}")


def _as_markdown(entries: Sequence[Entry], blocks: _Blocks, things: str) -> str:
    heads = [_head(each).replace("|", "\\|") for each in entries]
    tables = []
    for quantity, rows in blocks:
        arrow = "↓" if quantity.metric.lower_is_better else "↑"
        lines = [
            f"{quantity.title} {arrow}",
            "",
            f"| {' | '.join([things, *heads])} |",
            f"| ---: |{' --- |' * len(heads)}",
        ]
        for row in rows:
            best = _are_best(row, entries, quantity.metric)
            cells = [_markdown_cell(*each) for each in zip(row.cells, best, strict=True)]
            lines.append(f"| {' | '.join([row.label, *cells])} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


def _markdown_cell(cell: Cell, is_best: bool) -> str:
    text = f"**{cell.text}**" if is_best else cell.text
    return f"{text} {_interval(cell)}" if cell.ends else text


def _interval(cell: Cell) -> str:
    return f"[{', '.join(map(METRICS[cell.metric].shown, cell.ends or ()))}]"


def _as_csv(entries: Sequence[Entry], blocks: _Blocks, _things: str) -> str:
    columns = "protocol metric count result value low high n_runs low_over_runs high_over_runs"
    lines: list[Sequence[object]] = [columns.split()]
    for quantity, rows in blocks:
        named = quantity.protocol, quantity.metric.key
        for row in rows:
            for entry, cell in zip(entries, row.cells, strict=True):
                nothing: tuple[object, ...] = (None, None)
                n_runs, over_videos, over_runs = 1, cell.ends or nothing, nothing
                if isinstance(entry.results, MeanResults):
                    n_runs, over_runs = len(entry.results.runs), over_videos
                    if cell.ends:
                        over_videos = entry.results.over_videos(named[0], int(row.label), named[1])
                told = (*named, row.label, entry.label, cell.value)
                lines.append((*told, *over_videos, n_runs, *over_runs))
    return csv_text(lines)


_WRITERS: Mapping[str, Callable[[Sequence[Entry], _Blocks, str], str]] = {
    ".tex": _as_latex,
    ".md": _as_markdown,
    ".csv": _as_csv,
}
