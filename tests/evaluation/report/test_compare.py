import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smot.errors import UsageError
from smot.evaluation.metrics.events import events_csv
from smot.evaluation.protocols import Job
from smot.evaluation.report.compare import (
    Entry,
    comparison_table,
    data_difference,
    line_up,
    render_comparison,
)
from smot.evaluation.report.tables import MEAN, terminal_table, to_csv
from smot.evaluation.results import Results
from tests.evaluation.made import (
    SETTINGS,
    made_outcome,
    made_results,
    made_videos,
    with_few_metrics,
)


@pytest.fixture(scope="module")
def ours() -> Results:
    return made_results(name="ours")


@pytest.fixture(scope="module")
def theirs() -> Results:
    return made_results(name="theirs", target="oracle-motion")


@pytest.fixture(scope="module")
def elsewhere() -> Results:
    return made_results(name="elsewhere", seed=1)


def lined_up(*results: Results, **options: Any) -> list[Entry]:
    return line_up({Path(f"{n}/results.json"): each for n, each in enumerate(results)}, **options)


def test_results_of_the_same_videos_stand_on_one_set_of_curves(
    ours: Results, theirs: Results
) -> None:
    entries = lined_up(ours, theirs)
    assert [each.label for each in entries] == ["ours", "theirs"]
    assert not any(each.difference for each in entries)
    text = comparison_table(entries)
    assert f"{ours.tracking[2]['mota']:.3f}" in text
    assert MEAN in text


def test_different_videos_are_refused_unless_asked_for(ours: Results, elsewhere: Results) -> None:
    with pytest.raises(UsageError, match="other content in test/01") as caught:
        lined_up(ours, elsewhere)
    assert "--allow-different-data" in str(caught.value)
    entries = lined_up(ours, elsewhere, allow_different_data=True)
    page = render_comparison(
        [replace(each, results=with_few_metrics(each.results)) for each in entries]
    )
    assert "not of the same videos" in page
    assert page.count("6 videos per count") >= len(entries)


def test_another_digit_source_is_refused(ours: Results) -> None:
    other = replace(ours, dataset=replace(ours.dataset, digit_source="mnist-5k"))
    assert data_difference(ours, other) == "digit source 'mnist-5k' instead of ''"


def test_fewer_videos_are_different_videos(ours: Results) -> None:
    fewer = made_outcome(made_videos(n_test=4)).results
    assert data_difference(ours, fewer) == "4 videos of test/01 instead of 6"


def test_other_counts_of_the_same_data_set_are_not_different_videos(ours: Results) -> None:
    others = made_outcome(made_videos(counts=(4, 5))).results
    assert data_difference(ours, others) == ""
    foreign = made_outcome(made_videos(seed=2, counts=(4, 5))).results
    assert "instead of" in data_difference(ours, foreign)
    rows = comparison_table(lined_up(ours, others))
    assert MEAN not in rows
    assert "\n5" in rows


@pytest.mark.parametrize("change", [{"convention": "trackeval"}, {"iou_threshold": 0.4}])
def test_other_scoring_is_refused_whatever_is_asked_for(
    ours: Results, change: dict[str, object]
) -> None:
    name, value = next(iter(change.items()))
    other = replace(ours, settings=replace(SETTINGS, **change))
    with pytest.raises(UsageError, match=f"{name} {value} instead of"):
        lined_up(ours, other, allow_different_data=True)


def test_another_horizon_is_refused(ours: Results) -> None:
    other = replace(ours, settings=replace(SETTINGS, horizon=4))
    with pytest.raises(UsageError, match="prediction of 4 frames from 3 instead of 5 from 3"):
        lined_up(ours, other)


@pytest.mark.parametrize("n", [0, 9])
def test_too_few_and_too_many_results_are_refused(ours: Results, n: int) -> None:
    with pytest.raises(UsageError, match=f"takes 1 to 8 results, not {n}"):
        lined_up(*[ours] * n)


def test_results_of_one_tracker_are_told_apart_by_their_folders(ours: Results) -> None:
    labels = [
        each.label
        for each in line_up(
            {
                Path("a/results.json"): ours,
                Path("b/results.json"): ours,
                Path("b/x.json"): ours,
            }
        )
    ]
    assert labels == ["ours (a)", "ours (b)", "ours (x)"]


def test_a_result_without_prediction_is_left_out_of_its_curves_and_named(ours: Results) -> None:
    ours = with_few_metrics(ours)
    other = replace(ours, prediction=None, prediction_reason="it cannot")
    page = render_comparison(lined_up(ours, other))
    assert "no prediction, it cannot." in page


def test_the_csv_has_every_metric_of_every_count(ours: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(ours))))
    assert [(row["protocol"], row["count"]) for row in rows] == [
        (protocol, str(count)) for protocol in ("tracking", "prediction") for count in (1, 2, 3)
    ]
    for row in rows:
        scores = getattr(ours, row["protocol"])[int(row["count"])]
        for key, value in scores.metrics.items():
            assert float(row[key]) == value
        low, high = scores.intervals["hota"]
        assert (float(row["hota_low"]), float(row["hota_high"])) == (low, high)


def test_the_table_shows_rounded_values_and_says_what_the_mean_is(ours: Results) -> None:
    lines = terminal_table(ours).splitlines()
    assert f"{ours.tracking[3]['idf1']:.3f}" in next(line for line in lines if line[:2] == "3 ")
    assert lines[-1].startswith(MEAN)
    assert len({len(line) for line in lines if "─" in line}) == 1


def test_every_error_is_one_line_of_the_events(ours: Results) -> None:
    outcome = made_outcome(made_videos(), "oracle-motion")
    assert events_csv(outcome.errors).count("\n") == 1
    from smot.evaluation.run import run
    from smot.evaluation.testsets import make_plan
    from smot.trackers import Recipe

    data = made_videos()
    job = Job(
        tracker=Recipe(target="oracle-motion", data=data.description),
        data=data,
        plan=make_plan(data, None, None),
        settings=SETTINGS,
        with_events=True,
    )
    found = run(job)
    rows = list(csv.DictReader(io.StringIO(events_csv(found.errors))))
    for count, scores in found.results.tracking.items():
        mine = [row["kind"] for row in rows if row["count"] == str(count)]
        assert mine.count("miss") == scores["misses"]
        assert mine.count("false positive") == scores["false_positives"]
        assert mine.count("switch") == scores["switches"]
