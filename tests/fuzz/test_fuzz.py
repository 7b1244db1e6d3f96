"""What reads foreign bytes ends with an answer or with its own error, whatever it is given.

`T3PROBE_TEST_FUZZ` says how many inputs each reader gets, 40 unless told (`make test-long`: 4000),
and none gets more than `MOST_SECONDS` of them.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fuzz_inputs import TESTS, either, spoilt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t3probe.ask.forensics.read import LogQuery, read_log
from t3probe.config.types import Sso, UpstreamSource
from t3probe.deliver.metrics import families
from t3probe.deliver.sinks import other_suite, textfile
from t3probe.deliver.sinks.gateway import Groups, NotMetricsError
from t3probe.deliver.sinks.spool import Spool
from t3probe.echo import frames, head
from t3probe.echo import records as sent
from t3probe.observation import Observation, RunRecord
from t3probe.probes import http_wire, redirects, sso
from t3probe.probes import redirects as cookies
from t3probe.probes import tls as foreign
from t3probe.probes import ws_echo as messages
from t3probe.probes.doh import query_message, read_message
from t3probe.probes.facts import ProbeError
from t3probe.probes.http_wire import AnswerReader
from t3probe.record.facts import RecordError, leg_property, run_property
from t3probe.record.log import record_line
from t3probe.record.reading import read_recordings
from t3probe.show.summary import render
from t3probe.timing import SystemClock
from t3probe.upstreams.envoy import Dump
from t3probe.upstreams.envoy_hosts import Clusters, Listeners
from t3probe.upstreams.envoy_routes import ways
from t3probe.upstreams.nodes import Routes
from t3probe.upstreams.sources import Notes, SourceError
from t3probe.verdict.exact.case import CaseError, parse_cases
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.incident.run import judge_run

EXAMPLES = int(os.environ.get("T3PROBE_TEST_FUZZ", "40"))
MOST_SECONDS = 60.0
CLOCK = SystemClock()

fuzz = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES <= 40,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def left() -> Callable[[str], bool]:
    """Whether a reader may have another input."""
    ends: dict[str, float] = {}

    def more(name: str) -> bool:
        now = CLOCK.monotonic()
        return now < ends.setdefault(name, now + MOST_SECONDS)

    return more


def recorded(name: str) -> list[bytes]:
    return [(TESTS / "upstreams" / "recorded" / f"{name}.json").read_bytes()]


def record_lines() -> list[bytes]:
    files = sorted((TESTS / "record" / "of_0_1").glob("*.log"))
    return [
        line
        for file in files
        for line in file.read_bytes().splitlines()
        if line.startswith(b'{"t3probe"')
    ]


LINES = record_lines()


def junit() -> bytes:
    from xml.sax.saxutils import quoteattr

    found = next(iter(read_recordings(TESTS / "record" / "of_0_1" / "clean.log")))
    pairs = [*(leg_property(one) for one in found.observations), run_property(found.run)]
    inner = "".join(f"<property name={quoteattr(n)} value={quoteattr(v)} />" for n, v in pairs)
    case = '<testcase classname="a" name="b" time="0.1"><failure message="x">y</failure></testcase>'
    return (
        f'<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest"><properties>'
        f"{inner}</properties>{case}</testsuite></testsuites>"
    ).encode()


def used(run: RunRecord, seen: tuple[Observation, ...]) -> None:
    """All that is made of a record."""
    judged = judge_run(run, seen)
    judged.to_dict()
    list(render(run, list(seen), judged))
    families(run, list(seen), judged)
    record_line(run, seen)


def through(data: bytes, path: object) -> None:
    path.write_bytes(data)  # type: ignore[attr-defined]
    with suppress(RecordError):
        for one in read_recordings(str(path)):
            used(one.run, tuple(one.observations))
    with suppress(RecordError):
        other_suite.read_suite(str(path))


@fuzz
@given(data=either(LINES))
def test_record_lines(data: bytes, left, tmp_path_factory: pytest.TempPathFactory) -> None:
    if left("lines"):
        through(data, tmp_path_factory.getbasetemp() / "run.log")


@fuzz
@given(data=spoilt([junit()]))
def test_junit_files(data: bytes, left, tmp_path_factory: pytest.TempPathFactory) -> None:
    if left("junit"):
        through(data, tmp_path_factory.getbasetemp() / "run.xml")


def fed(answer: Any, data: bytes, at: int) -> Any:
    answer.feed(data[:at])
    answer.feed(data[at:])
    answer.close()
    return answer


CUTS = st.integers(0, 3000)


@fuzz
@given(data=either(recorded("config_dump")), at=CUTS)
def test_envoys_dump(data: bytes, at: int, left) -> None:
    if left("dump"):
        with suppress(SourceError):
            found = fed(Dump(), data, at).found()
            list(ways(found.listeners, found.routes, {}, Notes()))


@fuzz
@given(data=either([*recorded("clusters"), *recorded("listeners")]), at=CUTS)
def test_envoys_clusters_and_listeners(data: bytes, at: int, left) -> None:
    if left("clusters"):
        for answer in (Clusters(), Listeners()):
            with suppress(SourceError):
                fed(answer, data, at)


ROWS = (
    b'{"routes":[{"node":"edge-1","route":"orders","listen_port":8443,"backend_host":"10.0.0.7",'
    b'"backend_port":9000,"active":true},{"node":7,"route":"e"}]}'
)
NODE = UpstreamSource(name="api", kind="nodes", url="http://127.0.0.1:1", node="edge-1")


@fuzz
@given(data=either([ROWS]), at=st.integers(0, 150))
def test_an_api_of_nodes(data: bytes, at: int, left) -> None:
    if left("nodes"):
        with suppress(SourceError):
            fed(Routes(NODE), data, at).found()


GROUP = (
    b'{"status":"success","data":[{"labels":{"job":"t3-probe","vantage":"v"},"push_time_seconds":'
    b'{"type":"GAUGE","metrics":[{"labels":{"instance":""},"value":"1.7e9"}]},'
    b'"t3probe_rtt_seconds":{"type":"HISTOGRAM","help":"h","metrics":[{"labels":{"leg":"a"},'
    b'"buckets":{"0.1":"1","1":"2","+Inf":"2"},"count":"2","sum":"0.5"}]},'
    b'"t3probe_disconnects_total":{"type":"COUNTER","metrics":[{"labels":{"leg":"a",'
    b'"reason":"io_error"},"value":"3"}]}}]}'
)


@fuzz
@given(data=either([GROUP]), at=st.integers(0, 500))
def test_the_gateways_json(data: bytes, at: int, left) -> None:
    if left("gateway"):
        key = {"job": "t3-probe", "vantage": "v"}
        with suppress(NotMetricsError):
            fed(Groups(key, heads=True), data, at).group(key)


SPOOLED = (
    b'{"folder":5,"number":1,"series":[["t3probe_disconnects_total",[["leg","a"],["reason",'
    b'"io_error"]],2.0],["t3probe_rtt_seconds",[["leg","a"]],0.5,[0.1,1.0],[1.0,2.0],2.0,true]]}'
)


@fuzz
@given(data=either([SPOOLED]))
def test_the_spool(data: bytes, left, tmp_path_factory: pytest.TempPathFactory) -> None:
    if left("spool"):
        folder = tmp_path_factory.getbasetemp() / "spool"
        folder.mkdir(exist_ok=True)
        (folder / "batch-1.json").write_bytes(data)
        (folder / "state.json").write_bytes(data.replace(b"number", b"last"))
        memory = Spool(folder, keep=True)
        for one in memory.waiting():
            memory.doubtful(one, {})
        memory.sending(memory.waiting())


TEXT = (
    b"# HELP t3probe_connected x\n# TYPE t3probe_connected gauge\nt3probe_connected"
    b'{leg="a",vantage="v"} 1\n# TYPE t3probe_rtt_seconds histogram\nt3probe_rtt_seconds_bucket'
    b'{leg="a",le="0.1"} 1\nt3probe_rtt_seconds_bucket{leg="a",le="+Inf"} 1\n'
    b't3probe_rtt_seconds_sum{leg="a"} 0.05\nt3probe_rtt_seconds_count{leg="a"} 1\n'
)


@fuzz
@given(data=spoilt([TEXT]))
def test_the_textfile(data: bytes, left, tmp_path_factory: pytest.TempPathFactory) -> None:
    if left("textfile"):
        file = tmp_path_factory.getbasetemp() / "t3probe.prom"
        file.write_bytes(data)
        textfile.sink(file, {})(textfile.Batch({}, opening=True))
        assert textfile.sink(file, {})(textfile.Batch({})).ok


def doh_answer() -> bytes:
    import dns.message
    import dns.rrset

    asked = dns.message.from_wire(query_message("a.example.org", "A"))
    made = dns.message.make_response(asked)
    made.answer.append(dns.rrset.from_text("a.example.org.", 60, "IN", "CNAME", "b.example.org."))
    made.answer.append(dns.rrset.from_text("b.example.org.", 60, "IN", "A", "127.0.0.1"))
    return made.to_wire()


@fuzz
@given(data=spoilt([doh_answer()]))
def test_doh_messages(data: bytes, left) -> None:
    if left("doh"):
        with suppress(ProbeError):
            read_message(data, "a.example.org")


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b; Max-Age=0; Path=/\r\n\r\nhello",
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\nLocation: https://sso.example/login"
    b"?rd=%2F\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html; charset=utf-16\r\n"
    b"Refresh: 0; url=//[::1]:8443/../a b\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9"
    b"\x07\0\x86\xa6\x106\x05\0\0\0<meta http-equiv=refresh content='0;url=http://0x7f.1/'>",
]


@fuzz
@given(data=spoilt(ANSWERS), at=st.integers(0, 200))
def test_http_answers(data: bytes, at: int, left) -> None:
    if not left("http"):
        return
    reader = AnswerReader()
    for piece in (data[:at], data[at:]):
        if not reader.over:
            reader.feed(piece)
    if not reader.over:
        reader.eof()
    foreign.spoken(data[:64])
    body, headers = bytes(reader.body), reader.headers
    foreign.refusal(reader.status, body)
    text = http_wire.as_text(headers, http_wire.decoded(headers, body)[0])
    here = redirects.parse("https://app.example:8443/a/b")
    assert here is not None
    wall = Sso(hosts=("sso.example",), login_markers=("login",))
    sso.sso_answer(reader.status, headers, text, wall, here)
    to = redirects.onward(reader.status, headers, text, here)
    jar = cookies.Cookies()
    jar.take(headers, here)
    jar.given(to or here)


@fuzz
@given(data=st.one_of(st.text(max_size=99), spoilt([b'{"seq": 1, "echo": "x"}', b"hello 1"])))
def test_websocket_messages(data: bytes | str, left) -> None:
    if left("messages"):
        messages.answers(data, '{"seq": 1, "echo": "x"}')
        messages.described(data)


HEAD = (
    b"GET /echo?nonce=1 HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade"
    b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
)


@fuzz
@given(data=spoilt([HEAD]))
def test_the_responders_requests(data: bytes, left) -> None:
    if left("requests"):
        with suppress(head.Refusal):
            request = head.parse(data)
            head.upgrade(request)


SENT = (
    b'{"t3probe_client": 1, "browser": "Chrome 156", "clock": {"offset_seconds": -0.8}, '
    b'"beats": [[1.5, 2, null]], "drops": [{"began": 1e3, "reason": "rtt_timeout"}]}'
)


@fuzz
@given(data=spoilt([SENT]))
def test_the_records_that_people_send(data: bytes, left) -> None:
    if left("sent records"):
        with suppress(head.Refusal):
            sent.Records().add(data, "203.0.113.7", 0.0, 0.0)


def masked(code: int, data: bytes) -> bytes:
    mask = b"\1\2\3\4"
    return (
        bytes([code, 128 | len(data)]) + mask + bytes(a ^ mask[i % 4] for i, a in enumerate(data))
    )


@fuzz
@given(data=spoilt([masked(129, b"hi") + masked(137, b"p") + masked(136, b"\x03\xe8bye")]))
def test_the_responders_frames(data: bytes, left) -> None:
    if left("frames"):
        reader = frames.FrameReader(1000)
        with suppress(frames.Violation):
            reader.feed(data)
            while reader.next() is not None:
                pass


NOW = 1_795_184_000.0
LOGS = [
    b"127.0.0.1:52764 [20/Nov/2026:14:03:07.100] f b/app 0/0/1/20/21 502 209 - - SH-- 9/1/7/7/0 "
    b'0/0 "GET /page HTTP/1.1"\n',
    b"2026/11/20 14:03:07 [error] 7#7: *3 upstream timed out (110: Connection timed out) while "
    b'reading response header from upstream, client: 127.0.0.1, request: "GET / HTTP/1.1"\n',
    b'{"time":"2026-11-20T14:03:07Z","level":"error","msg":"connection lost","status":"502"}\n',
    b"2026-11-20T14:03:07.123456789Z stderr F ERR Lost connection with the edge connIndex=0\n",
    b"Nov 20 14:03:07 devvm kernel: Out of memory: Killed process 1234 (node)\n",
    "2026-11-20T14:03:07Z WRN wörter\n".encode("utf-16"),
    gzip.compress(b"2026-11-20T14:03:07Z ERR Lost connection with the edge\n" * 3),
]


@fuzz
@given(data=spoilt([*LOGS, b"".join(LOGS[:5])]))
def test_logs(data: bytes, left) -> None:
    if left("logs"):
        with suppress(OSError, ValueError):  # a damaged packed file
            read_log("any", io.BytesIO(data), LogQuery(now=NOW, zone=ZoneInfo("UTC")))


CASE = (
    b'{"segments": ["a", "b"], "legs": [{"name": "x", "segments": ["a", "b"], "outcome": "failed"},'
    b'{"name": "y", "segments": ["a"], "outcome": "passed"}]}'
)


@fuzz
@given(data=either([CASE]))
def test_made_up_cases(data: bytes, left) -> None:
    if left("cases"):
        with suppress(CaseError):
            for one in parse_cases(data, "case.json")[0]:
                solve(one).to_dict()
