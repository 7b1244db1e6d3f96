"""Foreign text made fit to be shown: no secret, however it is written, and nothing hides."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe import text as showing
from t3probe.exchange.client import Login, Site
from t3probe.text import (
    MASK,
    SHORTEST_SECRET,
    keep,
    keep_lent,
    keep_url,
    masked,
    plain,
    showable,
    without_login,
)


@pytest.fixture(autouse=True)
def _forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a registry of its own."""
    monkeypatch.setattr(showing, "_OWN", showing._Secrets())
    monkeypatch.setattr(showing, "_LENT", showing._Secrets())


# -- by value ------------------------------------------------------------------------------------

SECRETS = [
    "Canary-7f3a9c",
    "p@ss/w#o?r d",
    "quo\"ted\\and'more",
    "a/b/c/d/e/f",
    "zażółć-gęślą",
    "<tag>&amp;",
    "x" * 300,
]
WAYS = {
    "plain": lambda one: one,
    "base64": lambda one: base64.b64encode(one.encode()).decode(),
    "url-safe": lambda one: base64.urlsafe_b64encode(one.encode()).decode(),
    "without padding": lambda one: base64.b64encode(one.encode()).decode().rstrip("="),
    "of a login": lambda one: base64.b64encode(b"me:" + one.encode()).decode(),
    "of another login": lambda one: base64.b64encode(b"some:" + one.encode()).decode(),
    "of a request": lambda one: base64.b64encode(b"x: y " + one.encode() + b"\r\n..").decode(),
    "of a line": lambda one: base64.b64encode(one.encode() + b"\n").decode(),
    "percent": lambda one: quote(one, safe=""),
    "percent of a path": lambda one: quote(one),
    "percent in small letters": lambda one: (
        quote(one, safe="").lower()
        if one.islower() or not one.isascii()
        else "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in one)
    ),
    "percent of a form": quote_plus,
    "percent of everything": lambda one: "".join(f"%{byte:02X}" for byte in one.encode()),
    "JSON": lambda one: json.dumps(one)[1:-1],
    "JSON as it is": lambda one: json.dumps(one, ensure_ascii=False)[1:-1],
    "HTML": lambda one: html.escape(one),
    "repr": lambda one: repr(one)[1:-1],
    "hex": lambda one: one.encode().hex(),
    "latin-1": lambda one: one.encode().decode("latin-1"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_our_own_secret_is_masked_in_each_way_of_writing(secret: str, way: str) -> None:
    written = WAYS[way](secret)
    text = f"it was <{written}> there"
    assert MASK not in showable(text, 2000, ascii=False)
    keep(secret)
    shown = showable(text, 2000, ascii=False)
    assert MASK in shown
    # Of base64 that began or ended elsewhere, a character at each end tells less than a byte.
    core = written.rstrip("=")[7:-3] if way.startswith("of ") else written
    assert core not in shown
    assert core[: len(core) // 2] not in shown
    assert MASK in plain(text, ascii=False)


def test_a_login_is_masked_as_its_header_has_it() -> None:
    pair = base64.b64encode(b"me:pw").decode()
    assert showable(f"got {pair}") == f"got {pair}"
    Login(user="me", password="pw")  # too short for a value, and the header holds it
    assert showable(f"got {pair}") == "got ***"
    assert showable("pw") == "pw"


@pytest.mark.parametrize("secret", ["", "e", "se", "right"])
def test_a_short_secret_masks_no_letters(secret: str) -> None:
    assert len(secret) < SHORTEST_SECRET
    keep(secret)
    assert showable("every letter is right here") == "every letter is right here"


def test_what_a_server_lent_us_is_masked_in_foreign_text_alone() -> None:
    """Or it could choose which words of a verdict vanish."""
    keep_lent("dispatch")
    assert showable("sent to dispatch") == "sent to ***"
    assert plain("dispatch is broken") == "dispatch is broken"
    for number in range(200):
        keep_lent(f"another-{number}")
    assert showable("sent to dispatch, another-199") == "sent to dispatch, ***"


def test_a_heartbeats_url_is_a_secret() -> None:
    keep_url("https://hc.example/ping/abcdefgh?key=Kf7-12345&day=monday")
    for text in ("at /ping/abcdefgh?key=Kf7-12345&day=monday", "at Kf7-12345"):
        assert showable(text).endswith(MASK)
    keep_url("https://hc.example/heartbeat")
    assert plain("the heartbeat is fine") == "the heartbeat is fine"


def test_half_of_a_secret_at_the_cut_is_none() -> None:
    secret = "S3cr3t" * 30
    keep(secret)
    for before in range(0, 700, 7):
        shown = showable("x" * before + " " + secret * 3, 100)
        assert "S3cr" not in shown
        assert len(shown) <= 100
        assert "S3cr" not in showable((secret * 40)[before:], 100).removeprefix(
            (secret * 2)[before % len(secret) : len(secret)]
        )


# -- by form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=abc rest", "token=*** rest"),
        ("x-api-key: abc, more", "x-api-key: ***, more"),
        ("Authorization: Digest username=me, response=abc\nHost: h", "Authorization: *** Host: h"),
        ("Cookie: a=one; b=two; c=three\r\nHost: h", "Cookie: *** Host: h"),
        ("Set-Cookie: id=one; HttpOnly", "Set-Cookie: ***"),
        ('{"Cookie": "a=one; b=two", "Host": "h"}', '{"Cookie": "***", "Host": "h"}'),
        ('{"access_token": "one two", "n": 1}', '{"access_token": ***, "n": 1}'),
        ('\\"token\\":\\"one two\\", rest', '\\"token\\":***, rest'),
        ("the password is 'token': 'abc'", "the password is 'token': ***"),
        ("a bearer abc", "a bearer ***"),
        ("Basic dXNlcg==", "Basic ***"),
        ("wants Basic (realm x), Bearer", "wants Basic (realm x), Bearer"),
        ("to /cb?code=abc&state=def#x", "to /cb?code=***&state=***"),
        ("to /login?rd=%2Fx%3Ftoken%3Dabc rest", "to /login?rd=%2Fx%3Ftoken%3D*** rest"),
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1 b", "a *** b"),
        ("go to https://me:geheim@h/path", "go to https://***@h/path"),
        ("http://u:pa/ss@h/x", "http://***@h/x"),
        ("http://u:p#a?s@s@h/x rest", "http://***@h/x rest"),
        ("https://h:8443/a?to=me@x.org", "https://h:8443/a?to=me@x.org"),
        ("https://h/a?rd=https://u:pa/ss@h/", "https://h/a?rd=https://***@h/"),
        ("/auth/session: HTTP 200", "/auth/session: HTTP 200"),
        ("T3PROBE_GATEWAY_TOKEN: expected a secret", "T3PROBE_GATEWAY_TOKEN: expected a secret"),
    ],
)
def test_what_has_the_form_of_a_secret_is_masked(text: str, shown: str) -> None:
    assert showable(text) == shown
    assert showable(shown) == shown


WORDS = st.sampled_from(
    ["token", "=", ": ", "Cookie", "Bearer ", "//", "u:", "@", "?code=", '"', "'", "\\", "\n", " ",
     "***", "...", "abc", "%3d", "&", ";", "eyJabcdefghi.", "é", "/"]
)  # fmt: skip
TEXTS = st.lists(WORDS | st.text(max_size=4), max_size=20).map("".join)


@given(TEXTS, st.booleans())
def test_what_was_shown_is_shown_as_it_was(text: str, ascii: bool) -> None:
    """A record is read as it was written."""
    once = showable(text, 60, ascii=ascii)
    assert len(once) <= 60
    assert once.isprintable()
    assert once.isascii() or not ascii
    assert masked(once) == once


@pytest.mark.parametrize("password", ["ss", "pa/ss", "p#ss", "p?ss", "p@ss", "12/34", "p ss", "//"])
@pytest.mark.parametrize("scheme", ["http", "https", "ftp"])
def test_no_sentence_about_a_url_has_its_login(scheme: str, password: str) -> None:
    url = f"{scheme}://user:Geheim{password}geheim@127.0.0.1:9091/x"
    assert without_login(url) == f"{scheme}://***@127.0.0.1:9091/x"
    if scheme == "ftp" or set(password) & set("/?#"):
        with pytest.raises(ValueError, match="expected a URL") as caught:
            Site(url)
        assert "geheim" not in str(caught.value).lower()
        assert "user" not in str(caught.value)
    else:
        assert Site(url).name == "127.0.0.1:9091"
        assert showable(f"it said Geheim{password}geheim") == "it said ***"


def test_no_sentence_of_ours_has_one_either() -> None:
    assert plain("legs: http://u:pa/ss@h: no such file") == "legs: http://***@h: no such file"


def test_a_password_that_looks_like_a_port_names_no_site() -> None:
    with pytest.raises(ValueError, match="take the login away") as caught:
        Site("http://user:12/geheim@h")
    assert "geheim" not in str(caught.value)
    assert "12" not in str(caught.value)


# -- controls ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m\nb\x7fé", "a?[31m b??"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a?b?c?d?"),
        (" a \r\n\t b ", "a b"),
        (b"bytes \xff\xc3\xa9", "bytes ??"),
        (None, "None"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 117 + "..."),
    ],
)
def test_nothing_moves_or_hides(text: object, shown: str) -> None:
    assert showable(text) == shown


def test_text_that_is_not_ascii_stays_where_it_may() -> None:
    assert showable("grün\u3164\u202e", ascii=False) == "grün??"
    assert plain("grün\u202e\n", ascii=False) == "grün? "
    assert plain("grün  x") == "gr?n  x"
