"""The leaderboard: a page of Markdown with a row for each system, which results add to."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from smot.evaluation.metrics.table import HEADLINE, MASKS, METRICS
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
    *(METRICS[key].label for key in HEADLINE),
    "MOTA, most objects",
    "prediction MOTA",
    *(METRICS[key].label for key in MASKS),
    "sees",
    "smot",
    "date",
)
_NONE = "–"
# Columns of tables in which a system has masks; the others leave them out.
_OF_MASKS = slice(len(HEADLINE) + 3, len(HEADLINE) + 3 + len(MASKS))
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
    tables: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        heading, *lines = part.splitlines()
        rows = [row[1].split(" | ") for row in map(_ROW.match, lines) if row]
        if f"| {_HEADS[_OF_MASKS.start]} |" not in part:
            for row in rows:
                row[_OF_MASKS.start : _OF_MASKS.start] = [_NONE] * len(MASKS)
        tables[heading] = {row[0]: row for row in rows}
    for each in results:
        cells = _cells(each)
        tables.setdefault(_heading(each), {})[cells[0]] = cells
    sections = [introduction.rstrip(), *(_section(*each) for each in tables.items())]
    write_text(path, "\n\n".join(sections) + "\n")


def _section(heading: str, rows: Mapping[str, list[str]]) -> str:
    """A heading and its table, by MOTA."""
    rule = ["---", *["---:"] * (_OF_MASKS.stop - 1), *["---"] * (len(_HEADS) - _OF_MASKS.stop)]
    lines = [list(_HEADS), rule, *sorted(rows.values(), key=_mota, reverse=True)]
    if not any(cell != _NONE for row in rows.values() for cell in row[_OF_MASKS]):
        for line in lines:
            del line[_OF_MASKS]
    return "\n".join([f"## {heading}\n", *(f"| {' | '.join(line)} |" for line in lines)])


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
        *(_mean(tracking, key) for key in MASKS),
        "truth" if tracker.is_oracle else "frames",
        results.versions.get("smot", ""),
        results.timing.created[:10],
    ]


def _mean(scores: Mapping[int, CountScores], key: str) -> str:
    value = mean_over_counts(scores, key)
    return _NONE if value is None else METRICS[key].shown(value)


def _mota(row: Sequence[str]) -> float:
    text = row[1].replace("−", "-")
    return float("-inf") if text == _NONE else float(text)
