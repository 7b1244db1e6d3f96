"""A gateway that hangs, lies, pours or holds other things; what its groups' ages are worth."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from deliver import delivery_servers as servers
from explain.explain_server import answering
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_asking import Asked
from mcp_runs import BROKEN_TUNNEL, NOW, THREE_DOWN, write

from t3probe.ask.mcp_server import of_group as gateway_module
from t3probe.ask.mcp_server.answers import ANSWER_BYTES, NothingToTellError, fitted
from t3probe.ask.mcp_server.of_run import RunFiles
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.exchange.client import Budget
from t3probe.timing import FakeClock, SystemClock

TOOLS = ("query_backend_health", "query_legs", "query_verdict")
JOB = {"job": "t3-probe"}


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (servers.silent, "did not answer in time"),
        (servers.dripping, "did not answer in time"),
        (servers.closing, "closed the connection without an answer"),
        (servers.half, "sent half an answer"),
        (servers.gigabyte, "answers with more than 24 MiB; it was not read"),
        (servers.gigabyte_chunked, "answers with more than 24 MiB; it was not read"),
        (servers.gigabyte_of_headers, "the gateway at"),
        (servers.answering("503 Service Unavailable"), "503"),
        (servers.answering("401 Unauthorized", b"hunter2"), "401"),
        (servers.answering("302 Found", b"", "Location: http://127.0.0.1:1/"), "302"),
    ],
)
async def test_what_a_gateway_may_do(
    handler: servers.Handler, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = handler in (servers.silent, servers.dripping)
    monkeypatch.setattr(gateway_module, "MCP_GATEWAY_SECONDS", 0.2 if late else 30.0)
    with servers.serving(handler) as server:
        # Real time: the stand-in has to be given up on.
        ask = Asked(gateway=Gateway(server.url, "t3-probe"), clock=SystemClock())
        said = await ask.refused("query_backend_health")
    assert words in said
    assert "hunter2" not in said


def group(labels: dict[str, str], pushed_at: object = None, **gauges: Any) -> dict[str, Any]:
    """A group as the gateway tells it; each gauge is a list of (labels, value)."""
    found: dict[str, Any] = {"labels": dict(labels)}
    if pushed_at is not None:
        stamp = [{"labels": labels, "value": str(pushed_at)}]
        found["push_time_seconds"] = {"type": "GAUGE", "metrics": stamp}
    for name, series in gauges.items():
        metrics = [{"labels": {**labels, **more}, "value": str(value)} for more, value in series]
        found[name] = {"type": "GAUGE", "metrics": metrics}
    return found


def both(own_at: float, upstreams_at: float, ended_at: float = NOW) -> list[dict[str, Any]]:
    place = {"route": "a", "listen_port": "1", "backend": "b:1"}
    return [
        group(JOB, own_at, t3probe_run_timestamp_seconds=[({}, ended_at)]),
        group({**JOB, "part": "upstreams"}, upstreams_at, t3probe_backend_reachable=[(place, 0)]),
    ]


@pytest.mark.parametrize(
    ("own_at", "upstreams_at", "age"),
    [
        (NOW + 1, NOW + 1, 10.0),
        (NOW + 1, NOW - 59, 69.0),  # the write of the newest run's upstreams failed
        (NOW - 99, NOW - 99, 10.0),  # the gateway's clock is late: both are of one run
        (NOW + 30, NOW + 1, 10.0),  # the next run has begun and written zeros
    ],
)
async def test_upstreams_of_an_earlier_run_are_not_called_new(
    own_at: float, upstreams_at: float, age: float
) -> None:
    with answering({"status": "success", "data": both(own_at, upstreams_at)}) as site:
        ask = Asked(gateway=Gateway(site.url, "t3-probe"))
        health, legs = await ask("query_backend_health"), await ask("query_legs")
    assert health["source"]["age_seconds"] == age
    assert ("notes" in health["source"]) is (age != 10.0)
    assert legs["source"]["age_seconds"] == 10.0


async def test_upstreams_of_other_shards_are_spoken_of() -> None:
    data = both(NOW, NOW)
    for one in data:
        one["labels"]["shard"] = "0"
        for family in ("t3probe_run_timestamp_seconds", "t3probe_backend_reachable"):
            for series in one.get(family, {"metrics": []})["metrics"]:
                series["labels"]["shard"] = "0"
    beside = {**JOB, "part": "upstreams"}
    data += [group({**beside, "shard": str(number)}) for number in (2, 1)]
    data += [group({**beside, "shard": "7", "vantage": "other"})]
    with answering({"status": "success", "data": data}) as site:
        ask = Asked(gateway=Gateway(site.url, "t3-probe", shard="0"))
        health = await ask("query_backend_health")
        assert (await ask("query_legs"))["source"].get("notes") is None
    assert health["unreachable"] == 1
    assert "of shards 1 and 2 are not among these" in health["source"]["notes"][0]


async def test_the_groups_that_there_are_instead() -> None:
    data = [group({**JOB, "vantage": f"v{number}\n\x1b"}) for number in range(7)]
    data += [group({"job": "another"}), group({**JOB, "part": "upstreams", "vantage": "v0"})]
    with answering({"status": "success", "data": data}) as site:
        said = await Asked(gateway=Gateway(site.url, "t3-probe")).refused("query_legs")
    assert "has no group job=t3-probe; it has job=t3-probe, vantage=v0 ?; " in said
    assert "vantage=v3 ?; 3 more: start with one of those" in said
    assert "another" not in said


@pytest.mark.parametrize(
    "data",
    [
        [{"labels": JOB, "push_time_seconds": 5}],
        [{"labels": {"job": 5}}],
        [{"labels": JOB, "t3probe_segment_state": {"type": "GAUGE", "metrics": [5]}}],
        [{"labels": JOB, "t3probe_segment_state": {"type": "GAUGE", "metrics": None}}],
        {"labels": JOB},
        "x",
    ],
)
async def test_metrics_of_a_wrong_shape(data: object) -> None:
    with answering({"status": "success", "data": data}) as site:
        ask = Asked(gateway=Gateway(site.url, "t3-probe"))
        for tool in TOOLS:
            assert "no list of metrics" in await ask.refused(tool)


async def test_metrics_nested_without_end() -> None:
    with answering(b'{"data":' + b"[" * 200_000) as site:
        said = await Asked(gateway=Gateway(site.url, "t3-probe")).refused("query_legs")
    assert "no list of metrics" in said


@pytest.mark.parametrize("value", ["NaN", "-Inf", "x", "", "1e999"])
async def test_numbers_that_are_none(value: str) -> None:
    place = {"route": "a", "listen_port": "1", "backend": "b:1"}
    labels = {"leg": "a", "check": "a", "segment": "wan", "state": "convicted"}
    names = (
        "t3probe_segment_state", "t3probe_connected", "t3probe_check_success",
        "t3probe_run_complete", "t3probe_last_disconnect_timestamp", "t3probe_planned",
    )  # fmt: skip
    gauges = {name: [(labels, value)] for name in names}
    one = group(JOB, value, t3probe_backend_reachable=[(place, value)], **gauges)
    with answering({"status": "success", "data": [one]}) as site:
        ask = Asked(gateway=Gateway(site.url, "t3-probe"))
        answers = [await ask(tool) for tool in TOOLS]
    assert answers[2]["convicted"] == []
    assert answers[0]["unreachable"] == 0


# -- files -------------------------------------------------------------------------------


async def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xml")
    named = Asked(tmp_path / "pipe.xml")
    for tool in TOOLS:
        assert "expected a file, found none" in await named.refused(tool)
    assert "nothing recorded" in await named.refused("explain_drop", at=str(NOW))
    write(tmp_path / "run.xml", BROKEN_TUNNEL)
    folder = Asked(tmp_path)
    assert (await folder("query_verdict"))["convicted"] == ["tunnel"]
    assert (await folder("explain_drop", at=str(NOW - 20)))["finding"] == "ours"


class _Ticking(FakeClock):
    """Every look at it takes a second."""

    def monotonic(self) -> float:
        self.advance(1.0)
        return super().monotonic()


def test_when_time_runs_out_the_newest_read_answers(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.xml", THREE_DOWN, NOW - 60 * number)
        os.utime(tmp_path / f"{number}.xml", (NOW - 60 * number,) * 2)
    runs = RunFiles([str(tmp_path)])
    found, notes = runs.newest(Budget(_Ticking(), 5.0))
    assert found.ended_at == NOW
    assert "of 6 files are still to be read, and one of them may hold a newer run" in notes[-1]
    for _ in range(6):
        notes = runs.newest(Budget(_Ticking(), 5.0))[1]
    assert notes == []
    with pytest.raises(NothingToTellError, match="6 of 6 files"):
        RunFiles([str(tmp_path)]).newest(Budget(FakeClock(), 0.0))


# -- the size of an answer ---------------------------------------------------------------

_text = st.text(min_size=1000, max_size=3000) | st.just("\u20ac" * 5000) | st.just('"\\' * 5000)
_answers = st.dictionaries(
    st.sampled_from(["upstreams", "legs", "sentence", "way", "notes"]),
    _text
    | st.lists(st.dictionaries(st.sampled_from("abcdefgh"), _text, min_size=8), min_size=50)
    | st.lists(_text, max_size=500)
    | st.just({f"key{number}": "\u20ac" * 5000 for number in range(32)}),
)


@settings(max_examples=25, deadline=None)
@given(answer=_answers, copies=st.integers(1, 30))
def test_no_answer_is_too_long(answer: dict[str, Any], copies: int) -> None:
    many = {
        name: value * copies if isinstance(value, list) else value for name, value in answer.items()
    }
    told = fitted({**many, "not_listed": 0}, 200)
    assert len(json.dumps(told, ensure_ascii=False).encode()) <= ANSWER_BYTES
    left: Sequence[str] = sorted(told.get("left_out", {}))
    for name, value in many.items():
        if isinstance(value, list) and len(told[name]) < len(value):
            assert name in left or told["not_listed"] > 0
