from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from smot.arrays import UInt8Array
from smot.baselines.components import find_components
from smot.baselines.conncomp import ConnComp
from smot.errors import UsageError
from smot.generators import ShapesSettings, render
from smot.tracks import DataDescription, Predictor, Tracker, Tunable

WHITE = ((255, 255, 255),)
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 255, 0), (255, 0, 255))
BLACK = np.zeros(3)


def describe(
    palette: tuple[tuple[int, int, int], ...] = WHITE, size: tuple[int, int] = (20, 24)
) -> DataDescription:
    return DataDescription(
        dataset="mnist", frame_size=size, n_frames=4, max_objects=3, palette=palette
    )


def paint(
    videos: UInt8Array, video: int, frame: int, box: tuple[int, ...], colour: Any = (255, 255, 255)
) -> None:
    x0, y0, x1, y1 = box
    videos[video, frame, y0:y1, x0:x1] = colour


def test_contract_is_met() -> None:
    tracker = ConnComp(data=describe())
    assert isinstance(tracker, Tracker)
    assert isinstance(tracker, Predictor)
    assert isinstance(tracker, Tunable)


def test_components_equal_scipy_label_on_noise() -> None:
    generator = np.random.default_rng(3)
    shades = np.array([(0, 0, 0), *COLOURS[:3]], np.uint8)
    index = generator.integers(0, 4, (30, 17, 23))
    index[generator.random(index.shape) < 0.4] = 0
    found = find_components(
        shades[index],
        palette=np.array(COLOURS),
        background=BLACK,
        threshold=0.5,
        cosine=0,
        min_area=1,
    )
    for frame in range(len(index)):
        expected = set()
        for colour in range(3):
            labels, _ = ndimage.label(index[frame] == colour + 1)
            for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
                y, x = np.nonzero(labels == number)
                expected.add(
                    (
                        columns.start,
                        rows.start,
                        columns.stop,
                        rows.stop,
                        colour,
                        round(x.mean() + 0.5, 3),
                        round(y.mean() + 0.5, 3),
                    )
                )
        here = slice(found.first[frame], found.first[frame + 1])
        got = {
            (*(int(side) for side in box), int(colour), round(float(x), 3), round(float(y), 3))
            for box, colour, (x, y) in zip(
                found.boxes[here], found.colours[here], found.centroids[here], strict=True
            )
        }
        assert got == expected


def test_masks_are_the_components() -> None:
    videos = render(ShapesSettings(), None, seed=0, split="val", indices=np.arange(5)).frames
    tracker = ConnComp(data=describe(palette=COLOURS, size=(48, 48)), min_area=4)
    plain, tracks = tracker.track(videos), tracker.track_masks(videos)
    assert plain.masks is None
    np.testing.assert_array_equal(plain.ids, tracks.ids)
    for b, t, k in np.argwhere(tracks.present):
        rows, columns = np.nonzero(tracks.masks[b, t] == 1 + k)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert tracks.boxes[b, t, k].tolist() == box
    assert tracks.masks.max() == tracks.shape[2]


def test_diagonal_neighbours_are_two_components() -> None:
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    frames[0, 0, 0] = frames[0, 1, 1] = 255
    found = find_components(
        frames, palette=np.array(WHITE), background=BLACK, threshold=0.5, cosine=0, min_area=1
    )
    assert found.first.tolist() == [0, 2]


def test_threshold_is_on_the_summed_channel_difference_and_inclusive() -> None:
    frames = np.full((1, 3, 3, 3), 51, np.uint8)  # 0.2 a channel, 0.6 summed
    for threshold, n_found in ((0.6, 1), (0.61, 0), (0.0, 1)):
        found = find_components(
            frames,
            palette=np.array(WHITE),
            background=BLACK,
            threshold=threshold,
            cosine=0,
            min_area=1,
        )
        assert found.first[-1] == n_found


def test_background_is_what_the_data_say() -> None:
    frames = np.full((1, 3, 3, 3), 51, np.uint8)
    found = find_components(
        frames,
        palette=np.array(WHITE),
        background=np.full(3, 51.0),
        threshold=0,
        cosine=0,
        min_area=1,
    )
    assert found.first[-1] == 0


def test_identity_persists_and_new_components_get_fresh_ones() -> None:
    videos = np.zeros((2, 4, 20, 24, 3), np.uint8)
    for frame in range(4):
        paint(videos, 0, frame, (2 + 2 * frame, 3, 6 + 2 * frame, 8))
        if frame >= 2:
            paint(videos, 0, frame, (15, 12, 20, 18))
        paint(videos, 1, frame, (3, 3, 9, 9))
    tracks = ConnComp(data=describe()).track(videos)
    assert tracks.ids[0].tolist() == [[0, -1], [0, -1], [0, 1], [0, 1]]
    assert tracks.ids[1, :, 0].tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(tracks.boxes[0, 1, 0], [4, 3, 8, 8])


def test_no_match_beyond_max_distance_or_across_colours() -> None:
    videos = np.zeros((2, 2, 20, 24, 3), np.uint8)
    paint(videos, 0, 0, (0, 0, 4, 4), COLOURS[0])
    paint(videos, 0, 1, (18, 0, 22, 4), COLOURS[0])
    paint(videos, 1, 0, (3, 3, 9, 9), COLOURS[0])
    paint(videos, 1, 1, (3, 3, 9, 9), COLOURS[1])
    tracks = ConnComp(data=describe(palette=COLOURS), max_distance=10).track(videos)
    assert tracks.ids[:, :, 0].tolist() == [[0, 1], [0, 1]]


