"""What the kernels draw: settings and digits as plain numbers and arrays."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from smot.arrays import FloatArray, IntArray, UInt8Array
from smot.errors import UsageError
from smot.generators.digits import DigitSource
from smot.generators.randomness import noise_table, rounded_up_normal
from smot.generators.settings import MnistSettings, Settings
from smot.generators.sprites import (
    SMALLEST_SIDE,
    Sprites,
    cropped,
    largest_side,
    resize,
    shape_sprites,
)


class Scene(NamedTuple):
    """All that the kernel needs to know, as plain numbers and arrays.

    Attributes:
        opacity: sprites to choose from, [n, S, S], uint8.
        sizes: width, height of the sprites, [n, 2], pixels.
        n_pixels: of the sprites that are not transparent, [n].
        labels: class of each sprite, before its colour, [n].
        sources: index of each sprite in the digit source, -1 for shapes, [n].
        sides: cumulative probabilities of the sides 5, 6, ... of shapes; [0] for digits.
        colours: RGB, [C, 3].
        fewest: objects in a video.
        most: objects in a video.
        max_overlap: square pixels.
        speed: pixels per frame.
        crosses: whether objects cross the frame once, instead of staying in it.
        adds_up: whether grey levels add up where objects overlap.
        acceleration: the largest along an axis, pixels per frame squared; 0 for constant speed.
        appearance: probability per frame.
        disappearance: probability per frame.
        background: RGB, [3].
        texture: noise table of the background, [65536]; [0] for none.
        grain: distance of the points that the texture is drawn at, pixels.
        noise: noise table of pixels, [65536]; [0] for none.
    """

    opacity: UInt8Array
    sizes: IntArray
    n_pixels: IntArray
    labels: IntArray
    sources: IntArray
    sides: FloatArray
    colours: IntArray
    fewest: int
    most: int
    max_overlap: int
    speed: float
    crosses: bool
    adds_up: bool
    acceleration: float
    appearance: float
    disappearance: float
    background: IntArray
    texture: IntArray
    grain: int
    noise: IntArray


@lru_cache(maxsize=64)
def scene_of(settings: Settings, source: DigitSource | None, split: str) -> Scene:
    """All that the kernels need for a split's videos; cached, for many calls want the same.

    Args:
        settings: what the videos look like.
        source: digits; None for shapes.
        split: "train", "val" or "test/NN".

    Raises:
        UsageError: digits are needed and not given.
    """
    name, _, count = split.partition("/")
    fewest, most = settings.min_objects, settings.max_objects
    if name == "test":
        fewest = most = int(count)
    if isinstance(settings, MnistSettings):
        if source is None:
            raise UsageError("Scattered MNIST needs digits: load_digits()")
        members = source.members(split)
        sprites = _digit_sprites(source, settings.object_size, name)
        labels, sources = source.labels[members].astype(np.int64), members.astype(np.int64)
        sides: FloatArray = np.zeros(0)
    else:
        largest = largest_side(settings)
        sprites = shape_sprites(largest, settings.shapes)
        # Sprites come shape by shape, each in equally many sizes.
        labels = np.arange(len(sprites.heights)) // (len(sprites.heights) // len(settings.shapes))
        sources = np.full(len(labels), -1)
        deviation = settings.object_size * settings.size_spread
        sides = rounded_up_normal(settings.object_size, deviation, SMALLEST_SIDE, largest)
    return Scene(
        opacity=sprites.opacity,
        sizes=np.stack([sprites.widths, sprites.heights], axis=1),
        n_pixels=sprites.n_pixels,
        labels=labels,
        sources=sources,
        sides=sides,
        colours=np.array(settings.palette, np.uint32),
        fewest=fewest,
        most=most,
        max_overlap=settings.max_overlap,
        speed=float(settings.speed),
        crosses=settings.motion == "cross",
        adds_up=isinstance(settings, MnistSettings) and settings.adds_up,
        acceleration=float(settings.acceleration),
        appearance=float(settings.appearance),
        disappearance=float(settings.disappearance),
        background=np.array(settings.background, np.int64),
        texture=noise_table(settings.background_noise),
        grain=settings.background_grain,
        noise=noise_table(settings.pixel_noise),
    )


@lru_cache(maxsize=8)
def _digit_sprites(source: DigitSource, side: int, split: str) -> Sprites:
    return cropped(resize(source.images[source.members(split)], side, side))
