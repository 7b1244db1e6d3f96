"""No secret comes out of any program, whoever quotes it, and no runner obeys what a peer says."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from showing.showing_canaries import (
    ATTACKS,
    Quoting,
    canary,
    escaped,
    everything,
    obeyed,
    quoting,
)
from watch.watch_process import ask

from t3probe.lab.control import ControlError
from t3probe.lab.control import ask as ask_lab

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
COOKIE = canary("cookie")
TOKEN = canary("gateway-token")
PASSWORD = canary("gateway-password")
PROMETHEUS = canary("prometheus-token")
SOURCE = canary("source-token")
BEARER = canary("leg-bearer")
HEADER = canary("leg-header")
BASIC = canary("leg-basic")
ACCESS = canary("leg-access")
SHOWN = (BEARER, HEADER, BASIC, ACCESS)
"""What legs show to be let in."""
HEARTBEAT = "heartbeat-7f3a9cKeyZ"
IN_URL = "pa/ss#7f3a9c?in@url"
PRINTED = canary("printed-by-a-check")
ALL = (COOKIE, TOKEN, PASSWORD, PROMETHEUS, SOURCE, *SHOWN, HEARTBEAT, IN_URL)

DEPLOYMENT = """
name = "quoted"
segments = ["app", "side"]
tls_ca = "ca.pem"
[timing]
hold = "400ms"
heartbeat = "200ms"
watchdog = "2s"
connect_timeout = "1s"
backoff = "200ms"
sweep_interval = "1s"
[sso]
hosts = ["sso.lab.test"]
[delivery]
gateway = "http://127.0.0.1:{gateway}"
spool = "{spool}"
heartbeat_url = "http://127.0.0.1:{peer}/ping/{heartbeat}"
[[leg]]
name = "beat"
kind = "http"
url = "http://127.0.0.1:{peer}/beat"
path = ["app"]
[[leg]]
name = "closing"
kind = "ws_echo"
url = "ws://127.0.0.1:{peer}/close"
path = ["app"]
[[leg]]
name = "upgrade"
kind = "ws_echo"
url = "ws://127.0.0.1:{peer}/go"
path = ["side"]
[[leg]]
name = "let-in"
kind = "http"
url = "https://127.0.0.1:{safe}/beat"
bearer_file = "bearer"
headers_file = "headers"
access_id_file = "access"
access_secret_file = "access"
path = ["side"]
[[leg]]
name = "let-in-and-closed"
kind = "ws_echo"
url = "wss://127.0.0.1:{safe}/close"
basic_file = "basic"
path = ["side"]
[[leg]]
name = "let-in-and-sent-on"
kind = "ws"
url = "wss://127.0.0.1:{safe}/go"
headers_file = "headers"
path = ["side"]
[[public]]
name = "page"
url = "http://127.0.0.1:{peer}/go"
prefix = "/go"
path = ["app"]
[[walled]]
name = "home"
url = "http://127.0.0.1:{peer}/go/home"
path = ["app"]
[[upstream_source]]
name = "edge"
kind = "envoy"
url = "http://127.0.0.1:{peer}"
"""
OWN_CHECK = """
import os
import pytest

@pytest.mark.segments("side")
def test_of_our_own():
    print("::error::obeyed")
    print("##[error]obeyed " + os.environ["T3PROBE_GATEWAY_TOKEN"])
    print("Cookie: sid=" + os.environ["PRINTED"])
    raise RuntimeError("##vso[task.complete]obeyed Bearer " + os.environ["PRINTED"])
"""


@pytest.fixture(scope="module")
def peer() -> Iterator[Quoting]:
    with quoting(COOKIE) as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def safe(authority: trustme.CA) -> Iterator[Quoting]:
    """The same over TLS, where a leg's credential goes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with quoting(COOKIE, tls=context) as server:
        yield server


