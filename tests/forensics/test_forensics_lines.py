"""What each kind of line is taken for, in each form that collectors give it."""

from __future__ import annotations

import json

import pytest
from forensics_help import AT, access, read, told
from forensics_samples import SAMPLES

from t3probe.ask.forensics.kinds import KINDS
from t3probe.ask.forensics.tally import CODE_BITS

PROXY = "2026/11/20 14:03:07 http: proxy error: "
EDGE = "2026-11-20T14:03:07Z "

MESSAGES = [
    (PROXY + "context canceled", "dispatch_client_gone"),
    ("2026/11/20 14:03:07 httputil: ReverseProxy read error during body copy: context canceled",
     "dispatch_client_gone"),
    (PROXY + "read tcp 10.0.0.2:54321->10.0.0.1:3773: read: connection reset by peer",
     "dispatch_backend_reset"),
    (PROXY + "read tcp [::1]:54321->[::1]:3773: read: connection reset by peer",
     "dispatch_backend_reset"),
    (PROXY + "read tcp 10.0.0.1:3773->10.0.0.2:54321: read: connection reset by peer",
     "dispatch_client_reset"),
    (PROXY + "write tcp 10.0.0.2:54321->10.0.0.1:3773: write: broken pipe",
     "dispatch_backend_reset"),
    (PROXY + "dial tcp 127.0.0.1:3773: connect: connection refused", "dispatch_backend_refused"),
    (PROXY + "dial tcp 127.0.0.1:3773: i/o timeout", "dispatch_backend_silent"),
    (PROXY + "net/http: timeout awaiting response headers", "dispatch_backend_silent"),
    (PROXY + "context deadline exceeded", "dispatch_backend_silent"),
    (PROXY + "EOF", "dispatch_backend_closed"),
    (PROXY + "http: server closed idle connection", "dispatch_backend_closed"),
    (PROXY + "dial tcp 10.0.0.9:3773: connect: no route to host", "dispatch_backend_unreachable"),
    (PROXY + "unsupported protocol scheme", "dispatch_other"),
    (EDGE + "heartbeat of session 12 timed out", "serve_timed_out"),
    (EDGE + "Error: connect ETIMEDOUT 10.0.0.7:5432", "serve_timed_out"),
    (EDGE + 'ERR Failed to serve quic connection error="timeout: no recent network activity" '
     "connIndex=0", "tunnel_silent"),
    (EDGE + 'WRN Serve tunnel error error="Application error 0x0 (remote)" connIndex=1 event=0',
     "tunnel_closed_by_edge"),
    (EDGE + "INF Unregistered tunnel connection connIndex=0 event=0", "tunnel_lost"),
    (EDGE + "INF Lost connection with the edge connIndex=2", "tunnel_lost"),
    (EDGE + 'ERR Connection terminated error="control stream closed" connIndex=2', "tunnel_lost"),
    (EDGE + 'ERR Failed to dial a quic connection error="failed to dial to edge with quic: '
     'timeout: no recent network activity" connIndex=3', "tunnel_unreachable"),
    (EDGE + "ERR Unable to establish connection with Cloudflare edge connIndex=0",
     "tunnel_unreachable"),
    (EDGE + "INF Retrying connection in up to 2s connIndex=0 event=0", "tunnel_retry"),
    (EDGE + "INF Registered tunnel connection connIndex=0 location=ams07 protocol=quic",
     "tunnel_registered"),
    (EDGE + 'ERR  error="Unable to reach the origin service. The service may be down: dial tcp '
     '10.0.0.3:443: connect: connection refused" connIndex=1 originService=https://10.0.0.3',
     "tunnel_origin_failed"),
    (EDGE + 'ERR Request failed error="Unable to reach the origin service: EOF" connIndex=1 '
     "dest=https://t3.example/", "tunnel_request_failed"),
    (EDGE + 'ERR  error="context canceled" connIndex=1 originService=https://10.0.0.3',
     "tunnel_client_gone"),
    # The words of versions before and after 2023.7; the other side of a stream is the CDN.
    (EDGE + 'ERR  error="Unable to reach the origin service. The service may be down or it may not '
     'be responding to traffic from cloudflared: context canceled" connIndex=1 ingressRule=0 '
     "originService=https://10.0.0.3", "tunnel_client_gone"),
    (EDGE + 'ERR  error="stream 525 canceled by remote with error code 0" cfRay=825-LHR event=1 '
     "ingressRule=0 originService=https://10.0.0.3", "tunnel_client_gone"),
    (EDGE + 'ERR Request failed error="stream 525 canceled by remote with error code 0" '
     "connIndex=3 dest=https://t3.example/ event=0 ip=198.51.100.7 type=http",
     "tunnel_client_request_failed"),
    (EDGE + 'WRN Failed to serve tunnel connection error="context canceled" connIndex=0 event=0',
     "tunnel_lost"),
    (EDGE + 'WRN Connection terminated error="context canceled" connIndex=0', "tunnel_lost"),
    (EDGE + "INF Initiating graceful shutdown due to signal terminated ...", "tunnel_stopped"),
    (EDGE + "ERR something of its own", "tunnel_error"),
    (EDGE + "ERR Unauthorized: invalid token", "tunnel_error"),
    (EDGE + "INF Starting metrics server on 127.0.0.1:20241/metrics", "tunnel_info"),
    ('{"level":"error","connIndex":2,"error":"timeout: no recent network activity",'
     '"time":"2026-11-20T14:03:07Z","message":"Failed to serve quic connection"}',
     "tunnel_silent"),
    (access(AT, 499), "traefik_client_gone"),
    (access(AT - 30, 499, 30_000), "traefik_client_gave_up"),
    (access(AT, 502), "traefik_bad_gateway"),
    (access(AT, 503), "traefik_unavailable"),
    (access(AT - 30, 504, 30_000), "traefik_gateway_timeout"),
    (access(AT - 30, 101, 30_000), "traefik_websocket_ended"),
    (access(AT - 30, 0, 30_000), "traefik_websocket_ended"),
    (access(AT - 30, 200, 30_000), "traefik_slow"),
    (access(AT, 200), "traefik_served"),
    (access(AT, 404, path="/it%22s"), "traefik_served"),
    ("Nov 20 14:03:07 devvm systemd[1]: t3-serve.service: Main process exited, code=killed, "
     "status=9/KILL", "serve_exited"),
    ("Nov 20 14:03:07 devvm systemd[1]: dispatch.service: Main process exited, code=exited, "
     "status=2/INVALIDARGUMENT", "dispatch_exited"),
    ("Nov 20 14:03:07 devvm kernel: Out of memory: Killed process 4242 (node) total-vm:9kB",
     "machine_out_of_memory"),
]  # fmt: skip