def test_linking_equals_the_hungarian_algorithm_everywhere() -> None:
    generator = np.random.default_rng(0)
    videos = np.zeros((60, 3, 20, 24, 3), np.uint8)
    lattice = videos[:, :, ::2, ::2]  # single pixels that never touch, close and many
    lattice[generator.random(lattice.shape[:-1]) < 0.08] = 255
    tracks = ConnComp(data=describe(), max_distance=6).track(videos)
    n_contested = 0
    for ids, boxes in zip(tracks.ids, tracks.boxes, strict=True):
        for t in range(2):
            a, b = ids[t] >= 0, ids[t + 1] >= 0
            step = boxes[t, a][:, None, :2] - boxes[t + 1, b][None, :, :2]
            distance = np.linalg.norm(step, axis=-1)
            cost = np.where(distance > 6, 1e5, distance)
            rows, columns = linear_sum_assignment(cost)
            allowed = cost[rows, columns] < 1e5
            pairs = ids[t, a][:, None] == ids[t + 1, b][None]
            assert pairs.sum() == allowed.sum()
            assert distance[pairs].sum() == pytest.approx(cost[rows, columns][allowed].sum(), 1e-5)
            nearest = np.where(distance > 6, np.inf, distance).argmin(1)
            n_contested += len(set(nearest)) < len(nearest)
    assert n_contested > 20


def test_tracking_is_causal() -> None:
    generator = np.random.default_rng(1)
    videos = np.zeros((4, 4, 20, 24, 3), np.uint8)
    videos[generator.random(videos.shape[:-1]) < 0.1] = 255
    tracker = ConnComp(data=describe())
    whole, part = tracker.track(videos), tracker.track(videos[:, :2])
    K = part.shape[2]
    np.testing.assert_array_equal(whole.ids[:, :2, :K], part.ids)
    np.testing.assert_array_equal(whole.boxes[:, :2, :K], part.boxes)


def test_blank_videos_give_no_tracks() -> None:
    tracks = ConnComp(data=describe()).track(np.zeros((2, 3, 8, 8, 3), np.uint8))
    assert tracks.shape == (2, 3, 0)


def test_pixels_in_which_objects_blend_count_as_background() -> None:
    frames = np.zeros((1, 4, 8, 3), np.uint8)
    frames[0, :, :3] = COLOURS[0]
    frames[0, :, 4:] = COLOURS[1]
    frames[0, :, 3] = 200, 60, 0  # between red and green, at cosine 0.958 to red
    frames[0, 0, 0] = 90, 0, 0  # a soft edge: dark, but as red as can be
    settings: dict[str, Any] = {
        "palette": np.array(COLOURS),
        "background": BLACK,
        "threshold": 0.1,
    }
    for cosine, boxes in {
        0.9: [[0, 0, 4, 4], [4, 0, 8, 4]],
        0.97: [[0, 0, 3, 4], [4, 0, 8, 4]],
        1.0: [[0, 0, 3, 4], [4, 0, 8, 4]],
    }.items():
        found = find_components(frames, **settings, cosine=cosine, min_area=1)
        assert found.boxes.tolist() == boxes, cosine


def test_threshold_and_cosine_are_tuned_together_where_there_is_colour() -> None:
    coloured = ConnComp(data=describe(palette=COLOURS)).candidates()
    pairs = {(each.threshold, each.cosine) for each in coloured}
    assert len(pairs) == len(coloured)
    assert {cosine for _, cosine in pairs} == {0.0, 0.95, 0.98, 0.99, 0.999, 0.9999}
    assert {each.cosine for each in ConnComp(data=describe()).candidates()} == {0.0}


def test_cosine_is_close_to_one_where_there_is_colour_unless_it_is_given() -> None:
    assert ConnComp(data=describe()).cosine == 0
    assert ConnComp(data=describe(palette=COLOURS)).cosine == 0.99
    assert ConnComp(data=describe(palette=COLOURS), cosine=0.0).cosine == 0


@pytest.mark.parametrize(
    "setting", [{"threshold": -1.0}, {"cosine": 1.5}, {"max_distance": 0.0}, {"min_area": 0}]
)
def test_impossible_settings_are_named(setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        ConnComp(data=describe(), **setting)


def test_a_stream_gives_the_tracks_of_the_whole() -> None:
    settings = ShapesSettings(max_objects=8, appearance=0.5, disappearance=0.1)
    videos = render(settings, None, seed=0, split="test/08", indices=np.arange(20))
    tracker = ConnComp(data=settings.describe(""))
    whole = tracker.track(videos.frames)
    for n, frames in enumerate(videos.frames):
        stream = tracker.stream()
        for t, frame in enumerate(frames):
            found = stream.update(frame)
            there, here = whole.present[n, t], found.present[0, 0]
            np.testing.assert_array_equal(whole.ids[n, t, there], found.ids[0, 0, here])
            np.testing.assert_array_equal(whole.boxes[n, t, there], found.boxes[0, 0, here])
