import numpy as np
import pytest

from smot.evaluation.metrics.counts import count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.occlusion import occlusion
from tests.evaluation.sequences import untidy_sequences
from tests.golden.lanes import predicted_of, truth_of


def test_boxes_are_booked_by_their_visibility() -> None:
    truth = truth_of([{0: 0, 1: 1, 2: 2}] * 2)
    predicted = predicted_of([{0: (0, 1.0), 1: (1, 1.0)}, {0: (0, 1.0), 8: (1, 1.0), 9: (2, 1.0)}])
    visibility = np.array([[[1.0, 0.999, 0.0], [0.25, 0.749, 0.5]]], np.float32)
    table = occlusion(count_errors(truth, predicted, MatchSettings(), visibility=visibility))
    found = {row.visibility: (row.n_truth, row.recall, row.switch_rate) for row in table}
    assert found == {
        (0.0, 0.25): (1, 0.0, None),
        (0.25, 0.5): (1, 1.0, 0.0),
        (0.5, 0.75): (2, 1.0, 0.5),
        (0.75, 1.0): (1, 1.0, 0.0),
        (1.0, 1.0): (1, 1.0, 0.0),
    }


@pytest.mark.parametrize("convention", ["py-motmetrics", "trackeval"])
def test_bins_add_up_to_the_whole(convention: str) -> None:
    truth, predicted = untidy_sequences(np.random.default_rng(8), n_videos=20)
    visibility = np.random.default_rng(0).random(truth.shape).round(1)
    settings = MatchSettings(convention=convention)
    counts = count_errors(truth, predicted, settings, visibility=visibility)
    np.testing.assert_array_equal(counts.visible_truth.sum(-1), counts.n_truth)
    np.testing.assert_array_equal(counts.visible_matches.sum(-1), counts.matches)
    np.testing.assert_array_equal(counts.visible_switches.sum(-1), counts.switches)


def test_without_visibility_bins_are_empty() -> None:
    truth, predicted = untidy_sequences(np.random.default_rng(8), n_videos=2)
    table = occlusion(count_errors(truth, predicted, MatchSettings()))
    assert all(row.n_truth == 0 and row.recall is None for row in table)