@pytest.fixture(scope="module")
def good_gateway() -> Iterator[Quoting]:
    with quoting(COOKIE, kind=True) as server:
        yield server


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, peer: Quoting, safe: Quoting, authority: trustme.CA
) -> Path:
    """A deployment, its secrets as files, a check of one's own, and a run of all."""
    home = tmp_path_factory.mktemp("quoted")
    for name, secret in (("token", TOKEN), ("source", SOURCE), ("prometheus", PROMETHEUS)):
        (home / name).write_text(secret + "\n")
    authority.cert_pem.write_to_path(home / "ca.pem")
    (home / "bearer").write_text(BEARER)
    (home / "headers").write_text(f"X-Api-Key: {HEADER}\n")
    (home / "basic").write_text(f"me:{BASIC}")
    (home / "access").write_text(ACCESS)
    (home / "test_own.py").write_text(OWN_CHECK)
    text = DEPLOYMENT.format(
        gateway=peer.port, peer=peer.port, safe=safe.port, heartbeat=HEARTBEAT, spool=home / "spool"
    )
    (home / "quoted.toml").write_text(text)
    (home / "run.txt").write_bytes(run(home, home / "results", home / "test_own.py"))
    return home


def environ(home: Path, **more: str) -> dict[str, str]:
    own = {
        "T3PROBE_LOOPBACK_ONLY": "1",
        "PYTHONPATH": str(ROOT),
        "T3PROBE_GATEWAY_TOKEN": TOKEN,
        "T3PROBE_PROMETHEUS_TOKEN_FILE": str(home / "prometheus"),
        "T3PROBE_SOURCE_EDGE_TOKEN_FILE": str(home / "source"),
        "PRINTED": PRINTED,
    }
    known = ("T3PROBE", "PYTEST", "COV_", "GITHUB", "CI")
    rest = {key: one for key, one in os.environ.items() if not key.startswith(known)}
    return {key: one for key, one in {**rest, **own, **more}.items() if one}


def program(words: list[str], variables: Mapping[str, str], folder: Path) -> bytes:
    """Everything that a program said."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=variables, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stdout


def t3probe(home: Path, *words: str, **more: str) -> bytes:
    return program(["-m", "t3probe.cli", *words], environ(home, **more), home)


def run(home: Path, results: Path, *more: Path | str, **variables: str) -> bytes:
    words = ["-m", "pytest", "-v", "-rA", "--push", "--record-line", f"--results={results}",
             f"--deployment={home / 'quoted.toml'}", f"--rootdir={ROOT}", str(ROOT / "checks"),
             *map(str, more)]  # fmt: skip
    return program(words, environ(home, **variables), ROOT)


def clean(output: bytes, *more: str) -> None:
    """Neither a secret nor a command."""
    assert escaped(output, (*ALL, *more)) == []
    assert obeyed(output) == []


def test_what_legs_show_is_quoted_where_it_goes_and_nowhere_else(
    safe: Quoting, peer: Quoting, folder: Path
) -> None:
    asked = b"\n".join(safe.asked)
    told = b"\n".join(safe.answer(one + b"\r\n\r\n") for one in safe.asked)
    assert escaped(asked, SHOWN) == list(SHOWN)
    assert escaped(told, SHOWN) == list(SHOWN)
    assert escaped(b"\n".join(peer.asked), SHOWN) == []
    assert not any(b"/round" in one.split(b"\r\n")[0] for one in safe.asked), "no redirect"
    output = (folder / "run.txt").read_text()
    assert "our credential is refused" in output
    assert "let-in-and-closed" in output


def test_the_canaries_can_be_seen(peer: Quoting, folder: Path) -> None:
    """The server was told the secrets, and says them; whoever looks finds them."""
    asked = b"\n".join(peer.asked)
    told = b"\n".join(peer.answer(one + b"\r\n\r\n") for one in peer.asked)
    for one in (COOKIE, TOKEN, SOURCE):
        assert escaped(asked, [one]) == [one]
        assert escaped(told, [one]) == [one]
    assert len(obeyed(b"a\n" + "\n".join(ATTACKS).encode())) == len(ATTACKS)


def test_a_run(folder: Path) -> None:
    output = (folder / "run.txt").read_bytes()
    assert b"delivery" in output
    assert b"refuses the metrics with 400" in output
    assert b"test_of_our_own" in output
    assert b"closed by the peer" in output
    clean(output, PRINTED)
    results = everything(folder / "results")
    assert b"test_of_our_own" in results
    waiting = everything(folder / "spool")
    assert b"state.json" in waiting
    assert escaped(results + waiting, (*ALL, PRINTED)) == []


def test_a_lab_that_quotes_its_token() -> None:
    token = canary("lab-token")

    def obey(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as lines:
            said = lines.readline().decode()
            coded = base64.b64encode(said.encode()).decode()
            answer = {"ok": False, "error": f"{said} {coded}"}
            sock.sendall(json.dumps(answer).encode() + b"\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=obey, args=(listener,))
        thread.start()
        with pytest.raises(ControlError, match="status") as caught:
            ask_lab(f"127.0.0.1:{listener.getsockname()[1]}", token, {"status": True})
        thread.join()
    clean(str(caught.value).encode(), token)


def test_a_run_whose_results_are_delivered(
    folder: Path, good_gateway: Quoting, tmp_path: Path
) -> None:
    at = f"http://127.0.0.1:{good_gateway.port}"
    basic = {"T3PROBE_GATEWAY_TOKEN": "", "T3PROBE_GATEWAY_USER": "me",
             "T3PROBE_GATEWAY_PASSWORD": PASSWORD}  # fmt: skip
    output = run(folder, tmp_path / "results", f"--gateway={at}", **basic)
    assert b"the heartbeat at" in output
    clean(output)
    assert escaped(everything(tmp_path), ALL) == []
    refused = folder_of(folder)
    output = t3probe(
        folder, "push", str(folder / "results/junit.xml"), "--gateway", refused, **basic
    )
    assert b"refuses the metrics with 400" in output
    clean(output)


def folder_of(home: Path) -> str:
    """The quoting server's URL, as the deployment file has it."""
    text = (home / "quoted.toml").read_text()
    return text.partition('gateway = "')[2].partition('"')[0]


