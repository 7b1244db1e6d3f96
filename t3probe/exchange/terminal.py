"""What is written for people, so that no reader of it obeys: neither a terminal nor a CI runner.

A runner takes commands out of what a step prints. GitHub's finds `##[command]` anywhere in a line
and `::command::` behind blanks at its begin (`ActionCommand` of github.com/actions/runner, which
parses both and trims first); Azure's agent finds `##vso[` anywhere, TeamCity's `##teamcity[`, and
GitLab's `section_start:TIME:`. A name, a header, a close reason or a test's own output may hold
any of them. So a backslash, which a reader sees, goes before the character that would complete it:
`##\\[command]`, `:\\:command::`. In JSON the same character is written as its escape, and the value
stays what it is.

Our own annotations are commands on purpose: `put_commands` writes them, and `put_json` JSON, as
they are; all other text goes through `Terminal`, which also masks our secrets, the last time before
somebody reads them, and takes away controls but for colours and the cursor's ways of a progress
line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

from t3probe.text import keeps, plain, without_ours

_BEGIN = r"(?:^|(?<=[\n\r]))(?:[^\S\n\r]|\x1b\[[\d;]*+m)*+:(?=:)"
_ANYWHERE = r"\#\#\w{0,32}+(?=\[)|section_(?:start|end)(?=:)"
_COMMAND = rf"{_BEGIN}|{_ANYWHERE}"
_IN_JSON = r"(\#\#\w{0,32}+)\[|(section_(?:start|end)):"
_CONTROL = (
    r"\x1b(?!\[(?:[\d;]{0,16}[Am]|J)|\]9;4;[\d;]{1,8}\x1b\\|\\)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_TAIL = 40
"""Characters of an unfinished line that are kept: a command may come in pieces."""


def disarmed(text: str) -> str:
    """Text in which no runner finds a command."""
    if "##" in text or "section_" in text or ("::" in text and _begins(text)):
        return re.sub(_COMMAND, r"\g<0>\\", text)
    return text


def _begins(text: str) -> bool:
    """Whether a line may begin with a command; most have two colons elsewhere, if at all."""
    return any(line.lstrip()[:1] in (":", "\x1b") for line in text.splitlines())


def disarmed_json(text: str) -> str:
    """JSON of the same value in which no runner finds a command."""
    if "##" not in text and "section_" not in text:
        return text
    return re.sub(_IN_JSON, lambda it: f"{it[1]}\\u005b" if it[1] else f"{it[2]}\\u003a", text)


def sentence(text: object) -> str:
    """A sentence of ours, for an output that is not ours."""
    return disarmed(plain(str(text), ascii=False))


class Terminal:
    """A text stream for people, in place of `stream`."""

    def __init__(self, stream: TextIO, *, steady: bool = False) -> None:
        """A reader that leaves is no error: what follows goes nowhere, and whoever writes ends as
        it would have. `steady`: neither is anything else that `stream` refuses."""
        self.raw = stream
        """What is written here stands as it is."""
        self._steady = steady
        self._tail = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def write(self, text: str) -> int:
        """Write `text`, without what a reader would obey; as many characters as it has."""
        said = without_ours(text)
        if not (said.isascii() and said.replace("\n", "").isprintable()):
            said = re.sub(_CONTROL, "?", said)
        tail = self._tail
        whole = disarmed(tail + said)
        self._remember(whole)
        # What was inserted stands before a character that has just come.
        self._do(self.raw.write, whole[len(tail) :])
        return len(text)

    def put(self, text: str) -> None:
        """Write whole lines as they are."""
        self._tail = ""
        self._do(self.raw.write, text)

    def writelines(self, lines: Any) -> None:
        """Write each of them."""
        for one in lines:
            self.write(one)

    def flush(self) -> None:
        """Write what is buffered."""
        self._do(self.raw.flush)

    def _do(self, what: Callable[..., object], *arguments: object) -> None:
        try:
            what(*arguments)
        except OSError as error:
            if not (self._steady or isinstance(error, BrokenPipeError)):
                raise
            let_go(self.raw)

    def _remember(self, text: str) -> None:
        """The end of the line that `text` leaves unfinished; an x before it: not from its begin."""
        line = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
        bare = line.strip()
        if bare in ("", ":"):
            self._tail = line[:1].strip(":") + bare
        else:
            self._tail = line if len(line) <= _TAIL else "x" + line[-_TAIL:]


def _put(stream: Any, text: str) -> None:
    (stream.put if isinstance(stream, Terminal) else stream.write)(text)


def put_commands(text: str) -> None:
    """Write lines to standard output that a runner is to obey."""
    _put(sys.stdout, f"{text}\n")


def put_json(data: Any) -> None:
    """Indented JSON on standard output."""
    _put(sys.stdout, json_text(data, indent=2) + "\n")


def json_text(data: Any, indent: int | None = None) -> str:
    """ASCII JSON without our secrets and without what a runner would obey. Raises ValueError for
    numbers that JSON does not have, unless `indent` is given."""
    data = _bare(data) if keeps() else data
    text = json.dumps(data, indent=indent, ensure_ascii=True, allow_nan=indent is not None)
    return disarmed_json(text)


def _bare(data: Any) -> Any:
    """The same data, its texts without our secrets."""
    if isinstance(data, str):
        return without_ours(data)
    if isinstance(data, dict):
        return {_bare(key): _bare(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_bare(one) for one in data]
    return data


def let_go(stream: TextIO) -> None:
    """Give the descriptor to nobody, so that what is still buffered, and Python at its end, do
    not fail again."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
