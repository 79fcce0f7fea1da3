import base64
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from smot.baselines.oracle import TruthOracle
from smot.evaluation.metrics.table import METRICS
from smot.evaluation.protocols import Job
from smot.evaluation.report.compare import line_up, render_comparison
from smot.evaluation.report.figures import N_STYLES, Curve, LegendEntry, curve_panel
from smot.evaluation.report.gallery import Picture, gallery, shown_counts, worst_and_typical
from smot.evaluation.report.page import render_report
from smot.evaluation.report.tables import mean_over_counts
from smot.evaluation.run import Outcome, run
from smot.evaluation.testsets import RenderedVideos, make_plan
from smot.generators import CANONICAL
from tests.evaluation.made import (
    SETTINGS,
    made_outcome,
    made_results,
    made_videos,
    with_few_metrics,
)
from tests.evaluation.made_trackers import Crowd
from tests.evaluation.report.chromium import Opened, open_page


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return made_outcome(made_videos(counts=(1, 2, 4)), "conncomp")


@pytest.fixture(scope="module")
def pictures(outcome: Outcome) -> list[Picture]:
    return gallery(outcome, made_videos(counts=(1, 2, 4)))


@pytest.fixture(scope="module")
def page(outcome: Outcome, pictures: list[Picture]) -> str:
    return render_report(outcome.results, pictures)