RECORD = "results/junit.xml"
COMMANDS = [
    ["push", RECORD, "--gateway", "URL"],
    ["retire", "--gateway", "URL"],
    ["push", RECORD, "--gateway", f"http://user:{IN_URL}@127.0.0.1:1"],
    ["retire", "--gateway", f"http://user:12/{IN_URL}@127.0.0.1:1"],
    ["doctor", "quoted.toml", "--gateway", f"http://user:{IN_URL}@127.0.0.1:1"],
    ["legs", f"http://u:{IN_URL}@127.0.0.1:1"],
    ["mcp", "--gateway", f"http://user:{IN_URL}@127.0.0.1:1"],
    ["explain", "--at", "1 minute ago", "--prometheus", f"http://u:{IN_URL}@127.0.0.1:1"],
    ["verdict", RECORD],
    ["verdict", RECORD, "--text"],
    ["verdict", RECORD, "--format", "markdown"],
    ["verdict", "run.txt", "--all", "--text"],
    ["verdict", RECORD, "--repeat", "--text"],
    ["report", RECORD, "-o", "-"],
    ["compare", RECORD, RECORD],
    ["compare", RECORD, RECORD, "--format", "json"],
    ["explain", "--at", "1 second ago", "--runs", "results"],
    ["explain", "--at", "1 second ago", "--runs", "results", "--json"],
    ["explain", "--at", "1 minute ago", "--prometheus", "URL", "--deployment", "quoted.toml"],
    ["doctor", "quoted.toml"],
    ["legs", "quoted.toml"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:40])
def test_a_command(folder: Path, words: list[str]) -> None:
    url = folder_of(folder)
    output = t3probe(folder, *(one.replace("URL", url) for one in words))
    assert output
    clean(output, PRINTED)


