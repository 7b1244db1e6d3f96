"""The real program with the package's own client, over both transports."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from deliver.delivery_programs import DIRECT
from mcp import Client
from mcp_asking import SECONDS, over_stdio, serving, started
from mcp_runs import BROKEN_TUNNEL, NOW, THREE_DOWN, good, upstream, write

from t3probe.cli import main
from t3probe.commands import mcp as command
from t3probe.timing import SystemClock

TRANSPORTS = pytest.mark.parametrize("transport", ["stdio", "http"])
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


@asynccontextmanager
async def client(transport: str, folder: Path, *words: str | Path) -> AsyncIterator[Client]:
    if transport == "stdio":
        async with over_stdio(*words, folder=folder) as one:
            yield one
    else:
        with serving(*words, folder=folder) as (url, _):
            async with Client(url) as one:
                yield one


@TRANSPORTS
async def test_every_tool(transport: str, tmp_path: Path) -> None:
    now = SystemClock().wall()
    file = tmp_path / "results" / "junit.xml"  # the default
    async with asyncio.timeout(SECONDS), client(transport, tmp_path) as one:
        listed = (await one.list_tools()).tools
        assert listed[0].name == "query_backend_health"
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in listed)
        empty = await one.call_tool("query_verdict", {})
        assert empty.is_error
        assert "nothing recorded: run the checks first" in empty.content[0].text  # type: ignore[union-attr]

        write(file, (*BROKEN_TUNNEL, *THREE_DOWN), now)
        verdict = (await one.call_tool("query_verdict", {})).structured_content
        assert verdict["convicted"] == ["tunnel", "upstream-b", "upstream-d", "upstream-f"]
        assert 0 <= verdict["source"]["age_seconds"] < 60
        health = await one.call_tool("query_backend_health", {"unreachable_only": True})
        assert [row["backend"][0] for row in health.structured_content["upstreams"]] == [*"bdf"]
        legs = (await one.call_tool("query_legs")).structured_content
        assert legs["legs"][0]["name"] == "cloudflare"
        told = await one.call_tool("explain_drop", {"at": str(int(now - 20)), "users": ["user-1"]})
        assert told.structured_content["send_back"].startswith("Hello user-1")

        write(file, (good("egress", *("wan", "tunnel", "dispatch")),), now + 1)
        again = (await one.call_tool("query_verdict", {})).structured_content
        assert (again["status"], again["convicted"]) == ("clean", [])

        for wrong in ({"at": 5}, {"at": "x" * 50_000}, {"when": "14:03"}, {"at": "14:03", "n": {}}):
            answer = await one.call_tool("explain_drop", wrong)
            assert answer.is_error, wrong
            assert len(answer.content[0].text) < 800  # type: ignore[union-attr]
        assert not (await one.call_tool("query_legs")).is_error


@TRANSPORTS
async def test_ten_thousand_upstreams(transport: str, tmp_path: Path) -> None:
    file = tmp_path / "run.xml"
    write(file, [upstream(f"n{number:05}", ok=number != 7) for number in range(10_000)])
    async with asyncio.timeout(60), client(transport, tmp_path, "--runs", file) as one:
        answer = (await one.call_tool("query_backend_health")).structured_content
        assert (answer["total"], len(answer["upstreams"])) == (10_000, 200)
        assert answer["upstreams"][0]["name"] == "envoy-n00007"
        assert answer["source"]["stale"] is (SystemClock().wall() > NOW + 240)


@MODES
async def test_two_clients_at_once(mode: str, tmp_path: Path) -> None:
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    with serving("--runs", tmp_path, folder=tmp_path) as (url, process):

        async def ask(tool: str) -> Any:
            async with Client(url, mode=mode) as one:
                answers = await asyncio.gather(*(one.call_tool(tool) for _ in range(8)))
                return [one.structured_content["sentence"] for one in answers]

        async with asyncio.timeout(SECONDS):
            said = await asyncio.gather(ask("query_verdict"), ask("query_legs"))
        assert list(said) == [["tunnel is broken"] * 8, ["3 legs: 1 failed, 2 passed"] * 8]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def test_a_stdio_client_of_the_older_handshake(tmp_path: Path) -> None:
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {},
             "clientInfo": {"name": "old", "version": "1"}}  # fmt: skip
    lines: list[Any] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        "no JSON at all",
        "[]",
        '{"jsonrpc":"2.0","id":',
        '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"explain_drop",'
        '"arguments":{"at":NaN}}}',
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": 5}},
        {"jsonrpc": "2.0", "id": 5, "method": "tools/call",
         "params": {"name": "query_legs", "arguments": [1]}},
        {"jsonrpc": "2.0", "id": 6, "method": "no/such"},
        '"' + "x" * 300_000 + '"',
        '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"explain_drop",'
        '"arguments":{"at":"\\ud800","users":' + "[" * 500 + "]" * 500 + "}}}",
        {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "query_verdict"}},
    ]  # fmt: skip
    with started(["--runs", tmp_path], tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in lines:
            process.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        process.stdin.flush()
        answers: dict[Any, Any] = {}
        async with asyncio.timeout(SECONDS):
            while 9 not in answers:
                text = await asyncio.to_thread(process.stdout.readline)
                assert text, process.stderr and process.stderr.read()
                answer = json.loads(text)
                answers[answer.get("id")] = answer
        assert answers[9]["result"]["structuredContent"]["convicted"] == ["tunnel"]
        assert {4, 5, 6} <= set(answers)
        assert all("error" in answers[one] for one in (4, 5, 6))
        process.stdin.close()
        assert await asyncio.to_thread(process.wait, 10) == 0


def ask(url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    plain = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, body, {**plain, **headers})
    try:
        with DIRECT.open(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_other_hosts_origins_and_bodies_are_refused(tmp_path: Path) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    with serving(folder=tmp_path) as (url, _):
        port = url.split(":")[2].partition("/")[0]
        here = f"127.0.0.1:{port}"
        assert ask(url, body)[0] < 300
        assert ask(url, body, Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] < 300
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil"):
            assert ask(url, body, Host=host)[0] == 421, host
        for origin in ("http://evil.example", "null", "http://127.0.0.1", f"https://{here}"):
            assert ask(url, body, Origin=origin)[0] == 403, origin
        assert ask(url, b"x" * 300_000)[0] == 413
        assert ask(url, b"[" * 100_000)[0] in range(400, 500)
        assert ask(url, b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":NaN}}')[0]
        assert ask(f"http://{here}/other", body)[0] == 404
        assert ask(url, body)[0] < 300


# -- its words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "127.0.0.1:0"], "--listen belongs to --transport http"),
        (["--transport", "http", "--listen", "0.0.0.0:0"], "expected a loopback address"),
        (["--transport", "http", "--listen", ":0"], "expected a loopback address"),
        (["--transport", "http", "--listen", "example.com:80"], "expected a loopback address"),
        (["--transport", "http", "--listen", "127.0.0.1"], "expected ADDRESS:PORT"),
        (["--transport", "http", "--listen", "127.0.0.1:65536"], "a port up to 65535"),
        (["--runs", "-"], "standard input is the client's"),
        (
            ["--gateway", "http://127.0.0.1:65536"],
            "(Port out of range 0-65535); write http://HOST:PORT",
        ),
        (["--gateway", "http://["], "(Invalid IPv6 URL); write http://HOST:PORT"),
        (["--gateway", "ftp://127.0.0.1"], "--gateway: expected a URL that starts with http"),
        (["--prometheus", "x"], "expected a URL that starts with http"),
        (["--deployment", "missing.toml"], "missing.toml"),
    ],
)
def test_wrong_words(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["mcp", *words]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("t3probe: mcp: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "the package mcp is not installed; run: pip install 't3probe[mcp]'"),
        ("1.28.0", "expected the package mcp 2, found 1.28.0; run: pip install 't3probe[mcp]'"),
    ],
)
def test_without_the_package(
    found: str | None,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "_version_of", lambda name: found)
    assert main(["mcp"]) == 4
    assert capsys.readouterr().err == f"t3probe: mcp: {sentence}\n"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with serving(folder=tmp_path) as (url, _):
        place = url.removeprefix("http://").removesuffix("/mcp")
        with started(["--transport", "http", "--listen", place], tmp_path) as second:
            assert second.stderr is not None
            assert "cannot listen there" in second.stderr.read()
            assert second.wait(10) == 4


def test_only_this_command_loads_the_package(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom t3probe.cli import main\nmain(['verdict', sys.argv[1]])\n"
        "print(sorted({'mcp', 'pydantic', 'starlette', 'uvicorn'} & set(sys.modules)))\n"
    )
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run.xml")], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.endswith("[]\n")
