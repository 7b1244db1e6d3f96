"""TOML values → typed tables: unknown keys, missing keys and wrong types.

A small reader of our own, and not `msgspec.convert`: its errors name neither the value that
stood there nor the nearest known key.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from .durations import parse_duration
from .errors import (
    NO_SECRETS,
    ConfigFile,
    KeyPath,
    Wrong,
    did_you_mean,
    is_secret_key,
    quote,
    show,
)
from .table import Duration, Table

T = TypeVar("T", bound=Table)

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control characters, invisible ones, and those that turn the direction of text."""

MAY_BE_ZERO: tuple[KeyPath, ...] = (
    ("delivery", "settle"),
    ("timing", "hold"),
    ("experiments", "settle"),
    ("experiments", "startup"),
)

_fields: dict[type[Table], tuple[dict[str, Any], tuple[str, ...]]] = {}


def field_types(table: type[Table]) -> dict[str, Any]:
    """Key → type of a table's fields, `None` taken off."""
    return _fields_of(table)[0]


def required_fields(table: type[Table]) -> tuple[str, ...]:
    """The fields that have no default."""
    return _fields_of(table)[1]


def _fields_of(table: type[Table]) -> tuple[dict[str, Any], tuple[str, ...]]:
    # Worked out once per table: annotations are text until somebody asks.
    if table not in _fields:
        fields = msgspec.structs.fields(table)
        types = {field.name: _plain(field.type) for field in fields}
        _fields[table] = types, tuple(field.name for field in fields if field.required)
    return _fields[table]


def _plain(hint: Any) -> Any:
    """`X | None` → X: TOML has no null, a key that is absent is None."""
    if get_origin(hint) in (Union, UnionType):
        return next(part for part in get_args(hint) if part is not NoneType)
    return hint


def read_table(table: type[T], raw: Any, path: KeyPath, source: ConfigFile) -> T:
    """The `table` that `raw` holds. Raises DeploymentError."""
    if not isinstance(raw, dict):
        raise source.error(path, "a table", raw)
    types = field_types(table)
    for key in raw:
        if key not in types:
            raise unknown_key(key, tuple(types), path, source)
    values = {key: _value(types[key], value, (*path, key), source) for key, value in raw.items()}
    for key in required_fields(table):
        if key not in values:
            raise source.error((*path, key), _name_of(types[key]))
    return table(**values)


def unknown_key(key: str, known: tuple[str, ...], path: KeyPath, source: ConfigFile) -> Exception:
    """The error about a key that the table does not have, or that no table may have."""
    if is_secret_key(key):
        return source.error((*path, key), "no secret here", shown="one", hint=NO_SECRETS)
    otherwise = f"known here: {', '.join(known)}"
    return source.error(
        path,
        "only known keys",
        shown=quote(key),
        hint=did_you_mean(key, known, otherwise),
    )


def _value(hint: Any, value: Any, path: KeyPath, source: ConfigFile) -> Any:
    origin = get_origin(hint)
    if origin is tuple:
        return _array(get_args(hint)[0], value, path, source)
    if origin is Literal:
        return _choice(get_args(hint), value, path, source)
    if origin is dict:
        if not isinstance(value, dict):
            raise source.error(path, "a table", value)
        inner = get_args(hint)[1]
        if inner is Any:
            return value
        return {key: _value(inner, one, (*path, key), source) for key, one in value.items()}
    if hint is Duration:
        return _duration(value, path, source)
    if hint is datetime:
        return _moment(value, path, source)
    if isinstance(hint, type) and issubclass(hint, Table):
        return read_table(hint, value, path, source)
    # A bool is an int in Python, but not in TOML.
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise source.error(path, _name_of(hint), value)
    if isinstance(value, str):
        _safe_text(value, path, source)
    return value


def _array(item: Any, value: Any, path: KeyPath, source: ConfigFile) -> tuple[Any, ...]:
    tables = isinstance(item, type) and issubclass(item, Table)
    if not isinstance(value, list):
        name = ".".join(str(part) for part in path)
        hint = f"write [[{name}]]" if tables and isinstance(value, dict) else ""
        raise source.error(path, _name_of(tuple[item, ...]), value, hint)
    if tables or get_origin(item) is tuple:
        return tuple(_value(item, one, (*path, i), source) for i, one in enumerate(value))
    # The sentence shows the value itself, so that its position need not be counted.
    return tuple(_value(item, one, path, source) for one in value)


def _choice(choices: tuple[str, ...], value: Any, path: KeyPath, source: ConfigFile) -> str:
    if isinstance(value, str) and value in choices:
        return value
    expected = " or ".join((", ".join(choices[:-1]), choices[-1])) if choices[1:] else choices[0]
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    if value in ("walloff", "walled") and path[-1] == "kind":
        hint = "write it as [[public]]" if value == "walloff" else "write it as [[walled]]"
    raise source.error(path, expected, value, hint)


def _duration(value: Any, path: KeyPath, source: ConfigFile) -> Duration:
    zero = path in MAY_BE_ZERO
    if not isinstance(value, str):
        hint = f'write "{show(value)}s"' if type(value) is int and value > 0 else ""
        raise source.error(path, _name_of(Duration), value, hint)
    try:
        return parse_duration(value, allow_zero=zero)
    except Wrong as problem:
        source.wrong(path, problem, value)


def _moment(value: Any, path: KeyPath, source: ConfigFile) -> datetime:
    """A date means its end in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise source.error(path, _name_of(datetime), value, "add Z or an offset such as +02:00")
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, 23, 59, 59, 999999, tzinfo=UTC)
    hint = "write it without quotes" if isinstance(value, str) else ""
    raise source.error(path, _name_of(datetime), value, hint)


def _safe_text(value: str, path: KeyPath, source: ConfigFile) -> None:
    if _UNSAFE.search(value):
        raise source.error(path, "text without control characters", value)


def _name_of(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if isinstance(item, type) and issubclass(item, Table):
            return "an array of tables"
        if get_origin(item) is tuple:
            return "an array of arrays"
        return "an array of whole numbers" if item is int else "an array of strings"
    names: dict[Any, str] = {
        str: "a string",
        bool: "true or false",
        int: "a whole number",
        Duration: "a duration such as 500ms, 10s or 2m",
        datetime: "a date, or a date and time with a zone",
    }
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    return names.get(hint, "a table")
