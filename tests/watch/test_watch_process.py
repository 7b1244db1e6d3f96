"""A real process: its signals, its lines, its answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from probes.servers import (
    CLOSE,
    echo,
    echo_frames,
    frame,
    read_frame,
    reset,
    serve,
    silent,
    until,
    upgrade,
)
from watch_process import SECONDS, count, tcp, toml, watching, ws

from t3probe.deliver.metrics import TABLE
from t3probe.observation import REASONS

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def held(name: str, server: Any) -> str:
    """A leg without fresh beats: its opening is the only connection it makes."""
    return ws(name, server, more="fresh_every = 0")


async def test_sigterm_closes_web_sockets_properly_and_ends_with_zero(tmp_path: Path) -> None:
    codes: list[int] = []

    async def notes_the_close(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == CLOSE:
                codes.append(struct.unpack("!H", payload[:2])[0])
                writer.write(frame(CLOSE, payload))
                return
            writer.write(frame(opcode, payload))

    file = tmp_path / "kept.toml"
    for number in (signal.SIGTERM, signal.SIGINT):
        async with serve(notes_the_close) as server:
            file.write_text(toml([held("one", server), held("two", server)], heartbeat="1s"))
            async with watching(file) as kept:
                await kept.beats("two", 1)
                assert await kept.end(number) == 0
                stop = await kept.line("stop")
                assert stop["drops"] == 0
                assert await kept.errors() == ""
    assert len(codes) == 4
    assert set(codes) <= {1000, 1001}


async def test_sigterm_ends_in_time_when_nobody_answers(tmp_path: Path) -> None:
    async def mute_after_two(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer, 2)
        await silent(reader, writer)

    file = tmp_path / "kept.toml"
    async with serve(silent) as mute, serve(mute_after_two) as later:
        times = "watchdog = "
        text = toml([ws("mute", mute), ws("later", later)]).replace(f'{times}"4s"', f'{times}"60s"')
        file.write_text(text)
        async with watching(file) as kept:
            await kept.beats("later")
            assert await kept.end() == 0


async def test_sigterm_while_it_starts(tmp_path: Path) -> None:
    """Whenever it comes, it ends the process with 0 or, before Python listens, by the signal."""
    file = tmp_path / "kept.toml"
    async with serve(silent) as mute:
        file.write_text(toml([ws("mute", mute)]))
        for delay in (0.1, 0.2, 0.3, 0.45):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "t3probe.cli", "watch", str(file), "--listen", "127.0.0.1:0",
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            await asyncio.sleep(delay)
            process.terminate()
            _, errors = await process.communicate()
            assert process.returncode in (0, -signal.SIGTERM)
            assert b"Traceback" not in errors


async def test_a_reload_keeps_what_did_not_change(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as stays, serve(echo) as goes, serve(echo) as comes:
        file.write_text(toml([held("stays", stays), ws("goes", goes), tcp("port", stays)]))
        async with watching(file) as kept:
            await kept.until('t3probe_connected{leg="goes"} 1.0')
            before = await kept.beats("stays", 5)
            assert 'reason="io_error"' in before
            # A new leg, one that goes, another heartbeat; and an upstream changes its definition.
            file.write_text(
                toml(
                    [held("stays", stays), ws("comes", comes), tcp("port", goes)],
                    heartbeat="150ms",
                )
            )
            kept.process.send_signal(signal.SIGHUP)
            line = await kept.line("reload")
            changes = {key: value for key, value in line.items() if key not in ("time", "event")}
            assert changes == {
                "ok": True, "stayed": 1, "began": 2, "ended": 2, "new": ["comes"], "gone": ["goes"],
            }  # fmt: skip
            after = await kept.until('t3probe_connected{leg="comes"} 1.0')
            assert 'leg="goes"' not in after
            assert count(after, "stays") > count(before, "stays")
            assert count(after, "port") >= 1  # started anew, and goes on counting
            web_sockets = [one for one in stays.requests if b"GET /stays" in one]
            assert len(web_sockets) == 1
            assert "drop" not in {one["event"] for one in kept.said}
            assert await kept.end() == 0


async def test_an_invalid_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as server:
        file.write_text(toml([held("one", server)]))
        async with watching(file) as kept:
            await kept.until('t3probe_connected{leg="one"} 1.0')
            for text, words in (("name = ", "TOML"), (toml([]), "at least one leg")):
                file.write_text(text)
                kept.process.send_signal(signal.SIGHUP)
                line = await kept.line("reload")
                assert line["ok"] is False
                assert words in line["error"]
            seen = count((await kept.get("/metrics"))[1], "one")
            await kept.beats("one", seen + 3)
            assert len(server.requests) == 1
            assert await kept.end() == 0
            await kept.line("stop")
            assert "drop" not in {one["event"] for one in kept.said}, kept.said


async def test_each_drop_is_one_line_with_its_verdict(tmp_path: Path) -> None:
    async def breaks(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections == 1:  # type: ignore[attr-defined]
            await echo_frames(reader, writer, 5)
            await asyncio.sleep(0.05)
            reset(writer)
        else:
            await echo_frames(reader, writer)

    file = tmp_path / "kept.toml"
    async with serve(breaks) as bad, serve(echo) as well:
        file.write_text(toml([ws("whole", bad), ws("front", well, '"front"')]))
        async with watching(file, "--vantage", "attic") as kept:
            line = await kept.line("drop")
            body = await kept.until(
                't3probe_disconnects_total{leg="whole",reason="connection_reset",vantage="attic"} 1'
            )
            assert await kept.end() == 0
    assert (line["leg"], line["reason"], line["symptom"]) == ("whole", "connection_reset", "cut")
    assert line["time"].endswith("Z")
    assert line["counted"] is True
    assert line["age_seconds"] > 0
    assert line["recovered"] is not None
    assert line["evidence"]["remote"] == bad.pin
    assert line["evidence"]["local"].startswith("127.0.0.1:")
    assert line["verdict"]["convicted"] == ["back"]
    assert line["verdict"]["exonerated"] == ["front"]
    assert line["verdict"]["text"] == "whole was cut and could reconnect at once: back is convicted"
    assert 't3probe_segment_state{segment="back",state="convicted",vantage="attic"} 1.0' in body


async def test_metrics_are_those_of_the_table_and_lint_clean(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as server:
        file.write_text(toml([ws("one", server), tcp("port", server)]))
        async with watching(file, "--vantage", "attic") as kept:
            first = (await kept.get("/metrics"))[1]
            body = await kept.until('t3probe_connected{leg="port",vantage="attic"} 1.0')
            assert await kept.get("/metrics?x=1") != (404, "")
            assert (await kept.get("/metrics", "POST"))[0] == 405
            assert (await kept.get("/elsewhere"))[0] == 404
            assert (await kept.get("/healthz", "HEAD")) == (200, "")
            assert (await kept.get("/healthz"))[0] == 200
            assert await kept.end() == 0
    for reason in REASONS:  # from the first scrape on
        row = f't3probe_disconnects_total{{leg="one",reason="{reason}",vantage="attic"}} 0.0'
        assert row in first.splitlines()
    assert "t3probe_run_complete" in first
    known = {spec.name: spec.type for spec in TABLE}
    types = dict(row.split(" ")[2:4] for row in body.splitlines() if row.startswith("# TYPE"))
    assert types
    assert all(known[name] == kind for name, kind in types.items())
    assert {spec.name for spec in TABLE if not spec.absent} <= set(types)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(  # noqa: ASYNC221
        [promtool, "check", "metrics"], input=body, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_a_drop_whose_reader_is_gone_ends_nothing(tmp_path: Path) -> None:
    """Nobody reads standard output any more, as when the log collector dies."""
    file = tmp_path / "kept.toml"
    async with serve(echo) as server:
        file.write_text(toml([ws("one", server)]))
        async with watching(file) as kept:
            await kept.until('t3probe_connected{leg="one"} 1.0')
            assert kept.process.stdout is not None
            kept.process.stdout._transport.close()  # type: ignore[attr-defined]
            kept.process.send_signal(signal.SIGHUP)
            seen = count((await kept.get("/metrics"))[1], "one")
            await kept.beats("one", seen + 3)
            assert await kept.end() == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            [],
            "t3probe: watch: expected a deployment file, found none; name one: t3probe watch FILE",
        ),
        (["nowhere.toml"], "nowhere.toml: expected a readable deployment file, found no such file"),
        (["{file}", "--listen", "9108"], "--listen: expected HOST:PORT or :PORT"),
        (
            ["{file}", "--listen", "127.0.0.1:{taken}"],
            "cannot listen there: Address already in use",
        ),
        (
            ["{file}", "--vantage", "home/office"],
            'expected the name of a vantage without @ and /, found "home/office"; rename it',
        ),
    ],
)
async def test_wrong_usage_is_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as server:
        file.write_text(toml([ws("one", server)]))
        given = [one.format(file=file, taken=server.port) for one in words]
        environ = {key: value for key, value in os.environ.items() if key != "T3PROBE_DEPLOYMENT"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "t3probe.cli", "watch", *given,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
        )  # fmt: skip
        async with asyncio.timeout(SECONDS):
            out, errors = await process.communicate()
    assert process.returncode == 4
    assert out == b""
    assert sentence in errors.decode()
    assert errors.count(b"\n") == 1
    assert server.connections == 0


async def test_the_held_mode_loads_no_pytest(tmp_path: Path) -> None:
    file = tmp_path / "kept.toml"
    async with serve(echo) as server:
        file.write_text(toml([ws("one", server)]))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "importtime", "-m", "t3probe.cli", "watch", str(file),
            "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        await until(lambda: server.connections > 0, SECONDS)
        process.terminate()
        _, errors = await process.communicate()
    loaded = {row.rpartition("|")[2].strip() for row in errors.decode().splitlines()}
    assert "t3probe.watch.service" in loaded
    assert not [name for name in loaded if name.startswith(("pytest", "_pytest", "aiohttp"))]