def test_annotations_are_ours_alone(folder: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    for words in (["verdict", RECORD], ["compare", RECORD, RECORD]):
        output = t3probe(folder, *words, "--format", "github", GITHUB_STEP_SUMMARY=str(summary))
        assert escaped(output, (*ALL, PRINTED)) == []
        commands = obeyed(output)
        assert commands
        assert all(one.startswith(("::error title=", "::warning title=", "::notice title="))
                   for one in commands)  # fmt: skip
        assert not [one for one in commands if "##[" in one or "##vso[" in one]
    assert escaped(summary.read_bytes(), (*ALL, PRINTED)) == []


def test_a_log_and_a_record_that_others_wrote(folder: Path, tmp_path: Path) -> None:
    """What is read from a file is foreign, too."""
    lines = [
        f"2026-11-21T14:03:{at:02d}Z dispatch: proxy error: {ATTACKS[at % 3]} "
        f"Cookie: sid={COOKIE}; t={TOKEN} Authorization: Bearer {PASSWORD}"
        for at in range(40)
    ]
    lines += [f"{ATTACKS[1]} token={COOKIE}", *ATTACKS]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    for more in ([], ["--json"]):
        words = ["forensics", str(tmp_path / "log"), "--runs", str(folder / "results"), *more]
        output = t3probe(folder, *words)
        assert b"40" in output
        clean(output)
    text = (folder / RECORD).read_text()
    plant = f'"detail":"{ATTACKS[2]} Cookie: sid={COOKIE}; x={TOKEN} '
    spoilt = text.replace("&quot;detail&quot;:&quot;", plant.replace('"', "&quot;"))
    assert spoilt != text
    (tmp_path / "junit.xml").write_text(spoilt)
    for words in (
        ["verdict", "--text"],
        ["report", "-o", "-"],
        ["verdict", "--format", "markdown"],
    ):
        output = t3probe(folder, words[0], str(tmp_path / "junit.xml"), *words[1:])
        assert b"obeyed" in output
        clean(output)


async def asked(home: Path, *words: str) -> bytes:
    """What the MCP server answers to every question, and what it says beside it."""
    errors = home / "mcp.txt"
    said: list[str] = []
    with open(errors, "a") as log:  # noqa: ASYNC230
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "t3probe.cli", "mcp", *words],
            env=environ(home), cwd=home,
        )  # fmt: skip
        async with Client(stdio_client(parameters, errlog=log)) as client:
            for tool, arguments in (
                ("query_legs", {}),
                ("query_verdict", {}),
                ("query_backend_health", {}),
                ("explain_drop", {"at": "1 second ago"}),
            ):
                result = await client.call_tool(tool, arguments)
                said.append(result.model_dump_json())
    assert len(said) == 4
    return "\n".join(said).encode() + errors.read_bytes()


async def test_mcp(folder: Path) -> None:
    url = folder_of(folder)
    async with asyncio.timeout(SECONDS):
        of_runs = await asked(folder, "--runs", "results", "--deployment", "quoted.toml")
        of_sites = await asked(folder, "--gateway", url, "--prometheus", url)
    assert b"closing" in of_runs
    assert b"refuses the metrics with 400" in of_sites
    for output in (of_runs, of_sites):
        assert escaped(output, (*ALL, PRINTED)) == []


@contextmanager
def watching(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ["-m", "t3probe.cli", "watch", "quoted.toml", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, *words], cwd=home, env=environ(home),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def test_the_held_mode(folder: Path) -> None:
    with watching(folder) as process:
        assert process.stdout is not None
        lines: list[bytes] = []
        address = ""
        while sum(b'"drop"' in one for one in lines) < 3:
            line = await asyncio.to_thread(process.stdout.readline)
            assert line, lines
            lines.append(line)
            if b'"start"' in line:
                address = json.loads(line)["listen"]
        pages = [await ask(address, path) for path in ("/metrics", "/healthz")]
        process.send_signal(signal.SIGTERM)
        rest = await asyncio.to_thread(process.stdout.read)
    output = b"".join(lines) + rest
    assert all(json.loads(one) for one in output.splitlines())
    clean(output)
    assert pages[0][0] == 200
    assert "t3probe_" in pages[0][1]
    for _, text in pages:
        clean(text.encode())
