"""Videos from settings: the one function behind files, training streams and tests."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from smot.arrays import BoolArray, FloatArray, IntArray, UInt8Array, UInt64Array
from smot.errors import UsageError
from smot.generators.digits import DigitSource
from smot.generators.randomness import (
    below,
    direction,
    drawn_from,
    fill_state,
    next_word,
    uniform,
)
from smot.generators.scenes import Scene, scene_of
from smot.generators.settings import Settings
from smot.seeding import video_keys
from smot.videos import Videos
from smot.videos.content import OWNER, layout

N_TRIES = 1000  # for one object, before the whole placement starts again
N_RESTARTS = 200  # of the whole placement, before it is called impossible
DRIFT = 0.01  # deviation of the change of an acceleration from frame to frame
_NOBODY = 0  # of pixels; others belong to 1 + the slot
_ALL_PLACED = -1


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
    owner: IntArray


class Cast(NamedTuple):
    """The objects of one video.

    Attributes:
        chosen: which sprite each is, [K].
        colours: index of each one's colour, [K].
        sizes: width, height, [K, 2], pixels.
        corners: x, y of the top left in the first frame, [K, 2], pixels; of objects that cross, in
            the frame in which they enter.
        entered: frame in which each entered, [K]; below 0 if before the video.
        velocity: x, y, [K, 2], pixels per frame.
        acceleration: x, y, [K, 2], pixels per frame squared; 0 at constant speed.
        position: x, y of the top left in the frame that is drawn, [K, 2], pixels; where objects
            accelerate.
    """

    chosen: IntArray
    colours: IntArray
    sizes: IntArray
    corners: IntArray
    entered: IntArray
    velocity: FloatArray
    acceleration: FloatArray
    position: FloatArray


def render(
    settings: Settings,
    source: DigitSource | None,
    *,
    seed: int,
    split: str,
    indices: IntArray,
    masks: bool = False,
) -> Videos:
    """Make videos; video i looks the same whatever else is made beside it, and where.

    Args:
        settings: what they look like.
        source: digits; None for shapes.
        seed: the data set's seed.
        split: "train" or "val" (a random number of objects), or "test/NN" (NN objects).
        indices: which videos of the split, [N].
        masks: whether to keep the owners of pixels.

    Returns:
        N videos; K is the most objects that a video of the split can have, at least 1.

    Raises:
        UsageError: the objects do not fit the frame within the overlap limit.
    """
    scene = scene_of(settings, source, split)
    keys = video_keys(seed, split, indices)
    H, W = settings.frame_size
    K = max(scene.most, 1)
    axes = {"N": len(keys), "T": settings.n_frames, "H": H, "W": W, "K": K}
    # Without masks the kernel notes the owners of one frame at a time, for the visibility.
    places = {OWNER: axes if masks else axes | {"N": 1, "T": 1}}
    arrays = {
        each.name: np.zeros(each.shape(places.get(each.name, axes)), each.dtype)
        for each in layout(K, masks=True)
    }
    arrays["label"][:] = arrays["source_index"][:] = -1
    failed = _render(keys, scene, Blank(*arrays.values()))
    if failed != _ALL_PLACED:
        raise UsageError(
            f"{arrays['count'][failed]} objects of about {settings.object_size} x "
            f"{settings.object_size} pixels do not fit a {W} x {H} frame with at most "
            f"{settings.max_overlap} pixels of overlap ({split}, video {indices[failed]})"
        )
    if not masks:
        del arrays[OWNER]
    return Videos(**arrays)


@njit(nogil=True, cache=True)
def _render(keys: UInt64Array, scene: Scene, made: Blank) -> int:
    """Fill blank arrays; gives the place of the first video that cannot be, or _ALL_PLACED."""
    N, T, H, W, _ = made.frames.shape
    state = np.empty(4, np.uint64)
    canvas = np.empty((H, W, 3), np.uint8)
    for n in range(N):
        # The order of the draws decides what every seed looks like.
        fill_state(state, keys[n])
        k = scene.fewest + below(state, scene.most - scene.fewest + 1)
        made.counts[n] = k
        cast = Cast(
            np.empty(k, np.int64),
            np.empty(k, np.int64),
            np.empty((k, 2), np.int64),
            np.empty((k, 2), np.int64),
            np.zeros(k, np.int64),
            np.empty((k, 2), np.float64),
            np.zeros((k, 2), np.float64),
            np.empty((k, 2), np.float64),
        )
        _choose(state, scene, cast)
        if scene.crosses:
            _send_across(state, scene, cast, (W, H), made.present[n])
        elif not _place(state, cast.sizes, (W, H), scene.max_overlap, cast.corners):
            return n
        _set_in_motion(state, scene, cast, n, made)
        if not scene.crosses:
            _come_and_go(state, scene, k, made.present[n])
        for channel in range(3):
            canvas[:, :, channel] = scene.background[channel]
        if len(scene.texture):
            _add_texture(canvas, scene.texture, scene.grain, state)
        for t in range(T):
            if scene.acceleration > 0 and t > 0:
                _accelerate(state, scene, cast, (W, H))
            _copy(canvas, made.frames[n, t])
            # There is room for every frame's owners, or for those of a single one.
            owners = made.owner[n % len(made.owner), t % made.owner.shape[1]]
            owners[:] = _NOBODY
            _draw_frame(scene, cast, n, t, owners, made)
            if len(scene.noise):
                _add_noise(made.frames[n, t], scene.noise, state)
    return _ALL_PLACED


@njit(nogil=True, cache=True)
def _choose(state: UInt64Array, scene: Scene, cast: Cast) -> None:
    """Draw which sprite in which colour each object is."""
    n_sides = len(scene.sides)
    for index in range(len(cast.chosen)):
        if n_sides:
            shape = below(state, len(scene.sizes) // n_sides**2)
            height, width = drawn_from(state, scene.sides), drawn_from(state, scene.sides)
            cast.chosen[index] = (shape * n_sides + height) * n_sides + width
        else:
            cast.chosen[index] = below(state, len(scene.sizes))
        cast.colours[index] = below(state, len(scene.colours))
        cast.sizes[index] = scene.sizes[cast.chosen[index]]


@njit(nogil=True, cache=True)
def _place(
    state: UInt64Array,
    sizes: IntArray,
    frame_size: tuple[int, int],
    max_overlap: int,
    corners: IntArray,
) -> bool:
    """Draw top-left corners one object at a time, again while the overlap exceeds the limit.

    Args:
        state: of the random stream.
        sizes: width, height of the objects, [K, 2], pixels.
        frame_size: W, H.
        max_overlap: largest sum of the areas that an object's box shares with those before it.
        corners: receives x, y, [K, 2].

    Returns:
        Whether a placement was found.

    Source: supplement D.1; tries and restarts are ours (docs/benchmark.md 1.1).
    """
    for _ in range(N_RESTARTS):
        n_placed = 0
        while n_placed < len(sizes) and _place_one(
            state, sizes, frame_size, max_overlap, corners, n_placed
        ):
            n_placed += 1
        if n_placed == len(sizes):
            return True
    return False


@njit(nogil=True, cache=True)
def _place_one(
    state: UInt64Array,
    sizes: IntArray,
    frame_size: tuple[int, int],
    max_overlap: int,
    corners: IntArray,
    index: int,
) -> bool:
    for _ in range(N_TRIES):
        for axis in range(2):
            corners[index, axis] = below(state, frame_size[axis] - sizes[index, axis] + 1)
        overlap = 0  # summed over the objects before, as the paper counts it
        for other in range(index):
            shared = 1
            for axis in range(2):
                low = max(corners[index, axis], corners[other, axis])
                high = min(
                    corners[index, axis] + sizes[index, axis],
                    corners[other, axis] + sizes[other, axis],
                )
                shared *= max(high - low, 0)
            overlap += shared
        if overlap <= max_overlap:
            return True
    return False


@njit(nogil=True, cache=True)
def _set_in_motion(state: UInt64Array, scene: Scene, cast: Cast, n: int, made: Blank) -> None:
    """Draw the velocities of video n and note what is true of its objects."""
    for index in range(len(cast.chosen)):
        if scene.acceleration > 0:
            for axis in range(2):
                cast.position[index, axis] = cast.corners[index, axis]
                cast.velocity[index, axis] = scene.speed * (2 * uniform(state) - 1)
                cast.acceleration[index, axis] = scene.acceleration * (2 * uniform(state) - 1)
        elif not scene.crosses:
            x, y = direction(state)
            cast.velocity[index, 0], cast.velocity[index, 1] = scene.speed * x, scene.speed * y
        made.velocity[n, index] = cast.velocity[index]
        label = scene.labels[cast.chosen[index]]
        if len(scene.sides):  # a shape's class has its colour in it
            label = label * len(scene.colours) + cast.colours[index]
        made.label[n, index] = label
        made.source_index[n, index] = scene.sources[cast.chosen[index]]


@njit(nogil=True, cache=True)
def _send_across(
    state: UInt64Array,
    scene: Scene,
    cast: Cast,
    frame_size: tuple[int, int],
    present: BoolArray,
) -> None:
    """Draw where and when each object enters, touching a side, and where it leaves; [T, K].

    The frame of its entry is one of those for which it is seen in the video.

    Source: docs/mot-worlds.md.
    """
    T = len(present)
    way = np.empty(2)
    for index in range(len(cast.chosen)):
        across, back = below(state, 2), below(state, 2)
        for axis in range(2):
            limit = frame_size[axis] - cast.sizes[index, axis]
            start, end = back * limit, (1 - back) * limit
            if axis != across:
                start, end = below(state, limit + 1), below(state, limit + 1)
            cast.corners[index, axis], way[axis] = start, end - start
        length = max(math.sqrt(way[0] * way[0] + way[1] * way[1]), 1.0)
        n_frames = math.floor(length / scene.speed) + 1
        cast.entered[index] = below(state, T + n_frames - 1) - (n_frames - 1)
        for axis in range(2):
            cast.velocity[index, axis] = scene.speed * way[axis] / length
        for t in range(T):
            present[t, index] = 0 <= t - cast.entered[index] < n_frames


@njit(nogil=True, cache=True)
def _accelerate(state: UInt64Array, scene: Scene, cast: Cast, frame_size: tuple[int, int]) -> None:
    """Move every object on by a frame; at an edge velocity and acceleration turn round.

    Source: facts about SQAIR's original data (docs/benchmark.md 1.4).
    """
    for index in range(len(cast.chosen)):
        for axis in range(2):
            limit = float(frame_size[axis] - cast.sizes[index, axis])
            place = cast.position[index, axis] + cast.velocity[index, axis]
            speed = cast.velocity[index, axis] + cast.acceleration[index, axis]
            # Twelve uniform numbers are nearly normal, and the same on every machine.
            drift = -6.0
            for _ in range(12):
                drift += uniform(state)
            gain = cast.acceleration[index, axis] + DRIFT * drift
            if place < 0 or place > limit:
                place = -place if place < 0 else 2 * limit - place
                speed, gain = -speed, -gain
            cast.position[index, axis] = min(max(place, 0.0), limit)
            cast.velocity[index, axis] = min(max(speed, -scene.speed), scene.speed)
            most = scene.acceleration
            cast.acceleration[index, axis] = min(max(gain, -most), most)


@njit(nogil=True, cache=True)
def _come_and_go(state: UInt64Array, scene: Scene, n_objects: int, present: BoolArray) -> None:
    """Decide in which frames each object is in the video, [T, K]."""
    T = len(present)
    for index in range(n_objects):
        entered, left = False, False
        for t in range(T):
            # Numbers are drawn only where chance decides, and then in every frame.
            enters = scene.appearance >= 1 or uniform(state) < scene.appearance or t == T - 1
            leaves = scene.disappearance > 0 and uniform(state) < scene.disappearance
            left = left or (entered and leaves)
            entered = entered or enters
            present[t, index] = entered and not left


@njit(nogil=True, cache=True)
def corner_at(start: int, velocity: float, frame: int, limit: int) -> int:
    """Whole pixel at which an object is drawn along one axis; see `smot.boxes.reflect`.

    Args:
        start: corner in the first frame.
        velocity: pixels per frame.
        frame: 0 for the first.
        limit: largest legal corner.
    """
    if limit <= 0:
        return 0
    period = 2.0 * limit
    phase = (start + velocity * frame) % period
    if phase > limit:  # on the way back
        phase = period - phase
    return math.floor(phase)


@njit(nogil=True, cache=True)
def _draw_frame(scene: Scene, cast: Cast, n: int, t: int, owners: IntArray, made: Blank) -> None:
    """Draw the objects of frame t of video n, back to front, and note what is true of them."""
    boxes, present = made.boxes[n, t], made.present[n, t]
    H, W = owners.shape
    for index in range(len(cast.chosen)):
        if not present[index]:
            continue
        width, height = cast.sizes[index]
        if scene.acceleration > 0:
            x = math.floor(cast.position[index, 0])
            y = math.floor(cast.position[index, 1])
        else:
            since = t - cast.entered[index]
            x = corner_at(cast.corners[index, 0], cast.velocity[index, 0], since, W - width)
            y = corner_at(cast.corners[index, 1], cast.velocity[index, 1], since, H - height)
        boxes[index, 0], boxes[index, 1] = x, y
        boxes[index, 2], boxes[index, 3] = x + width, y + height
        sprite = scene.opacity[cast.chosen[index], :height, :width]
        colour = scene.colours[cast.colours[index]]
        _draw_sprite(made.frames[n, t], owners, sprite, colour, (x, y), index + 1, scene.adds_up)
    # Only now is it known what later objects cover.
    for index in range(len(cast.chosen)):
        if present[index]:
            # Of the pixels' own type, so that the processor compares many at once.
            n_visible, name = 0, owners.dtype.type(index + 1)
            for row in range(int(boxes[index, 1]), int(boxes[index, 3])):
                names = owners[row]
                for column in range(int(boxes[index, 0]), int(boxes[index, 2])):
                    n_visible += names[column] == name
            n_pixels = scene.n_pixels[cast.chosen[index]]
            made.visibility[n, t, index] = n_visible / max(n_pixels, 1)


@njit(nogil=True, cache=True)
def _draw_sprite(
    frame: UInt8Array,
    owners: IntArray,
    sprite: UInt8Array,
    colour: IntArray,
    corner: tuple[int, int],
    owner: int,
    adds_up: bool,
) -> None:
    """Lay one object over a frame: rounded alpha compositing, each channel separately.

    Args:
        frame: RGB, [H, W, 3]; changed.
        owners: 1 + the slot of what was drawn last at each pixel, [H, W]; changed.
        sprite: opacity, 0 to 255, [height, width].
        colour: RGB, [3], uint32.
        corner: x, y of its top left, pixels.
        owner: 1 + the object's slot.
        adds_up: whether it is added to what is there, instead of covering it.
    """
    x, y = corner
    red, green, blue = colour[0], colour[1], colour[2]
    height, width = sprite.shape
    for row in range(height):
        opacities, line, names = sprite[row], frame[y + row], owners[y + row]
        for column in range(width):
            opacity = np.uint32(opacities[column])
            # Even a faint pixel belongs to the object: boxes and visibility count it.
            if opacity:
                names[x + column] = owner
                # What is there is seen through the object, or in full.
                through = np.uint32(255) if adds_up else np.uint32(255) - opacity
                line[x + column, 0] = _mixed(opacity, red, through, line[x + column, 0])
                line[x + column, 1] = _mixed(opacity, green, through, line[x + column, 1])
                line[x + column, 2] = _mixed(opacity, blue, through, line[x + column, 2])


@njit(nogil=True, cache=True)
def _mixed(opacity: np.uint32, new: np.uint32, through: np.uint32, old: np.uint8) -> np.uint8:
    mixed = opacity * new + through * np.uint32(old)
    # Half of 255, so that the division rounds to the nearest grey level.
    return np.uint8(min((mixed + np.uint32(127)) // np.uint32(255), np.uint32(255)))


@njit(nogil=True, cache=True)
def _copy(canvas: UInt8Array, frame: UInt8Array) -> None:
    # Over flat memory this becomes one block copy, thirty times quicker than `frame[:] = canvas`.
    old, new = canvas.reshape(-1), frame.reshape(-1)
    for place in range(len(old)):
        new[place] = old[place]


@njit(nogil=True, cache=True)
def _add_texture(canvas: UInt8Array, table: IntArray, grain: int, state: UInt64Array) -> None:
    """Add noise that is drawn every `grain` pixels and bilinear between, [H, W, 3]."""
    if grain == 1:
        _add_noise(canvas, table, state)
        return
    H, W, _ = canvas.shape
    drawn = np.empty((H // grain + 2, W // grain + 2, 3), np.int64)
    flat = drawn.reshape(-1)
    for place in range(len(flat)):
        flat[place] = table[np.int64(next_word(state) & np.uint64(0xFFFF))]
    for y in range(H):
        row, below_row = divmod(y, grain)
        for x in range(W):
            column, right_of_it = divmod(x, grain)
            for channel in range(3):
                # Whole numbers, so that every machine has the same pixels.
                upper = drawn[row, column, channel] * (grain - right_of_it)
                upper += drawn[row, column + 1, channel] * right_of_it
                lower = drawn[row + 1, column, channel] * (grain - right_of_it)
                lower += drawn[row + 1, column + 1, channel] * right_of_it
                between = upper * (grain - below_row) + lower * below_row
                level = np.int64(canvas[y, x, channel]) + between // (grain * grain)
                canvas[y, x, channel] = min(max(level, 0), 255)


@njit(nogil=True, cache=True)
def _add_noise(frame: UInt8Array, table: IntArray, state: UInt64Array) -> None:
    """Add noise to every channel of every pixel, [H, W, 3], held within 0 to 255.

    The noise comes by its quantiles, `table` [65536]: 64 random bits serve four values.
    """
    values = frame.reshape(-1)
    bits = np.uint64(0)
    for place in range(len(values)):
        if place % 4 == 0:
            bits = next_word(state)
        noisy = np.int64(values[place]) + table[np.int64(bits & np.uint64(0xFFFF))]
        values[place] = min(max(noisy, 0), 255)
        bits >>= np.uint64(16)
