"""Videos from settings: the one function behind files, training streams and tests."""

from typing import NamedTuple

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array, UInt64Array
from smot.errors import UsageError
from smot.generators.compositing import NOBODY, add_noise, copy, count_owned, draw_sprite, fill
from smot.generators.digits import DigitSource
from smot.generators.motion import corner_at, place
from smot.generators.randomness import below, direction, drawn_from, fill_state, uniform
from smot.generators.scenes import Scene, scene_of
from smot.generators.settings import Settings
from smot.seeding import video_keys
from smot.videos import Videos
from smot.videos.schema import FIELDS

ALL_PLACED = -1


class Blank(NamedTuple):
    """The arrays of `Videos` in the order of the layout, for kernels to fill."""

    frames: UInt8Array
    boxes: FloatArray
    present: BoolArray
    visibility: FloatArray
    velocity: FloatArray
    label: IntArray
    source_index: IntArray
    counts: IntArray


class Cast(NamedTuple):
    """The objects of one video.

    Attributes:
        chosen: which sprite each is, [K].
        colours: index of each one's colour, [K].
        heights: pixels, [K].
        widths: pixels, [K].
        corners: x, y of the top left in the first frame, [K, 2], pixels.
        velocity: x, y, [K, 2], pixels per frame.
    """

    chosen: IntArray
    colours: IntArray
    heights: IntArray
    widths: IntArray
    corners: IntArray
    velocity: FloatArray


def render(
    settings: Settings,
    source: DigitSource | None,
    *,
    seed: int,
    split: str,
    indices: IntArray,
) -> Videos:
    """Make videos; video i looks the same whatever else is made beside it, and where.

    Args:
        settings: what they look like.
        source: digits; None for shapes.
        seed: the data set's seed.
        split: "train" or "val" (a random number of objects), or "test/NN" (NN objects).
        indices: which videos of the split, [N].

    Returns:
        N videos; K is the most objects that a video of the split can have, at least 1.

    Raises:
        UsageError: the objects do not fit the frame within the overlap limit.
    """
    scene = scene_of(settings, source, split)
    keys = video_keys(seed, split, indices)
    videos = _blank(len(keys), settings, max(scene.most, 1))
    blank = Blank(*(getattr(videos, field.name) for field in FIELDS))
    failed = _render(keys, scene, blank)
    if failed != ALL_PLACED:
        H, W = settings.frame_size
        raise UsageError(
            f"{videos.count[failed]} objects of about {settings.object_size} x "
            f"{settings.object_size} pixels do not fit a {W} x {H} frame with at most "
            f"{settings.max_overlap} pixels of overlap ({split}, video {indices[failed]})"
        )
    return videos


def _blank(n_videos: int, settings: Settings, n_slots: int) -> Videos:
    T, (H, W), K = settings.n_frames, settings.frame_size, n_slots
    return Videos(
        frames=np.zeros((n_videos, T, H, W, 3), np.uint8),
        boxes=np.zeros((n_videos, T, K, 4), np.float32),
        present=np.zeros((n_videos, T, K), bool),
        visibility=np.zeros((n_videos, T, K), np.float32),
        velocity=np.zeros((n_videos, K, 2), np.float32),
        label=np.full((n_videos, K), -1, np.int16),
        source_index=np.full((n_videos, K), -1, np.int32),
        count=np.zeros(n_videos, np.int16),
    )


@njit(nogil=True, cache=True)
def _render(keys: UInt64Array, scene: Scene, made: Blank) -> int:
    """Fill blank arrays; gives the place of the first video that cannot be, or ALL_PLACED."""
    N, T, H, W, _ = made.frames.shape
    K = made.present.shape[2]
    state = np.empty(4, np.uint64)
    cast = Cast(
        np.empty(K, np.int64),
        np.empty(K, np.int64),
        np.empty(K, np.int64),
        np.empty(K, np.int64),
        np.empty((K, 2), np.int64),
        np.empty((K, 2), np.float64),
    )
    canvas, owners = np.empty((H, W, 3), np.uint8), np.empty((H, W), np.int16)
    for n in range(N):
        # The order of the draws decides what every seed looks like.
        fill_state(state, keys[n])
        k = scene.fewest + below(state, scene.most - scene.fewest + 1)
        made.counts[n] = k
        _choose(state, scene, k, cast)
        heights, widths = cast.heights[:k], cast.widths[:k]
        if not place(state, heights, widths, H, W, scene.max_overlap, cast.corners):
            return n
        _set_in_motion(state, scene, k, cast, n, made)
        _come_and_go(state, scene, k, made.present[n])
        fill(canvas, scene.background)
        if len(scene.texture):
            add_noise(canvas, scene.texture, state)
        for t in range(T):
            copy(canvas, made.frames[n, t])
            owners[:] = NOBODY
            _draw_frame(scene, k, cast, n, t, owners, made)
            if len(scene.noise):
                add_noise(made.frames[n, t], scene.noise, state)
    return ALL_PLACED


