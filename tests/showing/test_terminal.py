"""What is printed is obeyed by nobody: neither by a terminal nor by a CI runner."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe import text as showing
from t3probe.exchange.terminal import (
    Terminal,
    disarmed,
    disarmed_json,
    json_text,
    put_commands,
    put_json,
)

OBEYED = re.compile(
    r"^(?:\s|\x1b\[[\d;]*m)*::|\#\#\[|\#\#vso\[|\#\#teamcity\[|section_(?:start|end):", re.M
)
"""What runners look for: github.com/actions/runner trims a line before `::`, and finds `##[`
anywhere in it; so do Azure's agent and TeamCity; GitLab finds its sections anywhere."""
COMMANDS = (
    "::error::x",
    "  ::stop-commands::x",
    "\t::set-output name=a::b",
    "##[error]x",
    "a ##vso[task.setvariable variable=x]y",
    "##teamcity[message text='x']",
    "section_start:1700000000:name\r\x1b[0Kx",
    ":::error::",
    "ok\r::error::x",
    "ok\u2028::error::x",
    "\x1b[31m::error::x",
    "####[error]",
)


def lines(text: str) -> str:
    """As a runner splits them."""
    return text.replace("\r", "\n")


def written(*pieces: str) -> str:
    out = io.StringIO()
    stream = Terminal(out)
    for one in pieces:
        assert stream.write(one) == len(one)
    return out.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("before", ["", "first line\n", "\n", " "])
def test_a_command_is_none_any_more(before: str, command: str) -> None:
    shown = written(before + command + "\n")
    assert not OBEYED.search(lines(shown))
    pieces = written(*(before + command), "\n")
    assert not OBEYED.search(lines(pieces))


def test_what_is_no_command_stays() -> None:
    text = "checks/test_tcp.py::test_x[::1] # ok ## [x] 12:30:05\n::\n"
    assert written("a::b ") + written(text) == "a::b " + text.replace("\n::", "\n:\\:")
    assert written("\x1b[32mgreen\x1b[0m\x1b[3A\x1b[J\r") == "\x1b[32mgreen\x1b[0m\x1b[3A\x1b[J\r"


@given(st.lists(st.sampled_from([*":#[] \n\r\tav", "##", "::", "vso", "section_start", "\x1b[1m"])))
def test_no_split_brings_one_back(pieces: list[str]) -> None:
    shown = written(*pieces)
    assert not OBEYED.search(lines(shown))
    assert shown.replace("\\", "") == "".join(pieces)
    assert disarmed(shown) == shown


def test_nothing_moves_the_cursor_or_hides() -> None:
    shown = written("a\x1b]0;title\x07b\x1b[2Jc\x1b[0Kd\x9be\u202ef\x00g\x0bh")
    assert not re.search(r"[\x00\x07\x0b\x1b\x9b\u202e]", shown)


def test_our_secrets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "_OWN", showing._Secrets())
    showing.keep("123456")
    assert written("it is 123456") == "it is ***"
    assert json.loads(json_text({"it": ["is 123456", 123456]})) == {"it": ["is ***", 123456]}


@given(st.recursive(st.text() | st.sampled_from([*COMMANDS, "\\##[", '"##vso[']), st.lists))
def test_json_says_the_same_and_commands_nobody(data: object) -> None:
    text = json_text(data)
    assert json.loads(text) == data
    assert text.isascii()
    assert not OBEYED.search(text)
    assert disarmed_json(text) == text
    assert written(text) == text


def test_our_own_commands_pass(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    before, sys.stdout = sys.stdout, Terminal(sys.stdout)  # type: ignore[assignment]
    try:
        print("text")
        put_commands("::error title=t3probe::x")
        print("::error::y")
        put_json({"a": "##[b]"})
    finally:
        sys.stdout = before
    assert capsys.readouterr().out == (
        'text\n::error title=t3probe::x\n:\\:error::y\n{\n  "a": "##\\u005bb]"\n}\n'
    )


def test_a_stream_is_otherwise_as_it_was() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = Terminal(raw)
    stream.writelines(["a", "b\n"])
    stream.flush()
    assert stream.encoding == "ascii"
    assert stream.buffer.getvalue() == b"ab\n"
    with pytest.raises(UnicodeEncodeError):
        stream.write("é")
