"""How the answers of walls are read and judged; no server."""

from __future__ import annotations

from typing import Any

import pytest
from probe_parts import FOUR, answer, probing
from probes.servers import HOST

from t3probe.config.types import Leg
from t3probe.probes.base import (
    ProbeError,
)
from t3probe.probes.walls import WalledLine, WalloffLine, _parse, _unchunked, served_alike

# -- walls ---------------------------------------------------------------------------------------


def wall_leg(kind: Any = "walled", url: str = f"https://{HOST}/app", **more: Any) -> Leg:
    return Leg(name="wall", kind=kind, path=("w",), url=url, **more)


@pytest.mark.parametrize(
    ("status", "location", "onward"),
    [
        (302, "/app/", "/app/"),
        (302, f"https://{HOST}/in", "/in"),
        (302, f"https://{HOST}", "/"),
        (302, "https://other.example/in", None),
        (302, "/app", None),
        (302, "in", None),
        (302, "", None),
        (200, "/in", None),
        (300, "/in", "/in"),
        (399, "/in", "/in"),
        (400, "/in", None),
    ],
)
def test_which_redirects_stay_inside(status: int, location: str, onward: str | None) -> None:
    line = WalledLine(wall_leg(), FOUR, probing())
    assert line._onward(answer(status, location=location)) == onward


def test_a_password_in_the_url_is_not_part_of_the_origin() -> None:
    line = WalledLine(wall_leg(url=f"https://me:geheim@{HOST}:8443"), FOUR, probing())
    assert (line.origin, line.path) == (f"https://{HOST}:8443", "/")


@pytest.mark.parametrize(
    ("status", "body", "leaks"),
    [
        (200, b"secret", True),
        (299, b"secret", True),
        (200, b"  \n", False),
        (199, b"secret", False),
        (300, b"secret", False),
        (401, b"secret", False),
        (200, b"own", False),
    ],
)
def test_which_way_leads_past_the_wall(status: int, body: bytes, leaks: bool) -> None:
    line = WalledLine(wall_leg(), FOUR, probing())
    own = [answer(404), answer(404), answer(200, b"own")]
    if not leaks:
        line._judge_way("dots", "/p/../app", answer(status, body), own)
        return
    with pytest.raises(ProbeError) as caught:
        line._judge_way("dots", "/p/../app", answer(status, body), own)
    assert (caught.value.reason, caught.value.answered) == ("not_walled", True)
    assert caught.value.detail == f"/p/../app (dots) leads past the wall: HTTP {status}"


WORDS = " ".join(f"word{at}" for at in range(10))


@pytest.mark.parametrize(
    ("text", "first", "second", "alike"),
    [
        (WORDS, WORDS, WORDS, True),
        (WORDS.replace("word0", ""), f"{WORDS} n1", f"{WORDS} n2", True),  # nine of ten
        (WORDS.replace("word0 word1", ""), f"{WORDS} n1", f"{WORDS} n2", False),
        (f"{WORDS} n3 n4", f"{WORDS} n1", f"{WORDS} n2", True),  # twice what changes
        (f"{WORDS} n3 n4 n5", f"{WORDS} n1", f"{WORDS} n2", False),
        (f"{WORDS} secret", WORDS, WORDS, False),
        (f"{WORDS} app", WORDS, WORDS, True),  # the path itself, repeated
        (f"{WORDS} n3 n4 n5 n6", f"{WORDS} n1", f"{WORDS} n2 n7", True),
    ],
)
def test_what_a_public_prefix_serves_anyway(
    text: str, first: str, second: str, alike: bool
) -> None:
    own = [answer(200, first.encode()), answer(200, second.encode())]
    assert served_alike("/p/../app", answer(200, text.encode()), own) == alike


def test_nonsense_that_is_not_served_is_no_page() -> None:
    page = WORDS.encode()
    for status in (404, 199, 300):
        own = [answer(200, page + b" x"), answer(status, page), answer(200, b"index")]
        assert not served_alike("/a", answer(200, page), own)
        assert served_alike("/a", answer(200, b"index"), own)
    assert served_alike("/a", answer(200, page), [answer(200, page + b" x")] * 2)


@pytest.mark.parametrize(
    ("head", "status", "headers"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b: c\r\nX-Y:z\r\n\r\n", 200, {"a": "b: c", "x-y": "z"}),
        (b"HTTP/1.1 404\r\n\r\n", 404, {}),
        (b"HTTP/1.1 abc\r\n\r\n", None, {}),
        (b"HTTP/1.1\r\n\r\n", None, {}),
    ],
)
def test_a_head_read_by_hand(head: bytes, status: int | None, headers: dict[str, str]) -> None:
    found = _parse(head)
    assert (None if found is None else found.status) == status
    assert found is None or found.headers == headers


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"1\r\na\r\n0\r\n\r\n1\r\nb\r\n", b"a"),
        (b"a\r\n0123456789\r\n", b"0123456789"),
        (b"5\r\nab", b"ab"),
        (b"3\r\nabc\r\nzz\r\nde", b"abc"),
        (b"-1\r\nabc", b""),
        (b"", b""),
    ],
)
def test_chunks(body: bytes, whole: bytes) -> None:
    assert _unchunked(body) == whole


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, None), (404, None), (499, None), (500, "http_5xx"), (401, "walled_off")],
)
def test_what_says_something_about_a_public_path(status: int, reason: str | None) -> None:
    line = WalloffLine(wall_leg("walloff"), FOUR, probing())
    if reason is None:
        line._judge(answer(status), "")
        return
    with pytest.raises(ProbeError) as caught:
        line._judge(answer(status), "what: ")
    assert caught.value.reason == reason
    assert caught.value.detail.startswith("what: HTTP ")


@pytest.mark.parametrize(
    ("reason", "tells"),
    [("walled_off", True), ("not_walled", True), ("http_5xx", False), ("rtt_timeout", False)],
)
async def test_only_the_walls_own_answer_tells(reason: Any, tells: bool) -> None:
    class Fails(WalledLine):
        async def look(self) -> Any:
            raise ProbeError(reason, "ask", "x")

    with pytest.raises(ProbeError) as caught:
        await Fails(wall_leg(), FOUR, probing()).beat()
    assert caught.value.tells == tells
