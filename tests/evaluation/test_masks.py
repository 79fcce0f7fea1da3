"""Scores of masks: worked by hand, and by pycocotools, TrackEval, py-motmetrics, scikit-learn."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from benchmarks.by_trackeval import frames_of, trackeval_data, trackeval_metric
from smot.errors import DataError
from smot.evaluation.metrics.counts import UNIT, VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import MASKS, summarise
from smot.tracks import Tracks
from tests.evaluation.sequences import painted, untidy_sequences

MOTMETRICS, TRACKEVAL = MatchSettings(), MatchSettings(convention="trackeval")


def without_hidden(tracks: Tracks) -> Tracks:
    """Entries that do not own a pixel are not there."""
    places = 1 + np.arange(tracks.shape[2])
    seen = (tracks.masks[:, :, None] == places[:, None, None]).any((-1, -2))
    return replace(tracks, ids=np.where(seen, tracks.ids, -1))


def sequences(n_videos: int = 60) -> tuple[Tracks, Tracks]:
    both = untidy_sequences(np.random.default_rng(4), n_videos, n_frames=5, n_objects=3)
    return painted(both[0]), painted(both[1])


def video(*frames: str, ids: list[list[int]] | None = None) -> Tracks:
    """One video, a string a frame, a digit a pixel: 1 + its entry; identities are entries."""
    masks = np.array([[[int(pixel) for pixel in frame]] for frame in frames])[None]
    K = max(int(masks.max()), 1)
    names = np.tile(np.arange(K), (1, len(frames), 1)) if ids is None else np.array([ids])
    boxes = np.tile(np.array([0.0, 0, 1, 1]), (*names.shape, 1))
    return Tracks(boxes=boxes, ids=names, confidence=np.ones(names.shape), masks=masks)


def scores(truth: Tracks, predicted: Tracks) -> dict[str, float | None]:
    found = summarise(count_errors(truth, predicted, MOTMETRICS))
    return {key: found[key] for key in MASKS}


@pytest.mark.parametrize(
    ("truth", "predicted", "mask_mota", "miou", "fg_ari", "ari"),
    [
        # Names do not matter, nor the order of entries.
        (video("0112", "0122"), video("0221", "0211"), 1, 1, 1, 1),
        # IoU of exactly one half is a match.
        (video("1100"), video("1000"), 1, 1 / 2, 0, 0),
        (video("1110"), video("1000"), -1, 1 / 3, 0, -1 / 3),
        # One object in two parts: one matches, one is a false positive.
        (video("1110"), video("1120"), 0, 2 / 3, 0, 1 / 3),
        # Two objects in one, which matches the larger.
        (video("1222"), video("1111"), 1 / 2, 3 / 8, 0, 0),
        # Identities that swap in the second of two frames: two switches, and chance for ARI.
        (video("1122", "1122"), video("1122", "2211"), 1 / 2, 1 / 3, -1 / 6, -1 / 6),
        # Nothing predicted.
        (video("1200"), video("0000"), 0, 0, 0, 0),
        # Background as an object: wrong, but not for ARI, to which it is one more cluster.
        (video("0011"), video("1122"), 0, 1, 1, 1),
    ],
)
def test_worked_cases(
    truth: Tracks, predicted: Tracks, mask_mota: float, miou: float, fg_ari: float, ari: float
) -> None:
    expected = {"mask_mota": mask_mota, "miou": miou, "fg_ari": fg_ari, "ari": ari}
    assert scores(truth, predicted) == pytest.approx(expected, abs=1e-9)


def test_a_hidden_object_has_no_mask_to_be_missed_or_paired() -> None:
    truth = video("111", ids=[[0, 1]])
    assert truth.present.sum() == 2
    assert scores(truth, video("111")) == dict.fromkeys(MASKS, 1)


def test_pixels_of_entries_that_do_not_count_are_background() -> None:
    truth, sure = video("1122"), video("1122")
    unsure = replace(sure, confidence=np.array([[[1.0, 0.5]]]))
    assert scores(truth, unsure) == scores(truth, video("1100"))


def test_what_has_no_value() -> None:
    empty = video("0000")
    assert scores(empty, video("1000")) == dict.fromkeys(MASKS[:3]) | {"ari": 0}
    plain = replace(empty, masks=None)
    for truth, predicted in ((empty, plain), (plain, empty)):
        assert not MASKS & summarise(count_errors(truth, predicted, MOTMETRICS)).keys()
    with pytest.raises(DataError, match=r"are \[1, 1, 1, 3\], but the true ones \[1, 1, 1, 4\]"):
        scores(empty, video("000"))


def test_videos_are_summed_up() -> None:
    truth, predicted = sequences(20)
    whole = count_errors(truth, predicted, MOTMETRICS)
    parts = [
        count_errors(truth[some], predicted[some], MOTMETRICS).pooled()
        for some in (slice(12, 20), slice(12))
    ]
    assert summarise(VideoCounts.stack(parts)) == summarise(whole)
    assert summarise(VideoCounts.from_json(whole.to_json())) == summarise(whole)


def test_sums_of_rand_indices_may_be_below_zero() -> None:
    swapped = count_errors(video("1122", "1122"), video("1122", "2211"), MOTMETRICS)
    plain = swapped.to_json()
    assert plain["fg_ari"] < 0
    assert summarise(VideoCounts.from_json(plain)) == summarise(swapped)


def overlaps(truth: Tracks, predicted: Tracks) -> list[np.ndarray]:
    """IoU of the masks of every frame of a video by pycocotools, in the order of identities."""
    from pycocotools import mask as coco

    def encoded(tracks: Tracks, t: int) -> list[Any]:
        entries = np.flatnonzero(tracks.present[0, t])
        ordered = entries[np.argsort(tracks.ids[0, t, entries])]
        return [coco.encode(np.asfortranarray(tracks.masks[0, t] == 1 + k, "u1")) for k in ordered]

    found = []
    for t in range(truth.shape[1]):
        sides = encoded(truth, t), encoded(predicted, t)
        n, m = map(len, sides)
        found.append(coco.iou(*sides, [False] * m) if n and m else np.zeros((n, m)))
    return found


def test_mask_mota_is_trackevals_and_py_motmetrics() -> None:
    import motmetrics

    truth, predicted = sequences()
    theirs = without_hidden(truth), without_hidden(predicted.above(0.5))
    names = ("mask_misses", "mask_false_positives", "mask_switches")
    ours = {each: count_errors(truth, predicted, each) for each in (MOTMETRICS, TRACKEVAL)}
    for v in range(len(truth.ids)):
        one = theirs[0][v : v + 1], theirs[1][v : v + 1]
        data = trackeval_data(*one) | {"similarity_scores": overlaps(*one)}
        clear = trackeval_metric("clear").eval_sequence(data)
        found = [int(getattr(ours[TRACKEVAL], name)[v]) for name in names]
        assert found == [clear[key] for key in ("CLR_FN", "CLR_FP", "IDSW")]
        log = motmetrics.MOTAccumulator(auto_id=True)
        with motmetrics.lap.set_default_solver("scipy"):
            for iou, (ids, _), (others, _) in zip(
                overlaps(*one), frames_of(one[0]), frames_of(one[1]), strict=True
            ):
                log.update(ids, others, np.where(iou >= 0.5, 1 - iou, np.nan))
        kinds = list(log.mot_events["Type"])
        found = [int(getattr(ours[MOTMETRICS], name)[v]) for name in names]
        assert found == [kinds.count(kind) for kind in ("MISS", "FP", "SWITCH")]


def owners(tracks: Tracks, v: int) -> np.ndarray:
    """Identity of each pixel of a video, -1 for background, in one row."""
    names = np.pad(tracks.ids[v], ((0, 0), (1, 0)), constant_values=-1)
    frames = zip(names, tracks.masks[v], strict=True)
    return np.concatenate([of[mask.ravel()] for of, mask in frames])


def test_rand_indices_are_scikit_learns() -> None:
    from sklearn.metrics import adjusted_rand_score

    truth, predicted = sequences()
    counts = count_errors(truth, predicted, MOTMETRICS)
    for v in range(len(truth.ids)):
        true, found = owners(truth, v), owners(predicted.above(0.5), v)
        seen = true >= 0
        assert counts.ari[v] * UNIT == pytest.approx(adjusted_rand_score(true, found), abs=1e-9)
        expected = adjusted_rand_score(true[seen], found[seen])
        assert counts.fg_ari[v] * UNIT == pytest.approx(expected, abs=1e-9)


def test_miou_is_the_best_of_all_pairings() -> None:
    truth, predicted = sequences(20)
    counts = count_errors(truth, predicted, MOTMETRICS)
    for v in range(len(truth.ids)):
        true, found = owners(truth, v), owners(predicted.above(0.5), v)
        names, others = (np.unique(side[side >= 0]) for side in (true, found))
        iou = [
            [
                ((true == i) & (found == j)).sum() / ((true == i) | (found == j)).sum()
                for j in others
            ]
            + [0.0] * len(names)  # to be paired with nobody
            for i in names
        ]
        places = permutations(range(len(others) + len(names)), len(names))
        best = max(sum(row[j] for row, j in zip(iou, some, strict=True)) for some in places)
        assert counts.n_tubes[v] == len(names)
        assert counts.tube_overlap[v] * UNIT == pytest.approx(best, abs=1e-9)
