"""Videos from settings: the one function behind files, training streams and tests."""

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

ALL_PLACED = -1


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
    frames = videos.frames
    failed = _render(
        keys,
        scene,
        frames,
        videos.boxes,
        videos.present,
        videos.visibility,
        videos.velocity,
        videos.label,
        videos.source_index,
        videos.count,
    )
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
def _render(
    keys: UInt64Array,
    scene: Scene,
    frames: UInt8Array,
    boxes: FloatArray,
    present: BoolArray,
    visibility: FloatArray,
    velocity: FloatArray,
    label: IntArray,
    source_index: IntArray,
    count: IntArray,
) -> int:
    """Fill blank arrays; gives the place of the first video that cannot be, or ALL_PLACED."""
    N, T, H, W, _ = frames.shape
    K = present.shape[2]
    state = np.empty(4, np.uint64)
    chosen, colours = np.empty(K, np.int64), np.empty(K, np.int64)
    heights, widths = np.empty(K, np.int64), np.empty(K, np.int64)
    corners, motion = np.empty((K, 2), np.int64), np.empty((K, 2), np.float64)
    canvas, owners = np.empty((H, W, 3), np.uint8), np.empty((H, W), np.int16)
    for n in range(N):
        fill_state(state, keys[n])
        k = scene.fewest + below(state, scene.most - scene.fewest + 1)
        count[n] = k
        _choose(state, scene, k, chosen, colours, heights, widths)
        if not place(state, heights[:k], widths[:k], H, W, scene.max_overlap, corners):
            return n
        for index in range(k):
            x, y = direction(state)
            motion[index, 0], motion[index, 1] = scene.speed * x, scene.speed * y
            velocity[n, index] = motion[index]
            label[n, index] = scene.labels[chosen[index]]
            if len(scene.sizes):
                label[n, index] = label[n, index] * len(scene.colours) + colours[index]
            source_index[n, index] = scene.sources[chosen[index]]
        _come_and_go(state, scene, k, present[n])
        fill(canvas, scene.background)
        if len(scene.texture):
            add_noise(canvas, scene.texture, state)
        for t in range(T):
            copy(canvas, frames[n, t])
            owners[:] = NOBODY
            _draw_frame(
                scene,
                t,
                k,
                chosen,
                colours,
                heights,
                widths,
                corners,
                motion,
                frames[n, t],
                owners,
                boxes[n, t],
                present[n, t],
                visibility[n, t],
            )
            if len(scene.noise):
                add_noise(frames[n, t], scene.noise, state)
    return ALL_PLACED


@njit(nogil=True, cache=True)
def _choose(
    state: UInt64Array,
    scene: Scene,
    n_objects: int,
    chosen: IntArray,
    colours: IntArray,
    heights: IntArray,
    widths: IntArray,
) -> None:
    """Draw which sprite in which colour each object is."""
    n_sides = len(scene.sizes)
    for index in range(n_objects):
        if n_sides:
            shape = below(state, len(scene.heights) // n_sides**2)
            height, width = drawn_from(state, scene.sizes), drawn_from(state, scene.sizes)
            chosen[index] = (shape * n_sides + height) * n_sides + width
        else:
            chosen[index] = below(state, len(scene.heights))
        colours[index] = below(state, len(scene.colours))
        heights[index] = scene.heights[chosen[index]]
        widths[index] = scene.widths[chosen[index]]


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
    scene: Scene,
    t: int,
    n_objects: int,
    chosen: IntArray,
    colours: IntArray,
    heights: IntArray,
    widths: IntArray,
    corners: IntArray,
    motion: FloatArray,
    frame: UInt8Array,
    owners: IntArray,
    boxes: FloatArray,
    present: BoolArray,
    visibility: FloatArray,
) -> None:
    """Draw the objects of a frame back to front and note what is true of them."""
    H, W, _ = frame.shape
    for index in range(n_objects):
        if not present[index]:
            continue
        height, width = heights[index], widths[index]
        x = corner_at(corners[index, 0], motion[index, 0], t, W - width)
        y = corner_at(corners[index, 1], motion[index, 1], t, H - height)
        boxes[index, 0], boxes[index, 1] = x, y
        boxes[index, 2], boxes[index, 3] = x + width, y + height
        draw_sprite(
            frame,
            owners,
            scene.opacity[chosen[index]],
            scene.colours[colours[index]],
            x,
            y,
            height,
            width,
            index,
        )
    for index in range(n_objects):
        if present[index]:
            x, y = int(boxes[index, 0]), int(boxes[index, 1])
            n_visible = count_owned(owners, index, x, y, heights[index], widths[index])
            visibility[index] = n_visible / max(scene.n_pixels[chosen[index]], 1)
