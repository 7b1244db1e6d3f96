"""A real held mode: each incident is a trace at a real receiver, named by the drop's line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deliver.trace_receiver import Receiver, attributes, free_port, receiving
from probes.servers import echo, echo_frames, read_frame, reset, serve, upgrade
from watch_helpers import Paper
from watch_process import tcp, toml, watching, ws

from t3probe.observation import Drop, Observation, RunRecord
from t3probe.timing import FakeClock
from t3probe.verdict.incident.run import judge_run
from t3probe.watch.log import Log
from t3probe.watch.traces import MOST_OPEN, Traces

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@pytest.fixture
def tap() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def receiver(url: str, more: str = "") -> str:
    return f'[delivery.otlp]\nendpoint = "{url}"\ntimeout = "20s"\n{more}'


async def cut_once(reader: Reader, writer: Writer) -> None:
    """The first connection is reset in place of the fifth echo, all later ones live."""
    first = writer.server.connections == 1  # type: ignore[attr-defined]
    await upgrade(reader, writer)
    if not first:
        await echo_frames(reader, writer)
        return
    await echo_frames(reader, writer, 4)
    await read_frame(reader)
    reset(writer)


def told(said: dict[str, Any], tap: Receiver) -> list[Any]:
    """The spans of a trace that was sent, once all are there."""
    assert said["ok"], said
    (many,) = re.findall(r"([0-9]+) spans", said["text"])
    return tap.wait(int(many))


async def test_an_incident_is_a_trace_once_it_is_over(tmp_path: Path, tap: Receiver) -> None:
    file = tmp_path / "kept.toml"
    async with serve(cut_once) as weak, serve(echo) as strong:
        legs = [ws("weak", weak), ws("strong", strong, path='"front"')]
        file.write_text(toml(legs, more=receiver(tap.url, 'traceparent = "sampled"')))
        async with watching(file, "--push") as kept:
            drop = await kept.line("drop")
            said = await kept.line("trace")
            spans = await asyncio.to_thread(told, said, tap)
            assert await kept.end() == 0
    assert re.fullmatch("[0-9a-f]{32}", drop["trace_id"])
    assert said["trace_id"] == drop["trace_id"]
    assert {one.trace_id.hex() for one in spans} == {drop["trace_id"]}
    (root,) = (one for one in spans if not one.parent_span_id)
    facts = attributes(root)
    assert (root.name, root.status.code) == ("t3probe incident", 2)
    assert facts["error.type"] == drop["reason"]
    assert facts["t3probe.failed"] == ["weak"]
    assert facts["t3probe.verdict.text"] == drop["verdict"]["text"]
    assert facts.get("t3probe.verdict.convicted", []) == drop["verdict"]["convicted"]
    (leg,) = (one for one in spans if one.name == "leg weak")
    assert leg.parent_span_id == root.span_id
    assert [attributes(one)["error.type"] for one in leg.events if one.name == "drop"] == [
        drop["reason"]
    ]
    failed = [one for one in spans if "beat" in one.name and one.status.code == 2]
    assert failed
    # What requests told the server was a trace of each request's own; the incident links to it.
    links = [link for one in spans for link in one.links]
    assert links
    assert all(link.trace_id.hex() != drop["trace_id"] for link in links)
    assert len({link.trace_id for link in links}) == len(links)


async def test_drops_of_one_incident_are_one_trace(tmp_path: Path, tap: Receiver) -> None:
    file, both = tmp_path / "kept.toml", asyncio.Event()
    first: list[Writer] = []

    async def cut_together(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if len(first) == 2:
            await echo_frames(reader, writer)
            return
        await echo_frames(reader, writer, 1)
        first.append(writer)
        if len(first) == 2:
            both.set()
        await both.wait()
        await asyncio.sleep(0)  # both are through
        for one in first:
            reset(one)

    async with serve(cut_together) as weak, serve(echo) as strong:
        more = "fresh_every = 0"
        legs = [ws("one", weak, more=more), ws("two", weak, more=more), ws("strong", strong)]
        file.write_text(toml(legs, more=receiver(tap.url)))
        async with watching(file, "--push") as kept:
            drops = [await kept.line("drop") for _ in range(2)]
            said = await kept.line("trace")
            spans = await asyncio.to_thread(told, said, tap)
            assert await kept.end() == 0
    assert {one["leg"] for one in drops} == {"one", "two"}
    assert {one["trace_id"] for one in drops} == {said["trace_id"]}
    assert {one.name for one in spans} >= {"t3probe incident", "leg one", "leg two"}
    assert "leg strong" not in {one.name for one in spans}
    assert sum(one["event"] == "trace" for one in kept.said) == 1


async def test_an_outage_that_goes_on_is_sent_at_the_end(tmp_path: Path, tap: Receiver) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as strong:
        legs = [tcp("gone", strong).replace(strong.pin, f"127.0.0.1:{free_port()}"),
                ws("strong", strong, path='"back"')]  # fmt: skip
        file.write_text(toml(legs, more=receiver(tap.url)))
        async with watching(file, "--push") as kept:
            drop = await kept.line("drop")
            await kept.beats("strong", 25)
            assert tap.spans == []
            assert await kept.end() == 0
            said = await kept.line("trace")
    assert said["trace_id"] == drop["trace_id"]
    spans = told(said, tap)
    assert {one.name for one in spans} >= {"t3probe incident", "leg gone"}
    (root,) = (one for one in spans if not one.parent_span_id)
    assert (
        root.end_time_unix_nano - root.start_time_unix_nano > 2 * 10**9
    )  # until it was told to end


async def test_a_receiver_that_is_away_is_said_and_the_legs_go_on(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(cut_once) as weak, serve(echo) as strong:
        legs = [ws("weak", weak), ws("strong", strong, path='"front"')]
        file.write_text(toml(legs, more=receiver(f"http://127.0.0.1:{free_port()}")))
        async with watching(file, "--push") as kept:
            said = await kept.line("trace")
            assert not said["ok"]
            assert "refuses connections" in said["text"]
            await kept.beats("weak", 8)
            assert await kept.end() == 0


async def test_without_push_nothing_is_sent_and_no_line_names_a_trace(
    tmp_path: Path, tap: Receiver
) -> None:
    file = tmp_path / "kept.toml"
    async with serve(cut_once) as weak:
        more = receiver(tap.url, 'traceparent = "sampled"')
        file.write_text(toml([ws("weak", weak)], more=more))
        async with watching(file) as kept:
            drop = await kept.line("drop")
            await kept.beats("weak", 8)
            assert await kept.end() == 0
        assert "trace_id" not in drop
        assert not any(b"traceparent" in one for one in weak.requests)
    assert tap.spans == []


async def test_push_without_a_receiver_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as strong:
        file.write_text(toml([ws("strong", strong)]))
        with pytest.raises(AssertionError, match=r"expected \[delivery.otlp\] in .*, found none"):
            async with watching(file, "--push"):
                pass


def test_a_drop_that_joins_an_incident_later_has_its_trace() -> None:
    """What is judged later holds the first drop, too, and is another object."""
    paper = Paper()
    log = Log(lambda: 0.0, paper)  # type: ignore[arg-type]
    traces = Traces({}, log, FakeClock(), dict)
    run = RunRecord(deployment="kept", heartbeat_seconds=1.0)
    drops = [
        Drop(began=1.0, noticed=at, reason="connection_reset", symptom="down", stage="hold",
             call=n, strand="held", asked=1.5)
        for n, at in enumerate((2.0, 2.5, 9.0))
    ]  # fmt: skip
    legs = [
        Observation(leg=name, kind="ws_echo", path=("front",), outcome="failed",
                    reason="connection_reset", level="hold", drops=(drop,))
        for name, drop in zip(("one", "two"), drops, strict=False)
    ]  # fmt: skip
    (alone,), (both,) = (judge_run(run, some).incidents for some in (legs[:1], legs))
    first = traces.tell("one", drops[0], alone, 100.0, run)
    assert first is not None
    assert traces.tell("two", drops[1], both, 100.5, run) == first
    assert traces.tell("two", drops[1], None, 100.5, run) is None
    later = msgspec.structs.replace(legs[0], drops=(drops[2],))
    (other,) = judge_run(run, [later]).incidents
    assert traces.tell("one", drops[2], other, 107.0, run) not in (None, first)
    # Bounded: further incidents get none, and the next trace says how many went without.
    for n in range(2 * MOST_OPEN):
        drop = msgspec.structs.replace(drops[2], noticed=100.0 + n, call=n)
        (one,) = judge_run(run, [msgspec.structs.replace(later, drops=(drop,))]).incidents
        told = traces.tell("one", drop, one, 200.0 + n, run)
    assert told is None
    assert len(traces._open) == MOST_OPEN
