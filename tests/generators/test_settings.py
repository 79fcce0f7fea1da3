import json
from dataclasses import replace

import pytest

from smot.errors import UsageError
from smot.generators import CANONICAL, MnistSettings, ShapesSettings
from smot.generators.settings import dataset_name


def test_defaults_are_the_papers() -> None:
    digits, shapes = MnistSettings(), ShapesSettings()
    assert (digits.frame_size, digits.n_frames, digits.speed) == ((48, 48), 8, 2)
    assert (digits.max_overlap, digits.palette) == (98, ((255, 255, 255),))
    assert (shapes.speed, shapes.object_size, shapes.size_spread) == (5, 14, 0.1)
    assert len(set(shapes.palette)) == 6


def test_canonical_sets_bear_their_names() -> None:
    for name, settings in CANONICAL.items():
        assert dataset_name(settings) == name


def test_test_counts_are_the_papers() -> None:
    assert MnistSettings(max_objects=6).test_counts == tuple(range(1, 13))
    assert CANONICAL["scattered-shapes-96"].test_counts == tuple(range(1, 36))
    assert CANONICAL["scattered-shapes-48"].test_counts == tuple(range(1, 9))


def test_what_differs_from_the_paper_is_in_the_name() -> None:
    settings = MnistSettings(max_objects=6, speed=4, coloured=True)
    assert dataset_name(settings) == "scattered-mnist-6-speed-4-coloured-on"
    small = ShapesSettings(frame_size=(60, 60), size_spread=0.25)
    assert dataset_name(small) == "scattered-shapes-60-1-8-size-spread-0.25"


def test_two_and_two_point_zero_are_one_setting() -> None:
    assert MnistSettings(speed=2) == MnistSettings(speed=2.0)
    assert json.dumps(MnistSettings(speed=2).plain()) == json.dumps(MnistSettings().plain())


def test_constant_speed_has_the_settings_that_it_had_before_there_was_another() -> None:
    assert "acceleration" not in MnistSettings().plain()
    assert MnistSettings(acceleration=3).plain()["acceleration"] == 3


def test_plain_settings_make_the_same_settings_again() -> None:
    settings = ShapesSettings(frame_size=(96, 80), background=(1, 2, 3), pixel_noise=4)
    plain = json.loads(json.dumps(settings.plain()))
    assert plain.pop("dataset") == "shapes"
    lists = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    assert ShapesSettings(**{**plain, **lists}) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_size", (4, 48)),
        ("n_frames", 0),
        ("n_frames", 9710),
        ("max_objects", -1),
        ("min_objects", 13),
        ("object_size", 49),
        ("speed", -1),
        ("speed", float("nan")),
        ("acceleration", -1),
        ("motion", "fly"),
        ("overlap", -0.1),
        ("appearance", 0),
        ("disappearance", 1.5),
        ("background", (0, 0, 256)),
        ("background_noise", 100),
        ("background_grain", 0),
        ("pixel_noise", -1),
    ],
)
def test_impossible_setting_is_named_with_its_value(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{name} must be .*, not "):
        replace(MnistSettings(), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("speed", 0), ("acceleration", 1), ("appearance", 0.5), ("disappearance", 0.1)],
)
def test_objects_that_cross_come_and_go_by_crossing_alone(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be .* where objects cross"):
        replace(CANONICAL["mnist-mot"], **{name: value})


def test_worlds_with_other_settings_have_names_of_their_own() -> None:
    assert dataset_name(replace(CANONICAL["mnist-mot"], speed=3)) == "mnist-mot-speed-3"
    few = ShapesSettings(shapes=("circle", "star"))
    assert dataset_name(few) == "scattered-shapes-48-shapes-circlexstar"
    with pytest.raises(UsageError, match="shapes must be some of circle, "):
        ShapesSettings(shapes=("circle", "heart"))


def test_size_spread_has_bounds() -> None:
    with pytest.raises(UsageError, match="size_spread must be from 0 to 1, not 2"):
        ShapesSettings(size_spread=2)
