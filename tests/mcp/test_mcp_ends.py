"""How the program begins and ends: signals, closed and full streams, clients that say nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import pytest
from mcp import Client
from mcp_asking import ENVIRONMENT, PROGRAM, ROOT, SECONDS, serving, started
from mcp_runs import BROKEN_TUNNEL, write

TRANSPORTS = pytest.mark.parametrize("transport", ["stdio", "http"])
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
QUESTION = '{"jsonrpc":"2.0","id":1,"method":"no/such"}\n'
HTTP = ["--transport", "http", "--listen", "127.0.0.1:0"]


def said(process: subprocess.Popen[str]) -> str:
    """What it wrote to standard error until its end, which was no accident."""
    assert process.stderr is not None
    words = process.stderr.read()
    assert "Traceback" not in words
    return words


@TRANSPORTS
@SIGNALS
def test_a_signal_ends_it(transport: str, number: signal.Signals, tmp_path: Path) -> None:
    if transport == "http":
        with serving(folder=tmp_path) as (_, process):
            process.send_signal(number)
            assert process.wait(10) == 0
            assert said(process) == ""
        return
    with started([], tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(QUESTION)
        process.stdin.flush()
        assert process.stdout.readline()  # it serves
        process.send_signal(number)
        assert process.wait(10) == 0
        assert said(process) == ""


async def test_a_signal_ends_it_while_a_client_stays(tmp_path: Path) -> None:
    seen: list[object] = []
    with serving(folder=tmp_path) as (url, process), suppress(Exception):
        async with asyncio.timeout(SECONDS), Client(url) as one:
            seen.append(len((await one.list_tools()).tools))
            process.send_signal(signal.SIGTERM)
            seen.append(await asyncio.to_thread(process.wait, 10))
            await one.call_tool("query_legs")
            seen.append("it answers after its end")
    assert seen == [5, 0]


SIGNALLED_WHILE_LOADING = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            try:
                os.kill(os.getpid(), int(sys.argv[2]))
                sum(range(1000))
            except BaseException as error:
                raise ImportError("as a package that catches everything makes of it") from error
sys.meta_path.insert(0, Finder())
from t3probe.cli import main
sys.exit(main(["mcp"]))
"""


@SIGNALS
@pytest.mark.parametrize("module", ["msgspec", "mcp", "pydantic_core", "mcp.server.stdio"])
def test_a_signal_while_it_loads(module: str, number: signal.Signals, tmp_path: Path) -> None:
    done = python(SIGNALLED_WHILE_LOADING, module, str(int(number)), folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def python(code: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=folder,
        stdin=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT}, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("<&-", 4, "expected a client at standard input, found it closed"),
        (">&- </dev/null", 4, "expected a client at standard output, found it closed"),
        ("</dev/null", 0, ""),
        ("</dev/null 2>&-", 0, ""),
        ("<question >/dev/full", 1, "cannot be written (No space left on device)"),
    ],
)
def test_streams_that_are_closed_or_full(shell: str, code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "question").write_text(QUESTION * 3)
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {shell}', "bash", *PROGRAM], capture_output=True, text=True,
        cwd=tmp_path, env={**os.environ, **ENVIRONMENT}, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.count("\n") == bool(words)


