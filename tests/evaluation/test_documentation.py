from dataclasses import fields
from pathlib import Path

from smot.evaluation.metrics.occlusion import Occlusion
from smot.evaluation.metrics.table import MASKS, METRICS
from smot.evaluation.protocols import EvaluationSettings
from smot.evaluation.results import (
    DatasetRecord,
    Timing,
    TrackerRecord,
    TuningRecord,
    VideosRecord,
)
from tests.evaluation.made import made_results

DOCS = Path(__file__).parents[2] / "docs"
FORMAT = DOCS / "results-format.md"


def test_every_key_of_the_format_is_documented() -> None:
    text = FORMAT.read_text()
    records = (
        DatasetRecord,
        EvaluationSettings,
        TrackerRecord,
        TuningRecord,
        VideosRecord,
        Occlusion,
        Timing,
    )
    keys = {each.name for record in records for each in fields(record)}
    for key in (*keys, *METRICS, *made_results().to_json()):
        assert f"`{key}`" in text, key


def test_every_metric_that_is_computed_has_a_place_in_the_legend() -> None:
    assert set(made_results().tracking[1].metrics) == set(METRICS) - set(MASKS)


def test_the_page_of_definitions_lists_the_metrics_as_the_table_has_them() -> None:
    text = (DOCS / "definitions.md").read_text()
    for metric in METRICS.values():
        better = "lower" if metric.lower_is_better else "higher" if metric.digits else ""
        row = f"| `{metric.key}` | {metric.label} | {metric.meaning} | {better} | "
        assert row + f"{metric.undefined} |" in text, metric.key


def test_a_ratio_says_when_it_has_no_value_and_a_count_always_has_one() -> None:
    for metric in METRICS.values():
        assert bool(metric.undefined) == (metric.digits > 0), metric.key
