"""The parts of the WebSocket probe that need no server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from probe_parts import FOUR, probing
from probes.servers import ws_leg
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from t3probe.probes.facts import Echo, ProbeError
from t3probe.probes.http_wire import AnswerReader
from t3probe.probes.ws_echo import WsLine, _why_closed, _with_host

RESET, PIPE, ODD = ConnectionResetError(), BrokenPipeError(), OSError("odd")


@pytest.mark.parametrize(
    ("received", "sent", "we_answered", "ended_by", "flooded", "reason", "words", "answered"),
    [
        (None, None, None, None, True, "protocol_error", "asks more than it listens", False),
        (
            None,
            Close(1002, "bad"),
            None,
            None,
            False,
            "protocol_error",
            "broke the protocol",
            False,
        ),
        (Close(1000, ""), Close(1002, ""), False, None, False, "protocol_error", "1002", False),
        (Close(1002, ""), Close(1002, ""), True, None, False, "closed_by_peer", "1002", True),
        (None, Close(1000, ""), None, None, False, "closed_by_peer", "without a close", False),
        (Close(1001, "x"), None, None, None, False, "closed_by_peer", "by the peer: 1001", True),
        (Close(1001, "x"), None, None, RESET, False, "closed_by_peer", "by the peer: 1001", True),
        (None, None, None, RESET, False, "connection_reset", "connection reset", False),
        (None, None, None, PIPE, False, "connection_reset", "connection reset", False),
        (None, None, None, ODD, False, "io_error", "connection lost: odd", False),
        (None, None, None, None, False, "closed_by_peer", "without a close frame", False),
    ],
)
def test_why_a_connection_closed(
    received: Close | None,
    sent: Close | None,
    we_answered: bool | None,
    ended_by: Exception | None,
    flooded: bool,
    reason: str,
    words: str,
    answered: bool,
) -> None:
    error = ConnectionClosedError(received, sent, we_answered)
    ws: Any = SimpleNamespace(ended_by=ended_by, flooded=flooded)
    found = _why_closed(error, ws)
    assert (found.reason, found.stage, found.answered) == (reason, "hold", answered)
    assert words in found.detail


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "wss://me:pw@h.example:8443/ws?x"),
        ("other.example", "wss://me:pw@other.example/ws?x"),
    ],
)
def test_the_url_as_the_server_is_to_see_it(host: str | None, url: str) -> None:
    assert _with_host("wss://me:pw@h.example:8443/ws?x", host) == url
    assert _with_host("ws://h.example/", "o:1") == "ws://o:1/"


class Fake:
    """A connection that echoes what it is sent, or something else."""

    def __init__(self, line: WsLine, change: str = "") -> None:
        self.line, self.change = line, change
        self.transport: Any = SimpleNamespace(
            get_extra_info=lambda name: None, abort=lambda: self.ends.append("abort")
        )
        self.sent: list[str] = []
        self.ends: list[str] = []
        self.leaving = False

    async def send(self, nonce: str) -> None:
        self.sent.append(nonce)
        if self.change == "silent":
            return
        assert self.line._echo is not None
        asyncio.get_running_loop().call_soon(self.line._echo.set_result, nonce + self.change)

    async def close(self) -> None:
        self.ends.append("close")


def held(change: str = "") -> tuple[WsLine, Fake]:
    line = WsLine(FOUR, probing())
    fake = Fake(line, change)
    line._ws = fake  # type: ignore[assignment]
    return line, fake


async def test_every_beat_has_a_nonce_of_its_own_and_the_first_is_timed() -> None:
    line, fake = held()
    echoes = [await line.beat() for _ in range(2)]
    assert [one.nonce for one in echoes] == fake.sent
    assert len(set(fake.sent)) == 2
    assert {len(one) for one in fake.sent} == {32}
    assert isinstance(echoes[0], Echo)
    assert line.facts.phases == {"first_echo": 0.0}
    await line.close()
    assert (fake.ends, fake.leaving) == (["close", "abort"], True)


async def test_another_echo_is_an_answer_but_no_good_one() -> None:
    line, fake = held("x")
    with pytest.raises(ProbeError) as caught:
        await line.beat()
    assert (caught.value.reason, caught.value.answered) == ("wrong_echo", True)
    await line.close()
    assert fake.ends == ["abort"]  # not worth a polite close


async def test_a_line_that_was_lost_sends_nothing() -> None:
    line, fake = held()
    woken: list[bool] = []
    line.on_lost = lambda: woken.append(True)
    lost = ProbeError("connection_reset", "hold", "x")
    line._end(lost)
    assert woken == [True]
    with pytest.raises(ProbeError) as caught:
        await line.beat()
    assert caught.value is lost
    assert fake.sent == []


async def test_what_ends_a_beat_is_its_error_and_wakes_nobody_else() -> None:
    line, _ = held("silent")
    woken: list[bool] = []
    line.on_lost = lambda: woken.append(True)
    lost = ProbeError("connection_reset", "hold", "x")
    asyncio.get_running_loop().call_soon(line._end, lost)
    with pytest.raises(ProbeError) as caught:
        await line.beat()
    assert caught.value is lost
    assert (woken, line.lost) == ([], lost)


async def test_no_echo_in_time() -> None:
    line, _ = held("silent")
    line.probing.timing = type(line.probing.timing)(watchdog=type(line.probing.timing.watchdog)(0))
    with pytest.raises(ProbeError) as caught:
        await line.beat()
    assert (caught.value.reason, caught.value.stage, caught.value.detail) == (
        "rtt_timeout", "ask", "no echo within 0 s",
    )  # fmt: skip
    assert line._echo is None


@pytest.mark.parametrize(
    ("status", "reason", "detail"),
    [
        (404, "upgrade_rejected", "HTTP 404 instead of 101"),
        (401, "walled_off", "upgrade: HTTP 401 from the forward-auth"),
    ],
)
def test_a_rejection_is_an_answer(status: int, reason: str, detail: str) -> None:
    answer = AnswerReader()
    answer.feed(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
    found = WsLine(FOUR, probing())._rejected(ws_leg(url="ws://h.example/"), answer)
    assert (found.reason, found.stage, found.detail, found.answered) == (
        reason, "ask", detail, True,
    )  # fmt: skip
