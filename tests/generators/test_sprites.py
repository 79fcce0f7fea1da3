import numpy as np
import pytest
from PIL import Image

from smot.generators import DigitSource
from smot.generators.settings import ALL_SHAPES, SHAPES
from smot.generators.sprites import cropped, master, resize, shape_sprites


@pytest.mark.parametrize("size", [(14, 14), (28, 28), (20, 9), (40, 40)])
def test_resizing_equals_pillow(few_digits: DigitSource, size: tuple[int, int]) -> None:
    images = few_digits.images[:20]
    expected = [
        np.asarray(Image.fromarray(each).resize(size[::-1], Image.Resampling.BILINEAR))
        for each in images
    ]
    np.testing.assert_array_equal(resize(images, *size), expected)


def test_crop_is_tight_and_loses_nothing(few_digits: DigitSource) -> None:
    images = resize(few_digits.images, 14, 14)
    sprites = cropped(images)
    assert (sprites.opacity.sum((1, 2)) == images.sum((1, 2))).all()
    for opacity, height, width in zip(
        sprites.opacity, sprites.heights, sprites.widths, strict=True
    ):
        assert not opacity[height:].any()
        assert not opacity[:, width:].any()
        inside = opacity[:height, :width] > 0
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_empty_image_becomes_one_transparent_pixel() -> None:
    sprites = cropped(np.zeros((1, 14, 14), np.uint8))
    assert (sprites.heights[0], sprites.widths[0], sprites.n_pixels[0]) == (1, 1, 0)


@pytest.mark.parametrize("name", ALL_SHAPES)
def test_shape_fills_its_square_and_mirrors_itself(name: str) -> None:
    drawn = master(name)
    assert (drawn == drawn[:, ::-1]).all()
    for side in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert side.any()


def test_shapes_cover_the_areas_of_geometry() -> None:
    areas = {name: float(master(name).mean()) / 255 for name in ALL_SHAPES}
    assert areas["circle"] == pytest.approx(np.pi / 4, abs=2e-3)
    assert areas["diamond"] == pytest.approx(1 / 2, abs=2e-3)
    assert areas["cross"] == pytest.approx(5 / 9, abs=2e-2)
    assert areas["star"] < areas["diamond"]
    assert areas["rectangle"] == 1
    assert areas["triangle"] == pytest.approx(1 / 2, abs=2e-3)


def test_every_shape_sprite_touches_all_sides_of_its_size() -> None:
    sprites = shape_sprites(16, SHAPES)
    assert len(sprites.heights) == 5 * 12 * 12
    for opacity, height, width in zip(
        sprites.opacity, sprites.heights, sprites.widths, strict=True
    ):
        rows, columns = np.flatnonzero(opacity.any(1)), np.flatnonzero(opacity.any(0))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (0, height - 1, 0, width - 1)
