"""Trackers by name: the built-in ones, those of installed packages, and ``module:Class``."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

from smot.errors import UsageError
from smot.tracks import Contestant, CountInformed, DataDescription, Oracle, Predictor

GROUP = "smot.trackers"

BUILT_IN = {
    "conncomp": "smot.baselines.conncomp:ConnComp",
    "oracle": "smot.baselines.oracle:TruthOracle",
    "oracle-jitter": "smot.baselines.oracle:JitterOracle",
    "oracle-motion": "smot.baselines.oracle:MotionOracle",
    "silot": "smot.models.silot:load_tracker",
    "sqair": "smot.models.sqair:load_tracker",
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of ``smot trackers``.

    Attributes:
        name: what to type.
        target: where the code is, ``module:attribute``.
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


def build_tracker(name: str, options: Mapping[str, str], data: DataDescription) -> Contestant:
    """Find a tracker and make one.

    A factory (a class or function) is called with keyword arguments only: ``data``, if its
    signature has it, and the options, turned into the type that its signature gives them.

    Args:
        name: a built-in name, the name of an entry point in group ``smot.trackers``, or
            ``module:attribute``.
        options: settings as typed on the command line, by parameter name.
        data: what the tracker may know of the data.

    Raises:
        UsageError: no such tracker, it cannot be imported, an option that it does not take or of
            the wrong type, or what it made is not a tracker.
    """
    factory = _factory(name)
    arguments: dict[str, Any] = {
        key: _converted(name, key, text, parameter)
        for key, text in options.items()
        for parameter in [_parameter(name, factory, key)]
    }
    if "data" in inspect.signature(factory).parameters:
        arguments["data"] = data
    tracker = factory(**arguments)
    if not isinstance(tracker, Contestant):
        made = type(tracker).__name__
        raise UsageError(f"tracker {name!r} made a {made}, which has no track(videos) and name")
    return tracker


def can_predict(tracker: Contestant) -> bool:
    """Whether the tracker takes part in the prediction test."""
    return isinstance(tracker, Predictor | Oracle | CountInformed)


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
        return _imported(name, name)
    known = ", ".join([*BUILT_IN, *(point.name for point in _plugins())])
    raise UsageError(f"no tracker {name!r}: there are {known}, or give module:Class")


def _imported(name: str, target: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a plug-in does on import, the others must go on
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UsageError(f"tracker {name!r} ({target}) cannot be imported: {reason}") from error
    if not callable(factory):
        raise UsageError(f"tracker {name!r} ({target}) is not a class or function")
    return factory  # type: ignore[no-any-return]


def _parameter(name: str, factory: Callable[..., Any], key: str) -> inspect.Parameter:
    parameters = inspect.signature(factory, eval_str=True).parameters
    if key not in parameters or key == "data":
        allowed = ", ".join(each for each in parameters if each != "data") or "none"
        raise UsageError(f"tracker {name!r} has no option {key!r}; it has: {allowed}")
    return parameters[key]


def _converted(name: str, key: str, text: str, parameter: inspect.Parameter) -> Any:
    kinds = [kind for kind in get_args(parameter.annotation) if kind is not type(None)]
    kind = kinds[0] if kinds else parameter.annotation
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        raise UsageError(
            f"tracker {name!r}: option {key}={text!r} is not of type {kind.__name__}"
        ) from None
