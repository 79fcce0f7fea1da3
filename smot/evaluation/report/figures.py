"""Curves: as inline SVG that takes its colours and letters from the page, and on plain axes."""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np

from smot.evaluation.metrics.table import Metric
from smot.evaluation.results import CountScores
from smot.files import csv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_STYLES = 8
"""Series that can be told apart by colour and marker; the style sheet has as many colours."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
_DASHES = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
_LOWEST_SHOWN = -1.05  # MOTA has no lower bound; the paper's figures end here as well

Size = Literal["large", "middle", "small"]
_SIZES: Mapping[Size, tuple[float, float]] = {
    "large": (5.4, 4.1),
    "middle": (3.9, 2.6),
    "small": (3.2, 2.2),
}


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of a drawing, hexadecimal."""

    ink: str
    muted: str
    hairline: str
    paper: str
    series: tuple[str, ...]


PRINT = Palette(
    ink="#1c1d20",
    muted="#62656d",
    hairline="#e3e1dc",
    paper="#ffffff",
    series=(
        *("#1f5fa8", "#c4511c", "#1c8265", "#a23f82"),
        *("#8a6a00", "#3a93c9", "#6b5bb3", "#55585f"),
    ),
)
"""The colours of the page's light scheme, for files that stand alone."""

# Matplotlib writes colours as hexadecimal numbers. These stand for the page's own, which change
# with its scheme; no drawing here uses them for anything else.
_PAGE = Palette(
    ink="#010101",
    muted="#020202",
    hairline="#030303",
    paper="#040404",
    series=tuple(f"#0500{style:02x}" for style in range(N_STYLES)),
)


def _named(palette: Palette) -> dict[str, str]:
    """Colours by the names of the style sheet."""
    names = ("ink", "muted", "hairline", "paper")
    series = {f"series-{style}": colour for style, colour in enumerate(palette.series)}
    return {name: getattr(palette, name) for name in names} | series


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric of one result against the number of objects.

    Attributes:
        label: what the legend calls it.
        style: colour, marker and dash, 0 .. N_STYLES - 1.
        values: the metric for each count; None leaves a gap.
        bands: its 95% confidence interval for each count that has one.
    """

    label: str
    style: int
    values: Mapping[int, float | None]
    bands: Mapping[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A drawing with its title, and the files that its page offers of it.

    Attributes:
        label: the title.
        note: what it shows, in one line.
        svg: the drawing, inline.
        name: of the files, without suffix.
        svg_link: the drawing as a file that stands alone, in the colours of print, a data URL.
        csv_link: what is drawn as CSV, a data URL.
    """

    label: str
    note: str
    svg: str
    name: str
    svg_link: str
    csv_link: str


def _panel(
    figure: "Figure",
    rows: Sequence[Sequence[object]],
    *,
    label: str,
    note: str,
    name: str,
    by: str,
) -> Panel:
    """A drawing, and what is drawn: rows of cells under a row of heads."""
    svg = _svg(figure, name=name, title=f"{label} {by}")
    alone = svg.replace("<svg ", '<svg font-family="sans-serif" ', 1)
    for each, colour in _named(PRINT).items():
        alone = alone.replace(f"var(--{each})", colour)
    return Panel(
        label=label,
        note=note,
        svg=svg,
        name=name,
        svg_link=_data_url("image/svg+xml", alone),
        csv_link=_data_url("text/csv", csv_text(rows)),
    )


