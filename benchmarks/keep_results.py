"""Copy the results of `smot reproduce` without the counts of each video pool, to be kept.

    python benchmarks/keep_results.py results/paper/mnist-12-300-videos release/results/mnist-12

What metrics and intervals were computed from is nine tenths of results.json, and only needed to
pool them again; `smot compare` and docs/claims.md need none of it.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from smot.evaluation.results import CountScores, Results, read_results, write_results


def lean(results: Results) -> Results:
    """The same scores without what they were computed from."""

    def scores(protocol: dict[int, CountScores]) -> dict[int, CountScores]:
        return {count: replace(each, counts={}) for count, each in protocol.items()}

    prediction = results.prediction and scores(dict(results.prediction))
    return replace(results, tracking=scores(dict(results.tracking)), prediction=prediction)


def main() -> None:
    """Copy every results.json below a folder to the same place below another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    typed = parser.parse_args()
    paths = sorted(typed.source.rglob("results.json"))
    if not paths:
        parser.error(f"no results.json below {typed.source}")
    for path in paths:
        write_results(lean(read_results(path)), typed.out / path.relative_to(typed.source))


if __name__ == "__main__":
    main()
