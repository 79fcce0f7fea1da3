"""Settings as plain values: frozen dataclasses to JSON and back, and one field from typed text."""

import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from smot.errors import DataError, UsageError

Config = TypeVar("Config")


def to_plain(config: Any) -> dict[str, Any]:
    """A dataclass as a dictionary of plain values that JSON can hold (tuples become lists)."""
    plain = _plain(dataclasses.asdict(config))
    assert isinstance(plain, dict)
    return plain


def from_plain(config_type: type[Config], values: Mapping[str, Any], *, what: str) -> Config:
    """A dataclass from the plain values that ``to_plain`` made.

    Args:
        config_type: the dataclass.
        values: its fields by name; a field that is left out keeps its default.
        what: what is being read, for messages: "model settings of run.pt".

    Raises:
        DataError: a key that is no field, a value of the wrong type, or one that the dataclass
            itself refuses.
    """
    hints = _hints(config_type)
    if not isinstance(values, Mapping):
        raise DataError(f"{what}: settings must be a table, not {type(values).__name__}")
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise DataError(f"{what}: no setting {unknown[0]!r}; there are {', '.join(hints)}")
    try:
        fields = {key: _converted(value, hints[key], key) for key, value in values.items()}
        return config_type(**fields)
    except (UsageError, ValueError, TypeError) as error:
        raise DataError(f"{what}: {error}") from None


def with_setting(config: Config, key: str, text: str) -> Config:
    """The same settings with one field taken from the command line.

    Args:
        config: a dataclass; fields that are dataclasses are reached with a dot, ``prior.size``.
        key: the field.
        text: its value as JSON, or bare text for names.

    Raises:
        UsageError: no such field, a value of the wrong type, or one that the dataclass refuses.
    """
    head, _, rest = key.partition(".")
    hints = _hints(type(config))
    if head not in hints:
        raise UsageError(f"no setting {key!r}; there are {', '.join(hints)}")
    value = (
        with_setting(getattr(config, head), rest, text)
        if rest
        else _converted(_parsed(text), hints[head], head)
    )
    try:
        return dataclasses.replace(config, **{head: value})  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key}={text}: {error}") from None


def _hints(config_type: type[Any]) -> dict[str, Any]:
    if not dataclasses.is_dataclass(config_type):
        raise UsageError(f"{config_type.__name__} has no settings of its own")
    hints = get_type_hints(config_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _parsed(text: str) -> Any:
    """JSON if it is JSON; numbers and truth values as people type them; else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass  # not JSON: it is a number in Python's spelling, a truth value or a name
    try:
        return float(text)
    except ValueError:
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _converted(value: Any, hint: Any, key: str) -> Any:
    """A plain value as the type that a field asks for."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(value, get_args(hint), key)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise UsageError(f"{key} must be one of {_listed(get_args(hint))}, not {value!r}")
    if origin is tuple:
        return _tuple(value, get_args(hint), key)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_plain(hint, value, what=key)
    return _scalar(value, hint, key)


def _scalar(value: Any, hint: Any, key: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is str and isinstance(value, int | float):
        return str(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{key} must be {getattr(hint, '__name__', hint)}, not {value!r}")


def _one_of(value: Any, hints: tuple[Any, ...], key: str) -> Any:
    for hint in hints:
        if hint is type(None):
            if value is None:
                return None
            continue
        try:
            return _converted(value, hint, key)
        except (UsageError, DataError):
            continue
    raise UsageError(f"{key} must be {' or '.join(map(str, hints))}, not {value!r}")


def _tuple(value: Any, hints: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{key} must be a list, not {value!r}")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_converted(each, hints[0], key) for each in value)
    if len(value) != len(hints):
        raise UsageError(f"{key} must be {len(hints)} values, not {value!r}")
    return tuple(_converted(each, hint, key) for each, hint in zip(value, hints, strict=True))


def _listed(names: tuple[Any, ...]) -> str:
    return ", ".join(map(str, names))
