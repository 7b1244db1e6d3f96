"""A lab as a process: how it starts, what it leaves behind, and being switched from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from labclient import LONG, Site, outcome

from t3probe.config.load import load
from t3probe.config.table import Duration
from t3probe.lab import control, gate, stack
from t3probe.lab.control import ControlError, LabError
from t3probe.lab.faults import SEGMENTS, FaultError
from t3probe.lab.process import LabProcess
from t3probe.lab.stack import Lab

SESSION_PAGE = "/api/auth/session"
ROOT = Path(stack.__file__).parents[2]


def test_the_parent_loads_nothing_heavy() -> None:
    code = "import sys, t3probe.lab.process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    heavy = {"asyncio", "ssl", "websockets", "dns", "trustme", "cryptography", "aiohttp"}
    assert not heavy & set(loaded.stdout.decode().split())


# The file


def shape(file: dict[str, Any]) -> str:
    """A deployment without what differs from lab to lab."""
    kept = {key: value for key, value in file.items() if key not in ("tls_ca", "lab")}
    return re.sub(r":\d+", ":PORT", json.dumps(kept))


def test_the_shipped_file_is_the_written_one_with_placeholders(site: Site) -> None:
    shipped = tomllib.loads((ROOT / "deployments" / "lab.toml").read_text("utf-8"))
    assert shape(shipped) == shape(site.file)
    assert shipped["segments"] == list(SEGMENTS)
    assert set(shipped["lab"]) == set(site.file["lab"])


def test_both_files_load_alike(site: Site) -> None:
    written = load(site.lab.deployment_path, {}, now=0)
    shipped = load(ROOT / "deployments" / "lab.toml", {}, now=0)
    assert (written.segments, written.paths) == (shipped.segments, shipped.paths)
    assert [(leg.name, leg.kind, leg.path) for leg in written.legs] == [
        (leg.name, leg.kind, leg.path) for leg in shipped.legs
    ]
    assert written.own_segments == ("upstream-orders", "upstream-billing", "upstream-search")
    assert written.timing.hold == Duration(6)
    assert written.timing.backoff == Duration(0.5)
    assert written.warnings == ()


def test_timing_can_be_overridden() -> None:
    with LabProcess(timing={"hold": "2s", "deadline": "9s"}) as lab:
        timing = load(lab.deployment_path, {}, now=0).timing
        assert timing.hold == Duration(2)
        assert timing.heartbeat == Duration(1)
        assert timing.deadline == Duration(9)


# Starting


@pytest.mark.parametrize(
    ("lab", "sentence"),
    [
        (
            LabProcess(["serve:quake"]),
            "t3probe lab: fault 'serve:quake': 'quake' cannot befall serve; these can: refuse,"
            " blackhole, reset, cut, stall, slow, close, exit, drain, idle, http502, new-502,"
            " new-404, new-sso.",
        ),
        (
            LabProcess(timing={"hodl": "2s"}),
            "t3probe lab: --timing hodl=2s: expected one of hold, heartbeat, watchdog,"
            " connect_timeout, backoff, backoff_max, deadline, sweep_interval, slow_floor,"
            " got 'hodl'.",
        ),
        (
            LabProcess(timing={"hold": "soon"}),
            "t3probe lab: --timing hold=soon: 'soon' is not a duration such as 500ms, 3s or 2m.",
        ),
    ],
)
def test_a_lab_that_cannot_start_says_why(lab: LabProcess, sentence: str) -> None:
    with pytest.raises(LabError) as caught:
        lab.start()
    assert str(caught.value) == sentence
    assert lab.pid == 0
    assert not os.path.exists(lab.deployment_path)


def run_main(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "t3probe.lab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 4, "t3probe lab: the following arguments are required: --write; see"
                " t3probe lab --help\n"),
        (("--write", "x", "--timing", "hold"), 4,
         "t3probe lab: --timing hold: expected KEY=DURATION, such as hold=2s.\n"),
        (("--write", "x", "--with-parent"), 1,
         "t3probe lab: --with-parent: expected a pipe as standard input, found none.\n"),
        (("--write", "/nowhere/x"), 1,
         "t3probe lab: cannot write /nowhere/x: No such file or directory;"
         " name another --write.\n"),
    ],
)  # fmt: skip
def test_bad_arguments_are_one_sentence(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    process = run_main(*arguments, stdin=subprocess.DEVNULL, cwd=tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.startswith(said)
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


async def test_loopback_addresses_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = gate.bind

    def refuses(host: str, port: int = 0) -> socket.socket:
        if host == "127.0.0.3":
            raise OSError(99, "Cannot assign requested address")
        return bind(host, port)

    monkeypatch.setattr(stack, "bind", refuses)
    with pytest.raises(LabError) as caught:
        await Lab().start()
    assert str(caught.value) == (
        "cannot listen on 127.0.0.3 (Cannot assign requested address): the lab needs the loopback"
        " addresses 127.0.0.1, 127.0.0.2 and 127.0.0.3, which Linux has by itself; elsewhere add"
        " them to the loopback interface (macOS: ifconfig lo0 alias 127.0.0.3)."
    )


async def test_faults_given_at_the_start_are_in_force_when_it_is_ready() -> None:
    with LabProcess(["serve:refuse", "dispatch:http502"]) as lab:
        assert lab.ready_line == (
            f"lab ready: {lab.deployment_path} (faults: serve:refuse, dispatch:http502)"
        )
        site = Site(lab)
        assert await outcome(site.connect(site.serve, None), SESSION_PAGE) == "refused"
        assert await outcome(site.connect(site.edge), "/probe/healthz") == "502"


async def test_a_timed_fault_counts_from_the_first_client() -> None:
    with LabProcess(["serve:refuse@1ms+300ms"]) as lab:
        site = Site(lab)
        assert lab.status()["active"] == []
        assert lab.status()["faults"] == ["serve:refuse@1ms+300ms"]
        seen = ["200"]
        while seen != ["200", "refused", "200"]:
            async with asyncio.timeout(LONG):
                now = await outcome(site.connect(site.serve, None), SESSION_PAGE)
            if now not in (seen[-1], "reset"):  # whoever is inside when it begins is reset
                seen.append(now)
            assert seen[:3] == ["200", "refused", "200"][: len(seen)]
        assert lab.status()["faults"] == []


async def test_two_labs_at_once() -> None:
    with LabProcess() as first, LabProcess(["cf-edge:refuse"]) as second:
        one, other = Site(first), Site(second)
        assert one.edge != other.edge
        assert await outcome(one.connect(one.edge), "/probe/healthz") == "200"
        assert await outcome(other.connect(other.edge), "/probe/healthz") == "refused"
        assert await outcome(other.connect(other.balancer), "/probe/healthz") == "200"
        first.stop()
        second.clear()
        assert await outcome(other.connect(other.edge), "/probe/healthz") == "200"


# Stopping


def test_stopping_lets_the_lab_tidy_up() -> None:
    with LabProcess() as lab:
        file = tomllib.loads(Path(lab.deployment_path).read_text("utf-8"))
    assert not Path(file["tls_ca"]).parent.exists()
    assert not Path(lab.deployment_path).parent.exists()
    assert (lab.pid, lab.errors()) == (0, "")
    lab.stop()  # twice does no harm


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(number: int, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    file = tmp_path / "lab.toml"
    process = run_main("--write", str(file), env={**os.environ, "TMPDIR": str(temporary)})
    assert process.stdout
    assert process.stdout.readline() == f"lab ready: {file} (faults: none)\n"
    deployment = tomllib.loads(file.read_text("utf-8"))
    ca = Path(deployment["tls_ca"])
    assert ca.is_relative_to(temporary)
    assert ca.exists()
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0
    assert sorted(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []
    with pytest.raises(ControlError):
        control.ask(deployment["lab"]["control"], deployment["lab"]["token"], {"status": True})


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    process = run_main("--write", str(file))
    assert process.stdout
    process.stdout.readline()
    file.write_text("mine")
    process.terminate()
    process.communicate(timeout=30)
    assert file.read_text() == "mine"


def test_the_lab_ends_when_its_parent_dies() -> None:
    code = (
        "import os; from t3probe.lab.process import LabProcess; lab = LabProcess().start();"
        "print(lab.deployment_path, flush=True); os.read(0, 1); os._exit(9)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    deployment = Path(parent.stdout.readline().strip())
    file = tomllib.loads(deployment.read_text("utf-8"))
    parent.communicate("x", timeout=30)
    assert parent.returncode == 9
    # The lab closes its control socket, then removes its files.
    host, _, port = file["lab"]["control"].rpartition(":")
    waited = 0
    while Path(file["tls_ca"]).exists():
        with socket.socket() as sock:
            sock.settimeout(0.1)
            sock.connect_ex((host, int(port)))
            try:
                sock.recv(1)
            except OSError:
                waited += 1
        assert waited < 300
    assert not deployment.exists()
    deployment.parent.rmdir()


def _there(file: str | None) -> bool:
    return file is None or os.path.exists(file)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_a_busy_lab_in_this_process_leaves_no_task_and_no_socket() -> None:
    warm = Lab()
    await warm.start()
    await warm.stop()
    tasks, files = asyncio.all_tasks(), open_files()
    lab = Lab(["wan:slow:1h", "doh:blackhole", "tunnel:cut@1h"])
    await lab.start()
    places = lab.places
    streams = []
    for place in (places.public, places.balancer, *places.doh, *places.upstreams, places.serve):
        host, _, port = place.rpartition(":")
        streams.append(await asyncio.open_connection(host, int(port)))
        streams[-1][1].write(b"\x16\x03\x01")
    await lab.switch(["dispatch:stall", "serve:refuse", "wan:blackhole"])
    await lab.stop()
    await lab.stop()  # twice does no harm
    assert not _there(places.ca)
    for _, writer in streams:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


# The control socket


def test_switching_from_outside(site: Site) -> None:
    lab = site.lab
    assert lab.switch(["tunnel:refuse"])["active"] == ["tunnel:refuse"]
    added = control.ask(lab.control, lab.token, {"add": ["serve:slow", "wan:blackhole@60s"]})
    assert added["active"] == ["tunnel:refuse", "serve:slow:300ms"]
    assert added["faults"] == ["tunnel:refuse", "serve:slow:300ms", "wan:blackhole@60s"]
    assert lab.status()["faults"] == added["faults"]
    assert lab.switch("devvm:stall")["active"] == ["devvm:stall"]
    assert lab.clear()["faults"] == []


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            {"faults": ["tunnel:quake"]},
            "fault 'tunnel:quake': 'quake' cannot befall tunnel; these can: refuse, blackhole,"
            " reset, cut, stall, slow, close, exit, drain, idle, half, http502, new-502, new-404,"
            " new-sso.",
        ),
        ({"faults": "wan:cut"}, 'expected a list of faults as text, got "wan:cut".'),
        (
            {"fault": ["wan:cut"]},
            'expected one of {"faults": [...]}, {"add": [...]}, {"clear": true} and'
            " {\"status\": true}, got 'fault'.",
        ),
        (
            {},
            'expected one of {"faults": [...]}, {"add": [...]}, {"clear": true} and'
            ' {"status": true}, got 0 orders.',
        ),
    ],
)
def test_orders_that_make_no_sense(site: Site, message: dict[str, object], sentence: str) -> None:
    site.lab.switch(["serve:slow"])
    with pytest.raises(ControlError) as caught:
        control.ask(site.lab.control, site.lab.token, message)
    assert str(caught.value) == sentence
    assert site.lab.status()["active"] == ["serve:slow:300ms"]


FOREIGN = [
    b'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n{"clear": true}\n',
    b'\n{"clear": true}\n',
    b'[]\n{"clear": true}\n',
    b"[" * 50_000 + b"\n",
    b"\x16\x03\x01\x02\x00\n",
]


@pytest.mark.parametrize("said", FOREIGN, ids=lambda one: repr(one[:12]))
def test_what_is_no_order_ends_the_connection(site: Site, said: bytes) -> None:
    """A web page's POST reaches a loopback port, too: what follows its first line is not read."""
    site.lab.switch(["serve:slow"])
    said = said.replace(b'{"c', b'{"token": "%s", "c' % site.lab.token.encode())
    host, _, port = site.lab.control.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(said)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100) == b""
    assert site.lab.status()["active"] == ["serve:slow:300ms"]


