import json

import numpy as np
import pytest

from smot.errors import DataError
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from tests.evaluation.sequences import some_of, untidy_sequences


@pytest.fixture(scope="module")
def counts() -> VideoCounts:
    truth, predicted = untidy_sequences(np.random.default_rng(9), n_videos=40, n_objects=7)
    visibility = np.random.default_rng(1).random(truth.shape)
    return count_errors(truth, predicted, MatchSettings(), visibility=visibility)


def test_merging_shards_equals_the_whole_to_the_last_bit(counts: VideoCounts) -> None:
    shards = [some_of(counts, np.arange(start, 40, 3)) for start in (2, 0, 1)]
    whole = summarise(counts)
    assert summarise(VideoCounts.stack(shards)) == whole
    assert summarise(VideoCounts.stack([shard.pooled() for shard in shards])) == whole
    read = [VideoCounts.from_json(json.loads(json.dumps(shard.to_json()))) for shard in shards]
    assert summarise(VideoCounts.stack(read)) == whole
    assert VideoCounts.stack(read).to_json() == counts.to_json()


def test_shards_of_different_width_can_be_stacked() -> None:
    sizes = (1, 5)
    parts = [
        count_errors(
            *untidy_sequences(np.random.default_rng(0), 4, n_objects=size), MatchSettings()
        )
        for size in sizes
    ]
    joined = VideoCounts.stack(parts)
    assert len(joined) == 8
    assert joined.n_truth.tolist() == [*parts[0].n_truth, *parts[1].n_truth]


def test_counts_made_differently_cannot_be_joined(counts: VideoCounts) -> None:
    truth, predicted = untidy_sequences(np.random.default_rng(9), n_videos=1)
    other = count_errors(truth, predicted, MatchSettings(convention="trackeval"))
    with pytest.raises(DataError, match="trackeval"):
        VideoCounts.stack([counts, other])
    with pytest.raises(DataError, match="no counts"):
        VideoCounts.stack([])


def test_counts_from_before_frames_were_counted_exactly_are_still_read(
    counts: VideoCounts,
) -> None:
    old = {k: v for k, v in counts.to_json().items() if k not in ("exact_frames", "n_counted")}
    read, now = summarise(VideoCounts.from_json(old)), summarise(counts)
    assert read.pop("counting_accuracy") is None
    known = now.pop("counting_accuracy")
    assert known is not None
    assert 0 < known < 1
    assert read == now
    pooled = summarise(VideoCounts.stack([VideoCounts.from_json(old), counts.pooled()]))
    assert pooled["counting_accuracy"] == known


@pytest.mark.parametrize("change", [{"extra": 1}, {"misses": None}])
def test_json_with_other_keys_is_refused(
    counts: VideoCounts, change: dict[str, int | None]
) -> None:
    plain = {k: v for k, v in (counts.to_json() | change).items() if v is not None}
    with pytest.raises(DataError, match=next(iter(change))):
        VideoCounts.from_json(plain)


@pytest.mark.parametrize(
    "change",
    [
        {"misses": -1},
        {"misses": 1.5},
        {"misses": "many"},
        {"misses": 2**70},
        {"hota_matches": [1, 2]},
        {"settings": {"iou": 1}},
        {"settings": {"iou_threshold": 7}},
        {"detections": [[1, 0, 10, 1]]},
        {"detections": [[0, 0, 1, 1]]},
        {"detections": [[1, 2]]},
    ],
    ids=str,
)
def test_json_with_impossible_values_is_refused(
    counts: VideoCounts, change: dict[str, object]
) -> None:
    with pytest.raises(DataError, match="counts"):
        VideoCounts.from_json(counts.to_json() | change)


def test_json_counts_are_plain_and_small(counts: VideoCounts) -> None:
    plain = counts.to_json()
    assert plain["n_videos"] == 40
    assert plain["misses"] == int(counts.misses.sum())
    n_each = [row[3] for row in plain["detections"]]
    assert sum(n_each) == int(counts.n_detections.sum())
    assert len(n_each) < sum(n_each) / 10
