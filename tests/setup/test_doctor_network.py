"""`t3probe doctor` against the lab, with parts of it broken."""

from __future__ import annotations

import base64
import importlib
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from deliver.delivery_servers import answering, serving
from deliver.trace_receiver import receiving
from first_help import t3probe
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config import loads
from t3probe.lab.process import LabProcess
from t3probe.setup import network
from t3probe.setup.machine import DoctorRow

STATUS = json.dumps({"status": "success"}).encode()


def rows(
    tmp_path: Path, *words: str, code: int, env: dict[str, str] | None = None
) -> dict[str, list[tuple[str, str]]]:
    """What -> (state, everything said about it)."""
    done = t3probe("doctor", *words, folder=tmp_path, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    assert not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    found: dict[str, list[tuple[str, str]]] = {}
    last: list[tuple[str, str]] = []
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            state, said = last.pop()
            last.append((state, f"{said} {line.strip()}"))
        else:
            last = found.setdefault(line[15:26].strip(), [])
            last.append((line[:15].strip(), line[26:]))
    return found


def test_all_is_well_with_the_lab(lab: LabProcess, tmp_path: Path) -> None:
    found = rows(tmp_path, lab.deployment_path, code=0)
    assert {state for some in found.values() for state, _ in some} == {"ok"}
    assert [said for _, said in found["deployment"]] == ["lab: 14 legs"]
    assert len(found["resolver"]) == 2
    assert "within 5 s of 5 servers" in found["clock"][0][1]
    assert "gateway" not in found


@pytest.mark.parametrize(
    ("content", "state", "words"),
    [
        ("Cookie: lab_session=valid\n", "ok", "walled-home is let in"),
        ("Cookie: lab_session=expired\n", "wrong", "our credential is refused"),
        ("no header\n", "wrong", "expected `Name: value` in each line"),
    ],
)
def test_a_credential_is_tried(
    content: str, state: str, words: str, lab: LabProcess, tmp_path: Path
) -> None:
    (tmp_path / "headers").write_text(content)
    text = Path(lab.deployment_path).read_text()
    shown = '[[walled]]\nheaders_file = "headers"\nserved_with = true\n'
    assert text.count("[[walled]]\n") == 1
    (tmp_path / "shown.toml").write_text(text.replace("[[walled]]\n", shown))
    found = rows(tmp_path, "shown.toml", code=0 if state == "ok" else 1)
    (row,) = found["credential"]
    assert row[0] == state
    assert words in row[1]


def test_without_a_file_the_lab_is_named(tmp_path: Path) -> None:
    found = rows(tmp_path, code=0)
    assert found["deployment"] == [("ok", "none is named: a run starts the built-in lab")]
    assert "resolver" not in found


def test_blocked_resolvers_are_told_each(lab: LabProcess, tmp_path: Path) -> None:
    lab.switch(["doh:blackhole"])
    found = rows(tmp_path, lab.deployment_path, code=1)
    assert [state for state, _ in found["resolver"]] == ["wrong", "wrong"]
    assert "let HTTPS to 127.0.0.2 out" in found["resolver"][0][1]


def test_a_silent_lab_does_not_hang_it(lab: LabProcess, tmp_path: Path) -> None:
    silent = [f"{one}:blackhole" for one in ("doh", "cf-edge", "traefik", "devvm")]
    lab.switch([*silent, "serve:stall", "dispatch:stall"])
    found = rows(tmp_path, lab.deployment_path, code=1)
    assert found["clock"][0][0] == "could not tell"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"T3PROBE_DEPLYMENT": "x"}, "T3PROBE_DEPLYMENT names nothing -> did you mean"),
        ({"T3PROBE_GATEWAY_USR": "x"}, "did you mean T3PROBE_GATEWAY_USER? unset it"),
        ({"T3PROBE_X": "x"}, "T3PROBE_X names nothing -> unset it"),
    ],
)
def test_a_misspelt_variable(env: dict[str, str], words: str, tmp_path: Path) -> None:
    found = rows(tmp_path, code=1, env=env)
    assert found["variables"][0][0] == "wrong"
    assert words in found["variables"][0][1]


def test_a_real_gateway(lab: LabProcess, tmp_path: Path) -> None:
    gateway = RealGateway(tmp_path)
    gateway.start()
    try:
        found = rows(tmp_path, lab.deployment_path, "--gateway", gateway.url, code=0)
        assert found["gateway"][0][0] == "ok"
    finally:
        gateway.stop()
    found = rows(tmp_path, lab.deployment_path, "--gateway", gateway.url, code=1)
    assert "refuses connections" in found["gateway"][0][1]
    assert "prometheus-pushgateway --web.listen-address=" in found["gateway"][0][1]


