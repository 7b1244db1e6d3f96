"""People are told: from real judging, by the held mode's thread, its process, and by runs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from deliver.delivery_servers import Server, answering, serving
from probes.servers import echo, reset, serve
from verdict.verdict_script import both, down, judge, leg, opening, well
from watch_helpers import Paper
from watch_process import toml, watching, ws

from t3probe.config.delivery import Delivery, Webhook
from t3probe.config.table import Duration
from t3probe.config.types import Deployment
from t3probe.deliver.delivery import messenger_of
from t3probe.deliver.notices import Notice
from t3probe.deliver.notices.messenger import after_run, runbook
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.sinks.spool import SpoolError
from t3probe.exchange.client import Budget
from t3probe.observation import RunRecord
from t3probe.timing import FakeClock, SystemClock
from t3probe.watch.log import Log
from t3probe.watch.notices import Words

TAKES = answering("204 No Content")
WAIT_SECONDS = 90.0
"""For a message: while the machine is so busy that the prober counts as stalled there is none."""


def body(request: bytes) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return made


def deployment(url: str, spool: str | None = None, settle: float = 60.0) -> Deployment:
    told = Delivery(spool=spool, settle=Duration(settle), webhook=(Webhook(url=url),))
    return Deployment(name="t3", file="t3.toml", segments=("wan", "a", "b"), legs=(), delivery=told)


RECORD = RunRecord(deployment="t3", segments=("wan", "a", "b"), started_at=1.7e9, vantage="attic")
SEEN = [leg("x", "wan a", opening(0), both(), down(4.1, 5)), leg("y", "wan b", well(5.01, 15.01))]
BROKEN = judge(*SEEN)
WELL_SEEN = [leg("x", "wan a", well(5, 15)), leg("y", "wan b", well(5, 15))]
WELL = judge(*WELL_SEEN)


def test_runs_tell_once_and_say_when_it_is_over(tmp_path: Path) -> None:
    clock = FakeClock(wall=1.7e9 + 30)
    with serving(TAKES) as server:
        for number in range(12):
            messenger = messenger_of(deployment(server.url, str(tmp_path)), {}, clock)
            assert messenger is not None
            seen, judged = (SEEN, BROKEN) if number < 6 else (WELL_SEEN, WELL)
            budget = Budget(SystemClock(), 30)
            receipts = after_run(messenger, RECORD, seen, judged, budget, clock)
            assert all(one.ok for one in receipts), receipts
            asyncio.run(clock.sleep(60))
        first, last = map(body, server.requests)
    assert first["subject"] == "t3: a is broken"
    lines = first["text"].splitlines()
    assert lines[0] == "t3: a is broken."
    assert "broken since 2023-11-14 22:13:24 UTC: a" in lines
    assert any(line.startswith("evidence: x was down") for line in lines)
    assert "  fresh beat: y" in lines
    assert "cleared: wan and b" in lines
    assert lines[-1] == f"what to do: {runbook()}#t3probesegmentconvicted"
    (one,) = first["notices"]
    assert (one["event"], one["vantage"], one["broken"][0]["one_of"]) == ("broken", "attic", ["a"])
    assert last["subject"] == "t3: it is over with a, cleared again"
    assert last["notices"][0]["event"] == "over"


def test_an_outage_of_the_receiver_loses_nothing(tmp_path: Path) -> None:
    clock = FakeClock(wall=1.7e9 + 30)
    url = "http://127.0.0.1:1"
    for number in range(6):
        messenger = messenger_of(deployment(url, str(tmp_path)), {}, clock)
        assert messenger is not None
        seen, judged = (SEEN, BROKEN) if number < 3 else (WELL_SEEN, WELL)
        after_run(messenger, RECORD, seen, judged, Budget(SystemClock(), 30), clock)
        asyncio.run(clock.sleep(60))
    with serving(TAKES) as server:
        asyncio.run(clock.sleep(600))
        messenger = messenger_of(deployment(server.url, str(tmp_path)), {}, clock)
        assert messenger is not None
        after_run(messenger, RECORD, WELL_SEEN, WELL, Budget(SystemClock(), 30), clock)
    (request,) = server.requests
    said = body(request)
    assert said["subject"] == "t3: it is over with a, cleared again (and 1 earlier message)"
    assert [one["event"] for one in said["notices"]] == ["over", "broken"]


def test_the_thread_of_the_held_mode_sends_and_logs(tmp_path: Path) -> None:
    paper, clock = Paper(), SystemClock()
    log = Log(clock.wall, paper)  # type: ignore[arg-type]
    with serving(TAKES) as server:
        words = Words(messenger_of(deployment(server.url, settle=0.0), {}, clock), log, clock)
        words.look(RECORD, SEEN, BROKEN)
        words.end()
        words._thread.join(30)
    log.end(5)
    (line,) = map(json.loads, paper.lines)
    assert (line["event"], line["ok"]) == ("notice", True)
    assert body(server.requests[0])["subject"] == "t3: a is broken"


async def test_a_held_mode_tells_of_an_outage(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"

    async def weakly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    with serving(TAKES) as receiver:
        async with serve(weakly) as weak, serve(echo) as strong:
            more = f'[delivery]\nsettle = "300ms"\n[[delivery.webhook]]\nurl = "{receiver.url}"\n'
            legs = [ws("weak", weak), ws("strong", strong, path='"front"')]
            file.write_text(toml(legs, more=more))
            async with watching(file) as kept:
                await come(receiver, 1)
                assert await kept.end() == 0
    first = body(receiver.requests[0])
    assert first["notices"][0]["broken"][0]["one_of"] == ["back"]


async def come(receiver: Server, number: int) -> None:
    """Wait for so many messages."""
    async with asyncio.timeout(WAIT_SECONDS):
        while len(receiver.requests) < number:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("kept", [False, True])
def test_a_reload_tells_nothing_twice_and_forgets_no_end(kept: bool, tmp_path: Path) -> None:
    paper, clock = Paper(), SystemClock()
    log = Log(clock.wall, paper)  # type: ignore[arg-type]
    spool = str(tmp_path) if kept else None
    with serving(TAKES) as server:
        made = deployment(server.url, spool, settle=0.0)
        words = Words(messenger_of(made, {}, clock), log, clock)
        for seen, judged in ((SEEN, BROKEN), (SEEN, BROKEN), (WELL_SEEN, WELL), (WELL_SEEN, WELL)):
            words.look(RECORD, seen, judged)
            while not words._looks.empty():
                time.sleep(0.01)
            words.change(messenger_of(made, {}, clock))
        words.end()
        words._thread.join(30)
    assert [body(one)["notices"][0]["event"] for one in server.requests] == ["broken", "over"]


def test_what_waits_for_a_receiver_outlives_a_reload() -> None:
    clock = FakeClock(wall=1.7e9 + 30)
    away = messenger_of(deployment("http://127.0.0.1:1"), {}, clock)
    assert away is not None
    for _ in range(3):
        after_run(away, RECORD, SEEN, BROKEN, Budget(SystemClock(), 30), clock)
        asyncio.run(clock.sleep(60))
    asyncio.run(clock.sleep(600))
    with serving(TAKES) as server:
        back = messenger_of(deployment(server.url), {}, clock)
        assert back is not None
        back.go_on_from(away)
        after_run(back, RECORD, SEEN, BROKEN, Budget(SystemClock(), 30), clock)
    (request,) = server.requests
    assert body(request)["subject"] == "t3: a is broken"


class Busy:
    """Somebody whose folder cannot be used at first, and who then takes long for a look."""

    def __init__(self) -> None:
        self.free, self.well = threading.Event(), False
        self.told: list[str] = []

    @contextmanager
    def open(self, budget: Budget) -> Iterator[None]:
        if not self.well:
            self.well = True
            raise SpoolError("is in use")
        yield

    def look(self, *judged: object) -> None:
        self.free.wait(30)

    def hand_over(self, notice: Notice) -> None:
        self.told.append(notice.subject)

    def send(self, budget: Budget) -> list[Receipt]:
        return []


def test_no_look_takes_the_place_of_a_message_that_is_not_made_again() -> None:
    paper, clock, busy = Paper(), SystemClock(), Busy()
    log = Log(clock.wall, paper)  # type: ignore[arg-type]
    words = Words(busy, log, clock)  # type: ignore[arg-type]
    words.tell("the first", "")
    while not busy.well:
        time.sleep(0.01)
    for _ in range(40):
        words.look(RECORD, SEEN, BROKEN)
    words.tell("the second", "")
    busy.free.set()
    words.end()
    words._thread.join(30)
    assert busy.told == ["the first", "the second"]
