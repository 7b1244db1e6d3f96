"""What is wrong with a deployment, as facts; the sentence is built only when it is read.

`Wrong` says what is wrong with one value, without knowing where it stood. `ConfigFile` knows
where: it turns a key path into a `DeploymentError`, and names the environment variable in
place of the file when the value came from one. No sentence ever repeats a secret or lets a
control character through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, time
from typing import Any, NoReturn

from t3probe.text import without_login

KeyPath = tuple[str | int, ...]
"""Where a value stands: `("leg", 2, "path")`. List positions count from 0."""


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Any = _Nothing()
"""Stands for a value that is not there."""

NO_SECRETS = (
    "put secrets in the environment as T3PROBE_NAME or in a file named by T3PROBE_NAME_FILE"
)

_LONGEST_SHOWN = 60
# Patterns here stay text until the first mistake: a good file does not pay for them.
_BARE_KEY = r"[A-Za-z0-9_-]{1,60}"
_HUSHED = (
    r"passw(?:or)?d|passphrase|token|secret|credential|api[_-]?key|private[_-]?key|authorization"
    r"|bearer|cookie|ticket"
)


class Wrong(ValueError):
    """One value that is not what was expected. `found` replaces the value in the sentence
    when the value must not be shown."""

    def __init__(self, expected: str, hint: str = "", found: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.found = found


class DeploymentError(Exception):
    """A deployment that cannot be used. `str()` is one line, safe for a terminal."""

    def __init__(
        self,
        *,
        file: str,
        key: str,
        expected: str,
        actual: str,
        hint: str = "",
        entry: str = "",
        variable: str = "",
    ) -> None:
        super().__init__(file, key, expected, actual, hint)
        self.file = file
        """The deployment file as it was named; empty when no file is concerned."""
        self.key = key
        """Where in the file, such as `leg[2].path`; empty for the file as a whole."""
        self.expected = expected
        self.actual = actual
        """What stood there, ready to be shown."""
        self.hint = hint
        """What to do next; may be empty."""
        self.entry = entry
        """The name of the entry that the key is in, where it has one."""
        self.variable = variable
        """The environment variable that the value came from; empty: from the file."""

    def __str__(self) -> str:
        place = self.variable or ": ".join(
            part for part in (_one_line(self.file), self.key) if part
        )
        entry = f" ({self.entry})" if self.entry and not self.variable else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}{entry}: expected {self.expected}, found {self.actual}{hint}"


class ConfigFile:
    """The file that is being read, and which of its values the environment replaced."""

    def __init__(self, file: str, folder: str, raw: dict[str, Any]) -> None:
        self.file = file
        self.folder = folder
        """Relative paths in the file start here."""
        self.raw = raw
        self.variables: dict[KeyPath, str] = {}
        """Key path → the environment variable that set it."""

    def error(
        self, path: KeyPath, expected: str, found: Any = NOTHING, hint: str = "", shown: str = ""
    ) -> DeploymentError:
        """The error about the value at `path`. `shown` stands in for a `found` that must not
        be shown or is better said in words."""
        variable = next(
            (
                self.variables[path[:n]]
                for n in range(len(path), 0, -1)
                if path[:n] in self.variables
            ),
            "",
        )
        return DeploymentError(
            file=self.file,
            key=key_text(path),
            expected=expected,
            actual=shown or show(found),
            hint=hint,
            entry=self._entry(path),
            variable=_one_line(variable),
        )

    def wrong(self, path: KeyPath, problem: Wrong, found: Any) -> NoReturn:
        """Raise `problem`, which is about the value `found` at `path`."""
        raise self.error(path, problem.expected, found, problem.hint, problem.found) from None

    def stated(self, path: KeyPath) -> bool:
        """Whether the file or the environment says anything at `path`."""
        value: Any = self.raw
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def _entry(self, path: KeyPath) -> str:
        """The name of the array entry that `path` is in, if it is a plain one."""
        if len(path) < 2 or path[2:] == ("name",):
            return ""
        table, index = path[0], path[1]
        entries = self.raw.get(table) if isinstance(table, str) else None
        if isinstance(entries, list) and isinstance(index, int) and index < len(entries):
            name = entries[index].get("name") if isinstance(entries[index], dict) else None
            if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,63}", name):
                return name
        return ""


def key_text(path: KeyPath) -> str:
    """A key path as people write it: `leg[2].path`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(_BARE_KEY, part) else quote(part))
    return text


def is_secret_key(key: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    # A file that holds one is named, and not shown.
    hushed = re.search(_HUSHED, key, re.IGNORECASE)
    return hushed is not None and not key.lower().endswith("_file")


def quote(text: str, longest: int = _LONGEST_SHOWN) -> str:
    """Text in double quotes: secrets are masked, what is not printable is escaped, what is
    long is cut."""
    shown = _escape(without_login(text)[: longest + 1], '"\\')
    if len(shown) > longest:
        shown = shown[:longest] + "..."
    return f'"{shown}"'


def show(value: Any) -> str:
    """A value from the file in a few words, without its secrets."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Digits of a huge number take quadratic time, and Python refuses them at 4,300.
        return str(value) if value.bit_length() <= 128 else "a number of very many digits"
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, list | tuple):
        return {0: "an empty array", 1: "an array of 1 value"}.get(
            len(value), f"an array of {len(value)} values"
        )
    return "a table" if isinstance(value, dict) else repr(value)


def did_you_mean(wrong: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean "tunnel"?` when something known is near, else `otherwise`."""
    near = nearest(wrong, known)
    return f"did you mean {quote(near)}?" if near else otherwise


def nearest(wrong: str, known: Iterable[str]) -> str:
    """The one of `known` that looks most like `wrong`, or ""."""
    # Only ever needed for an error: a good file does not pay for the import.
    from difflib import get_close_matches

    names = [name for name in dict.fromkeys(known) if abs(len(name) - len(wrong)) <= 12]
    return next(iter(get_close_matches(wrong[:80], names[:2000], n=1, cutoff=0.6)), "")


def _escape(text: str, also: str = "") -> str:
    escaped = []
    for char in text:
        if char in also:
            escaped.append("\\" + char)
        elif char.isprintable():
            escaped.append(char)
        else:
            escaped.append(char.encode("unicode_escape").decode("ascii"))
    return "".join(escaped)


def _one_line(text: str) -> str:
    return _escape(text)
