import numpy as np
import pytest

from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.events import events
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from tests.evaluation.sequences import untidy_sequences
from tests.golden.lanes import predicted_of, truth_of


@pytest.mark.parametrize("convention", ["py-motmetrics", "trackeval"])
def test_every_error_that_is_counted_is_listed(convention: str) -> None:
    truth, predicted = untidy_sequences(np.random.default_rng(1), n_videos=20, n_objects=5)
    settings = MatchSettings(convention=convention)
    found = events(truth, predicted, settings)
    summary = summarise(count_errors(truth, predicted, settings))
    for kind, name in {
        "miss": "misses",
        "false positive": "false_positives",
        "switch": "switches",
    }.items():
        assert (found.kind == kind).sum() == summary[name]
    assert len(found) == len(found.kind)


def test_an_event_says_where_and_who() -> None:
    truth = truth_of([{4: 0, 5: 1}, {4: 0, 5: 1}])
    predicted = predicted_of([{1: (0, 1.0), 2: (1, 1.0)}, {2: (0, 1.0), 7: (3, 0.6)}])
    found = events(truth, predicted, MatchSettings())
    rows = zip(
        found.video, found.frame, found.kind, found.truth_id, found.predicted_id, strict=True
    )
    assert list(rows) == [
        (0, 1, "miss", 5, -1),
        (0, 1, "false positive", -1, 7),
        (0, 1, "switch", 4, 2),
    ]
    np.testing.assert_array_equal(
        found.box, [[200, 0, 300, 100], [600, 0, 700, 60], [0, 0, 100, 100]]
    )


def test_flawless_tracks_have_no_events() -> None:
    truth = truth_of([{0: 0}, {0: 1}])
    found = events(truth, truth, MatchSettings())
    assert len(found) == 0
    assert found.box.shape == (0, 4)
