"""Claims of the paper: each rule can go every way, and the page has the figures of its files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.evaluation.metrics.table import METRICS
from smot.evaluation.results import CountScores, Results
from smot.evaluation.seeds import read_system
from smot.experiments.claims import (
    CLAIMS,
    FALSE,
    TRUE,
    UNDECIDED,
    Curve,
    Rule,
    claims_page,
    combined,
)
from smot.experiments.paper import FIGURES, SYSTEMS
from smot.experiments.reproduction import Choices

ROOT = Path(__file__).parents[1]
RULES = [rule for claim in CLAIMS for rule in claim.rules]


class Scored:
    """As much of results as rules read: one value with an interval of 0.1 at every count."""

    def __init__(self, values: Mapping[int, float]) -> None:
        self.tracking = self.prediction = {
            count: CountScores(
                metrics={"mota": value}, intervals={"mota": (value - 0.05, value + 0.05)}
            )
            for count, value in values.items()
        }


def evaluated(
    rule: Rule, above: float, below: float, more: Mapping[str, float] | None = None
) -> dict[tuple[str, str], Results]:
    """Results in which a rule's sides have these values once factors are applied."""
    values: dict[str, dict[int, float]] = {}
    for curve, value in ((rule.above, above), (rule.below, below)):
        raw = (value + curve.less) / curve.factor
        at = [curve.at] if curve.at else rule.counts
        values.setdefault(curve.system, {}).update(dict.fromkeys(at, raw))
    for system, value in (more or {}).items():
        values[system] = dict.fromkeys(rule.counts, value)
    dataset = FIGURES[rule.figure].dataset
    return {(dataset, name): cast(Any, Scored(each)) for name, each in values.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.above} above {rule.below}")
def test_each_rule_can_give_each_verdict(rule: Rule) -> None:
    assert rule.verdict(evaluated(rule, 0.9, 0.5)) == TRUE
    assert rule.verdict(evaluated(rule, 0.5, 0.9)) == FALSE
    assert rule.verdict(evaluated(rule, 0.55, 0.5)) == UNDECIDED
    assert rule.verdict({}) == UNDECIDED
    found = evaluated(rule, 0.9, 0.5)
    found.pop((FIGURES[rule.figure].dataset, rule.below.system))
    assert rule.verdict(found) == UNDECIDED
    assert set(rule.counts) <= set(range(1, 36 if rule.figure == "fig6" else 13))


def test_half_of_nothing_decides_nothing() -> None:
    loses = next(rule for claim in CLAIMS if "SQAIR fails" in claim.text for rule in claim.rules)
    rising = {1: -0.4, **dict.fromkeys(loses.counts, -0.25)}
    found: Any = {("mnist-12", loses.above.system): Scored(rising)}
    assert loses.verdict(found) == UNDECIDED
    found = {("mnist-12", loses.above.system): Scored({**rising, 1: 0.6})}
    assert loses.verdict(found) == TRUE


def test_rules_are_of_systems_that_their_figures_evaluate() -> None:
    for rule in RULES:
        figure = FIGURES[rule.figure]
        assert {rule.above.system, rule.below.system} <= set(figure.systems)
        assert len(figure.judged) <= 1
        assert set(figure.judged) <= set(SYSTEMS)


def test_one_part_that_is_false_makes_the_whole_false_and_one_undecided_undecided() -> None:
    assert combined([TRUE, TRUE]) == TRUE
    assert combined([TRUE, UNDECIDED]) == UNDECIDED
    assert combined([TRUE, UNDECIDED, FALSE]) == FALSE
    assert combined([]) == UNDECIDED


def test_conncomp_with_min_area_is_judged_beside_conncomp() -> None:
    claim = CLAIMS[0]
    rule = claim.rules[0]
    found = evaluated(rule, 0.7, 0.5, {"conncomp-16": 0.9, "silot-12": 0.7})
    assert claim.verdict(found) == TRUE
    assert claim.verdict_against_area(found) == FALSE
    without = next(claim for claim in CLAIMS if "standing still" in claim.text)
    assert without.verdict_against_area(found) == ""


def test_values_are_scaled_and_shifted_with_their_intervals() -> None:
    rule = Rule(
        figure="fig5",
        above=Curve(system="silot-6"),
        below=Curve(system="silot-6", at=6, factor=0.5, less=0.1),
        counts=(7,),
    )
    found: Any = {("mnist-12", "silot-6"): Scored({6: 0.8, 7: 0.7})}
    assert rule.below.values(rule, found, 7) == pytest.approx((0.3, 0.275, 0.325))


@pytest.mark.slow
def test_the_page_has_the_figures_of_the_result_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, figure in FIGURES.items():
        systems = ("silot-6", "still", "motion") if name == "figG3" else ()
        short = replace(figure, systems=systems, judged=(), quick_counts=(1, 6, 12))
        monkeypatch.setitem(FIGURES, name, short)  # type: ignore[misc]
    words = ["reproduce", "all", "--quick", "--n-videos", "2", "--workers", "1", "--quiet"]
    done = CliRunner().invoke(cli, [*words, "--digits", "mnist-5k"])
    assert done.exit_code == 0, done.output
    assert "claims.md" in done.stdout
    page = Path("results/paper-quick/claims.md").read_text(encoding="utf-8")
    assert "smot reproduce all --quick --n-videos 2 " in page
    assert "| SILOT, 1-6, seed-0 | silot-mnist-6.pt | prior | " in page
    head = "figG3, prediction MOTA: SILOT, 1-6 above truth, then standing still: "
    table = page.partition(head)[2].split("\n\n")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == [str(count) for count in range(1, 13)]
    rows = [rows[0], rows[5], rows[11]]  # that were evaluated
    for system, place in (("silot-6", 1), ("still", 3)):
        folder = Path("results/paper-quick/mnist-12-mnist-5k-2-videos-3-counts")
        found = read_system(folder / system)
        assert found.prediction
        shown = METRICS["mota"].shown
        for row, scores in zip(rows, found.prediction.values(), strict=True):
            low, high = map(shown, scores.intervals["mota"])
            assert row[place : place + 2] == [shown(scores["mota"]), f"{low} to {high}"]


def test_the_page_in_the_repository_is_made_of_the_results_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no runs of one's own
    Path("release").symlink_to(ROOT / "release")
    found: dict[tuple[str, str], Results] = {}
    for figure in FIGURES.values():
        for system in (*figure.systems, *figure.judged):
            folder = Path("release/results", figure.dataset, system)
            if folder.is_dir() and figure.protocol != "show":
                found[figure.dataset, system] = read_system(folder)
    choices = Choices(
        out=Path("results/paper"),
        runs=Path("runs/paper"),
        weights=(Path("release"),),
        n_videos=300,
        quick=True,
        digits="mnist",
    )
    assert claims_page(found, choices) == (ROOT / "docs/claims.md").read_text(encoding="utf-8")
