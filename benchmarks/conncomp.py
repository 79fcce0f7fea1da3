"""ConnComp's frames per second beside a per-frame Python loop of the same algorithm, in one run.

python benchmarks/conncomp.py [--n-videos 1000] [--count 8]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from smot.baselines.conncomp import ConnComp
from smot.generators import MnistSettings, load_digits, render
from smot.tracks import DataDescription, Tracks

WHITE = ((255, 255, 255),)


def track_by_loop(videos: np.ndarray, threshold: float, max_distance: float) -> Tracks:
    """The same algorithm for white objects, as one would first write it."""
    all_boxes: list[list[list[tuple[int, ...]]]] = []
    all_ids: list[list[list[int]]] = []
    for video in videos:
        boxes_of_video: list[list[tuple[int, ...]]] = []
        ids_of_video: list[list[int]] = []
        before, old, fresh = np.zeros((0, 2)), list[int](), 0
        for frame in video:
            labels, n = ndimage.label((frame / 255.0).sum(-1) >= threshold)
            boxes: list[tuple[int, ...]] = [
                (x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)
            ]
            found = ndimage.center_of_mass(labels > 0, labels, range(1, n + 1))
            now = np.array(found).reshape(-1, 2)
            distance = np.linalg.norm(before[:, None] - now[None], axis=-1)
            rows, columns = linear_sum_assignment(np.where(distance > max_distance, 1e5, distance))
            ids = [-1] * n
            for row, column in zip(rows, columns, strict=True):
                if distance[row, column] <= max_distance:
                    ids[column] = old[row]
            for i in range(n):
                if ids[i] < 0:
                    ids[i], fresh = fresh, fresh + 1
            boxes_of_video.append(boxes)
            ids_of_video.append(ids)
            before, old = now, ids
        all_boxes.append(boxes_of_video)
        all_ids.append(ids_of_video)
    return padded(all_boxes, all_ids)


def padded(boxes: list[list[list[tuple[int, ...]]]], ids: list[list[list[int]]]) -> Tracks:
    """Tracks from ragged lists."""
    B, T = len(boxes), len(boxes[0])
    K = max(len(frame) for video in boxes for frame in video)
    dense, names = np.zeros((B, T, K, 4)), np.full((B, T, K), -1)
    for b in range(B):
        for t in range(T):
            n = len(boxes[b][t])
            dense[b, t, :n], names[b, t, :n] = np.reshape(boxes[b][t], (n, 4)), ids[b][t]
    return Tracks(boxes=dense, ids=names, confidence=(names >= 0) * 1.0)


def seconds(work: Callable[[], Tracks], n_runs: int) -> tuple[float, Tracks]:
    """Best of several runs, and what the last one returned."""
    best = np.inf
    for _ in range(n_runs):
        start = time.perf_counter()
        tracks = work()
        best = min(best, time.perf_counter() - start)
    return best, tracks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-videos", type=int, default=1000)
    parser.add_argument("--count", type=int, default=8)
    arguments = parser.parse_args()
    settings = MnistSettings(max_objects=12)
    source = load_digits("mnist-5k", None)
    split = f"test/{arguments.count:02d}"
    videos = render(
        settings, source, seed=0, split=split, indices=np.arange(arguments.n_videos)
    ).frames
    data = DataDescription(
        dataset="mnist", frame_size=(48, 48), n_frames=8, max_objects=12, palette=WHITE
    )
    tracker = ConnComp(data=data, threshold=0.5)
    tracker.track(videos[:2])  # compile
    ours, tracks = seconds(lambda: tracker.track(videos), 3)
    part = videos[:100]
    loop, expected = seconds(lambda: track_by_loop(part, 0.5, tracker.max_distance), 1)
    same = all(
        np.array_equal(np.sort(a[a >= 0]), np.sort(b[b >= 0]))
        for a, b in zip(tracks.ids[:100], expected.ids, strict=True)
    )
    n_frames = videos.shape[0] * videos.shape[1]
    ours_rate, loop_rate = n_frames / ours, part.shape[0] * part.shape[1] / loop
    print(
        f"ConnComp, {arguments.count} digits, {len(videos)} videos of 8 frames 48 x 48, one core"
    )
    print(f"  vectorised       {ours_rate:10,.0f} frames/s")
    print(f"  per-frame loop   {loop_rate:10,.0f} frames/s (first 100 videos)")
    print(f"  ratio            {ours_rate / loop_rate:10.1f}; identities equal: {same}")


if __name__ == "__main__":
    main()