def _data_url(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """What one style of the curves stands for.

    Attributes:
        label: what it stands for.
        note: small print.
        swatch: a short piece of the curve with its marker, an `<svg>` element of 34 x 12 pixels.
    """

    label: str
    note: str
    swatch: str

    @classmethod
    def of(cls, style: int, label: str, note: str = "") -> Self:
        """The entry of a style, as of `Curve`."""
        from matplotlib.markers import MarkerStyle

        marker = MarkerStyle(_MARKERS[style])
        outline = marker.get_path().transformed(marker.get_transform()).to_polygons()
        edge = np.asarray(outline[0], np.float64).tolist()
        points = " ".join(f"{17 + 6.4 * x:.1f},{6 - 6.4 * y:.1f}" for x, y in edge)
        dashes = " ".join(f"{1.7 * length:g}" for length in _DASHES[style]) or "none"
        colour = f"var(--series-{style})"
        line = f'stroke="{colour}" stroke-width="1.7" stroke-dasharray="{dashes}"'
        swatch = (
            '<svg viewBox="0 0 34 12" aria-hidden="true">'
            f'<line x1="0" y1="6" x2="34" y2="6" {line}/>'
            f'<polygon points="{points}" fill="{colour}"/></svg>'
        )
        return cls(label=label, note=note, swatch=swatch)


Series: TypeAlias = tuple[int, str, Mapping[int, CountScores]]
"""Style, label and scores of what has a curve in each of several panels."""


def curve_of(
    scores: Mapping[int, CountScores], metric: Metric, *, label: str, style: int
) -> Curve:
    """One metric's values and intervals as a curve."""
    bands = {
        count: each.intervals[metric.key]
        for count, each in scores.items()
        if metric.key in each.intervals
    }
    values = {count: each.metrics.get(metric.key) for count, each in scores.items()}
    return Curve(label=label, style=style, values=values, bands=bands)


def curve_panels(
    metrics: Sequence[Metric],
    series: Sequence[Series],
    *,
    prefix: str,
    x_label: str,
    small: bool = False,
) -> list[Panel]:
    """A panel for each metric that has a value, the first one large.

    Args:
        metrics: in the order of the panels.
        series: what is drawn in each of them, as far as it has the metric.
        prefix: of the names of the drawings.
        x_label: what the horizontal axis counts.
        small: whether all panels are small.
    """
    panels: list[Panel] = []
    for metric in metrics:
        curves = [
            curve_of(scores, metric, label=label, style=style)
            for style, label, scores in series
            if any(metric.key in each.metrics for each in scores.values())
        ]
        if any(value is not None for curve in curves for value in curve.values.values()):
            size: Size = "small" if small else "middle" if panels else "large"
            name = f"{prefix}-{metric.key.replace('_', '-')}"
            panels.append(curve_panel(metric, curves, name=name, x_label=x_label, size=size))
    return panels


def curve_panel(
    metric: Metric, curves: Sequence[Curve], *, name: str, x_label: str, size: Size = "middle"
) -> Panel:
    """Draw one metric against the number of objects.

    Args:
        metric: what is drawn; its bounds limit the axis.
        curves: at least one.
        name: what tells this drawing from the others of its page; letters and hyphens.
        x_label: what the horizontal axis counts.
        size: for a place two thirds, a third or a quarter of the page wide.
    """
    rows: list[Sequence[object]] = [("count", "result", "value", "low", "high")]
    for curve in curves:
        for count, value in sorted(curve.values.items()):
            rows.append((count, curve.label, value, *curve.bands.get(count, ())))
    figure, axes = _canvas(_SIZES[size])
    draw_curves(axes, metric, curves, palette=_PAGE, n_ticks=7 if size == "small" else 12)
    axes.set_xlabel(x_label, color=_PAGE.muted)
    by = f"against {x_label}"
    return _panel(figure, rows, label=metric.label, note=metric.meaning, name=name, by=by)


def draw_curves(
    axes: "Axes",
    metric: Metric,
    curves: Sequence[Curve],
    *,
    palette: Palette,
    n_ticks: int = 12,
    weight: float = 1.0,
) -> None:
    """Draw one metric's curves, with their bands, on axes of matplotlib.

    Args:
        axes: an empty panel; its limits and ticks are set.
        metric: what is drawn; its bounds limit the axis.
        curves: at least one.
        palette: the colours.
        n_ticks: at most so many numbers of objects are written below.
        weight: of lines and markers; 1 for a panel of its own.
    """
    for curve in curves:
        _draw(axes, curve, palette, weight)
    counts = sorted({count for curve in curves for count in curve.values})
    axes.set_xticks(_ticks(counts, most=n_ticks))
    axes.set_xlim(counts[0] - 0.4, counts[-1] + 0.4)
    axes.set_ylim(*_limits(metric, curves))
    if metric.low is None:
        axes.axhline(0, color=palette.muted, linewidth=0.6, zorder=1)


def bar_panel(
    shares: Mapping[str, float | None],
    *,
    label: str,
    note: str,
    name: str,
    by: str,
    x_label: str,
) -> Panel:
    """Draw shares in [0, 1] as bars, one for each class.

    Args:
        shares: by the label of the class, from left to right; None leaves its place empty.
        label: what the shares are.
        note: the same in one line.
        name: what tells this drawing from the others of its page; letters and hyphens.
        by: what the classes are of, in a word.
        x_label: the same in full.
    """
    figure, axes = _canvas(_SIZES["middle"])
    bars = [(place, share) for place, share in enumerate(shares.values()) if share is not None]
    for place, share in bars:
        axes.bar(place, share, width=0.62, color=_PAGE.series[0], alpha=0.85, zorder=2)
        axes.annotate(
            f"{share:.2f}",
            (place, share),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=_PAGE.ink,
            fontsize=9,
        )
    axes.set_xticks(range(len(shares)), list(shares))
    axes.set_xlim(-0.6, len(shares) - 0.4)
    axes.set_ylim(0, 1.08)
    axes.set_xlabel(x_label, color=_PAGE.muted)
    rows = [(by, label), *shares.items()]
    return _panel(figure, rows, label=label, note=note, name=name, by=f"by {by}")


def _canvas(inches: tuple[float, float]) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches)
    figure.patch.set_alpha(0)
    width, height = inches
    left, right, bottom, top = 0.38 / width, 0.06 / width, 0.48 / height, 0.08 / height
    axes = figure.add_axes((left, bottom, 1 - left - right, 1 - bottom - top))
    axes.patch.set_alpha(0)
    dress(axes, palette=_PAGE, font_size=9.5)
    return figure, axes


