import numpy as np
import pytest

from smot.errors import DataError, UsageError
from smot.evaluation.metrics import counts
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.tracks import Tracks
from tests.evaluation.sequences import some_of, untidy_sequences

BOTH = pytest.mark.parametrize("convention", ["py-motmetrics", "trackeval"])


@pytest.fixture
def sequences() -> tuple[Tracks, Tracks]:
    return untidy_sequences(np.random.default_rng(5), n_videos=30, n_objects=6)


def same(first: VideoCounts, second: VideoCounts) -> bool:
    return first.to_json() == second.to_json() and len(first) == len(second)


def test_the_truth_itself_scores_perfectly(sequences: tuple[Tracks, Tracks]) -> None:
    truth, _ = sequences
    truth.boxes[...] += np.arange(6)[:, None] / 8  # no two boxes alike: AP has no second choice
    summary = summarise(count_errors(truth, truth, MatchSettings()))
    ones = ("mota", "motp", "recall", "precision", "idf1", "hota", "deta", "assa", "loca", "ap")
    assert {name: summary[name] for name in ones} == dict.fromkeys(ones, 1.0)
    assert summary["count_error"] == summary["misses"] == summary["switches"] == 0
    assert summary["n_truth"] == truth.present.sum()


@BOTH
def test_slots_do_not_matter(sequences: tuple[Tracks, Tracks], convention: str) -> None:
    truth, predicted = sequences
    settings = MatchSettings(convention=convention)
    generator = np.random.default_rng(0)
    others = (shuffled(tracks, generator) for tracks in sequences)
    before = count_errors(truth, predicted, settings)
    truth, predicted = others
    assert same(before, count_errors(truth, predicted, settings))


def shuffled(tracks: Tracks, generator: np.random.Generator) -> Tracks:
    slots = generator.permuted(np.broadcast_to(np.arange(tracks.shape[2]), tracks.shape), axis=-1)
    return Tracks(
        boxes=np.take_along_axis(tracks.boxes, slots[..., None], 2),
        ids=np.take_along_axis(tracks.ids, slots, 2),
        confidence=np.take_along_axis(tracks.confidence, slots, 2),
    )


def test_only_the_order_of_identities_matters(sequences: tuple[Tracks, Tracks]) -> None:
    truth, predicted = sequences
    renamed = Tracks(
        boxes=predicted.boxes,
        ids=np.where(predicted.present, predicted.ids * 1000 + 17, -1),
        confidence=predicted.confidence,
    )
    settings = MatchSettings()
    assert same(count_errors(truth, predicted, settings), count_errors(truth, renamed, settings))


def test_scoring_in_small_pieces_gives_the_same(
    sequences: tuple[Tracks, Tracks], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = count_errors(*sequences, MatchSettings())
    monkeypatch.setattr(counts, "_MOST_PAIRS", 1)
    assert same(whole, count_errors(*sequences, MatchSettings()))


def test_counts_of_a_video_do_not_depend_on_the_others(sequences: tuple[Tracks, Tracks]) -> None:
    truth, predicted = sequences
    settings = MatchSettings()
    alone = count_errors(truth[7:8], predicted[7:8], settings)
    assert same(alone, some_of(count_errors(truth, predicted, settings), slice(7, 8)))


@BOTH
def test_every_true_and_predicted_box_is_booked_once(
    sequences: tuple[Tracks, Tracks], convention: str
) -> None:
    truth, predicted = sequences
    counts = count_errors(truth, predicted, MatchSettings(convention=convention))
    np.testing.assert_array_equal(counts.matches + counts.misses, counts.n_truth)
    np.testing.assert_array_equal(counts.matches + counts.false_positives, counts.n_predicted)
    lives = counts.mostly_tracked + counts.partly_tracked + counts.mostly_lost
    np.testing.assert_array_equal(lives, counts.n_truth_tracks)


def test_scoring_leaves_its_input_alone(sequences: tuple[Tracks, Tracks]) -> None:
    before = [
        array.copy()
        for tracks in sequences
        for array in (tracks.boxes, tracks.ids, tracks.confidence)
    ]
    count_errors(*sequences, MatchSettings())
    after = [
        array for tracks in sequences for array in (tracks.boxes, tracks.ids, tracks.confidence)
    ]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


@BOTH
@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 3, 0), (0, 0, 0)])
def test_nothing_at_all_has_a_defined_score(shape: tuple[int, ...], convention: str) -> None:
    nothing = Tracks(
        boxes=np.zeros((*shape, 4)), ids=np.full(shape, -1), confidence=np.zeros(shape)
    )
    counts = count_errors(nothing, nothing, MatchSettings(convention=convention))
    summary = summarise(counts)
    assert summary["mota"] is None
    assert summary["hota"] is None
    assert summary["count_error"] == (0.0 if shape[0] * shape[1] else None)
    assert summary["n_videos"] == shape[0]


def test_tracks_of_other_shapes_are_refused(sequences: tuple[Tracks, Tracks]) -> None:
    truth, predicted = sequences
    with pytest.raises(DataError, match="29 videos of 8 frames, but the truth is 30 videos of 8"):
        count_errors(truth, predicted[:29], MatchSettings())
    with pytest.raises(DataError, match="visibility must be"):
        count_errors(truth, predicted, MatchSettings(), visibility=np.ones((1, 8, 6)))


@pytest.mark.parametrize(
    "wrong",
    [{"iou_threshold": 0.0}, {"iou_threshold": 1.1}, {"confidence": 1.0}, {"convention": "coco"}],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float | str]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be"):
        MatchSettings(**wrong)
