"""The leaderboard: a page of Markdown with a row for each system, which results add to."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from smot.evaluation.metrics.table import HEADLINE, METRICS
from smot.evaluation.report.tables import mean_over_counts
from smot.evaluation.results import CountScores, Results
from smot.files import check_suffix, write_text

INTRODUCTION = """# Leaderboard

Means over numbers of objects, by MOTA. Each row is made from a results.json by
`smot compare RESULTS --leaderboard PAGE`, which replaces the row of the same name and leaves all
others. A heading names the videos by a hash over their frames and truth.
"""
_HEADS = (
    "system",
    *(f"{METRICS[key].label}" for key in HEADLINE),
    "MOTA, most objects",
    "prediction MOTA",
    "sees",
    "smot",
    "date",
)
_ROW = re.compile(r"^\| (?!system \||-)(.*) \|$")


def update_leaderboard(path: str | Path, results: Sequence[Results]) -> None:
    """Enter results into a leaderboard; the page is made if it is missing.

    Args:
        path: the page, `.md`; text above its first table's heading stays as it is.
        results: each becomes a row under the heading of its videos; one of the same name there
            is replaced.

    Raises:
        UsageError: a suffix other than `.md`.
    """
    path = check_suffix(path, (".md",))
    text = path.read_text(encoding="utf-8") if path.exists() else INTRODUCTION
    introduction, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    tables: dict[str, dict[str, str]] = {}
    for part in parts:
        heading, *lines = part.splitlines()
        rows = filter(None, map(_ROW.match, lines))
        tables[heading] = {row[1].partition(" | ")[0]: row[0] for row in rows}
    for each in results:
        cells = _cells(each)
        tables.setdefault(_heading(each), {})[cells[0]] = f"| {' | '.join(cells)} |"
    rule = "| --- |" + " ---: |" * (len(HEADLINE) + 2) + " --- |" * 3
    sections = [introduction.rstrip()]
    for heading, found in tables.items():
        lines = sorted(found.values(), key=_mota, reverse=True)
        sections.append("\n".join([f"## {heading}\n", f"| {' | '.join(_HEADS)} |", rule, *lines]))
    write_text(path, "\n\n".join(sections) + "\n")


def _heading(results: Results) -> str:
    """The videos and how they were scored: rows below one heading can be compared."""
    data, settings = results.dataset, results.settings
    everything = "".join(each.fingerprint for each in data.videos.values())
    videos = hashlib.sha256(everything.encode()).hexdigest()[:16]
    source = f" ({data.digit_source})" if data.digit_source else ""
    return (
        f"{data.name}{source}: {data.n_videos:,} videos {videos}, {settings.convention}, "
        f"IoU {settings.iou_threshold}"
    )


def _cells(results: Results) -> list[str]:
    tracker, tracking = results.tracker, results.tracking
    # Of a checkpoint, whose place means nothing to others, the name alone.
    options = ", ".join(f"{name}={Path(each).name}" for name, each in tracker.options.items())
    name = f"{tracker.name} ({options})" if options else tracker.name
    most = {max(tracking): tracking[max(tracking)]}
    return [
        name.replace("|", "/"),
        *(_mean(tracking, key) for key in HEADLINE),
        _mean(most, "mota"),
        _mean(results.prediction or {}, "mota"),
        "truth" if tracker.is_oracle else "frames",
        results.versions.get("smot", ""),
        results.timing.created[:10],
    ]


def _mean(scores: Mapping[int, CountScores], key: str) -> str:
    value = mean_over_counts(scores, key)
    return "–" if value is None else METRICS[key].shown(value)


def _mota(row: str) -> float:
    text = row.split(" | ")[1].replace("−", "-")
    return float("-inf") if text == "–" else float(text)