def moments(lines: list[str]) -> list[int]:
    """When the faults of some lines were."""
    return sorted({key >> CODE_BITS for key in read(lines).cells})


@pytest.mark.parametrize(("line", "kind"), MESSAGES, ids=[line[:90] for line, _ in MESSAGES])
def test_what_a_line_says(line: str, kind: str) -> None:
    tally = read([line])
    assert told(tally) == {kind: 1}
    assert (tally.known, tally.unknown) == (1, 0)
    if next(one for one in KINDS if one.name == kind).sides:
        assert moments([line]) == [AT]


def test_every_kind_has_a_line() -> None:
    said = {kind for _, kind in MESSAGES} | {kind for _, kind, _ in SAMPLES}
    missing = {kind.name for kind in KINDS} - said
    assert missing == {
        "tunnel_exited", "traefik_exited",
        # haproxy and Envoy have one log for both, nginx names no health check and no gap.
        "haproxy_client_error", "haproxy_backend_error", "envoy_client_error",
        "envoy_backend_error", "envoy_backend_down", "nginx_backend_down", "nginx_client_gone",
        # A start is one only behind something else.
        "haproxy_restarted", "nginx_restarted", "envoy_restarted", "dnsdist_restarted",
        "haproxy_slow", "envoy_slow", "dnsdist_exited",
    }  # fmt: skip


