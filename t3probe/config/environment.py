"""Values of the deployment file replaced from the environment, for containers.

`T3PROBE__TIMING__HOLD=5s` sets `hold` in `[timing]`, `T3PROBE__TLS_CA=/ca.pem` a top-level
key, and `T3PROBE__LEG__CLOUDFLARE__URL=wss://…` the `url` of the `[[leg]]` called
`cloudflare`; a downtime is called by the leg or segment it names. A receiver's URL is
`T3PROBE__DELIVERY__REMOTE_WRITE__NAME__URL`, or all receivers are one TOML array. Case does not
matter, and `-` and `.` in names are written `_`. Lists are comma separated or TOML array text. An
empty value takes the key out of the file. `T3PROBE_VANTAGE` goes before the vantage of the file and
before `T3PROBE__VANTAGE`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeGuard, get_args, get_origin

from .errors import NO_SECRETS, ConfigFile, DeploymentError, KeyPath, is_secret_key, nearest, quote
from .read import field_types
from .table import Table
from .types import DeploymentFile

PREFIX = "T3PROBE__"


def override(source: ConfigFile, environ: Mapping[str, str]) -> None:
    """Put the environment's values into `source.raw` and remember where they came from.

    Raises DeploymentError for a variable that addresses nothing.
    """
    found: dict[KeyPath, tuple[str, str]] = {}
    # All are looked up before any is set, so that their order does not matter.
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        path = _address(variable, source.raw)
        if path in found:
            raise _error(variable, "one variable for one key", f"{quote(found[path][0])} as well")
        found[path] = variable, environ[variable]
    if environ.get("T3PROBE_VANTAGE"):
        found["vantage",] = "T3PROBE_VANTAGE", environ["T3PROBE_VANTAGE"]
    for path, (variable, _) in found.items():
        for whole in (path[:end] for end in range(1, len(path))):
            if whole in found:
                both = f"{quote(found[whole][0])}, which sets the whole, as well"
                raise _error(variable, "one variable for one key", both)
    for path, (variable, text) in found.items():
        _set(path, variable, text, source)


def _address(variable: str, raw: dict[str, Any]) -> KeyPath:
    """The key path that a variable addresses."""
    words = variable[len(PREFIX) :].split("__")
    if is_secret_key(words[-1]):
        raise _error(variable, "no secret here", "one", NO_SECRETS)
    top = field_types(DeploymentFile)
    tables = {key: hint for key, hint in top.items() if key != "lab"}
    rest = "".join(f"__{word}" for word in words[1:])
    table = _pick(variable, "", words[0], list(tables), rest)
    hint = tables[table]
    if _is_table(hint):
        return _in_table(variable, (table,), hint, words[1:], raw.get(table))
    if get_origin(hint) is not tuple or not _is_table(get_args(hint)[0]):
        if len(words) > 1:
            raise _error(variable, f"nothing after {PREFIX}{table.upper()}", "more")
        return (table,)
    return table, *_entry(variable, table, raw.get(table), words[1:], hint)


def _entry(variable: str, table: str, raw: Any, words: list[str], hint: Any) -> tuple[int, str]:
    """Which entry of an array of tables the words address, and which key of it. One without a name
    needs none where it is the only one."""
    entries = raw if isinstance(raw, list) else []
    names = [_entry_name(table, entry) for entry in entries]
    fields = list(field_types(get_args(hint)[0]))
    if names == [""] and len(words) == 1:
        return 0, _pick(variable, f"{table}__", words[0], fields, "")
    if len(words) < 2:
        form = f"{PREFIX}{table.upper()}__NAME__KEY"
        raise _error(variable, f"a variable of the form {form}", quote(variable))
    name = "__".join(words[:-1])
    key = _pick(variable, f"{table}__{name}__", words[-1], fields, "")
    picked = _pick(variable, f"{table}__", name, [one for one in names if one], f"__{key}")
    if names.count(picked) > 1:
        raise _error(variable, f"one entry of [[{table}]] called {quote(name)}", "several")
    return names.index(picked), key


def _in_table(
    variable: str, path: tuple[str, ...], table: type[Table], words: list[str], raw: Any
) -> KeyPath:
    """The key path that `words` address in the table at `path`."""
    if not words:
        name = ".".join(path)
        raise _error(variable, "the name of a key", "a whole table", f"add __KEY of [{name}]")
    keys, start = field_types(table), "__".join(path) + "__"
    key = words[0].lower()
    inner = keys.get(key)
    within = raw.get(key) if isinstance(raw, dict) else None
    if _is_table(inner):
        return _in_table(variable, (*path, key), inner, words[1:], within)
    if len(words) > 1 and get_origin(inner) is tuple and _is_table(get_args(inner)[0]):
        return *path, key, *_entry(variable, f"{start}{key}", within, words[1:], inner)
    return *path, _pick(variable, start, "__".join(words), list(keys), "")


def _set(path: KeyPath, variable: str, text: str, source: ConfigFile) -> None:
    place: Any = source.raw
    hint: Any = DeploymentFile
    for key in path[:-1]:
        if isinstance(key, str):
            hint = field_types(hint)[key]
            hint = get_args(hint)[0] if get_origin(hint) is tuple else hint
            place = place.setdefault(key, {})
        else:
            place = place[key]
    if not isinstance(place, dict):
        return  # the reader will say what is wrong with the file there
    key = str(path[-1])
    source.variables[path] = variable
    if text == "":
        place.pop(key, None)
    else:
        place[key] = _parsed(field_types(hint)[key], text)


def _parsed(hint: Any, text: str) -> Any:
    """`text` as the TOML value that a field of type `hint` wants. Text that does not fit
    stays text: the reader then says what was expected."""
    if hint is bool:
        return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)
    if hint is int:
        return _number(text)
    if hint is datetime:
        value = _toml_value(text)
        return value if isinstance(value, date) else text
    if get_origin(hint) is tuple:
        if text.lstrip().startswith("["):
            return _toml_value(text)
        words = [word.strip() for word in text.split(",")]
        if get_origin(get_args(hint)[0]) is tuple:
            return text
        return [_number(word) for word in words] if get_args(hint)[0] is int else words
    return text


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _toml_value(text: str) -> Any:
    try:
        table = tomllib.loads("value = " + text)
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def _is_table(hint: Any) -> TypeGuard[type[Table]]:
    return isinstance(hint, type) and issubclass(hint, Table)


def _entry_name(table: str, entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    name = entry.get("name")
    if table == "downtime":
        name = entry.get("leg", entry.get("segment"))
    return name if isinstance(name, str) else ""


def _plain(name: str) -> str:
    return re.sub(r"[-.]", "_", name).lower()


def _pick(variable: str, start: str, word: str, known: list[str], end: str) -> str:
    """The one of `known` that `word` means. `start` and `end` complete the variable's name."""
    by_word: dict[str, str] = {}
    for one in known:
        if by_word.setdefault(_plain(one), one) != one and _plain(one) == _plain(word):
            both = f"{quote(by_word[_plain(one)])} and {quote(one)}"
            raise _error(variable, "a name that means one entry", f"{both}")
    if _plain(word) in by_word:
        return by_word[_plain(word)]
    near = nearest(_plain(word), by_word)
    full = f"{PREFIX}{start}{near}{end}".upper()
    hint = f"did you mean {quote(full, 160)}?" if near else _known(start, by_word)
    raise _error(variable, "a variable that addresses the deployment file", quote(word), hint)


def _known(start: str, by_word: Mapping[str, str]) -> str:
    names = ", ".join(word.upper() for word in list(by_word)[:12])
    place = PREFIX + start.upper()
    return f"known after {place[:60]}: {names}" if names else f"nothing is known after {place[:60]}"


def _error(variable: str, expected: str, actual: str, hint: str = "") -> DeploymentError:
    shown = quote(variable)[1:-1] if not variable.isprintable() else variable[:120]
    return DeploymentError(
        file="", key="", expected=expected, actual=actual, hint=hint, variable=shown
    )
