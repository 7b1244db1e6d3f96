"""The page as a file: small, alone, and bound by its policy. And the words that serve it."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from echo.echo_client import ROOT

from t3probe.cli import main
from t3probe.echo import Limits
from t3probe.echo import __main__ as command
from t3probe.echo import page as module
from t3probe.echo.page import page, policy
from t3probe.echo.site import token_in

FILE = Path(module.__file__).with_name("page.html")
TEXT = FILE.read_text(encoding="utf-8")
MOST_BYTES = 40_000


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_it_is_small_and_in_the_wheel() -> None:
    assert len(page(10, 20, records=True).content) < MOST_BYTES
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "page.html" in project["tool"]["setuptools"]["package-data"]["t3probe.echo"]


def test_nothing_comes_from_elsewhere() -> None:
    for tag, attributes in Elements(TEXT).found:
        assert tag not in ("img", "iframe", "object", "embed", "base", "form", "video"), tag
        for name, value in attributes.items():
            assert name != "style", "no style by attribute: the policy forbids it"
            assert not name.startswith("on"), "no script by attribute"
            assert name not in ("src", "srcset", "action", "ping"), name
            assert name != "href" or value == "data:,"
    urls = set(re.findall(r"(?:https?|wss?|blob)://[^\s'\"]*", TEXT))
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in TEXT
    assert "url(" not in TEXT
    for word in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "innerHTML"):
        assert word not in TEXT


def test_the_policy_lets_in_its_own_and_nothing_else() -> None:
    shown = page(10, 20)
    (found,) = [one for one in shown.fields if one.startswith("Content-Security-Policy: ")]
    rules = dict(one.split(" ", 1) for one in found.partition(": ")[2].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert rules[name] == "'none'"
    assert rules["worker-src"] == "blob:"
    assert rules["trusted-types"] == "t3probe", "once; a second policy of that name is refused"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in found
    text = shown.content.decode()
    for tag in ("script", "style"):
        inner = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert "X-Content-Type-Options: nosniff" in shown.fields
    assert "Referrer-Policy: no-referrer" in shown.fields


def test_another_script_is_another_policy() -> None:
    assert policy(TEXT.replace("'use strict'", "'use  strict'")) != policy(TEXT)
    with pytest.raises(ValueError, match="expected one script"):
        policy(TEXT + "<script>1</script>")


def test_settings_reach_it_without_changing_the_policy() -> None:
    one, other = page(10, 20), page(2.5, 7, records=True)
    assert one.fields == other.fields
    assert b'content="heartbeat=10 watchdog=20 records=no"' in one.content
    assert b'content="heartbeat=2.5 watchdog=7 records=yes"' in other.content


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--accept-records"], "--accept-records: expected --page beside it; add it"),
        (
            ["--page", "--records-token-file", "x"],
            "--records-token-file: expected --accept-records beside it; add it",
        ),
        (["--page-heartbeat", "5"], "--page-heartbeat and --page-watchdog: expected --page"),
        (
            ["--page", "--accept-records", "--records-token-file", "/nowhere/token"],
            "/nowhere/token: expected a readable file with the token: no such file",
        ),
        (
            ["--page", "--accept-records", "--records-token-file", "/"],
            "expected a readable file with the token",
        ),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["echo", *words]) == 4
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["0", "-1", "ten", "61", "1e3", "nan", "inf", "", "٣"])
def test_seconds_are_checked(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["echo", "--page", "--page-heartbeat", text])
    assert end.value.code == 4
    assert "expected seconds from 0.2 to 60" in capsys.readouterr().err


def test_the_longest_heartbeat_keeps_a_connection_open() -> None:
    assert Limits().idle > command._HEARTBEAT_UP_TO


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two words of it", b"grueso-\xc3\xbc-token", b"x" * 70_000]
)
def test_what_is_no_token_is_refused_without_showing_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="expected a readable file with the token") as found:
        token_in(str(file))
    assert not content or content[:5].decode("latin-1") not in str(found.value)
    file.write_bytes(b"0123456789abcdef\n")
    assert token_in(str(file)) == b"0123456789abcdef"