UNKNOWN = [
    "",
    "hello",
    "Nov 20 14:03:07 devvm systemd[1]: dev-sda.device: Job dev-sda.device/start timed out.",
    "Nov 20 14:03:07 devvm kernel: nfs: server nas not responding, timed out",
    "Nov 20 14:03:07 devvm systemd[1]: nightly.service: Main process exited, code=exited",
    '{"level":"debug","error":"context canceled","message":"499 Client Closed Request"}',
    '{"broken": ',
    "[" * 100_000,
    '{"MESSAGE": null}',
    '{"MESSAGE": [1, 999, "x"], "__REALTIME_TIMESTAMP": {}}',
    'x [99/Zzz/2026:14:03:07 +0000] "GET',
]


@pytest.mark.parametrize("line", UNKNOWN, ids=[line[:60] for line in UNKNOWN])
def test_other_lines_are_counted_and_not_fatal(line: str) -> None:
    tally = read([line])
    assert (tally.lines, tally.known, tally.unknown) == (1, 0, 1)


TEXT = "http: proxy error: context canceled"
FORMS = [
    ("short", f"Nov 20 14:03:07 devvm dispatch[812]: {TEXT}"),
    ("short, day of one digit", f"Nov  2 14:03:07 devvm dispatch[812]: {TEXT}"),
    ("short-precise", f"Nov 20 14:03:07.123456 devvm dispatch[812]: {TEXT}"),
    ("short-iso", f"2026-11-20T15:03:07+0100 devvm dispatch[812]: {TEXT}"),
    ("short-iso, newer", f"2026-11-20T15:03:07+01:00 devvm dispatch[812]: {TEXT}"),
    ("short-iso-precise", f"2026-11-20T15:03:07.123456+01:00 devvm dispatch[812]: {TEXT}"),
    ("Go inside short", f"Nov 20 14:03:07 devvm dispatch[812]: 2026/11/20 14:03:06 {TEXT}"),
    ("Go with microseconds", f"2026/11/20 14:03:07.123456 {TEXT}"),
    ("Go with a file", f"2026/11/20 14:03:07 proxy.go:88: {TEXT}"),
    ("CRI", f"2026-11-20T14:03:07.123456789Z stderr F 2026/11/20 03:03:07 {TEXT}"),
    ("docker logs -t", f"2026-11-20T14:03:07.123456789Z {TEXT}"),
    ("docker logs -t, another logger", "2026-11-20T14:03:07.1Z proxy error: context canceled"),
    ("docker compose", f"dispatch-1  | 2026/11/20 14:03:07 {TEXT}"),
    ("kubectl --prefix", f"[pod/dispatch-7d9/dispatch] 2026-11-20T14:03:07.1Z {TEXT}"),
    ("docker json-file", json.dumps(
        {"log": TEXT + "\n", "stream": "stderr", "time": "2026-11-20T14:03:07.123456789Z"})),
    ("journald JSON", json.dumps(
        {"__REALTIME_TIMESTAMP": str(AT * 10**6 + 5), "MESSAGE": TEXT,
         "_SYSTEMD_UNIT": "dispatch.service"})),
    ("journald JSON, bytes", json.dumps(
        {"__REALTIME_TIMESTAMP": str(AT * 10**6), "MESSAGE": [27, *TEXT.encode()]})),
    ("a logger's JSON", json.dumps(
        {"ts": AT + 0.5, "msg": "http: proxy error", "error": "context canceled"})),
    ("a logger's JSON, milliseconds", json.dumps(
        {"ts": AT * 1000, "msg": "http: proxy error", "error": "context canceled"})),
    ("CRLF", f"2026/11/20 14:03:07 {TEXT}\r"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "line"), FORMS, ids=[form for form, _ in FORMS])
