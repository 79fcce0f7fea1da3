import numpy as np
import pytest

from smot.errors import UsageError
from smot.generators import DigitSource, MnistSettings, ShapesSettings, VideoStream, render
from smot.generators.stream import FIRST_VIDEO

SETTINGS = ShapesSettings(max_objects=3)


def test_batches_are_the_training_videos_beyond_those_of_files(few_digits: DigitSource) -> None:
    settings = MnistSettings(max_objects=3)
    with VideoStream(settings, few_digits, seed=4, batch_size=3, n_frames=8) as stream:
        batches = [next(stream) for _ in range(3)]
    indices = FIRST_VIDEO + np.arange(9)
    expected = render(settings, few_digits, seed=4, split="train", indices=indices)
    np.testing.assert_array_equal(np.concatenate(batches), expected.frames)


def test_stream_goes_on_where_another_stopped() -> None:
    with VideoStream(SETTINGS, None, seed=0, batch_size=2, n_frames=2) as first:
        batches = [next(first) for _ in range(4)]
        assert first.next_batch == 4
    with VideoStream(SETTINGS, None, seed=0, batch_size=2, n_frames=2, start=3) as second:
        np.testing.assert_array_equal(next(second), batches[3])


def test_workers_with_strides_share_the_batches() -> None:
    options = {"seed": 0, "batch_size": 2, "n_frames": 2}
    with (
        VideoStream(SETTINGS, None, **options, start=1, stride=2) as odd,
        VideoStream(SETTINGS, None, **options) as every,
    ):
        _, second, _, fourth = (next(every) for _ in range(4))
        np.testing.assert_array_equal(next(odd), second)
        np.testing.assert_array_equal(next(odd), fourth)


def test_crops_are_cut_at_one_place_for_a_whole_video() -> None:
    options = {"seed": 0, "batch_size": 6, "n_frames": 3}
    with (
        VideoStream(SETTINGS, None, **options) as whole,
        VideoStream(SETTINGS, None, **options, crop=30) as cut,
    ):
        frames, crops = next(whole), next(cut)
    assert crops.shape == (6, 3, 30, 30, 3)
    windows = np.lib.stride_tricks.sliding_window_view(frames, (3, 30, 30, 3), (1, 2, 3, 4))
    places = []
    for video in range(6):
        same = (windows[video, 0, :, :, 0] == crops[video]).all((2, 3, 4, 5))
        assert same.any()
        places.append(tuple(np.argwhere(same)[0]))
    assert len(set(places)) > 3


def test_fault_reaches_whoever_asks_for_the_batch() -> None:
    crowded = ShapesSettings(min_objects=90, max_objects=90)
    with (
        VideoStream(crowded, None, seed=0, batch_size=1, n_frames=2) as stream,
        pytest.raises(UsageError, match="do not fit"),
    ):
        next(stream)


def test_closed_stream_has_no_more_batches() -> None:
    stream = VideoStream(SETTINGS, None, seed=0, batch_size=1, n_frames=2)
    next(stream)
    stream.close()
    assert list(stream) == []


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"start": -1}, {"stride": 0}, {"crop": 49}, {"n_frames": 0}]
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be"):
        VideoStream(SETTINGS, None, **{"seed": 0, "batch_size": 1, "n_frames": 2, **options})