@njit(nogil=True, cache=True)
def _choose(state: UInt64Array, scene: Scene, n_objects: int, cast: Cast) -> None:
    """Draw which sprite in which colour each object is."""
    n_sides = len(scene.sizes)
    for index in range(n_objects):
        if n_sides:
            shape = below(state, len(scene.heights) // n_sides**2)
            height, width = drawn_from(state, scene.sizes), drawn_from(state, scene.sizes)
            cast.chosen[index] = (shape * n_sides + height) * n_sides + width
        else:
            cast.chosen[index] = below(state, len(scene.heights))
        chosen = cast.chosen[index]
        cast.colours[index] = below(state, len(scene.colours))
        cast.heights[index], cast.widths[index] = scene.heights[chosen], scene.widths[chosen]


@njit(nogil=True, cache=True)
def _set_in_motion(
    state: UInt64Array, scene: Scene, n_objects: int, cast: Cast, n: int, made: Blank
) -> None:
    """Draw the velocities of video n and note what is true of its objects."""
    for index in range(n_objects):
        x, y = direction(state)
        cast.velocity[index, 0], cast.velocity[index, 1] = scene.speed * x, scene.speed * y
        made.velocity[n, index] = cast.velocity[index]
        label = scene.labels[cast.chosen[index]]
        if len(scene.sizes):  # a shape's class has its colour in it
            label = label * len(scene.colours) + cast.colours[index]
        made.label[n, index] = label
        made.source_index[n, index] = scene.sources[cast.chosen[index]]


@njit(nogil=True, cache=True)
def _come_and_go(state: UInt64Array, scene: Scene, n_objects: int, present: BoolArray) -> None:
    """Decide in which frames each object is in the video, [T, K]."""
    T = len(present)
    for index in range(n_objects):
        entered, left = False, False
        for t in range(T):
            enters, leaves = True, False
            if scene.appearance < 1:
                enters = uniform(state) < scene.appearance or t == T - 1
            if scene.disappearance > 0:
                leaves = uniform(state) < scene.disappearance
            if entered and leaves:
                left = True
            entered = entered or enters
            present[t, index] = entered and not left


@njit(nogil=True, cache=True)
def _draw_frame(
    scene: Scene, n_objects: int, cast: Cast, n: int, t: int, owners: IntArray, made: Blank
) -> None:
    """Draw the objects of frame t of video n, back to front, and note what is true of them."""
    frame, boxes, present = made.frames[n, t], made.boxes[n, t], made.present[n, t]
    H, W, _ = frame.shape
    for index in range(n_objects):
        if not present[index]:
            continue
        height, width = cast.heights[index], cast.widths[index]
        x = corner_at(cast.corners[index, 0], cast.velocity[index, 0], t, W - width)
        y = corner_at(cast.corners[index, 1], cast.velocity[index, 1], t, H - height)
        boxes[index, 0], boxes[index, 1] = x, y
        boxes[index, 2], boxes[index, 3] = x + width, y + height
        sprite = scene.opacity[cast.chosen[index]]
        colour = scene.colours[cast.colours[index]]
        draw_sprite(frame, owners, sprite, colour, x, y, height, width, index)
    # Only now is it known what later objects cover.
    for index in range(n_objects):
        if present[index]:
            x, y = int(boxes[index, 0]), int(boxes[index, 1])
            height, width = cast.heights[index], cast.widths[index]
            n_visible = count_owned(owners, index, x, y, height, width)
            n_pixels = scene.n_pixels[cast.chosen[index]]
            made.visibility[n, t, index] = n_visible / max(n_pixels, 1)
