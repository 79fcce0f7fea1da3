"""The curves of a run as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MOST_TERMS = 6


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Draw score, loss, terms of the objective and speed against hours.

    Args:
        records: lines of ``metrics.jsonl``.
        path: PNG to write.
        title: what ran.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    updates = [row for row in records if row.get("kind") == "train"]
    scores = [row for row in records if row.get("kind") == "eval"]
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
    figure.suptitle(title)
    _draw_scores(top_left, scores)
    _draw_loss(top_right, updates)
    _draw_terms(low_left, updates)
    _draw_speed(low_right, updates)
    for axes in (top_left, top_right, low_left, low_right):
        axes.set_xlabel("hours")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _draw_scores(axes: Any, scores: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("validation")
    known = {"kind", "step", "hours", "frames", "stage", "verdict", "seconds"}
    names = [name for name in (scores[0] if scores else {}) if name not in known]
    same = [each for each in names if all(row.get(each) == row["score"] for row in scores)]
    for name in names:
        width = 2.0 if name in same else 1.0
        if name != "score" or same == ["score"]:
            axes.plot(*_series(scores, name), label=name, linewidth=width, marker=".")
    axes.set_ylim(bottom=-1.0 if _below(scores, names, -1.0) else None)
    if names:
        axes.legend(fontsize="small")


def _draw_loss(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("objective per frame, nats")
    hours = [row["hours"] for row in updates]
    values = [row["loss"] / row["frames"] for row in updates]
    axes.plot(hours, values, linewidth=1)
    _stretch(axes, values)


def _draw_terms(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("its largest terms per frame, nats")
    last = updates[-1]["terms"] if updates else {}
    drawn: list[float] = []
    for name in sorted(last, key=lambda each: -abs(last[each]))[:MOST_TERMS]:
        rows = [row for row in updates if name in row["terms"]]
        values = [row["terms"][name] / row["frames"] for row in rows]
        axes.plot([row["hours"] for row in rows], values, label=name, linewidth=1)
        drawn += values
    _stretch(axes, drawn)
    if last:
        axes.legend(fontsize="small")


def _draw_speed(axes: Any, updates: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title("frames/s (line), frames per clip (steps)")
    hours = [row["hours"] for row in updates]
    speed = [row["videos_per_second"] * row["frames"] for row in updates]
    axes.plot(hours, speed, linewidth=1)
    axes.set_ylim(0, 1.15 * max(speed, default=1.0))
    clips = axes.twinx()
    clips.step(hours, [row["frames"] for row in updates], where="post", color="0.6")
    clips.set_ylim(0, 1.3 * max((row["frames"] for row in updates), default=1))


def _stretch(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis where values span more than a decade, all above zero."""
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")


def _series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    known = [row for row in rows if row.get(name) is not None]
    return [row["hours"] for row in known], [row[name] for row in known]


def _below(rows: Sequence[Mapping[str, Any]], names: Sequence[str], limit: float) -> bool:
    return any(row.get(name) is not None and row[name] < limit for row in rows for name in names)
