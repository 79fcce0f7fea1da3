"""Trackers by name: the built-in ones, those of installed packages, and `module:Class`."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from smot.errors import SmotError, UsageError, described, did_you_mean
from smot.files import from_text
from smot.tracks import Contestant, DataDescription, Tracker

GROUP = "smot.trackers"
_RECIPE = "_smot_recipe"  # the attribute of a tracker that holds its recipe

BUILT_IN = {
    "conncomp": "smot.baselines.conncomp:ConnComp",
    "oracle": "smot.baselines.oracle:TruthOracle",
    "oracle-jitter": "smot.baselines.oracle:JitterOracle",
    "oracle-motion": "smot.baselines.oracle:MotionOracle",
    "silot": "smot.models.silot:load_tracker",
    "silot-plus": "smot.models.silot:load_plus_tracker",
    "sqair": "smot.models.sqair:load_tracker",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make a tracker, in any process.

    Attributes:
        target: a name that `build_tracker` knows.
        options: settings as typed.
        data: what the tracker may know of the data.
    """

    target: str
    options: Mapping[str, str] = field(default_factory=dict)
    data: DataDescription


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of `smot trackers`.

    Attributes:
        name: what to type.
        target: where the code is, `module:attribute`.
        origin: "built-in" or the distribution that brings it.
        problem: why it cannot be loaded, in one line; "" if it can.
        summary: first line of its documentation.
    """

    name: str
    target: str
    origin: str
    problem: str
    summary: str


def list_trackers() -> list[Listing]:
    """Everything that can be named, broken plug-ins included and said to be broken."""
    rows = [_listing(name, target, "built-in") for name, target in BUILT_IN.items()]
    for point in _plugins():
        origin = point.dist.name if point.dist else "unknown distribution"
        rows.append(_listing(point.name, point.value, origin))
    return rows


def build_tracker(name: str, options: Mapping[str, object], data: DataDescription) -> Tracker:
    """Find a tracker and make one.

    A factory (a class or function) is called with keyword arguments only: `data`, if its
    signature has it, and the options, turned into the type that its signature gives them. A
    parameter without default whose type is a dataclass is made of the options named as its fields.

    Args:
        name: a built-in name, the name of an entry point in group `smot.trackers`, or
            `module:attribute`.
        options: settings by parameter name, as values or as typed on the command line.
        data: what the tracker may know of the data.

    Returns:
        A tracker. Under the names of oracles it is an `Oracle`, and what takes the number of
        objects is `CountInformed`: `evaluate` takes them all, and type checkers see a `Tracker`.

    Raises:
        UsageError: no such tracker, it cannot be imported or made, `data` is no description, an
            option that it does not take or of the wrong type, or what it made is not a tracker.
    """
    if not isinstance(data, DataDescription):
        kind = type(data).__name__  # type: ignore[unreachable]
        raise UsageError(f"data must be a DataDescription, as `description` of videos, not {kind}")
    typed = {key: str(given) for key, given in options.items()}
    with _blamed(name):
        factory = _factory(name)
        parameters = dict(inspect.signature(factory, eval_str=True).parameters)
        # A parameter whose type is a dataclass takes its fields as options.
        groups: dict[str, Any] = {
            key: each.annotation
            for key, each in parameters.items()
            if is_dataclass(each.annotation)
            and each.default is inspect.Parameter.empty
            and key != "data"
        }
        fields = {
            key: inspect.signature(kind, eval_str=True).parameters for key, kind in groups.items()
        }
    for key in groups:
        parameters |= fields[key]
        del parameters[key]
    arguments: dict[str, Any] = {
        key: _converted(name, key, text, parameters) for key, text in typed.items()
    }
    if "data" in parameters:
        arguments["data"] = data
    with _blamed(name):
        for key, kind in groups.items():
            given = {each: arguments.pop(each) for each in fields[key] if each in arguments}
            arguments[key] = kind(**given)
        tracker = factory(**arguments)
        fits = isinstance(tracker, Contestant)  # looks at its attributes, which may be properties
        called = tracker.name if fits else ""
    if not isinstance(called, str) or not called.isprintable():
        raise UsageError(f"tracker {name!r}: its name must be printable text, not {called!a}")
    if not fits:
        made = type(tracker).__name__
        raise UsageError(f"tracker {name!r} made a {made}, which has no track(videos) and name")
    recipe = Recipe(target=name, options=typed, data=data)
    with suppress(AttributeError, TypeError):  # an object with room for nothing else
        object.__setattr__(tracker, _RECIPE, recipe)  # also where the class is frozen
    return tracker  # type: ignore[no-any-return]


def recipe_of(tracker: Contestant) -> Recipe | None:
    """What a tracker was made of, if `build_tracker` made it."""
    found = getattr(tracker, "__dict__", {}).get(_RECIPE)  # not what __getattr__ may make up
    return found if isinstance(found, Recipe) else None


def _plugins() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def _listing(name: str, target: str, origin: str) -> Listing:
    problem, summary = "", ""
    try:
        factory = _imported(name, target)
        summary = (inspect.getdoc(factory) or "").partition("\n")[0]
    except UsageError as error:
        problem = str(error)
    return Listing(name=name, target=target, origin=origin, problem=problem, summary=summary)


def _factory(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        return _imported(name, BUILT_IN[name])
    for point in _plugins():
        if point.name == name:
            return _imported(name, point.value)
    if ":" in name:
        # A console script has its own folder in the path, not the one where the user stands.
        here = str(Path.cwd())
        if here not in sys.path and "" not in sys.path:
            sys.path.append(here)
        return _imported(name, name)
    known = [*BUILT_IN, *(point.name for point in _plugins()), "or give module:Class"]
    raise UsageError(f"no tracker {name!r}{did_you_mean(name, known)}")


def _imported(name: str, target: str) -> Callable[..., Any]:
    where = f"tracker {name!r}" + (f" ({target})" if target != name else "")
    module, _, attribute = target.partition(":")
    if module.endswith(".py"):
        named = f"{Path(module).stem}:{attribute}"
        raise UsageError(f"{where}: {module} is a file: say {named} in the folder where it lies")
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{where}: {module!r} is no name of a module, such as package.module")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever one plug-in does, the others must go on
        raise UsageError(f"{where} cannot be imported: {described(error)}") from error
    factory = getattr(found, attribute, None)
    if factory is None:
        raise UsageError(f"{where}: the module {module} has no {attribute!r}")
    if not callable(factory):
        raise UsageError(f"{where} is not a class or function")
    return factory  # type: ignore[no-any-return]


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Whatever a tracker's own code raises becomes one line that says where."""
    try:
        yield
    except SmotError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"tracker {name!r} cannot be made: {described(error)}") from error


def _converted(name: str, key: str, text: str, parameters: Mapping[str, inspect.Parameter]) -> Any:
    """An option as the type that its parameter asks for."""
    if key not in parameters or key == "data":
        allowed = ", ".join(each for each in parameters if each != "data") or "none"
        raise UsageError(f"tracker {name!r} has no option {key!r}; it has: {allowed}")
    kind = parameters[key].annotation
    if kind is inspect.Parameter.empty:
        return text
    try:
        return from_text(text, kind, key)
    except UsageError as error:
        raise UsageError(f"tracker {name!r}: option {error}") from None
