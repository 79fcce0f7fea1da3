"""Every hand-worked case of docs/definitions.md, and what the two libraries make of it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks.by_trackeval import trackeval_summary
from smot.evaluation.library import summarise_by_motmetrics
from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.tracks import Tracks
from tests.golden.lanes import Frames, PredictedFrames, predicted_of, truth_of

MOTMETRICS, TRACKEVAL = MatchSettings(), MatchSettings(convention="trackeval")


@dataclass(frozen=True)
class Case:
    """One video; values that both conventions share, then those of each."""

    truth: Frames
    predicted: PredictedFrames
    both: dict[str, float | None] = field(default_factory=dict)
    motmetrics: dict[str, float | None] = field(default_factory=dict)
    trackeval: dict[str, float | None] = field(default_factory=dict)


ONE_OBJECT = [{0: 0}] * 3
CASES = {
    "stray prediction between two matches": Case(
        ONE_OBJECT,
        [{1: (0, 0.9)}, {9: (5, 0.0)}, {1: (0, 0.6), 2: (0, 0.9)}],
        both={"misses": 1, "false_positives": 2},
        motmetrics={"mota": 0.0, "switches": 0},
        trackeval={"mota": -1 / 3, "switches": 1},
    ),
    "no prediction at all between two matches": Case(
        ONE_OBJECT,
        [{1: (0, 0.9)}, {}, {1: (0, 0.6), 2: (0, 0.9)}],
        both={"mota": 1 / 3, "switches": 0, "misses": 1, "false_positives": 1},
    ),
    "other partner after a gap": Case(
        ONE_OBJECT,
        [{1: (0, 1.0)}, {}, {2: (0, 1.0)}],
        both={"mota": 1 / 3, "switches": 1, "misses": 1},
        motmetrics={"fragmentations": 1},
        trackeval={"fragmentations": 0},
    ),
    "two objects swap predictions": Case(
        [{0: 0, 1: 1}] * 2,
        [{0: (0, 1.0), 1: (1, 1.0)}, {0: (1, 1.0), 1: (0, 1.0)}],
        both={"mota": 0.5, "switches": 2, "idf1": 0.5, "matches": 4},
    ),
    "IoU of exactly one half": Case(
        [{0: 0}], [{0: (0, 0.5)}], both={"matches": 1, "mota": 1.0, "motp": 0.5, "idf1": 1.0}
    ),
    "tracked in exactly 80% of its frames": Case(
        [{0: 0}] * 5,
        [{0: (0, 1.0)}] * 4 + [{}],
        both={"mota": 0.8, "recall": 0.8, "precision": 1.0, "mostly_lost": 0},
        motmetrics={"mostly_tracked": 1, "partly_tracked": 0},
        trackeval={"mostly_tracked": 0, "partly_tracked": 1},
    ),
    "tracked in exactly 20% of its frames": Case(
        [{0: 0}] * 5,
        [{0: (0, 1.0)}] + [{}] * 4,
        both={"mostly_tracked": 0, "partly_tracked": 1, "mostly_lost": 0},
    ),
    "object leaves and comes back": Case(
        [{0: 0, 1: 1}, {1: 1}, {0: 0, 1: 1}],
        [{0: (0, 1.0), 1: (1, 1.0)}, {1: (1, 1.0)}, {0: (0, 1.0), 1: (1, 1.0)}],
        both={"mota": 1.0, "hota": 1.0},
        motmetrics={"fragmentations": 0},
        trackeval={"fragmentations": 1},
    ),
    "one identity split over two predictions": Case(
        [{0: 0}] * 4,
        [{1: (0, 1.0)}] * 3 + [{2: (0, 1.0)}],
        both={"idf1": 0.75, "idp": 0.75, "idr": 0.75, "switches": 1, "mota": 0.75},
    ),
    "low confidence does not count, but for AP": Case(
        [{0: 0}],
        [{0: (0, 1.0, 0.5)}],
        both={"mota": 0.0, "recall": 0.0, "precision": None, "count_error": 1.0, "ap": 1.0},
    ),
    "nothing true, one prediction": Case(
        [{}],
        [{0: (0, 1.0)}],
        both={
            "mota": None,
            "recall": None,
            "precision": 0.0,
            "motp": None,
            "idf1": 0.0,
            "idp": 0.0,
            "idr": None,
            "hota": 0.0,
            "deta": 0.0,
            "assa": 0.0,
            "loca": None,
            "ap": None,
            "count_error": 1.0,
            "false_positives": 1,
        },
    ),
    "one object, nothing predicted": Case(
        [{0: 0}],
        [{}],
        both={
            "mota": 0.0,
            "recall": 0.0,
            "precision": None,
            "motp": None,
            "idf1": 0.0,
            "idp": None,
            "idr": 0.0,
            "hota": 0.0,
            "deta": 0.0,
            "assa": 0.0,
            "loca": None,
            "ap": 0.0,
            "count_error": 1.0,
            "misses": 1,
            "mostly_lost": 1,
        },
    ),
    "nothing true, nothing predicted": Case(
        [{}],
        [{}],
        both={
            "mota": None,
            "recall": None,
            "precision": None,
            "motp": None,
            "idf1": None,
            "idp": None,
            "idr": None,
            "hota": None,
            "deta": None,
            "assa": None,
            "loca": None,
            "ap": None,
            "count_error": 0.0,
        },
    ),
    "HOTA: two predictions share one object": Case(
        [{0: 0}] * 2,
        [{1: (0, 1.0)}, {2: (0, 1.0)}],
        both={"deta": 1.0, "assa": 0.5, "hota": 0.5**0.5, "loca": 1.0},
    ),
    "HOTA: one box of IoU 0.6": Case(
        [{0: 0}],
        [{0: (0, 0.6)}],
        both={"deta": 12 / 19, "assa": 12 / 19, "hota": 12 / 19, "loca": (12 * 0.6 + 7) / 19},
    ),
    "AP: right, stray, nearly right": Case(
        [{0: 0, 1: 1}],
        [{0: (0, 1.0, 0.9), 1: (5, 0.0, 0.8), 2: (1, 0.65, 0.7)}],
        both={"ap": (6 * (6 + 5 * 2 / 3) / 11 + 3 * 6 / 11) / 9},
    ),
    "AP: IoU must exceed the threshold": Case([{0: 0}], [{0: (0, 0.5)}], both={"ap": 4 / 9}),
    "AP: equal confidences enter together": Case(
        [{0: 0}], [{0: (0, 1.0, 0.9), 1: (5, 0.0, 0.9)}], both={"ap": 0.5}
    ),
    "AP: a better but less confident box comes too late": Case(
        [{0: 0}],
        [{0: (0, 0.45, 0.9), 1: (0, 0.85, 0.6)}],
        both={"ap": (4 * 1 + 4 * 0.5) / 9},
    ),
    "count error is over frames, not over videos": Case(
        [{0: 0}, {0: 0, 1: 1}, {}],
        [{0: (0, 1.0), 1: (1, 1.0)}, {}, {}],
        both={"count_error": 1.0, "counting_accuracy": 1 / 3, "mota": 1 - 3 / 3},
    ),
}
ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def three_in_a_row() -> tuple[Tracks, Tracks]:
    """Objects at 0, 2 and 4, predictions at 2, 4 and 6, all 6 wide: neighbours have IoU 1/2."""
    frames = [{0: 0, 1: 1, 2: 2}]
    truth, predicted = truth_of(frames), predicted_of([{i: (i, 1.0) for i in range(3)}])
    for tracks, shift in ((truth, 0.0), (predicted, 2.0)):
        tracks.boxes[0, 0, :, 0] = [shift, shift + 2, shift + 4]
        tracks.boxes[0, 0, :, 2] = tracks.boxes[0, 0, :, 0] + 6
    return truth, predicted


@ALL
@pytest.mark.parametrize("settings", [MOTMETRICS, TRACKEVAL], ids=lambda each: each.convention)
def test_scores_have_the_values_worked_out_by_hand(case: Case, settings: MatchSettings) -> None:
    own = case.trackeval if settings is TRACKEVAL else case.motmetrics
    expected = case.both | own
    summary = summarise(count_errors(truth_of(case.truth), predicted_of(case.predicted), settings))
    assert {name: summary[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@ALL
def test_py_motmetrics_gives_the_same_values(case: Case) -> None:
    expected = case.both | case.motmetrics
    truth, predicted = truth_of(case.truth), predicted_of(case.predicted)
    summary = summarise_by_motmetrics(truth, predicted, MOTMETRICS)
    shared = {name: expected[name] for name in expected if name in summary}
    assert {name: summary[name] for name in shared} == pytest.approx(shared, abs=1e-9)


@ALL
def test_trackeval_gives_the_same_values_where_they_are_defined(case: Case) -> None:
    names = {
        "mota": "MOTA",
        "switches": "IDSW",
        "misses": "CLR_FN",
        "false_positives": "CLR_FP",
        "mostly_tracked": "MT",
        "partly_tracked": "PT",
        "mostly_lost": "ML",
        "motp": "MOTP",
        "fragmentations": "Frag",
        "idf1": "IDF1",
        "idp": "IDP",
        "idr": "IDR",
        "hota": "HOTA",
        "deta": "DetA",
        "assa": "AssA",
        "loca": "LocA",
    }
    truth, predicted = truth_of(case.truth), predicted_of(case.predicted)
    found: dict[str, float] = {}
    for metric in ("clear", "identity", "hota"):
        found |= trackeval_summary(metric, truth, predicted)
    for name, value in (case.both | case.trackeval).items():
        if name in names and value is not None:
            assert np.mean(found[names[name]]) == pytest.approx(value, abs=1e-9), name


def test_the_definitions_page_tells_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text(encoding="utf-8")
    missing = [name for name in (*CASES, "three in a row") if f"**{name}**" not in page]
    assert missing == []


def test_py_motmetrics_prefers_more_matches_and_trackeval_more_overlap() -> None:
    truth, predicted = three_in_a_row()
    ours = [summarise(count_errors(truth, predicted, each)) for each in (MOTMETRICS, TRACKEVAL)]
    assert [each["matches"] for each in ours] == [3, 2]
    assert [each["mota"] for each in ours] == pytest.approx([1.0, 1 / 3])
    assert summarise_by_motmetrics(truth, predicted, MOTMETRICS)["matches"] == 3
    assert trackeval_summary("clear", truth, predicted)["CLR_TP"] == 2
