import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from smot.errors import DataError, UsageError
from smot.models.settings import from_plain, to_plain, with_setting


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    rate: float = 0.5
    n_steps: int = 3
    name: str = "a"
    on: bool = False
    kind: Literal["x", "y"] = "x"
    stages: tuple[tuple[int, int], ...] = ((0, 2),)
    pair: tuple[int, float] = (1, 2.0)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise UsageError("rate must be positive")


def test_settings_survive_json() -> None:
    config = Outer(stages=((0, 2), (5, 4)), limit=7, inner=Inner(size=3), kind="y")
    assert from_plain(Outer, json.loads(json.dumps(to_plain(config))), what="a") == config


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("rate", "1e-3", 1e-3),
        ("rate", ".2", 0.2),
        ("rate", "2", 2.0),
        ("n_steps", "1e5", 100_000),
        ("name", "fast", "fast"),
        ("name", "12", "12"),
        ("on", "true", True),
        ("on", "False", False),
        ("kind", "y", "y"),
        ("stages", "[[0,2],[10,4]]", ((0, 2), (10, 4))),
        ("pair", "[3, 1]", (3, 1.0)),
        ("limit", "none", None),
        ("limit", "4", 4),
    ],
)
def test_text_becomes_the_type_of_its_field(key: str, text: str, value: object) -> None:
    found = getattr(with_setting(Outer(), key, text), key)
    assert found == value
    assert type(found) is type(value)


def test_a_dot_reaches_into_a_part() -> None:
    assert with_setting(Outer(), "inner.size", "9").inner.size == 9


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("rat", "1", "no setting 'rat'; there are rate, n_steps"),
        ("inner.big", "1", "no setting 'big'; there are size"),
        ("rate.big", "1", "float has no settings of its own"),
        ("rate", "fast", "rate must be float, not 'fast'"),
        ("n_steps", "1.5", "n_steps must be int, not 1.5"),
        ("n_steps", "true", "n_steps must be int, not True"),
        ("on", "1", "on must be bool"),
        ("kind", "z", "kind must be one of x, y, not 'z'"),
        ("pair", "[1]", "pair must be 2 values"),
        ("stages", "4", "stages must be a list"),
        ("rate", "-1", "rate must be positive"),
    ],
)
def test_what_cannot_be_set_is_said(key: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_setting(Outer(), key, text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speed": 1}, "a.pt: no setting 'speed'"),
        ({"rate": "x"}, "a.pt: rate must be float"),
        ({"rate": -1.0}, "a.pt: rate must be positive"),
        ([1], "a.pt: settings must be a table, not list"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_data(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_plain(Outer, values, what="a.pt")
