from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.errors import UsageError
from smot.evaluation.metrics.table import METRICS
from smot.evaluation.report.compare import comparison_rows, line_up, render_comparison
from smot.evaluation.results import CountScores, Results, write_results
from smot.evaluation.seeds import MeanResults, interval_over_runs, mean_of_runs, read_system
from tests.evaluation.made import made_results


@pytest.fixture(scope="module")
def ours() -> Results:
    return made_results(name="ours")


def moved(results: Results, mota: float) -> Results:
    """The same results with another MOTA at one object; counts that would contradict it go."""
    changed = {
        count: CountScores(
            metrics={**each.metrics, "mota": mota if count == 1 else each["mota"]},
            intervals=each.intervals,
            reasons=each.reasons,
        )
        for count, each in results.tracking.items()
    }
    return replace(results, tracking=changed)


def test_the_interval_over_runs_is_that_of_a_t_test() -> None:
    from scipy.stats import ttest_1samp

    values = [0.81, 0.83, 0.9]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval_over_runs(values) == pytest.approx(tuple(expected))


def test_runs_become_their_mean_with_both_intervals(ours: Results) -> None:
    mean = mean_of_runs([moved(ours, 0.6), moved(ours, 0.8)], "a")
    assert mean.tracking[1]["mota"] == pytest.approx(0.7)
    low, high = mean.tracking[1].intervals["mota"]
    assert (low + high) / 2 == pytest.approx(0.7)
    assert high - low == pytest.approx(2 * 12.706 * 0.1, rel=1e-3)  # Student's t, one degree
    assert mean.over_videos("tracking", 1, "mota") == pytest.approx(
        ours.tracking[1].intervals["mota"]
    )
    assert mean.tracking[2]["mota"] == pytest.approx(ours.tracking[2]["mota"])


def test_a_metric_that_a_run_does_not_have_has_no_mean(ours: Results) -> None:
    score = ours.tracking[1]
    without = replace(score, metrics={**score.metrics, "motp": None}, reasons={"motp": "no match"})
    other = replace(ours, tracking={**ours.tracking, 1: without})
    found = mean_of_runs([ours, other], "a").tracking[1]
    assert found["motp"] is None
    assert found.reasons == {"motp": "no match"}


def with_options(results: Results, **options: str) -> Results:
    return replace(results, tracker=replace(results.tracker, options=options))


def test_runs_of_different_videos_or_trackers_are_refused(ours: Results) -> None:
    for other, what in (
        (made_results(name="ours", seed=1), "videos differ"),
        (made_results(name="theirs"), "tracker differs"),
        (with_options(moved(ours, 0.6), refine="8"), "options differ"),
    ):
        with pytest.raises(UsageError, match=f"a: its runs are not of one system: {what}"):
            mean_of_runs([ours, other], "a")
    with pytest.raises(UsageError, match="a: two of its runs have the same scores"):
        mean_of_runs([moved(ours, 0.6), ours, moved(ours, 0.6)], "a")


def test_a_folder_of_runs_is_one_curve_that_says_so(ours: Results, tmp_path: Path) -> None:
    for seed, mota in enumerate((0.6, 0.8)):
        write_results(moved(ours, mota), tmp_path / f"runs/seed-{seed}/results.json")
    write_results(ours, tmp_path / "alone/results.json")
    mean, alone = read_system(tmp_path / "runs"), read_system(tmp_path / "alone")
    assert isinstance(mean, MeanResults)
    assert not isinstance(alone, MeanResults)
    entries = line_up({tmp_path / "runs": mean, tmp_path / "alone/results.json": alone})
    assert [each.label for each in entries] == ["ours (runs)", "ours (alone)"]
    cell = comparison_rows(entries, "tracking", METRICS["mota"])[0].cells[0]
    assert cell.text == "0.700"
    low, high = ours.tracking[1].intervals["mota"]
    assert cell.interval.endswith(f"over runs, {low:.3f} to {high:.3f} over videos")
    assert "mean of 2 runs, band over runs" in render_comparison(entries)


def test_seeds_differ_in_their_weights_and_machines(ours: Results) -> None:
    runs = [
        with_options(moved(ours, mota), checkpoint=f"{mota}.pt", device=device, seed=device)
        for mota, device in ((0.6, "cpu"), (0.8, "cuda"))
    ]
    assert mean_of_runs(runs, "a").tracking[1]["mota"] == pytest.approx(0.7)


def test_a_folder_of_a_result_and_of_runs_is_neither(ours: Results, tmp_path: Path) -> None:
    for place in ("results.json", "seed-1/results.json"):
        write_results(ours, tmp_path / "both" / place)
    with pytest.raises(UsageError, match=r"both holds results.json and seed-1/: name one"):
        read_system(tmp_path / "both")
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "both")])
    assert isinstance(done.exception, UsageError)
    twice = [str(tmp_path / "both/seed-1"), str(tmp_path / "both/seed-1/results.json")]
    assert "named twice" in CliRunner().invoke(cli, ["compare", *twice]).output


def test_the_command_takes_a_folder_of_runs(ours: Results, tmp_path: Path) -> None:
    for seed, mota in enumerate((0.6, 0.8)):
        write_results(moved(ours, mota), tmp_path / f"runs/seed-{seed}/results.json")
    write_results(ours, tmp_path / "alone/results.json")
    command = ["compare", str(tmp_path / "runs"), str(tmp_path / "alone")]
    ran = CliRunner().invoke(cli, command)
    assert ran.exit_code == 0, ran.output
    assert "0.700" in ran.stdout
    (tmp_path / "nothing").mkdir()
    failed = CliRunner().invoke(cli, [*command, str(tmp_path / "nothing")])
    assert isinstance(failed.exception, UsageError)
    assert "holds no results.json" in str(failed.exception)
