import pickle
import sys
import textwrap
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import pytest

import smot.trackers
from smot.arrays import UInt8Array
from smot.baselines.conncomp import ConnComp
from smot.errors import UsageError
from smot.trackers import Recipe, build_tracker, list_trackers, recipe_of
from smot.tracks import DataDescription, Tracks

DATA = DataDescription(
    dataset="mnist", frame_size=(48, 48), n_frames=8, max_objects=6, palette=((255, 255, 255),)
)


class Still:
    """Reports one box that never moves."""

    name = "still"

    def __init__(self, *, size: int = 4, ratio: float | None = None, loud: bool = False) -> None:
        self.size, self.ratio, self.loud = size, ratio, loud

    def track(self, videos: UInt8Array) -> Tracks:
        shape = (*videos.shape[:2], 1)
        boxes = np.broadcast_to(np.array([0, 0, self.size, self.size]), (*shape, 4))
        return Tracks(boxes=boxes, ids=np.zeros(shape, int), confidence=np.ones(shape))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Options that go together."""

    size: int = 4
    ratio: float | None = None


def shaped(shape: Shape, loud: bool = False) -> Still:
    return Still(size=shape.size, ratio=shape.ratio, loud=loud)


class NoTracker:
    """Does not track."""


class Failing:
    """Cannot be made."""

    def __init__(self) -> None:
        1 / 0  # noqa: B018


class Nameless:
    """Has a name that cannot be read."""

    @property
    def name(self) -> str:
        raise RuntimeError("no name")

    def track(self, videos: UInt8Array) -> UInt8Array:
        return videos


Unprintable = type("Unprintable", (Nameless,), {"name": "a\ud800b"})
Numbered = type("Numbered", (Nameless,), {"name": 5})


def leaving() -> None:
    sys.exit(0)


class Choosy:
    """Takes options of many types."""

    name = "choosy"

    def __init__(
        self,
        *,
        kind: Literal["soft", "hard"] = "soft",
        steps: list[int] | None = None,
        label: str | None = None,
        size: tuple[int, float] = (1, 1.0),
    ) -> None:
        self.options = kind, steps, label, size

    def track(self, videos: UInt8Array) -> UInt8Array:
        return videos


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint("broken", "no_such_module_anywhere:Class", "smot.trackers"),
        EntryPoint("still", f"{here}:Still", "smot.trackers"),
    ]
    monkeypatch.setattr(smot.trackers, "_plugins", lambda: points)


def test_built_in_trackers_are_found() -> None:
    tracker = build_tracker("conncomp", {"threshold": "0.25"}, DATA)
    assert isinstance(tracker, ConnComp)
    assert tracker.threshold == 0.25
    assert build_tracker("oracle", {}, DATA).name == "oracle"


def test_options_take_the_type_of_their_parameter() -> None:
    tracker: Any = build_tracker(
        f"{__name__}:Still", {"size": "9", "ratio": "0.5", "loud": "true"}, DATA
    )
    assert (tracker.size, tracker.ratio, tracker.loud) == (9, 0.5, True)
    values = {"size": 9, "ratio": 0.5, "loud": True}
    tracker = build_tracker(f"{__name__}:Still", values, DATA)
    assert (tracker.size, tracker.ratio, tracker.loud) == (9, 0.5, True)
    recipe = recipe_of(tracker)
    assert recipe is not None
    assert recipe.options == {"size": "9", "ratio": "0.5", "loud": "True"}


def test_options_may_be_lists_names_and_nothing() -> None:
    typed = {"kind": "hard", "steps": "[1, 2]", "label": "none", "size": "[3, 4]"}
    tracker: Any = build_tracker(f"{__name__}:Choosy", typed, DATA)
    assert tracker.options == ("hard", [1, 2], None, (3, 4.0))
    with pytest.raises(UsageError, match="option kind must be one of soft, hard, not 'firm'"):
        build_tracker(f"{__name__}:Choosy", {"kind": "firm"}, DATA)


def test_a_module_without_the_named_tracker_is_said_to_lack_it() -> None:
    with pytest.raises(UsageError, match=r"^tracker 'json:Nope': the module json has no 'Nope'$"):
        build_tracker("json:Nope", {}, DATA)


class Bare:
    """A tracker that takes no further attributes."""

    __slots__ = ("size",)
    name = "bare"

    def track(self, videos: UInt8Array) -> Tracks:
        return Still().track(videos)


def test_a_tracker_keeps_the_recipe_it_was_made_by_in_every_process_and_copy() -> None:
    for target, options in (("conncomp", {"threshold": "0.25"}), (f"{__name__}:Still", {})):
        tracker = build_tracker(target, options, DATA)
        expected = Recipe(target=target, options=options, data=DATA)
        assert recipe_of(tracker) == expected
        assert recipe_of(pickle.loads(pickle.dumps(tracker))) == expected


def test_what_was_not_built_or_takes_no_attributes_has_no_recipe() -> None:
    tracker = build_tracker("conncomp", {"threshold": "0.25"}, DATA)
    assert isinstance(tracker, ConnComp)
    # The changed copy was not made by the options of the first.
    assert recipe_of(replace(tracker, threshold=0.5)) is None
    assert recipe_of(Still()) is None
    assert recipe_of(Mock()) is None
    assert recipe_of(build_tracker(f"{__name__}:Bare", {}, DATA)) is None


def test_a_broken_plug_in_is_listed_and_breaks_nothing(plugins: None) -> None:
    rows = {row.name: row for row in list_trackers()}
    assert "no_such_module_anywhere" in rows["broken"].problem
    assert rows["still"].problem == ""
    assert rows["still"].summary == "Reports one box that never moves."
    assert isinstance(build_tracker("still", {}, DATA), Still)
    with pytest.raises(UsageError, match="cannot be imported: ModuleNotFoundError"):
        build_tracker("broken", {}, DATA)


def test_a_plug_in_that_raises_anything_on_import_is_contained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "explosive_tracker.py").write_text(
        textwrap.dedent("""
        raise ZeroDivisionError("on import")
        """)
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(UsageError, match="ZeroDivisionError: on import"):
        build_tracker("explosive_tracker:Anything", {}, DATA)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nobody", {}, "no tracker 'nobody': there are conncomp"),
        ("conncomp", {"treshold": "1"}, "no option 'treshold'; it has: threshold"),
        ("conncomp", {"threshold": "high"}, "option threshold must be float, not 'high'"),
        (f"{__name__}:NoTracker", {}, "made a NoTracker"),
        (f"{__name__}:DATA", {}, "not a class or function"),
        (
            f"{__name__}:Failing",
            {},
            r"ZeroDivisionError: .*test_trackers.py, line",
        ),
        (f"{__name__}:leaving", {}, "cannot be made: SystemExit: 0"),
        (f"{__name__}:Nameless", {}, "cannot be made: RuntimeError: no name"),
        (f"{__name__}:Unprintable", {}, r"name must be printable text, not 'a\\ud800b'"),
        (f"{__name__}:Numbered", {}, "name must be printable text, not 5"),
        ("builtins:dict", {}, "cannot be made: ValueError: no signature"),
        ("os:getcwd", {}, "made a str, which has no track"),
    ],
)
def test_mistakes_are_one_clear_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_tracker(name, options, DATA)


def test_fields_of_a_parameter_that_is_a_dataclass_are_options() -> None:
    target = f"{__name__}:shaped"
    tracker = build_tracker(target, {"size": "9", "loud": "true"}, DATA)
    assert isinstance(tracker, Still)
    assert (tracker.size, tracker.ratio, tracker.loud) == (9, None, True)
    with pytest.raises(UsageError, match="has no option 'shape'; it has: loud, size, ratio"):
        build_tracker(target, {"shape": "{}"}, DATA)


def test_what_is_no_description_and_no_module_is_said_to_be_none() -> None:
    with pytest.raises(UsageError, match="must be a DataDescription, as `description` of videos"):
        build_tracker("conncomp", {}, "videos.h5")
    with pytest.raises(UsageError, match="is no name of a module"):
        build_tracker("../mine:Tracker", {}, DATA)
    with pytest.raises(UsageError, match="a file: say mine:Tracker in the folder where it lies"):
        build_tracker("../mine.py:Tracker", {}, DATA)
