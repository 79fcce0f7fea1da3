"""The paper's claims, each with the rule that decides it, judged from results.

A rule says of one curve that it lies above another at some numbers of objects. There it is true
where its 95% interval lies wholly above the other's, false where it lies wholly below, and
undecided where the two overlap, where a result is missing, or where it is a share of what may be 0
or less. A rule, and a claim with several rules, is
false where any of its parts is false, true where all are true, and undecided otherwise.

Source: the claims are the paper's (section 4 and supplement G); that "gently", "fails" and "near"
mean what the numbers below say is ours, since the paper gives none.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from smot.evaluation.metrics.table import METRICS
from smot.evaluation.results import Results
from smot.evaluation.seeds import MeanResults
from smot.experiments.paper import FIGURES, SYSTEMS
from smot.experiments.reproduction import Choices, weights_of

TRUE, FALSE, UNDECIDED = "true", "false", "undecided"
METRIC = METRICS["mota"]
"""What claims are judged by: of tracking, or of prediction in the figure of predictions."""

Evaluated = Mapping[tuple[str, str], Results]
"""Results by data set and system, as `smot.experiments.paper_page.collected` has them."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What one side of a rule is.

    Attributes:
        system: key of `SYSTEMS`.
        at: number of objects at which it is read; 0 for that of the other side.
        factor: what it is multiplied by.
        less: what is then taken off.
    """

    system: str
    at: int = 0
    factor: float = 1.0
    less: float = 0.0

    def __str__(self) -> str:
        share = f"{self.factor:g} x " if self.factor != 1 else ""
        place = f" at {self.at}" if self.at else ""
        off = f" - {self.less:g}" if self.less else ""
        return f"{share}{SYSTEMS[self.system].label}{place}{off}"

    def values(
        self, rule: "Rule", evaluated: Evaluated, count: int
    ) -> tuple[float, float, float] | None:
        """The metric and the ends of its interval, in a rule's figure; None without them."""
        figure = FIGURES[rule.figure]
        results = evaluated.get((figure.dataset, self.system))
        scores = (getattr(results, figure.protocol, None) or {}).get(self.at or count)
        value = scores.metrics.get(METRIC.key) if scores else None
        if scores is None or value is None or METRIC.key not in scores.intervals:
            return None
        low, high = scores.intervals[METRIC.key]
        moved = [self.factor * each - self.less for each in (value, low, high)]
        return moved[0], moved[1], moved[2]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """That one curve lies above another.

    Attributes:
        figure: key of `FIGURES`, which says of what videos, and whether it is prediction.
        above: the curve that has to be higher.
        below: the other one.
        counts: numbers of objects at which it has to be.
    """

    figure: str
    above: Curve
    below: Curve
    counts: tuple[int, ...]

    def verdict_at(self, evaluated: Evaluated, count: int) -> str:
        """The verdict at one number of objects."""
        above, below = (each.values(self, evaluated, count) for each in (self.above, self.below))
        if above is None or below is None:
            return UNDECIDED
        sides = (self.above, above), (self.below, below)
        if any(curve.factor != 1 and low <= 0 for curve, (_, low, _) in sides):
            return UNDECIDED  # half of nothing
        if above[1] > below[2]:
            return TRUE
        return FALSE if above[2] < below[1] else UNDECIDED

    def verdict(self, evaluated: Evaluated) -> str:
        """The verdict over all its numbers of objects."""
        return combined(self.verdict_at(evaluated, count) for count in self.counts)

    def against_area(self) -> "Rule | None":
        """The same against ConnComp with `min_area`; None where ConnComp is not in it."""
        others = FIGURES[self.figure].judged
        if self.below.system != "conncomp" or not others:
            return None
        return replace(self, below=replace(self.below, system=others[0]))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and the rules that must all hold."""

    text: str
    rules: tuple[Rule, ...]

    def verdict(self, evaluated: Evaluated) -> str:
        """True, false or undecided."""
        return combined(rule.verdict(evaluated) for rule in self.rules)

    def verdict_against_area(self, evaluated: Evaluated) -> str:
        """The same with `min_area` in ConnComp; "" where ConnComp is not in it."""
        others = [rule.against_area() for rule in self.rules]
        if not any(others):
            return ""
        pairs = zip(others, self.rules, strict=True)
        return combined((other or rule).verdict(evaluated) for other, rule in pairs)

    def runs(self, evaluated: Evaluated) -> str:
        """How many trained runs of each system it rests on, as text."""
        found: dict[str, int] = {}
        for rule in self.rules:
            for curve in (rule.above, rule.below):
                results = evaluated.get((FIGURES[rule.figure].dataset, curve.system))
                if results and SYSTEMS[curve.system].weights:
                    found[SYSTEMS[curve.system].label] = len(_runs_of(results))
        return "; ".join(f"{label}: {n}" for label, n in found.items())


def _runs_of(results: Results) -> Sequence[Results]:
    return results.runs if isinstance(results, MeanResults) else [results]


def combined(verdicts: Iterable[str]) -> str:
    """False if any is, true if all are, undecided otherwise."""
    found = set(verdicts)
    if FALSE in found:
        return FALSE
    return TRUE if found == {TRUE} else UNDECIDED


def _rules(
    figure: str, above: Sequence[str], below: Sequence[str], counts: Iterable[int]
) -> tuple[Rule, ...]:
    """Each of some curves above each of others."""
    return tuple(
        Rule(figure=figure, above=Curve(system=a), below=Curve(system=b), counts=tuple(counts))
        for a in above
        for b in below
    )


def _keeps_half(figure: str, system: str, at: int, counts: Iterable[int]) -> Rule:
    half = Curve(system=system, at=at, factor=0.5)
    return Rule(figure=figure, above=Curve(system=system), below=half, counts=tuple(counts))


def _loses_half(system: str) -> Rule:
    kept = _keeps_half("fig5", system, 1, range(6, 13))
    return replace(kept, above=kept.below, below=kept.above)


_SILOT, _SQAIR = ("silot-6", "silot-12"), ("sqair-mlp", "sqair-conv", "sqair-6")

CLAIMS = (
    Claim(
        text="SILOT tracks better than ConnComp beyond two digits",
        rules=_rules("fig5", _SILOT, ["conncomp"], range(3, 13)),
    ),
    Claim(
        text="SILOT tracks better than SQAIR beyond two digits",
        rules=(
            *_rules("fig5", ["silot-6"], _SQAIR, range(3, 13)),
            *_rules("fig5", ["silot-6"], ["sqair-6-told"], range(7, 13)),
        ),
    ),
    Claim(
        text="Trained on 1-6 digits, SILOT degrades gently up to 12: it keeps half of its MOTA",
        rules=(_keeps_half("fig5", "silot-6", 6, range(7, 13)),),
    ),
    Claim(
        text="Trained on 1-12 digits, SILOT is better there",
        rules=_rules("fig5", ["silot-12"], ["silot-6"], range(7, 13)),
    ),
    Claim(
        text="SQAIR fails as digits are added: from 6 on, it has lost half of its MOTA at 1",
        rules=tuple(map(_loses_half, _SQAIR)),
    ),
    Claim(
        text="SILOT's learned prior predicts better than standing still",
        rules=_rules("figG3", _SILOT, ["still"], range(1, 13)),
    ),
    Claim(
        text="SILOT's learned prior comes near to constant velocity: within 0.1 of MOTA (ours)",
        rules=tuple(
            replace(rule, below=Curve(system="motion", less=0.1))
            for rule in _rules("figG3", _SILOT, ["motion"], range(1, 13))
        ),
    ),
    Claim(
        text="SILOT generalises to more objects: trained on crops of frames with 1-10 shapes, it "
        "keeps half of its MOTA at 10 and stays above ConnComp",
        rules=(
            _keeps_half("fig6", "crops-10", 10, range(15, 36, 5)),
            *_rules("fig6", ["crops-10"], ["conncomp"], range(15, 36, 5)),
        ),
    ),
    Claim(
        text="SILOT generalises to larger frames: trained on crops of 60 pixels, or on frames of "
        "48, it is above ConnComp on 96",
        rules=_rules("fig6", ["crops-10", "small-8"], ["conncomp"], range(5, 36, 5)),
    ),
)
"""In the order of the page."""


_HOW = """\
A rule says that the MOTA of one curve lies above that of another. At one number of objects it is
true where the 95% intervals lie apart and that way round, false where they lie apart the other
way round, and undecided where they overlap or a result is missing. Over all its numbers of
objects, and over the rules of a claim: false if any part is false, true if all are true, else
undecided. Intervals are over videos for one run, over runs for several: what another seed would
give. One run is judged by its videos alone, though another seed may differ by more; of two or
three that differ the interval is so wide (12.7 and 4.3 standard errors to each side) that it can
leave undecided what each of them shows. A share of what may be 0 or less means nothing, and is
undecided. The paper says neither how gentle is gentle nor how near is near: those numbers are
ours. `smot/experiments/claims.py` has the rules."""


_TRAINED = """\
What these weights had of training in their last stage, which for SILOT is the prior's and the
shortest of four; [results.md](results.md) and [results-sqair.md](results-sqair.md) have the
others. A curve that had little says how far it got, not what its method can do: the paper trained
SQAIR for days, and what is said of SQAIR here is said of hours."""


def claims_page(evaluated: Evaluated, choices: Choices) -> str:
    """The claims, their verdicts and the figures behind them, as Markdown.

    Args:
        evaluated: from `smot.experiments.paper_page.collected`.
        choices: of the reproduction.
    """
    lines = [
        "# The claims of the paper, judged",
        "",
        "This page is made, not written, and made again from whatever weights there are then by",
        "",
        f"    {shlex.join(['smot', 'reproduce', 'all', *choices.words()])}",
        f"    cp {choices.out / 'claims.md'} docs/claims.md",
        "",
        f"{choices.n_videos:,} test videos of each number of objects: {_data(evaluated)}.",
        "",
        _HOW,
        "",
        "| | claim | verdict | with `min_area` in ConnComp | runs |",
        "| ---: | --- | --- | --- | --- |",
    ]
    for place, claim in enumerate(CLAIMS, 1):
        other = claim.verdict_against_area(evaluated) or "ConnComp is not in it"
        cells = (claim.text, f"**{claim.verdict(evaluated)}**", other, claim.runs(evaluated))
        lines.append(f"| {place} | {' | '.join(cells)} |")
    lines += ["", _TRAINED, "", *_weights_lines(evaluated, choices)]
    for place, claim in enumerate(CLAIMS, 1):
        lines += ["", f"## {place}. {claim.text}"]
        for rule in claim.rules:
            lines += ["", *_rule_lines(rule, evaluated)]
    return "\n".join(lines) + "\n"


def _weights_lines(evaluated: Evaluated, choices: Choices) -> list[str]:
    """A table of the weights behind the results."""
    from smot.models.checkpoints import load_checkpoint

    lines = [
        "| system | weights | last stage | its updates | its hours |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for system in dict.fromkeys(name for _, name in evaluated):
        for name, path, _ in weights_of(system, choices):
            if path:
                about = load_checkpoint(path).about
                seed = name.removeprefix(system).replace("/", ", ")
                cells = (path.name, about.recipe or "–", f"{about.step:,}", f"{about.hours:.2f}")
                lines.append(f"| {SYSTEMS[system].label}{seed} | {' | '.join(cells)} |")
    return lines


def _data(evaluated: Evaluated) -> str:
    found = {name: results.dataset for (name, _), results in evaluated.items()}
    texts = []
    for name, dataset in found.items():
        digits = f", digits of {dataset.digit_source}" if dataset.digit_source else ""
        texts.append(f"{name}, seed {dataset.seed}{digits}")
    return "; ".join(texts) or "nothing is evaluated"


def _rule_lines(rule: Rule, evaluated: Evaluated) -> list[str]:
    """A rule's verdict, and a table of the figures where there are any."""
    what = "prediction MOTA" if FIGURES[rule.figure].protocol == "prediction" else "MOTA"
    head = f"{rule.figure}, {what}: {rule.above} above {rule.below}: "
    curves, other = [rule.above, rule.below], rule.against_area()
    missing = [
        each.system
        for each in curves
        if not any(each.values(rule, evaluated, count) for count in rule.counts)
    ]
    if missing:
        return [f"{head}**{UNDECIDED}**, no results of {' and '.join(dict.fromkeys(missing))}"]
    n_true = sum(rule.verdict_at(evaluated, count) == TRUE for count in rule.counts)
    head += f"**{rule.verdict(evaluated)}**, true at {n_true} of {len(rule.counts)}"
    heads = [str(each) + _runs(rule, each, evaluated) for each in curves]
    columns = ["objects", heads[0], "95%", heads[1], "95%", "verdict"]
    if other:
        curves.append(other.below)
        columns += [str(other.below), "95%", "verdict"]
    lines = [head, "", f"| {' | '.join(columns)} |", "| ---: " * len(columns) + "|"]
    for count in rule.counts:
        cells = [_cells(each, rule, evaluated, count) for each in curves]
        cells.insert(2, [rule.verdict_at(evaluated, count)])
        cells += [[other.verdict_at(evaluated, count)]] if other else []
        lines.append(f"| {' | '.join([str(count), *(text for each in cells for text in each)])} |")
    return lines


def _runs(rule: Rule, curve: Curve, evaluated: Evaluated) -> str:
    """What the interval of a curve is over, where it is several runs."""
    results = evaluated[FIGURES[rule.figure].dataset, curve.system]
    n_runs = len(_runs_of(results))
    return f" (mean of {n_runs} runs)" if n_runs > 1 else ""


def _cells(curve: Curve, rule: Rule, evaluated: Evaluated, count: int) -> list[str]:
    values = curve.values(rule, evaluated, count)
    if values is None:
        return [METRIC.shown(None), ""]
    value, low, high = map(METRIC.shown, values)
    return [value, f"{low} to {high}"]