def test_what_stands_before_a_line(form: str, line: str) -> None:
    assert told(read([line])) == {"dispatch_client_gone": 1}
    day = 18 * 86_400 if "one digit" in form else 0
    assert moments([line]) == [AT - day]


@pytest.mark.parametrize(
    "before",
    ["", "Nov 20 14:03:08 lb traefik[9]: ", "2026-11-20T14:03:09.5Z stdout F ",
     "traefik-1  | ", "[pod/traefik-5/traefik] "],
)  # fmt: skip
def test_an_access_line_counts_when_it_ended(before: str) -> None:
    assert moments([before + access(AT - 187, 101, 187_400)]) == [AT]


def test_an_access_line_in_json_has_its_end_to_the_nanosecond() -> None:
    row = {
        "DownstreamStatus": 502, "Duration": 1_500_000_000, "RequestMethod": "GET",
        "StartUTC": "2026-11-20T14:03:05.600000001Z", "time": "2026-11-20T14:03:09Z",
    }  # fmt: skip
    assert moments([json.dumps(row)]) == [AT]
    wrapped = {"log": json.dumps(row) + "\n", "stream": "stdout", "time": "2026-11-20T14:04:00Z"}
    assert moments([json.dumps(wrapped)]) == [AT]


def test_a_unit_tells_whose_line_it_is() -> None:
    line = "Nov 20 14:03:07 devvm {}[7]: read: connection reset by peer"
    assert told(read([line.format("t3-dispatch")])) == {"dispatch_backend_reset": 1}
    assert told(read([line.format("t3-serve")])) == {}


def test_the_source_can_be_named_and_is_then_the_only_one() -> None:
    lines = [f"2026/11/20 14:03:07 {TEXT}", "2026/11/20 14:03:07 upstream timed out"]
    assert told(read(lines, source="serve")) == {"serve_timed_out": 1}
    assert told(read(lines, source="dispatch")) == {"dispatch_client_gone": 1}
    assert told(read([access(AT, 502)], source="tunnel")) == {"tunnel_info": 1}


def test_a_file_name_says_nothing() -> None:
    reset = "2026/11/20 14:03:07 upstream: connection reset by peer"
    assert told(read([reset], name="/var/log/dispatch.log")) == {}
    assert told(read([reset], source="dispatch")) == {"dispatch_backend_reset": 1}
    assert told(read([access(AT, 502)], name="dispatch.log")) == {"traefik_bad_gateway": 1}
    assert told(read([f"{EDGE}INF x connIndex=1"], name="serve.log")) == {"tunnel_info": 1}
    (session, kind, _) = next(one for one in SAMPLES if one[1] == "haproxy_unavailable")
    for name in ("tunnel.log", "cloudflared.log", "traefik.log"):
        assert told(read([session], name=name)) == {kind: 1}
        assert read(["whatever it is"], name=name).unread == 1


def test_how_long_websockets_lived() -> None:
    lines = [access(AT - 7200, 101, 1000 * took) for took in (5, 100, 100, 7000)]
    lived = read(lines).lived
    assert (lived.count, lived.least, lived.most) == (4, 5.0, 7000.0)
    assert lived.quantile(0.5) == 300
    assert lived.quantile(1.0) == 7000


def test_examples_of_unknown_lines_are_few_and_without_numbers() -> None:
    tally = read([f"job {number} of queue {number % 3} done" for number in range(5000)])
    assert list(tally.shapes) == [b"job # of queue # done"]
    many = read(["kind " + "ab"[n & 1] * (n // 2 + 1) for n in range(600)])
    assert len(many.shapes) <= 128
    assert many.unknown == 600
