"""Settings to JSON and back, files that are written whole or not at all, cores and threads."""

import csv
import dataclasses
import io
import json
import os
import shutil
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from smot.errors import DataError, UsageError

Config = TypeVar("Config")

# JSON allows integers of any length; numpy, torch and HDF5 hold 64 bits.
_LARGEST_INTEGER = 2**64
_LARGEST_FLOAT = 2**1023  # compared, not converted: float(10**400) raises
_LONGEST_SHOWN = 60


def to_plain(config: Any) -> dict[str, Any]:
    """A dataclass as a dictionary of plain values that JSON can hold.

    Tuples become lists, keys become text. `from_plain` reads it back.
    """
    return {
        field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)
    }


def from_plain(
    config_type: type[Config], values: object, *, what: str, complete: bool = False
) -> Config:
    """Make a dataclass from the plain values that `to_plain` gave; nothing in them is trusted.

    Args:
        config_type: the dataclass. Its fields may be numbers, text, `Literal`, `Optional`, tuples,
            lists, mappings from text or integers, and dataclasses.
        values: its fields by name.
        what: where the values come from, for messages: "model settings of run.pt".
        complete: whether every field must be there; otherwise missing ones keep their default.

    Raises:
        DataError: not a table, a key that is missing or unknown, a value of the wrong type, a
            number that is not finite, or a value that the dataclass itself refuses.
    """
    try:
        return _made(config_type, values, "", complete)
    except UsageError as error:
        raise DataError(f"{what}: {error}") from None
    except RecursionError:
        raise DataError(f"{what}: nested too deeply") from None


def with_setting(config: Config, key: str, text: str) -> Config:
    """The same settings with one field taken from the command line.

    Args:
        config: a dataclass.
        key: the field; fields that are dataclasses are reached with a dot, "prior.size".
        text: its value as JSON, or as people type it: 1e5, true, none, a name without quotes.

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
        else from_text(text, hints[head], head)
    )
    try:
        return dataclasses.replace(config, **{head: value})  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key}={text}: {error}") from None


def from_text(text: str, kind: Any, key: str) -> Any:
    """A value of some type from text.

    Args:
        text: JSON, or as people type it: 1e5, true, none, a name without quotes.
        kind: what the value must be, an annotation as `from_plain` takes them.
        key: what messages call it.

    Returns:
        The first reading of the text that is of that type.

    Raises:
        UsageError: there is none.
    """
    readings = list(_readings(text))
    for reading in readings:
        with suppress(UsageError):
            return _typed(reading, kind, key, False)
    return _typed(readings[0], kind, key, False)  # raises


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, replace: bool = True) -> Iterator[Path]:
    """Write a file, or a new folder, whole or not at all.

    The body writes to a draft beside the target. If it succeeds, the draft takes the target's
    place; if it fails, the draft is removed and the target stays as it was.

    Args:
        path: the target; its folder is made. A link is followed, so that it stays a link.
        replace: whether an existing file may be replaced.

    Yields:
        The draft.

    Raises:
        UsageError: the target exists and may not be replaced, or is no regular file.
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    check_target(target, replace=replace)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield draft
        # The content must be on the disk before the name is, or a power cut leaves an empty file.
        if draft.is_file():
            _sync(draft, os.O_RDWR)
        check_target(target, replace=replace)
        _put(draft, target, replace)
        with suppress(OSError):  # some systems do not open folders
            _sync(target.parent, os.O_RDONLY)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)


def check_target(path: str | os.PathLike[str], *, replace: bool) -> None:
    """Refuse to write where something is that must stay.

    Raises:
        UsageError: a file is there and may not be replaced, or a folder or device is.
    """
    path = Path(path)
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file, and is not replaced")
    if not replace:
        raise UsageError(f"{path} exists: choose another name with --out, or replace it (--force)")


def check_suffix(path: str | os.PathLike[str], allowed: Sequence[str]) -> Path:
    """The path of a file to be written, whose kind its suffix says.

    Raises:
        UsageError: the suffix, in whatever case, is none of `allowed` (".pdf").
    """
    if Path(path).suffix.lower() not in allowed:
        listed = " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
        raise UsageError(f"{os.fspath(path)!r} must end in {listed}")
    return Path(path)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; see `atomic_path`."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows of cells as the text of a CSV file; None is an empty cell."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


def available_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def limit_threads(n_threads: int) -> None:
    """Limit the threads of numerical libraries in this process and in those it starts.

    Libraries that read `OMP_NUM_THREADS` do so when they are loaded: call this early.
    """
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(n_threads)


