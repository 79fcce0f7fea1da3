"""The paper's figures from results: vector files, tables, and one page that shows them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from smot.evaluation.metrics.table import METRICS
from smot.evaluation.report.compare import Entry, line_up, scores_of
from smot.evaluation.report.figures import LegendEntry, Panel, curve_panels
from smot.evaluation.report.gallery import Picture, follow
from smot.evaluation.report.page import fill
from smot.evaluation.report.papers import write_figure, write_table
from smot.evaluation.results import Results, read_results
from smot.evaluation.seeds import MeanResults, mean_of_runs
from smot.evaluation.testsets import VideoSource
from smot.experiments.claims import claims_page
from smot.experiments.paper import FIGURES, SYSTEMS, Figure
from smot.experiments.reproduction import RESULTS, Choices, Job, videos_of, weights_of
from smot.files import write_text
from smot.filmstrips import strip, trace_rows
from smot.trackers import build_tracker

_OURS = {system.label for system in SYSTEMS.values() if system.is_ours}
_SCALE = 3  # pixels of a filmstrip for one of the video


@dataclass(frozen=True, kw_only=True)
class Section:
    """One figure in the page.

    Attributes:
        name: "fig5".
        title: what it shows.
        notes: which systems are not in it, and of what the others are.
        legend: what each style stands for.
        panels: one for each metric.
        films: filmstrips.
        files: what else was written.
    """

    name: str
    title: str
    notes: Sequence[str]
    legend: Sequence[LegendEntry] = ()
    panels: Sequence[Panel] = ()
    films: Sequence[Picture] = ()
    files: Sequence[str] = ()


def collected(jobs: Sequence[Job]) -> dict[tuple[str, str], Results]:
    """Results by data set and system; those of several runs are their mean.

    Raises:
        UsageError, DataError: results that cannot be read, or are not of one system.
    """
    runs: dict[tuple[str, str], list[Results]] = {}
    for job in jobs:
        if job.counts and job.is_done:
            key = job.dataset, job.name.partition("/")[0]
            runs.setdefault(key, []).append(read_results(job.folder / RESULTS))
    return {
        key: found[0] if len(found) == 1 else mean_of_runs(found, key[1])
        for key, found in runs.items()
    }


def draw(names: Sequence[str], jobs: Sequence[Job], choices: Choices, page: str) -> list[Path]:
    """Draw figures from what has been evaluated, and the page that shows them.

    Args:
        names: keys of `FIGURES`.
        jobs: of these figures.
        choices: of the reproduction.
        page: name of the page.

    Returns:
        The files written.
    """
    results = collected(jobs)
    sections = []
    for name in names:
        figure = FIGURES[name]
        if figure.protocol == "show":
            sections.append(_films(name, figure, choices))
        else:
            sections.append(_curves(name, figure, results, choices))
    path = choices.out / f"{page}.html"
    write_text(path, fill("reproduction.html", {"sections": sections}))
    written = [path]
    if set(names) == set(FIGURES):
        written.append(choices.out / "claims.md")
        write_text(written[-1], claims_page(results, choices))
    return [*written, *(choices.out / file for each in sections for file in each.files)]


def figure_entries(figure: Figure, results: Mapping[tuple[str, str], Results]) -> list[Entry]:
    """The evaluated systems of a figure under the names that its legend has for them."""
    found = {
        Path(system): results[figure.dataset, system]
        for system in figure.systems
        if (figure.dataset, system) in results
    }
    found = {path: each for path, each in found.items() if getattr(each, figure.protocol)}
    labels = [SYSTEMS[str(path)].label for path in found]
    entries = line_up(found) if found else []
    return [replace(each, label=label) for each, label in zip(entries, labels, strict=True)]


def _curves(
    name: str, figure: Figure, results: Mapping[tuple[str, str], Results], choices: Choices
) -> Section:
    entries = figure_entries(figure, results)
    shown = {each.label for each in entries}
    labels = [SYSTEMS[system].label for system in figure.systems]
    missing = [label for label in labels if label not in shown]
    if missing:
        command = f"smot reproduce {name} --dry-run"
        missing = [f"Not in it: {'; '.join(missing)}. {command} says what they take."]
    if not entries:
        return Section(name=name, title=figure.title, notes=missing)
    prefix = "" if figure.protocol == "tracking" else f"{figure.protocol}."
    metrics = [f"{prefix}{metric}" for metric in figure.metrics]
    files = [f"{name}{suffix}" for suffix in (".pdf", ".svg", ".md", ".tex")]
    curves = {each.label: each.results for each in entries}
    for file in files[:2]:
        write_figure(choices.out / file, curves, metrics, columns=2)
    for file in files[2:]:
        write_table(choices.out / file, entries, metrics)
    return Section(
        name=name,
        title=figure.title,
        notes=[_videos_note(entries[0].results), *missing],
        legend=[
            LegendEntry.of(style, each.label, _note(each)) for style, each in enumerate(entries)
        ],
        panels=curve_panels(
            [METRICS[key] for key in figure.metrics],
            [(n, each.label, scores_of(each, figure.protocol)) for n, each in enumerate(entries)],
            prefix=name,
            x_label=entries[0].results.dataset.things,
        ),
        files=files,
    )


def _note(entry: Entry) -> str:
    """Whether a curve is one of the paper's, and what its band is over."""
    notes = ["not in the paper"] if entry.label in _OURS else []
    if isinstance(entry.results, MeanResults):
        notes.append(f"mean of {len(entry.results.runs)} runs, band over runs")
    elif "checkpoint" in entry.results.tracker.options:
        notes.append("one run, band over videos")
    return "; ".join(notes)


def _videos_note(results: Results) -> str:
    dataset = results.dataset
    counts, source = results.counts, dataset.digit_source
    most = max(videos.n_videos for videos in dataset.videos.values())
    digits = f", digits of {source}" if source else ""
    return (
        f"{most:,} test videos with each of {len(counts)} numbers of {dataset.things} "
        f"from {counts[0]} to {counts[-1]}, seed {dataset.seed}{digits}."
    )


def _films(name: str, figure: Figure, choices: Choices) -> Section:
    """Each system on the first test video with each of some numbers of objects."""
    source = videos_of(figure.dataset, choices)
    files, films, notes = [], [], []
    for system in figure.systems:
        weights = next(path for _, path, _ in weights_of(system, choices))
        if weights is None:
            notes.append(f"{system} ({SYSTEMS[system].label}) has no weights here.")
            continue
        for count in figure.quick_counts:
            picture = _film(SYSTEMS[system].tracker, weights, source, f"test/{count:02d}")
            file = f"{name}-{system}-{count:02d}.png"
            choices.out.mkdir(parents=True, exist_ok=True)
            picture.save(choices.out / file)
            files.append(file)
            label, n_frames = SYSTEMS[system].label, source.description.n_frames
            films.append(Picture.of(picture, label, f"{count} objects", n_frames))
    return Section(name=name, title=figure.title, notes=notes, films=films, files=files)


def _film(tracker: str, weights: Path, source: VideoSource, group: str) -> Image.Image:
    video = source.read(group, 0, 1)
    built = build_tracker(tracker, {"checkpoint": str(weights)}, source.description)
    trace = follow(built, video, group, 0).trace
    assert trace is not None
    rows = trace_rows(video.frames[0], trace, truth=video.truth)
    return strip(rows, scale=_SCALE)