def dress(axes: "Axes", *, palette: Palette, font_size: float) -> None:
    """Leave of a panel's frame the lower line and hairlines across."""
    axes.grid(axis="y", color=palette.hairline, linewidth=0.7, zorder=0)
    axes.tick_params(length=0, labelcolor=palette.muted, labelsize=font_size, pad=5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.muted)
        spine.set_linewidth(0.7)


def _draw(axes: "Axes", curve: Curve, palette: Palette, weight: float) -> None:
    counts = sorted(curve.values)
    banded = [count for count in counts if count in curve.bands]
    colour = palette.series[curve.style]
    if len(banded) > 1:
        low = [curve.bands[count][0] for count in banded]
        high = [curve.bands[count][1] for count in banded]
        axes.fill_between(banded, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    values = [_number(curve.values[count]) for count in counts]
    axes.plot(
        counts,
        values,
        color=colour,
        linewidth=1.7 * weight,
        marker=_MARKERS[curve.style],
        markersize=4.6 * weight,
        markeredgecolor=palette.paper,
        markeredgewidth=0.8 * weight,
        dashes=_DASHES[curve.style],
        zorder=3,
        label=curve.label,
        solid_capstyle="round",
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _ticks(counts: Sequence[int], *, most: int) -> list[int]:
    step = -(-len(counts) // most)
    return list(counts[::-step])


def _limits(metric: Metric, curves: Sequence[Curve]) -> tuple[float, float]:
    """The axis holds every value and band, whole where the metric is bounded, else with air."""
    seen = [value for curve in curves for value in curve.values.values() if value is not None]
    seen += [end for curve in curves for band in curve.bands.values() for end in band]
    lowest, highest = min(seen, default=0.0), max(seen, default=1.0)
    low = metric.low if metric.low is not None else max(min(lowest - 0.05, 0.0), _LOWEST_SHOWN)
    if metric.high is None:
        return low - 0.02 * max(highest, 1e-9), max(highest * 1.12, 0.1)
    return low - 0.02, metric.high + 0.03


def _svg(figure: "Figure", *, name: str, title: str) -> str:
    import matplotlib as mpl

    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata=nothing)
    return _inlined(drawn.getvalue(), name, title)


def _inlined(text: str, name: str, title: str) -> str:
    """The bare element: no prologue, the page's colours and letters, no name used twice."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    for variable, stand_in in _named(_PAGE).items():
        text = text.replace(stand_in, f"var(--{variable})")
    text = re.sub(r" font-family: [^;]*;", "", text)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", text)
    for reference in used:
        text = re.sub(rf"(id=\"|#){re.escape(reference)}\b", rf"\1{name}-{reference}", text)
    # Frames that nobody sees, empty groups, digits beyond a hundredth of a point.
    text = re.sub(r'<path [^>]*style="fill: none; opacity: 0"/>', "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r"(\.\d\d)\d+", r"\1", text)
    text = re.sub(r"\s+", " ", re.sub(r">\s+<", "><", text))
    while "<g></g>" in text or "<g/>" in text:
        text = text.replace("<g></g>", "").replace("<g/>", "")
    head, _, body = text.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    head = head.replace("<svg", f'<svg class="plot" role="img" aria-label="{html.escape(title)}"')
    return f"{head}>{body}".strip()