def test_a_client_that_is_gone_but_left_its_end_open(tmp_path: Path) -> None:
    with started([], tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(QUESTION)
        process.stdin.flush()
        assert process.wait(SECONDS) == 0
        assert said(process) == ""


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    with started([], tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        piece = "x" * (1 << 20)
        for _ in range(200):
            process.stdin.write(piece)
        process.stdin.write("\n" + QUESTION)
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != 1:
            pass
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            assert peak is not None
            assert int(peak[1]) < 150_000
        process.stdin.close()
        assert process.wait(SECONDS) == 0


# -- clients over HTTP that say nothing --------------------------------------------------

IMPATIENT = """
import sys
from t3probe.ask.mcp_server import over_http
over_http.MCP_IDLE_SECONDS = over_http.REQUEST_SECONDS = 0.2
from t3probe.cli import main
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def impatient(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "mcp", *HTTP], cwd=folder, text=True,
        env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            assert process.stderr is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert found
            yield int(found[1]), process
        finally:
            process.kill()


def until_closed(one: socket.socket) -> bytes:
    """Everything that comes before the server closes the connection, which it must."""
    one.settimeout(SECONDS)
    seen = b""
    with suppress(ConnectionResetError):
        while piece := one.recv(65536):
            seen += piece
    return seen


def head(port: int, *lines: str, method: str = "POST") -> bytes:
    start = [f"{method} /mcp HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines]
    return ("\r\n".join(start) + "\r\n\r\n").encode()


def test_half_open_connections_shut_no_client_out(tmp_path: Path) -> None:
    """More than there are places; none of them is timed out meanwhile."""
    patient = IMPATIENT.replace("= 0.2", "= 60.0")
    with mock.patch(f"{__name__}.IMPATIENT", patient), impatient(tmp_path) as (port, _):
        half = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS) for _ in range(300)]
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as honest:
                honest.sendall(head(port, method="GET"))
                assert b" 405 " in until_closed(honest)
            assert until_closed(half[0]) == b""
        finally:
            for one in half:
                one.close()


BODY = ("Content-Type: application/json", "Accept: application/json, text/event-stream")


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST /mcp HT", b"DELETE /mcp HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["silent", "half a head", "idle after a request"],
)
def test_a_connection_that_idles_is_closed(beginning: bytes, tmp_path: Path) -> None:
    with impatient(tmp_path) as (port, process):
        many = [socket.create_connection(("127.0.0.1", port)) for _ in range(70)]
        try:
            for one in many:
                with suppress(OSError):
                    one.sendall(beginning)
            for one in many:
                until_closed(one)
        finally:
            for one in many:
                one.close()
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(head(port, "Connection: close", *BODY, "Content-Length: 2") + b"{}")
            assert b" 503 " not in until_closed(one)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        said(process)


def test_a_body_that_never_ends(tmp_path: Path) -> None:
    with impatient(tmp_path) as (port, process):
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(head(port, *BODY, "Content-Length: 50") + b"{")
            assert until_closed(one).startswith(b"HTTP/1.1 408 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        said(process)


def test_a_body_that_is_open_at_the_end(tmp_path: Path) -> None:
    with serving(folder=tmp_path) as (url, process):
        port = int(url.split(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(head(port, *BODY, "Content-Length: 50", "Expect: 100-continue"))
            one.settimeout(SECONDS)
            assert one.recv(100).startswith(b"HTTP/1.1 100 ")  # it waits for the body
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        assert all(line.startswith("t3probe: mcp: ") for line in said(process).splitlines())


def test_there_is_no_stream_to_hold_open(tmp_path: Path) -> None:
    with serving(folder=tmp_path) as (url, _):
        port = int(url.split(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(head(port, "Accept: text/event-stream", method="GET"))
            answer = until_closed(one)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"allow: POST" in answer


async def test_the_other_loopback(tmp_path: Path) -> None:
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    words = ["--runs", str(tmp_path), "--transport", "http", "--listen", "[::1]:0"]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with started(words, tmp_path) as process:
        assert process.stderr is not None
        found = re.search(r"http://\[::1\]:\d+/mcp", process.stderr.readline())
        assert found
        async with asyncio.timeout(SECONDS), Client(found[0]) as one:
            answer = (await one.call_tool("query_verdict")).structured_content
            assert answer["convicted"] == ["tunnel"]


# -- what it costs those who do not use it -----------------------------------------------

HEAVY = "{'anyio', 'httpx', 'mcp', 'pydantic', 'starlette', 'uvicorn'}"


def test_a_run_of_the_checks_loads_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys, pytest\n"
        "assert pytest.main(['--markers', '-c', sys.argv[1], '--rootdir', sys.argv[2]]) == 0\n"
        f"print(sorted({HEAVY} & set(sys.modules)))\n"
    )
    done = python(code, str(ROOT / "pytest.ini"), str(ROOT), folder=tmp_path)
    assert done.stdout.endswith("\n[]\n"), done.stdout[-500:] + done.stderr[-500:]


def test_without_the_extra(tmp_path: Path) -> None:
    """Everything installed but the package: its files and its metadata are not there."""
    import msgspec

    there = Path(msgspec.__file__).parents[1]
    for one in there.iterdir():
        if not one.name.partition("-")[0].startswith("mcp"):
            (tmp_path / one.name).symlink_to(one)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "t3probe.cli", "mcp"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}, cwd=ROOT, check=False,
        stdin=subprocess.DEVNULL, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == (
        "t3probe: mcp: the package mcp is not installed; run: pip install 't3probe[mcp]'\n"
    )
    (tmp_path / "mcp-2.9.dist-info").mkdir()
    (tmp_path / "mcp-2.9.dist-info" / "METADATA").write_text("Name: mcp\nVersion: 2.9\n")
    half = subprocess.run(
        done.args, capture_output=True, text=True, check=False, cwd=ROOT, timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert half.returncode == 4
    assert "the package mcp is only half installed (No module named 'mcp')" in half.stderr
    assert half.stderr.count("\n") == 1
