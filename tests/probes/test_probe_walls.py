"""How the answers of walls are read and judged; no server."""

from __future__ import annotations

from typing import Any

import pytest
from probe_parts import FOUR, answer, probing
from probes.servers import HOST

from t3probe.config.types import Leg
from t3probe.probes.facts import ProbeError
from t3probe.probes.http_client import HttpAnswer, HttpClient
from t3probe.probes.redirects import parse
from t3probe.probes.walls import WalledLine, WalloffLine, served_alike

# -- walls ---------------------------------------------------------------------------------------


def wall_leg(kind: Any = "walled", url: str = f"https://{HOST}/app", **more: Any) -> Leg:
    return Leg(name="wall", kind=kind, path=("w",), url=url, **more)


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
    ("status", "reason"),
    [(200, None), (404, None), (499, None), (500, "http_5xx"), (401, "walled_off")],
)
async def test_what_says_something_about_a_public_path(status: int, reason: str | None) -> None:
    line = WalloffLine(wall_leg("walloff"), FOUR, probing())
    client = HttpClient(FOUR, line.probing, line.facts)
    if reason is None:
        found, sure = await line._judge(client, answer(status), "")
        assert (found.status, sure) == (status, status == 200)
        return
    with pytest.raises(ProbeError) as caught:
        await line._judge(client, answer(status), "what: ")
    assert caught.value.reason == reason
    assert caught.value.detail.startswith("what: HTTP ")


@pytest.mark.parametrize(("first", "last"), [(True, False), (False, True), (False, False)])
async def test_where_the_application_itself_sends_on_the_rule_is_not_accused(
    first: bool, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`first`, `last`: which answer of the chain has the mark of what lies behind the rule."""
    line = WalloffLine(wall_leg("walloff"), FOUR, probing())
    client = HttpClient(FOUR, line.probing, line.facts)

    async def ask(client: HttpClient, target: str, cookie: str) -> HttpAnswer:
        assert (target, cookie) == ("/oauth2/start", "")
        found = answer(302, location="https://sso.example/")
        found.url, found.behind = parse(f"https://{HOST}{target}"), last
        return found

    monkeypatch.setattr(line, "_ask_kept", ask)
    began = answer(302, location="/oauth2/start")
    began.url, began.behind = parse(f"https://{HOST}/app"), first
    with pytest.raises(ProbeError) as caught:
        await line._judge(client, began, "")
    assert caught.value.reason == ("http_other" if first or last else "walled_off")
    assert ("from behind the rule" in caught.value.detail) is (first or last)


@pytest.mark.parametrize(
    ("reason", "conclusive"),
    [("walled_off", True), ("not_walled", True), ("http_5xx", False), ("rtt_timeout", False)],
)
async def test_only_the_walls_own_answer_is_conclusive(reason: Any, conclusive: bool) -> None:
    class Fails(WalledLine):
        async def look(self) -> Any:
            raise ProbeError(reason, "ask", "x")

    with pytest.raises(ProbeError) as caught:
        await Fails(wall_leg(), FOUR, probing()).beat()
    assert caught.value.conclusive == conclusive