def _put(draft: Path, target: Path, replace: bool) -> None:
    """Give the draft the target's name."""
    if replace or draft.is_dir():
        draft.replace(target)
        return
    # Another process may create the target at this very moment: a hard link fails if it has.
    try:
        os.link(draft, target)
    except FileExistsError:
        check_target(target, replace=False)
        raise
    except (OSError, AttributeError):  # a file system, or a system, without hard links
        check_target(target, replace=False)
        draft.replace(target)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hints(config_type: type[Any]) -> dict[str, Any]:
    if not dataclasses.is_dataclass(config_type):
        raise UsageError(f"{config_type.__name__} has no settings of its own")
    hints = get_type_hints(config_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _readings(text: str) -> Iterator[Any]:
    """JSON; numbers, truth values and nothing as people type them; the text itself."""
    with suppress(ValueError, RecursionError):
        yield json.loads(text)
    with suppress(ValueError):
        yield float(text)
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        yield words[text.lower()]
    yield text


def _made(config_type: type[Config], values: object, where: str, complete: bool) -> Config:
    """A dataclass from plain values; `where` is the path to it, "" at the top."""
    place = f"{where}: " if where else ""
    if not isinstance(values, Mapping):
        raise UsageError(f"{where or 'settings'} must be a table, not {type(values).__name__}")
    hints = _hints(config_type)
    unknown = [key for key in values if key not in hints]
    missing = [key for key in hints if key not in values]
    if unknown and not complete:
        raise UsageError(f"{place}no setting {unknown[0]!r}; there are {', '.join(hints)}")
    for fault, keys in {"lacks": missing, "has unknown": unknown}.items():
        if keys and complete:
            raise UsageError(f"{where} {fault} {', '.join(map(repr, keys))}".strip())
    fields = {
        key: _typed(value, hints[key], f"{where}.{key}" if where else key, complete)
        for key, value in values.items()
    }
    try:
        return config_type(**fields)
    except (UsageError, ValueError, TypeError) as error:
        raise UsageError(f"{place}{error}") from None


def _typed(value: Any, hint: Any, where: str, complete: bool) -> Any:
    """A plain value as the type that the field at `where` asks for."""
    kinds, origin = get_args(hint), get_origin(hint)
    if hint is Any:
        return _free(value, where)
    if origin in (Union, types.UnionType):
        return _one_of(value, kinds, where, complete)
    if origin is Literal:
        # 1 == True == 1.0 in Python, so the types must agree too.
        if not any(value == kind and type(value) is type(kind) for kind in kinds):
            raise UsageError(f"{where} must be one of {', '.join(map(str, kinds))}, not {value!r}")
        return value
    if origin in (tuple, list, Sequence):
        return _list(value, origin, kinds, where, complete)
    if origin in (dict, Mapping):
        return _mapping(value, kinds, where, complete)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else _made(hint, value, where, complete)
    return _scalar(value, hint, where)


def _scalar(value: Any, hint: Any, where: str) -> Any:
    """A number, truth value or text; JSON's 3.0 is an integer, and its 3 a float."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number and abs(value) < _LARGEST_FLOAT:
        return float(value)
    if hint is int and number and abs(value) < _LARGEST_INTEGER and value == int(value):
        return int(value)
    if hint is str and isinstance(value, str) and _encodable(value):
        return value
    if hint not in (float, int, str) and isinstance(value, hint):
        return value
    raise UsageError(f"{where} must be {getattr(hint, '__name__', hint)}, not {_shown(value)}")


def _one_of(value: Any, hints: tuple[Any, ...], where: str, complete: bool) -> Any:
    if value is None and type(None) in hints:
        return None
    hints = tuple(hint for hint in hints if hint is not type(None))
    if len(hints) == 1:
        return _typed(value, hints[0], where, complete)
    # The type that the value has already comes first: 3 stays an integer in `float | int`.
    for hint in sorted(hints, key=lambda hint: hint is not type(value)):
        with suppress(UsageError):
            return _typed(value, hint, where, complete)
    names = " or ".join(getattr(hint, "__name__", str(hint)) for hint in hints)
    raise UsageError(f"{where} must be {names}, not {_shown(value)}")


def _list(value: Any, origin: Any, kinds: tuple[Any, ...], where: str, complete: bool) -> Any:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where} must be a list, not {_shown(value)}")
    if origin is not tuple or kinds[1:] == (Ellipsis,):
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise UsageError(f"{where} must be {len(kinds)} values, not {_shown(value)}")
    entries = [
        _typed(each, kind, f"{where}[{place}]", complete)
        for place, (each, kind) in enumerate(zip(value, kinds, strict=True))
    ]
    return entries if origin is list else tuple(entries)


def _mapping(value: Any, kinds: tuple[Any, Any], where: str, complete: bool) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table, not {_shown(value)}")
    if kinds[0] is int:  # JSON's keys are text
        for key in value:
            if not (str(key).isascii() and str(key).isdecimal()) or len(str(key)) > 18:
                raise UsageError(f"{where} has the key {_shown(key)}, which is not a number")
        value = {int(key): value[key] for key in sorted(value, key=int)}
    return {
        _scalar(key, kinds[0], f"a key of {where}"): _typed(
            each, kinds[1], f"{where}.{key}", complete
        )
        for key, each in value.items()
    }


def _free(value: Any, where: str) -> Any:
    """Any plain value, checked down to its last entry."""
    if isinstance(value, Mapping):
        return _mapping(value, (str, Any), where, False)
    if isinstance(value, list | tuple):
        return _list(value, list, (Any,), where, False)
    if value is None or type(value) in (bool, int, float, str):
        return value if value is None else _scalar(value, type(value), where)
    raise UsageError(f"{where} must be a plain value, not {_shown(value)}")


def _encodable(text: str) -> bool:
    """Whether the text can be written to a file; lone surrogates cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shown(value: object) -> str:
    """A value as a message shows it: never longer than a line."""
    text = ascii(value) if isinstance(value, str) and not _encodable(value) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