class Numbers(HTMLParser):
    """Collects the cells of tables and the headline numbers of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = ""
        self.place: tuple[dict[Any, str], Any] | None = None
        self.cells: dict[tuple[str | None, ...], str] = {}
        self.headline: dict[str | None, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.protocol = given.get("data-protocol") or ""
        if "data-count" in given:
            self.place = (self.cells, (self.protocol, given["data-count"], given["data-metric"]))
        elif "data-headline" in given:
            self.place = (self.headline, given["data-headline"])
        elif tag == "small":
            self.place = None

    def handle_data(self, data: str) -> None:
        if self.place is not None:
            found, key = self.place
            found[key] = found.get(key, "") + data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "div"):
            self.place = None


@pytest.fixture(scope="module")
def on_a_desk(page: str, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_page(page, tmp_path_factory.mktemp("desk"), width=1280)


@pytest.fixture(scope="module")
def on_a_telephone(page: str, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_page(page, tmp_path_factory.mktemp("telephone"), width=400, dark=True)


@pytest.mark.slow
@pytest.mark.parametrize(("device", "width"), [("on_a_desk", 1280), ("on_a_telephone", 400)])
def test_the_report_opens_whole_in_a_browser(
    pictures: list[Picture], device: str, width: int, request: pytest.FixtureRequest
) -> None:
    measured = request.getfixturevalue(device).measured
    assert measured["window"] == width
    assert measured["failed"] == measured["fetched"] == measured["wide"] == []
    assert measured["scroll"] <= measured["client"]
    assert (measured["broken"], measured["images"]) == (0, len(pictures))
    assert len(measured["drawings"]) > 15
    assert min(measured["drawings"]) > 50


@pytest.mark.slow
def test_the_report_has_a_dark_scheme(on_a_desk: Opened, on_a_telephone: Opened) -> None:
    light, dark = (
        sum(map(int, re.findall(r"\d+", each.measured["background"])[:3]))
        for each in (on_a_desk, on_a_telephone)
    )
    assert light > 700 > 150 > dark


@pytest.mark.slow
def test_the_numbers_in_the_browser_are_those_of_the_results(
    outcome: Outcome, on_a_desk: Opened
) -> None:
    numbers = Numbers()
    numbers.feed(on_a_desk.dom)
    results, n_shown = outcome.results, 0
    for protocol in ("tracking", "prediction"):
        for count, scores in getattr(results, protocol).items():
            for key, value in scores.metrics.items():
                assert numbers.cells[protocol, str(count), key] == METRICS[key].shown(value)
                n_shown += 1
    assert n_shown == len(numbers.cells) == 2 * 3 * 27
    for key in ("mota", "ap", "count_error", "idf1", "hota"):
        mean = mean_over_counts(results.tracking, key)
        assert numbers.headline[key] == METRICS[key].shown(mean)
    predicted = mean_over_counts(results.prediction, "mota")
    assert numbers.headline["prediction-mota"] == METRICS["mota"].shown(predicted)


@pytest.mark.slow
def test_the_comparison_opens_whole_in_a_browser(tmp_path: Path) -> None:
    results = {
        Path(f"{name}.json"): made_results(name=name, target=name)
        for name in ("oracle", "oracle-jitter", "oracle-motion")
    }
    page = render_comparison(line_up(results))
    measured = open_page(page, tmp_path, width=400).measured
    assert measured["failed"] == measured["fetched"] == measured["wide"] == []
    assert measured["scroll"] <= measured["client"] == 400


def test_every_drawing_is_offered_as_a_file_with_its_numbers(outcome: Outcome, page: str) -> None:
    links = re.findall(r'download="([\w-]+\.\w+)" href="data:[\w/+]+;base64,([^"]+)"', page)
    files = {name: base64.b64decode(data).decode() for name, data in links}
    n_drawings = page.count('<svg class="plot"')
    assert n_drawings > 15
    assert len(links) == len(files) == 2 * n_drawings
    for name, text in files.items():
        if name.endswith(".svg"):
            assert "var(--" not in text
            ElementTree.fromstring(text)
    rows = list(csv.DictReader(io.StringIO(files["tracking-mota.csv"])))
    assert {int(row["count"]): float(row["value"]) for row in rows} == {
        count: scores["mota"] for count, scores in outcome.results.tracking.items()
    }


def test_text_from_outside_is_escaped(outcome: Outcome) -> None:
    results = outcome.results
    evil = "<script>alert(1)</script>"
    tracker = replace(results.tracker, name=evil, options={"a<b": evil})
    page = render_report(replace(with_few_metrics(results), tracker=tracker))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_report_without_prediction_says_why(outcome: Outcome) -> None:
    results = with_few_metrics(outcome.results)
    page = render_report(replace(results, prediction=None, prediction_reason="it can't"))
    assert "No prediction: it can&#39;t." in page


def test_the_worst_video_is_the_one_with_most_errors_per_box(outcome: Outcome) -> None:
    counts = outcome.counts[4]
    worst, typical = worst_and_typical(counts)
    errors = counts.misses + counts.false_positives + counts.switches
    mota = 1 - errors / counts.n_truth
    assert mota[worst] == mota.min()
    assert sorted(mota)[(len(mota) - 1) // 2] == mota[typical]


def test_pictures_tell_the_errors_that_were_counted(
    outcome: Outcome, pictures: list[Picture]
) -> None:
    counts = outcome.counts[4]
    worst, _ = worst_and_typical(counts)
    (picture,) = [each for each in pictures if each.title.startswith("4 objects, worst")]
    assert picture.title == f"4 objects, worst: test/04, video {worst}"
    missed, extra = counts.misses[worst], counts.false_positives[worst]
    assert f"{missed} missed, {extra} false positives" in picture.caption


@pytest.mark.slow
def test_long_videos_scroll_and_are_predicted_as_far_as_is_scored() -> None:
    settings = CANONICAL["sprites-mot"]
    source = RenderedVideos(settings=settings, digits=None, groups={"test/01": 2, "test/03": 2})
    plan = make_plan(source, None, None)
    outcome = run(Job(tracker=TruthOracle(), data=source, plan=plan, settings=SETTINGS))
    pictures = gallery(outcome, source)
    assert [each.n_frames for each in pictures] == [20, 20, 8] * 2
    assert pictures[0].title == "1 object, worst: test/01, video 0"
    assert 'style="min-width: 1800px"' in render_report(outcome.results, pictures)


def test_markers_of_the_legend_are_those_of_the_curves() -> None:
    edges = [
        re.findall(r'points="([^"]+)"', LegendEntry.of(style, "").swatch)[0].split()
        for style in range(N_STYLES)
    ]
    assert [len(edge) for edge in edges[1:4]] == [5, 4, 5]  # square, triangle, diamond, closed
    assert len(edges[0]) > 12  # a circle
    assert len({tuple(edge) for edge in edges}) == N_STYLES


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (range(1, 13), [4, 8, 12]),
        ([5], [5]),
        ([1, 2], [1, 2]),
        ([3, 9, 35], [3, 9, 35]),
        (range(1, 36), [12, 24, 35]),
    ],
)
def test_pictures_are_of_counts_evenly_apart_with_the_largest(
    counts: Sequence[int], shown: list[int]
) -> None:
    assert shown_counts(list(counts)) == shown


def test_a_drawing_takes_its_colours_from_the_page_and_shares_no_name() -> None:
    curve = Curve(label="a", style=3, values={1: 0.5, 2: None, 3: 0.7}, bands={1: (0.4, 0.6)})
    first, second = (
        curve_panel(METRICS["mota"], [curve], name=name, x_label="digits").svg for name in "ab"
    )
    assert "var(--series-3)" in first
    assert not re.search(r"#(0\d0\d0\d|1f77b4|000000)", first.replace("url(#", "url("))
    assert "font-family" not in first
    ids = [set(re.findall(r'id="([^"]+)"', drawing)) for drawing in (first, second)]
    assert not ids[0] & ids[1]
    for drawing, names in zip((first, second), ids, strict=True):
        assert set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", drawing)) == names


def test_the_same_results_give_the_same_page(outcome: Outcome) -> None:
    results = with_few_metrics(outcome.results)
    assert render_report(results) == render_report(results)


@pytest.mark.slow
def test_hundreds_of_boxes_and_the_largest_floats_are_drawn_and_counted() -> None:
    videos = made_videos(counts=(2,), n_test=2)
    plan = make_plan(videos, None, None)
    job = Job(tracker=Crowd(), data=videos, plan=plan, settings=SETTINGS)
    outcome = run(job)
    assert outcome.results.tracking[2]["false_positives"] > 300
    pictures = gallery(outcome, videos)
    assert all("only the first 64 boxes" in each.caption for each in pictures)