def test_a_gateway_is_asked_without_a_file_too(tmp_path: Path) -> None:
    with serving(answering("200 OK", STATUS)) as server:
        found = rows(tmp_path, "--gateway", server.url, code=0)
        assert found["gateway"][0][0] == "ok"
    found = rows(tmp_path, "--gateway", "nonsense", code=1)
    assert "expected a URL that starts with http" in found["gateway"][0][1]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        ("401 Unauthorized", b"", "refuses the login (HTTP 401)"),
        ("403 Forbidden", b"", "T3PROBE_GATEWAY_TOKEN"),
        ("404 Not Found", b"", "is no Pushgateway: HTTP 404"),
        ("200 OK", b"hello", "is no Pushgateway: HTTP 200"),
    ],
)
def test_what_is_no_gateway_or_lets_nobody_in(
    lab: LabProcess, tmp_path: Path, status: str, body: bytes, words: str
) -> None:
    with serving(answering(status, body)) as server:
        found = rows(tmp_path, lab.deployment_path, "--gateway", server.url, code=1)
    assert found["gateway"][0][0] == "wrong"
    assert words in found["gateway"][0][1]


def test_the_login_is_used_and_never_shown(lab: LabProcess, tmp_path: Path) -> None:
    env = {"T3PROBE_GATEWAY_USER": "ann", "T3PROBE_GATEWAY_PASSWORD": "s3cret-word"}
    with serving(answering("200 OK", STATUS)) as server:
        found = rows(tmp_path, lab.deployment_path, "--gateway", server.url, code=0, env=env)
        pair = base64.b64encode(b"ann:s3cret-word")
        assert any(pair in request for request in server.requests)
    assert "s3cret" not in str(found)


def test_beyond_loopback_nothing_is_contacted_under_the_guard(tmp_path: Path) -> None:
    file = tmp_path / "far.toml"
    file.write_text(
        'name = "far"\nsegments = ["wan", "doh"]\n'
        '[[leg]]\nname = "r"\nkind = "doh"\npath = ["wan", "doh"]\nquery = "t3.example.org"\n'
        'doh = ["https://192.0.2.1/q", "https://192.0.2.2/q"]\n'
    )
    words = [str(file), "--gateway", "http://192.0.2.3:9091"]
    found = rows(tmp_path, *words, code=0)
    assert {found[what][0][0] for what in ("route", "resolver", "gateway", "clock")} == {
        "could not tell"
    }


def test_the_clock_of_a_server_that_is_hours_behind(tmp_path: Path) -> None:
    late = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
    with serving(answering("200 OK", b"", f"Date: {late}")) as server:
        file = tmp_path / "one.toml"
        file.write_text(
            'name = "one"\nsegments = ["app"]\n'
            f'[[leg]]\nname = "a"\nkind = "http"\nurl = "{server.url}/"\npath = ["app"]\n'
        )
        found = rows(tmp_path, str(file), code=1)
    assert found["clock"][0][0] == "wrong"
    assert found["clock"][0][1].startswith("2 h ahead of 1 of 1 servers -> timedatectl")


@pytest.mark.parametrize(
    ("ahead", "state"),
    [
        ([], "could not tell"),
        ([0.4], "ok"),
        ([-4.9, 4.9, 0.0], "ok"),
        ([60.0], "wrong"),
        ([-60.0, -61.0, 900.0], "wrong"),
        ([0.0, 500.0], "could not tell"),
    ],
)
def test_what_dates_say(ahead: list[float], state: str) -> None:
    assert network.clock(ahead).state == state


@given(st.lists(st.floats(-1e9, 1e9), max_size=6))
def test_dates_never_break_it(ahead: list[float]) -> None:
    row = network.clock(ahead)
    assert row.words
    assert bool(row.fix) == (row.state != "ok")


def test_a_missing_route(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        'name = "x"\nsegments = ["a"]\n[[leg]]\nname = "a"\nkind = "tcp"\n'
        'addresses = ["10.9.9.9:1", "[fd00::9]:1"]\npath = ["a"]\n'
    )
    monkeypatch.setattr(network, "_routed", lambda address: address.version == 4)
    found = network.routes(loads(text, environ={}, now=0.0))
    assert [row.words for row in found] == ["none to fd00::9", "none here: a name's are left out"]
    assert found[0] == DoctorRow(
        "wrong", "route", "none to fd00::9",
        "ip route add fd00::9 via ROUTER; or run elsewhere, with the leg's vantages set",
    )  # fmt: skip


def test_a_real_receiver_of_traces(lab: LabProcess, tmp_path: Path) -> None:
    endpoint = "T3PROBE__DELIVERY__OTLP__ENDPOINT"
    with receiving() as tap:
        found = rows(tmp_path, lab.deployment_path, code=0, env={endpoint: tap.url})
        assert found["traces"] == [("ok", f"127.0.0.1:{tap.port} takes traces, and our login")]
        assert tap.spans == []
    found = rows(tmp_path, lab.deployment_path, code=1, env={endpoint: tap.url})
    assert "refuses connections" in found["traces"][0][1]
    env = {endpoint: tap.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}
    found = rows(tmp_path, lab.deployment_path, code=1, env=env)
    assert "OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds" in found["traces"][0][1]
    env = {endpoint: tap.url, "OTEL_SDK_DISABLED": "true"}
    found = rows(tmp_path, lab.deployment_path, code=0, env=env)
    assert found["traces"][0][0] == "could not tell"
    env = {endpoint: tap.url, "T3PROBE_OTLP_HEADERS": "a=b", "T3PROBE_OTLP_TOKN": "x"}
    found = rows(tmp_path, lab.deployment_path, code=1, env=env)
    assert [said for _, said in found["variables"]] == [
        "T3PROBE_OTLP_TOKN names nothing -> did you mean T3PROBE_OTLP_TOKEN? unset it"
    ]