@pytest.mark.parametrize("token", ["", "x", "\u00e9", None, 1, ["a"]])
def test_an_order_needs_the_token_of_the_labs_file(site: Site, token: Any) -> None:
    site.lab.switch(["serve:slow"])
    with pytest.raises(ControlError, match=r"^expected the token that the lab's file holds\.$"):
        control.ask(site.lab.control, token, {"clear": True})
    assert site.lab.status()["active"] == ["serve:slow:300ms"]
    assert len(site.lab.token) >= 32
    assert stat.S_IMODE(os.stat(site.lab.deployment_path).st_mode) == 0o600


def test_a_control_socket_that_is_none() -> None:
    with pytest.raises(ControlError, match=r"^expected a lab's control socket as 127"):
        control.ask("example.org:80", "", {"status": True})
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        answering = threading.Thread(target=_answer_once, args=(other,))
        answering.start()
        with pytest.raises(ControlError) as caught:
            control.ask(place, "", {"status": True})
        answering.join()
    assert str(caught.value) == f"what listens at {place} is no lab: it answered 'SSH-2.0'."
    with pytest.raises(ControlError, match=rf"^no lab answers at {place} \(.*\); is it still"):
        control.ask(place, "", {"status": True})


def _answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b"SSH-2.0")


async def test_a_lab_must_be_started_and_its_faults_valid() -> None:
    with pytest.raises(LabError, match=r"^the lab has not been started: call start\(\) first\.$"):
        Lab().deployment_text()
    with pytest.raises(FaultError):
        Lab(["wan:quake"])
    with pytest.raises(ValueError, match="--timing"):
        Lab(timing={"x": "1s"})
