from dataclasses import replace

import numpy as np
import pytest

from smot.boxes import areas, intersections, reflect
from smot.errors import UsageError
from smot.generators import (
    CANONICAL,
    DigitSource,
    MnistSettings,
    Settings,
    ShapesSettings,
    render,
)
from smot.generators.sprites import cropped, resize
from smot.videos import Videos

SMALL_SHAPES = ShapesSettings(object_size=10, max_objects=4)


def _made(
    settings: Settings, source: DigitSource | None, n: int, split: str = "train", seed: int = 0
) -> Videos:
    return render(settings, source, seed=seed, split=split, indices=np.arange(n))


def _visibility(opacities: np.ndarray) -> np.ndarray:
    """Share of each object's pixels that no later object covers, [K]: the kernels' reference.

    `opacities` says where each object is not transparent, back to front, [K, H, W].
    """
    covered = np.cumsum(opacities[::-1], axis=0)[::-1] - opacities > 0
    total = opacities.sum((1, 2))
    seen = (opacities & ~covered).sum((1, 2))
    shares: np.ndarray = np.divide(seen, total, out=np.zeros(len(total)), where=total > 0)
    return shares


def _drawn_again(
    videos: Videos, source: DigitSource, side: int, *, adds_up: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Grey frames and visibility from the truth alone, object by object in numpy."""
    frames = np.zeros(videos.frames.shape[:4], np.int64)
    shares = np.zeros_like(videos.visibility)
    sprites = cropped(resize(source.images, side, side))
    for n, t in np.ndindex(frames.shape[:2]):
        layers = np.zeros((videos.count[n], *frames.shape[2:]), bool)
        for k in np.flatnonzero(videos.present[n, t]):
            x0, y0, x1, y1 = videos.boxes[n, t, k].astype(int)
            chosen = sprites.opacity[videos.source_index[n, k]][: y1 - y0, : x1 - x0]
            opacity = chosen.astype(np.int64)
            part = frames[n, t, y0:y1, x0:x1]
            through = 255 if adds_up else 255 - opacity
            mixed = np.floor((opacity * 255 + through * part) / 255 + 0.5)
            part[:] = mixed.clip(max=255)
            layers[k, y0:y1, x0:x1] = opacity > 0
        shares[n, t, : videos.count[n]] = _visibility(layers)
    return frames, shares


def test_frames_boxes_and_visibility_agree_with_drawing_by_hand(few_digits: DigitSource) -> None:
    videos = _made(MnistSettings(), few_digits, 12)
    frames, shares = _drawn_again(videos, few_digits, 14)
    for channel in range(3):
        np.testing.assert_array_equal(videos.frames[..., channel], frames)
    np.testing.assert_array_equal(videos.visibility, shares)


def test_digits_that_add_up_agree_with_drawing_by_hand(few_digits: DigitSource) -> None:
    settings = replace(MnistSettings(adds_up=True), max_objects=6)
    videos = _made(settings, few_digits, 6)
    frames, shares = _drawn_again(videos, few_digits, 14, adds_up=True)
    np.testing.assert_array_equal(videos.frames[..., 0], frames)
    np.testing.assert_array_equal(videos.visibility, shares)
    assert (videos.frames != _made(replace(settings, adds_up=False), few_digits, 6).frames).any()


@pytest.mark.parametrize("name", ["mnist-mot", "sprites-mot"])
def test_objects_cross_the_frame_once(name: str, few_digits: DigitSource) -> None:
    settings = CANONICAL[name]
    videos = _made(settings, few_digits, 60)
    lasting = 0
    for n in range(60):
        for k in range(videos.count[n]):
            frames = np.flatnonzero(videos.present[n, :, k])
            assert frames.size
            assert (np.diff(frames) == 1).all()
            boxes = videos.boxes[n, frames, k]
            touches = (boxes[:, :2] == 0).any(1) | (boxes[:, 2:] == 128).any(1)
            assert frames[0] == 0 or touches[0]
            # It leaves within a step of a side.
            margin = np.minimum(boxes[:, :2].min(1), (128 - boxes[:, 2:]).min(1))
            assert frames[-1] == 19 or margin[-1] <= settings.speed + 1
            speed = np.linalg.norm(videos.velocity[n, k])
            assert speed == pytest.approx(settings.speed, abs=1e-5)
            ahead = boxes[0, :2] + np.arange(len(frames))[:, None] * videos.velocity[n, k]
            assert abs(boxes[:, :2] - ahead).max() < 1.001
            lasting += len(frames) == 20
    entered, left = ~videos.present[:, 0], ~videos.present[:, -1]
    used = np.arange(3) < videos.count[:, None]
    for share in (entered[used].mean(), left[used].mean()):
        assert 0.3 < share < 0.7
    assert lasting > 0


def test_masks_say_who_was_drawn_last(few_digits: DigitSource) -> None:
    indices = np.arange(6)
    videos = render(
        MnistSettings(), few_digits, seed=0, split="train", indices=indices, masks=True
    )
    assert videos.owner is not None
    sprites = cropped(resize(few_digits.images, 14, 14))
    expected = np.zeros_like(videos.owner)
    for n, t, k in np.argwhere(videos.present):
        x0, y0, x1, y1 = videos.boxes[n, t, k].astype(int)
        ink = sprites.opacity[videos.source_index[n, k]][: y1 - y0, : x1 - x0] > 0
        expected[n, t, y0:y1, x0:x1][ink] = 1 + k
    np.testing.assert_array_equal(videos.owner, expected)
    np.testing.assert_array_equal(videos.frames, _made(MnistSettings(), few_digits, 6).frames)


@pytest.mark.slow  # compiles the kernel for two bytes
def test_masks_number_more_objects_than_a_byte_holds() -> None:
    settings = ShapesSettings(min_objects=260, max_objects=260, object_size=5, overlap=500)
    videos = render(settings, None, seed=0, split="val", indices=np.arange(1), masks=True)
    assert videos.owner is not None
    assert videos.owner.max() == 260


def test_visibility_counts_covered_pixels() -> None:
    layers = np.zeros((3, 4, 4), bool)
    layers[0, :2, :2] = True  # four pixels, one under the next object, one under the last
    layers[1, 1:3, 1:3] = True  # four pixels, all of them seen
    layers[2, 0, 0] = True
    np.testing.assert_allclose(_visibility(layers), [0.5, 1, 1])


def test_objects_move_by_reflection_of_their_velocity(few_digits: DigitSource) -> None:
    videos = _made(MnistSettings(), few_digits, 20)
    sizes = videos.boxes[..., 2:] - videos.boxes[..., :2]
    limits = 48 - sizes
    free = videos.boxes[:, :1, :, :2] + (
        videos.velocity[:, None] * np.arange(8)[None, :, None, None]
    )
    corners = np.floor(reflect(free, limits))
    close = np.abs(corners - videos.boxes[..., :2]) <= (reflect(free, limits) % 1 > 1 - 1e-4)
    assert close[videos.present].all()  # velocity is stored in single precision
    np.testing.assert_array_equal(sizes[videos.present], sizes[:, :1].repeat(8, 1)[videos.present])


@pytest.mark.parametrize(
    ("settings", "speed"), [(MnistSettings(), 2), (SMALL_SHAPES, 5), (MnistSettings(speed=9), 9)]
)
def test_every_object_has_the_speed_asked_for(
    settings: Settings, speed: float, few_digits: DigitSource
) -> None:
    source = few_digits if isinstance(settings, MnistSettings) else None
    videos = _made(settings, source, 30)
    used = np.arange(videos.velocity.shape[1]) < videos.count[:, None]
    np.testing.assert_allclose(np.hypot(*videos.velocity[used].T), speed, rtol=1e-6)
    assert not videos.velocity[~used].any()


def test_objects_that_accelerate_keep_to_their_limits_and_turn_at_the_edges(
    few_digits: DigitSource,
) -> None:
    settings = MnistSettings(speed=6, acceleration=2, frame_size=(70, 90), n_frames=12)
    videos = _made(settings, few_digits, 40)
    used = np.arange(videos.velocity.shape[1]) < videos.count[:, None]
    assert (np.abs(videos.velocity[used]) <= 6).all()
    boxes = videos.boxes.swapaxes(1, 2)[used]  # [objects, T, 4]
    corners, sizes = boxes[..., :2], boxes[:, :1, 2:] - boxes[:, :1, :2]
    room = np.array([90, 70]) - sizes
    assert ((corners >= 0) & (corners <= room)).all()
    steps = np.diff(corners, axis=1)
    assert np.abs(steps).max() in (6, 7)  # corners are rounded down
    # Away from the edges speed changes evenly, by no more than the acceleration.
    inside = ((corners > 7) & (corners < room - 7)).all(1)
    changes = np.diff(steps, axis=1).swapaxes(1, 2)[inside]
    assert len(changes) > 10
    assert np.abs(changes).max() <= 3
    assert np.ptp(steps.swapaxes(1, 2)[inside], axis=1).max() > 3  # not a constant speed


def test_overlap_in_the_first_frame_stays_within_the_limit(few_digits: DigitSource) -> None:
    videos = _made(MnistSettings(), few_digits, 60, "test/12")
    shared = intersections(videos.boxes[:, 0], videos.boxes[:, 0])
    with_earlier = np.tril(shared, -1).sum(-1)
    assert with_earlier.max() <= 98
    assert with_earlier.max() > 60  # the limit is used
    later = np.tril(intersections(videos.boxes[:, 7], videos.boxes[:, 7]), -1).sum(-1)
    assert later.max() > 98  # and holds for the first frame only


def test_number_of_objects_is_uniform_in_training_and_fixed_in_tests(
    few_digits: DigitSource,
) -> None:
    settings = MnistSettings(max_objects=6, n_frames=1)
    counts = np.bincount(_made(settings, few_digits, 1200).count, minlength=7)
    assert counts[0] == 0
    assert (counts[1:] > 150).all()
    tests = _made(settings, few_digits, 5, "test/09")
    assert tests.count.tolist() == [9] * 5
    assert tests.present.all()


def test_video_does_not_depend_on_its_neighbours(few_digits: DigitSource) -> None:
    settings = MnistSettings(appearance=0.4, disappearance=0.1, pixel_noise=3)
    together = _made(settings, few_digits, 20)
    alone = render(settings, few_digits, seed=0, split="train", indices=np.array([13]))
    np.testing.assert_array_equal(together.frames[13], alone.frames[0])
    np.testing.assert_array_equal(together.boxes[13], alone.boxes[0])
    np.testing.assert_array_equal(together.present[13], alone.present[0])


def test_shorter_videos_are_the_beginnings_of_longer_ones(few_digits: DigitSource) -> None:
    settings = MnistSettings()
    whole = _made(settings, few_digits, 6)
    short = _made(replace(settings, n_frames=3), few_digits, 6)
    np.testing.assert_array_equal(whole.frames[:, :3], short.frames)


@pytest.mark.parametrize("other", [{"seed": 1}, {"split": "val"}, {"split": "test/12"}])
def test_seed_and_split_change_the_videos(other: dict[str, object]) -> None:
    usual: dict[str, object] = {"seed": 0, "split": "train", "n": 4}
    first = _made(SMALL_SHAPES, None, **usual)  # type: ignore[arg-type]
    second = _made(SMALL_SHAPES, None, **{**usual, **other})  # type: ignore[arg-type]
    assert not np.array_equal(first.frames, second.frames)


@pytest.mark.parametrize("split", ["train", "val", "test/05"])
def test_videos_show_digits_of_their_own_split_only(few_digits: DigitSource, split: str) -> None:
    videos = _made(MnistSettings(n_frames=1), few_digits, 60, split)
    used = videos.source_index >= 0
    assert set(videos.source_index[used]) <= set(few_digits.members(split))
    np.testing.assert_array_equal(videos.label[used], few_digits.labels[videos.source_index[used]])


def test_all_thirty_combinations_of_shape_and_colour_appear() -> None:
    videos = _made(ShapesSettings(n_frames=1), None, 120)
    used = np.arange(8) < videos.count[:, None]
    assert set(videos.label[used]) == set(range(30))
    assert (videos.source_index == -1).all()
    assert (videos.label[~used] == -1).all()


def test_label_of_a_shape_says_its_colour() -> None:
    settings = ShapesSettings(n_frames=1, max_objects=1)
    videos = _made(settings, None, 40)
    for n in range(40):
        x0, y0, x1, y1 = videos.boxes[n, 0, 0].astype(int)
        inside = videos.frames[n, 0, y0:y1, x0:x1].reshape(-1, 3)
        strongest = inside[inside.sum(1).argmax()]
        assert tuple(strongest) == settings.palette[videos.label[n, 0] % 6]


def test_sides_of_shapes_follow_the_normal_rounded_up() -> None:
    videos = _made(ShapesSettings(n_frames=1), None, 400)
    boxes = videos.boxes[videos.present]
    sides = np.concatenate([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]])
    assert abs(sides.mean() - 14.5) < 0.1
    assert abs(sides.std() - 1.43) < 0.1


def test_objects_come_late_and_leave_for_good(few_digits: DigitSource) -> None:
    settings = MnistSettings(appearance=0.3, disappearance=0.2)
    videos = _made(settings, few_digits, 100)
    used = np.arange(12) < videos.count[:, None]
    seen = videos.present.transpose(0, 2, 1)[used]
    changes = np.diff(seen.astype(int), axis=1)
    assert seen.any(1).all()  # each is there in at least one frame
    assert ((changes == 1).sum(1) <= 1).all()
    assert ((changes == -1).sum(1) <= 1).all()
    assert 0.2 < seen[:, 0].mean() < 0.4
    gone = ~videos.present
    assert not videos.boxes[gone].any()
    assert not videos.visibility[gone].any()


def test_absent_objects_are_not_drawn(few_digits: DigitSource) -> None:
    settings = MnistSettings(appearance=0.3, disappearance=0.2, max_objects=1)
    videos = _made(settings, few_digits, 30)
    lit = videos.frames.any((2, 3, 4))
    np.testing.assert_array_equal(lit, videos.present[:, :, 0])


def test_background_and_noise_have_the_levels_asked_for(few_digits: DigitSource) -> None:
    settings = MnistSettings(max_objects=0, min_objects=0, background=(100, 110, 120))
    plain = _made(settings, few_digits, 2)
    assert (plain.frames == (100, 110, 120)).all()
    textured = _made(replace(settings, background_noise=6), few_digits, 4).frames
    assert textured.std((0, 1, 2, 3)) == pytest.approx([6, 6, 6], rel=0.05)
    np.testing.assert_array_equal(textured[:, 0], textured[:, 7])
    noisy = _made(replace(settings, pixel_noise=6), few_digits, 4).frames.astype(int)
    assert noisy.std() == pytest.approx(np.hypot(6, np.std([100, 110, 120])), rel=0.05)
    assert (noisy[:, 0] - noisy[:, 7]).std() == pytest.approx(6 * np.sqrt(2), rel=0.05)


def test_a_texture_of_coarse_grain_is_smooth_and_still(few_digits: DigitSource) -> None:
    settings = MnistSettings(
        max_objects=0, min_objects=0, background=(100,) * 3, background_noise=12
    )
    fine, coarse = (
        _made(replace(settings, background_grain=grain), few_digits, 8).frames.astype(float)
        for grain in (1, 6)
    )
    np.testing.assert_array_equal(coarse[:, 0], coarse[:, 7])
    assert (coarse[0, 0] != coarse[1, 0]).any()
    # At the points themselves it is the noise that was asked for, between them its mean.
    assert coarse[:, 0, ::6, ::6].std() == pytest.approx(12, rel=0.1)
    middle = (coarse[:, 0, :42:6, :42:6] + coarse[:, 0, :42:6, 6::6]) / 2
    np.testing.assert_allclose(coarse[:, 0, :42:6, 3:45:6], middle, atol=1)
    steps, fine_steps = (np.abs(np.diff(each[:, 0], axis=2)).mean() for each in (coarse, fine))
    assert steps < fine_steps / 3


def test_coloured_digits_use_the_palette(few_digits: DigitSource) -> None:
    videos = _made(MnistSettings(max_objects=1, coloured=True), few_digits, 60)
    corners = {tuple(color > 0) for color in videos.frames.max((1, 2, 3))}
    assert len(corners) == 6


def test_larger_objects_and_frames(few_digits: DigitSource) -> None:
    settings = MnistSettings(object_size=28, frame_size=(50, 60), max_objects=2, n_frames=10)
    videos = _made(settings, few_digits, 20)
    assert videos.frames.shape == (20, 10, 50, 60, 3)
    boxes = videos.boxes[videos.present]
    assert boxes[:, 2].max() > 50  # they reach into the width that is not height
    assert boxes[:, 3].max() <= 50
    assert 150 < areas(boxes).mean() < 784


def test_objects_that_cannot_fit_are_counted_out(few_digits: DigitSource) -> None:
    with pytest.raises(UsageError, match="60 objects of about 14 x 14 pixels do not fit"):
        _made(MnistSettings(), few_digits, 1, "test/60")


def test_digits_are_demanded_for_scattered_mnist() -> None:
    with pytest.raises(UsageError, match="needs digits"):
        _made(MnistSettings(), None, 1)
