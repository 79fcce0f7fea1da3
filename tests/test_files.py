import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from smot.errors import DataError, UsageError
from smot.files import (
    atomic_path,
    available_cores,
    from_plain,
    limit_threads,
    to_plain,
    with_setting,
    write_text,
)


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
    title: str | None = None
    inner: Inner = field(default_factory=Inner)
    by_count: Mapping[int, Inner] = field(default_factory=dict)
    free: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise UsageError("rate must be positive")


def test_settings_survive_json() -> None:
    config = Outer(stages=((0, 2), (5, 4)), limit=7, inner=Inner(size=3), kind="y")
    config = replace(
        config, by_count={2: Inner(), 10: Inner(size=4)}, free={"a": [1, {"b": None}]}
    )
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
        ("title", "none", None),
        ("title", "true", "true"),
        ("title", '"none"', "none"),
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
        ("rate", "nan", "rate must be float, not nan"),
        ("rate", "1e999", "rate must be float, not inf"),
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
        ({"rate": True}, "a.pt: rate must be float"),
        ({"rate": 10**400}, "a.pt: rate must be float"),
        ({"rate": float("inf")}, "a.pt: rate must be float, not inf"),
        ({"n_steps": 2**70}, "a.pt: n_steps must be int"),
        ({"n_steps": float("nan")}, "a.pt: n_steps must be int"),
        ({"name": 3}, "a.pt: name must be str"),
        ({"name": "\ud800"}, r"a.pt: name must be str, not '\\ud800'"),
        ({"name": "x" * 10_000, "kind": "z" * 10}, "a.pt: kind must be one of x, y"),
        ({"kind": []}, "a.pt: kind must be one of x, y"),
        ({"stages": [[0, 2], [1]]}, r"a.pt: stages\[1\] must be 2 values"),
        ({"inner": 3}, "a.pt: inner must be a table, not int"),
        ({"inner": {"size": "a"}}, "a.pt: inner.size must be int"),
        ({"by_count": {"many": {}}}, "a.pt: by_count has the key 'many', which is not a number"),
        ({"by_count": {"2": {"size": []}}}, r"a.pt: by_count.2.size must be int, not \[\]"),
        ({"free": {"a": [1, float("inf")]}}, r"a.pt: free.a\[1\] must be float"),
        ({"free": {"a": object()}}, "a.pt: free.a must be a plain value"),
        ([1], "a.pt: settings must be a table, not list"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_data(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_plain(Outer, values, what="a.pt")


def test_messages_stay_short() -> None:
    with pytest.raises(DataError) as caught:
        from_plain(Outer, {"rate": "x" * 10_000}, what="a.pt")
    assert len(str(caught.value)) < 200


def test_values_nested_without_end_are_refused() -> None:
    values: list[Any] = []
    for _ in range(900):
        values = [values]
    with pytest.raises(DataError, match="nested too deeply"):
        from_plain(Outer, {"free": {"a": values}}, what="a.pt")


def test_numbers_of_json_fit_either_kind() -> None:
    read = from_plain(Outer, {"rate": 2, "n_steps": 4.0}, what="a.pt")
    assert (read.rate, read.n_steps) == (2.0, 4)
    assert (type(read.rate), type(read.n_steps)) == (float, int)


def test_counts_come_in_ascending_order() -> None:
    read = from_plain(Outer, {"by_count": {"10": {}, "9": {}}}, what="a.pt")
    assert list(read.by_count) == [9, 10]


def test_a_complete_reading_wants_every_field() -> None:
    whole = to_plain(Outer())
    assert from_plain(Outer, whole, what="a", complete=True) == Outer()
    with pytest.raises(DataError, match="a: lacks 'name'"):
        from_plain(Outer, {k: v for k, v in whole.items() if k != "name"}, what="a", complete=True)
    with pytest.raises(DataError, match="a: has unknown 'speed'"):
        from_plain(Outer, {**whole, "speed": 1}, what="a", complete=True)
    with pytest.raises(DataError, match="a: inner lacks 'size'"):
        from_plain(Outer, {**whole, "inner": {}}, what="a", complete=True)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    write_text(target, "old")

    def write() -> None:
        with atomic_path(target) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_write_replaces_only_when_it_may(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(UsageError, match=r"a\.txt exists"), atomic_path(target, replace=False):
        pytest.fail("the body runs although the file exists")
    write_text(target, "new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_two_writers_one_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:

        def refuse(source: Path, target: Path) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a.txt"

    def write() -> None:
        with atomic_path(target, replace=False) as draft:
            draft.write_text("second")
            target.write_text("first")

    with pytest.raises(UsageError, match="exists"):
        write()
    assert target.read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_new_file_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.delattr(os, "link")
    with atomic_path(tmp_path / "a.txt", replace=False) as draft:
        draft.write_text("only")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["only"]


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "folder", replace=False) as draft:
        draft.mkdir()
        (draft / "a.txt").write_text("a")

    def fail() -> None:
        with atomic_path(tmp_path / "other") as draft:
            draft.mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "folder"]


@pytest.mark.posix("needs /dev/null or links")
def test_what_is_no_regular_file_stays(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a regular file"):
        write_text(tmp_path, "text")
    with pytest.raises(UsageError, match="/dev/null is not a regular file"):
        write_text("/dev/null", "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.posix("needs /dev/null or links")
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_threads_are_limited_here_and_in_processes_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[int] = []
    torch = type("Torch", (), {"set_num_threads": limits.append})
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    limit_threads(1)
    assert (os.environ["OMP_NUM_THREADS"], limits) == ("1", [1])
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
