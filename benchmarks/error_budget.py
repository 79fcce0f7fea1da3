"""Where a tracker loses its MOTA, on validation videos.

python benchmarks/error_budget.py silot --data F [--ckpt C] [--n-videos 200]

Prints misses, false positives and switches in percent of the true boxes, by kind, and the share of
true boxes that are matched by frame, by overlap with another object, and by width; then how well
it predicts frames 4 to 8 from three, beside constant velocity from the tracks that it has by then.
"""

import argparse
import itertools
from collections import Counter

import numpy as np

import smot
from smot.arrays import FloatArray
from smot.baselines.extrapolation import extrapolate
from smot.boxes import areas, intersections, iou
from smot.evaluation.metrics.clear import correspond
from smot.evaluation.metrics.matching import MatchSettings, pair_up

N_SEEN = 3
COVERED = 0.6
"""Share of a true box inside a predicted one from which that one covers it."""
OVERLAPS = (0.0, 1e-9, 0.1, 0.2, 0.3, 0.5, 1.0)
WIDTHS = (0, 5, 7, 9, 11, 1_000)


def kind_of_miss(i: int, truth: FloatArray, found: FloatArray) -> str:
    """Why object i of a frame has no partner; boxes [N, 4] and [M, 4]."""
    if not len(found):
        return "nothing there"
    overlap = iou(truth[i, None], found)[0]
    if overlap.max() >= 0.5:
        return "its box is a neighbour's"
    inside = intersections(truth, found) / areas(truth)[:, None] > COVERED
    if (inside[i] & (inside.sum(0) > 1)).any():
        return "one box over two objects"
    return "loose box" if overlap.max() >= 0.25 else "nothing there"


def kind_of_stray(box: FloatArray, truth: FloatArray, matched: np.ndarray) -> str:
    """What an unmatched predicted box [4] is; true boxes [N, 4], which are matched [N]."""
    if not len(truth):
        return "phantom"
    overlap = iou(box[None], truth)[0]
    if (intersections(box[None], truth)[0] / areas(truth) > COVERED).sum() > 1:
        return "over two objects"
    if overlap.max() < 0.25:
        return "phantom"
    return "duplicate" if matched[overlap.argmax()] else "loose box"


def main() -> None:
    """Print the budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracker")
    parser.add_argument("--data", required=True, help="file with validation videos")
    parser.add_argument("--ckpt", help="weights, in place of the packaged ones")
    parser.add_argument("--n-videos", type=int, default=200)
    options = parser.parse_args()
    with smot.open_videos(options.data) as file:
        videos = file.read("val", 0, options.n_videos)
        chosen = {"checkpoint": options.ckpt} if options.ckpt else {}
        tracker = smot.build_tracker(options.tracker, chosen, file.description)
    found = tracker.track(videos.frames)
    truth = videos.truth
    settings = MatchSettings()
    pairing = pair_up(truth, found, settings.confidence)
    partner, switched = correspond(pairing, settings)
    misses: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    rows: list[tuple[float, ...]] = []
    for b, t in np.ndindex(partner.shape[:2]):
        n, m = (int(side.n_entries[b, t]) for side in (pairing.truth, pairing.predicted))
        true = truth.boxes[b, t, pairing.truth.entry[b, t, :n]]
        seen = found.boxes[b, t, pairing.predicted.entry[b, t, :m]]
        mine = partner[b, t, :n]
        other = iou(true, true) * (1 - np.eye(n))
        for i in range(n):
            if mine[i] < 0:
                misses[kind_of_miss(i, true, seen)] += 1
            width = true[i, 2] - true[i, 0]
            rows.append((t + 1, other[i].max(), width, mine[i] >= 0))
        for j in np.setdiff1d(np.arange(m), mine):
            strays[kind_of_stray(seen[j], true, mine >= 0)] += 1
    frame, overlap, width, matched = np.array(rows).T
    for name, kinds in (("misses", misses), ("false positives", strays)):
        parts = ", ".join(f"{kind} {100 * k / len(rows):.1f}" for kind, k in kinds.most_common())
        print(f"{name} {100 * kinds.total() / len(rows):.1f}% of true boxes: {parts}")
    print(f"switches {100 * switched.sum() / len(rows):.1f}%")
    errors = misses.total() + strays.total() + switched.sum()
    print(f"MOTA, pooled over all videos: {1 - errors / len(rows):.3f}")
    last = int(frame.max())
    for name, values, edges in (
        ("frame", frame, tuple(range(1, last + 2))),
        ("largest IoU with another object", overlap, OVERLAPS),
        ("width, pixels", width, WIDTHS),
    ):
        print(f"matched by {name}:")
        for low, high in itertools.pairwise(edges):
            here = (values >= low) & (values < high)
            if here.any():
                share = f"{100 * here.mean():.0f}% of true boxes"
                print(f"  from {low:g}: {matched[here].mean():.3f} ({share})")
    if not isinstance(tracker, smot.Predictor) or truth.shape[1] <= N_SEEN:
        return
    shown, hidden = videos.frames[:, :N_SEEN], truth[:, N_SEEN:]
    predicted = tracker.predict(shown, hidden.shape[1])
    carried = extrapolate(tracker.track(shown), videos.frames.shape[2:4], hidden.shape[1])
    for name, tracks in (("its own", predicted), ("constant velocity", carried)):
        print(f"prediction MOTA, {name}: {smot.score(hidden, tracks)['mota']:.3f}")


if __name__ == "__main__":
    main()