@pytest.mark.parametrize(
    ("status", "words"), [("401 No", "set T3PROBE_OTLP_TOKEN"), ("404 No", "ends in /v1/traces")]
)
def test_what_is_no_receiver_of_traces(
    lab: LabProcess, tmp_path: Path, status: str, words: str
) -> None:
    with serving(answering(status)) as server:
        env = {"T3PROBE__DELIVERY__OTLP__ENDPOINT": server.url}
        found = rows(tmp_path, lab.deployment_path, code=1, env=env)
    assert found["traces"][0][0] == "wrong"
    assert words in found["traces"][0][1]


def receiver_rows(tmp_path: Path, url: str, **env: str) -> list[DoctorRow]:
    text = f'''name = "d"
segments = ["a"]
[[leg]]
name = "x"
kind = "tcp"
address = "127.0.0.1:1"
path = ["a"]
[[delivery.remote_write]]
url = "{url}"
name = "main"
'''
    deployment = loads(text, environ={}, now=0.0)
    return [one for one in network.ask(deployment, "", env) if one.what == "receiver"]


@pytest.mark.parametrize(
    ("status", "state", "words", "fix"),
    [
        ("204 Y", "ok", "takes requests, and our login", ""),
        ("400 No", "could not tell", "refuses a request without series", "and the login"),
        ("401 No", "wrong", "refuses us with 401", "T3PROBE_REMOTE_WRITE_MAIN_TOKEN"),
        ("404 No", "wrong", "answers 404", "name the URL that takes remote write"),
        ("503 No", "wrong", "answers 503", "start it there, or change its url"),
    ],
)
def test_a_receiver_of_remote_write_is_asked(
    status: str, state: str, words: str, fix: str, tmp_path: Path
) -> None:
    with serving(answering(status)) as server:
        (row,) = receiver_rows(
            tmp_path, f"{server.url}/w", T3PROBE_REMOTE_WRITE_MAIN_TOKEN="abcdefgh"
        )
        assert b"Authorization: Bearer abcdefgh" in server.requests[0]
        assert server.requests[0].endswith(b"\r\n\r\n\x00")  # a request without series
    assert (row.state, words in row.words, fix in row.fix) == (state, True, True), row
    assert row.words.startswith(f"main at 127.0.0.1:{server.port}")


def test_a_receiver_that_is_away_or_lives_in_another_time(tmp_path: Path) -> None:
    (row,) = receiver_rows(tmp_path, "http://127.0.0.1:1/w")
    assert (row.state, "refuses connections" in row.words) == ("wrong", True)
    late = format_datetime(datetime.now(UTC) - timedelta(seconds=100), usegmt=True)
    with serving(answering("204 Y", b"", f"Date: {late}")) as server:
        (row,) = receiver_rows(tmp_path, f"{server.url}/w")
    assert row.state == "wrong"
    assert re.search(r"this clock is \d+ s ahead of that of main", row.words)


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("http://192.0.2.1/w", True, True),
        ("http://192.0.2.1/w", False, False),
        ("https://192.0.2.1/w", True, False),
        ("http://127.0.0.1:1/w", True, False),
        ("http://[::1]:1/w", True, False),
    ],
)
def test_a_login_over_plain_http_is_said(url: str, token: bool, said: bool) -> None:
    # Threads that import at once confuse Python 3.11 where pytest rewrites what they import.
    for one in ("delivery", "sinks.otlp", "sinks.receiver"):
        importlib.import_module(f"t3probe.deliver.{one}")
    names = ("REMOTE_WRITE", "OTLP", "GATEWAY")
    env = {f"T3PROBE_{name}_TOKEN": "a-token-of-ours" for name in names} if token else {}
    text = f'''name = "d"
segments = ["a"]
[[leg]]
name = "x"
kind = "tcp"
address = "127.0.0.1:1"
path = ["a"]
[[delivery.remote_write]]
url = "{url}"
[delivery.otlp]
endpoint = "{url}"
'''
    deployment = loads(text, environ={}, now=0.0)
    found = [
        (one.what, one.state) for one in network.ask(deployment, url, env)
        if "goes over plain http" in one.words
    ]  # fmt: skip
    whole = {(one, "could not tell") for one in ("receiver", "traces", "gateway")}
    assert {*found} == (whole if said else set())
    if said:
        header = {"T3PROBE_OTLP_HEADERS": "x-api-key=0123456789"}
        rows = network.traces(deployment, header)
        assert ["plain http" in one.words for one in rows] == [False, True]
