"""The held mode and remote rigs: a real `t3probe watch` beside the lab's relay, jump and book."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from deliver.delivery_servers import answering, serving
from watch.watch_process import Watching, ask, watching

from t3probe.config import loads
from t3probe.config.types import Experiments
from t3probe.lab.rig_faults import environment
from t3probe.lab.stack import Lab
from t3probe.timing import SystemClock
from t3probe.upstreams.experiments.ask import Rights, RigService
from t3probe.upstreams.experiments.book import BookingSystem

TAKES = answering("204 No Content")
SECONDS = 40.0
"""Everything here is over much sooner."""


def loads_lab(lab: Lab) -> Experiments:
    table = loads(lab.deployment_text(), environ={}, now=0).experiments
    assert table is not None
    return table


class Rigs:
    """The lab, the held mode beside it, and its interface about rigs."""

    def __init__(self, lab: Lab, held: Watching) -> None:
        self.lab, self.held = lab, held
        self.api = str(held.said[-1]["api"])

    async def get(self, path: str) -> Any:
        status, body = await ask(self.api, f"/api/v1/experiments{path}")
        assert status == 200, (path, status, body)
        return json.loads(body)

    async def rig(self, name: str) -> dict[str, Any]:
        return next(one for one in await self.get("") if one["topic_name"] == name)

    async def until(self, name: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The rig, once it is so."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    status, body = await ask(self.api, "/api/v1/experiments")
                    rows = json.loads(body) if status == 200 else []
                    for found in rows:
                        if found["topic_name"] == name and done(found):
                            return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"it does not come to that: {found}")

    async def said(self, event: str, **facts: Any) -> dict[str, Any]:
        """The next line of this kind with these facts."""
        async with asyncio.timeout(SECONDS):
            while True:
                line = await self.held.line(event)
                if facts.items() <= line.items():
                    return line


@asynccontextmanager
async def rigs(
    folder: Path, *words: str, faults: tuple[str, ...] = (), more: str = ""
) -> AsyncIterator[Rigs]:
    lab = Lab(faults, experiments=3)
    await lab.start()
    try:
        file = folder / "lab.toml"
        file.write_text(lab.deployment_text() + more)
        words = ("--api", "127.0.0.1:0", "--state", str(folder / "state"), *words)
        async with watching(file, *words, **environment()) as held:
            yield Rigs(lab, held)
            assert await held.end() == 0
    finally:
        await lab.stop()


def healthy(rig: dict[str, Any]) -> bool:
    return rig["healthy"] is True and rig["available"] is True


async def test_a_rig_that_stands_still_is_taken_out_told_and_put_back(tmp_path: Path) -> None:
    async with rigs(tmp_path) as here:
        well = await here.until("spin01", healthy)
        assert well["stream_ok"] == {"st-data": True, "st-video": True} == well["stream_required"]
        assert well["jump_ok"] is True
        assert well["stream_reports"]["st-data"]["stats"]["tx"]["never"] is False
        assert well["jump_report"]["topic"] == "spin01"

        await here.lab.switch(["rig-spin01:stall"])
        line = await here.said("experiment", experiment="spin01")
        issues = ["unhealthy spin01-st-data", "unhealthy spin01-st-video"]
        assert (line["healthy"], line["available"], line["issues"]) == (False, False, issues)
        taken_out = await here.said("book", experiment="spin01")
        assert (taken_out["available"], taken_out["text"]) == (False, "written")
        assert taken_out["reason"] == "t3probe: unhealthy spin01-st-data, unhealthy spin01-st-video"
        # What jump no longer names is missing once its last report of it is old.
        await here.said("experiment", experiment="spin01", issues=["missing jump", *issues])
        verdict = await here.get("/verdict")
        assert verdict["convicted"] == ["rig-spin01"]
        assert {"relay-api", "relay", "jump-api", "jump", "book"} <= set(verdict["exonerated"])
        metrics = await here.held.until(
            't3probe_experiment_events_total{experiment="spin01",to="unhealthy"} 2'
        )
        assert 't3probe_experiment_available{experiment="spin01"} 0' in metrics
        assert 't3probe_book_mismatch{experiment="spin01"} 0' in metrics
        assert 't3probe_experiment_healthy{experiment="spin02"} 1' in metrics

        await here.lab.clear()
        put_back = await here.said("book", experiment="spin01")
        assert healthy(await here.until("spin01", healthy))
        assert (put_back["available"], put_back["text"]) == (True, "written")
        events = await here.get("/events/spin01")
        assert [one["healthy"] for one in events[:2]] == [False, False]
        assert events[0]["issues"] == issues
        assert await here.get("/events/spin02") == []
        assert (await ask(here.api, "/api/v1/experiments/events/spin99"))[0] == 404
        assert (await ask(here.api, "/api/v1/experiments", "POST"))[0] == 405


async def test_a_change_is_one_message(tmp_path: Path) -> None:
    """And so is the outage of a service, however many rigs there are."""
    with serving(TAKES) as server:
        more = f'\n[delivery]\nsettle = "1s"\n[[delivery.webhook]]\nurl = "{server.url}/hook"\n'

        async def subjects(number: int) -> list[str]:
            async with asyncio.timeout(SECONDS):
                while len(server.requests) < number:  # noqa: ASYNC110 - another thread's list
                    await asyncio.sleep(0.1)
            bodies = [one.partition(b"\r\n\r\n")[2] for one in server.requests]
            return [json.loads(one)["subject"] for one in bodies]

        async with rigs(tmp_path, more=more) as here:
            await here.until("spin02", healthy)
            await here.lab.switch(["stream-spin02-data:stale"])
            assert await subjects(1) == ["lab: 1 rig unhealthy: spin02"]
            await here.lab.clear()
            assert (await subjects(2))[1:] == ["lab: 1 rig healthy again: spin02"]
            await here.lab.switch(["relay:silent"])
            (outage,) = (await subjects(3))[2:]
            assert outage.startswith("lab: relay reports nothing since ")
            await here.lab.clear()
            (over,) = (await subjects(4))[3:]
            assert over.startswith("lab: over: relay reports nothing since ")
        assert len(server.requests) == 4


async def test_a_relay_that_is_silent_makes_no_event_and_writes_nothing(tmp_path: Path) -> None:
    async with rigs(tmp_path) as here:
        await here.until("spin01", healthy)
        await here.lab.switch(["relay:silent"])
        line = await here.said("experiments", ok=False)
        assert line["text"].startswith("relay reports nothing since ")
        lost = await here.rig("spin01")
        assert (lost["healthy"], lost["available"]) == (None, None)
        verdict = await here.get("/verdict")
        assert verdict["convicted"] == ["relay-api"]
        await here.lab.clear()
        line = await here.said("experiments", ok=True)
        await here.until("spin01", healthy)
        assert not [one for one in here.held.said if one["event"] in ("experiment", "book")]


async def test_what_book_does_not_heed_is_said_and_put_off(tmp_path: Path) -> None:
    async with rigs(tmp_path) as here:
        await here.until("spin01", healthy)
        await here.lab.switch(["rig-spin01:stall", "book:unheeded"])
        line = await here.said("book", experiment="spin01")
        assert line["text"] == "written, and book says otherwise"
        await here.held.until('t3probe_book_mismatch{experiment="spin01"} 1')
        line = await here.said("experiments", ok=False)
        assert line["text"] == (
            "book says otherwise than was written: spin01 is available, not unavailable"
        )
        assert sum(one["event"] == "book" for one in here.held.said) == 1  # and not every second


async def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    async with rigs(tmp_path, "--dry-run", faults=("stream-spin01-video:absent",)) as here:
        line = await here.said("book", experiment="spin01")
        assert (line["available"], line["text"]) == (False, "would be written")
        assert (await here.rig("spin01"))["available"] is False
        rights, table = Rights.of(environment()), loads_lab(here.lab)
        book = BookingSystem(RigService("book", table, rights, SystemClock()))
        assert (await asyncio.to_thread(book.offered, "r-spin01")).available is True


async def test_a_restart_is_no_event(tmp_path: Path) -> None:
    for first in (True, False):
        async with rigs(tmp_path, "--dry-run", faults=("rig-spin01:no-jump",)) as here:
            found = await here.until("spin01", lambda one: one["jump_ok"] is False)
            assert (found["available"], found["healthy"]) == (True, False)
            if first:
                await here.said("experiment", experiment="spin01", issues=["missing jump"])
            else:
                # The next change is told, and it is the first one.
                await here.lab.clear()
                line = await here.said("experiment", experiment="spin01")
                assert line["healthy"] is True
            assert (tmp_path / "state" / "rigs.json").stat().st_mode & 0o077 == 0


async def test_wrong_usage(tmp_path: Path) -> None:
    plain = tmp_path / "plain.toml"
    plain.write_text('name = "x"\nsegments = ["a"]\n')
    from t3probe.cli import main

    assert main(["watch", str(plain), "--api", "127.0.0.1:0"]) == 4
