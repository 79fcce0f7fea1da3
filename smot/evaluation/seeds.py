"""Several runs of one system, which differ in their seeds alone, as one result."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from smot.errors import UsageError
from smot.evaluation.results import CountScores, Results, read_results


@dataclass(frozen=True, kw_only=True)
class MeanResults(Results):
    """The mean of the results of several runs; everything else is the first one's.

    The intervals of its scores are over runs: what another seed would give. How far other videos
    would move the mean is `over_videos`.

    Attributes:
        runs: of which it is the mean, two at least.
    """

    runs: tuple[Results, ...]

    def over_videos(self, protocol: str, count: int, metric: str) -> tuple[float, float]:
        """The bootstrap interval over videos: the runs' own intervals, their ends averaged.

        Source: ours. The runs saw the same videos, so that the error which these bring is common
        to all and does not shrink with the number of runs.
        """
        ends = [getattr(each, protocol)[count].intervals[metric] for each in self.runs]
        low, high = (statistics.fmean(end) for end in zip(*ends, strict=True))
        return low, high


def read_system(path: Path) -> Results:
    """What a system scored: the results of one run, or the mean of those in a folder's folders.

    Args:
        path: results.json, the folder it is in, or a folder of such folders, one for each run.

    Raises:
        DataError: a file that cannot be read.
        UsageError: runs that were not evaluated alike, or a folder that has both.
    """
    if not path.is_dir():
        return read_results(path)
    runs = sorted(path.glob("*/results.json"))
    alone = path / "results.json"
    if alone.exists() and runs:
        raise UsageError(f"{path} holds results.json and {runs[0].parent.name}/: name one of them")
    found = [read_results(each) for each in ([alone] if alone.exists() else runs)]
    if not found:
        raise UsageError(f"{path} holds no results.json, nor do the folders in it")
    return found[0] if len(found) == 1 else mean_of_runs(found, str(path))


def mean_of_runs(runs: Sequence[Results], where: str) -> MeanResults:
    """The mean over runs at each count, with 95% intervals over runs.

    Args:
        runs: results of one system with several seeds, two at least.
        where: what to call them in messages.

    Raises:
        UsageError: trackers, videos, counts or ways of scoring differ, or two runs are one: an
            interval over copies would be too narrow.
    """
    first = runs[0]
    for each in runs[1:]:
        for what, mine, other in (
            ("tracker", first.tracker.name, each.tracker.name),
            ("options", _options(first), _options(each)),
            ("scoring", first.settings, each.settings),
            ("videos", first.dataset.videos, each.dataset.videos),
            ("prediction", first.prediction is None, each.prediction is None),
        ):
            if mine != other:
                verb = "differs" if what in ("tracker", "scoring", "prediction") else "differ"
                raise UsageError(f"{where}: its runs are not of one system: {what} {verb}")
    scores = [(each.tracking, each.prediction) for each in runs]
    if any(each in scores[:place] for place, each in enumerate(scores)):
        raise UsageError(f"{where}: two of its runs have the same scores: one run twice?")
    own = {field.name: getattr(first, field.name) for field in fields(Results)}
    means = {
        protocol: {
            count: _mean([getattr(run, protocol)[count] for run in runs]) for count in scores
        }
        for protocol in ("tracking", "prediction")
        if (scores := getattr(first, protocol)) is not None
    }
    return MeanResults(**{**own, **means}, runs=tuple(runs))


def _options(results: Results) -> dict[str, str]:
    """A tracker's options, but for those in which seeds and machines differ."""
    of_a_run = ("checkpoint", "device", "seed")
    return {name: each for name, each in results.tracker.options.items() if name not in of_a_run}


def _mean(runs: Sequence[CountScores]) -> CountScores:
    """Means of the metrics that all runs have, and Student's intervals around them."""
    metrics: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for key in runs[0].metrics:
        values = [run.metrics.get(key) for run in runs]
        known = [value for value in values if value is not None]
        metrics[key] = statistics.fmean(known) if len(known) == len(values) else None
        if metrics[key] is not None and key in runs[0].intervals:
            intervals[key] = interval_over_runs(known)
    reasons: Mapping[str, str] = {
        key: next(run.reasons[key] for run in runs if key in run.reasons)
        for key, value in metrics.items()
        if value is None
    }
    return replace(runs[0], metrics=metrics, intervals=intervals, reasons=reasons, counts={})


def interval_over_runs(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95% interval of a mean, from two values on."""
    from scipy.stats import t

    mean, n = statistics.fmean(values), len(values)
    reach = float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    return mean - reach, mean + reach
