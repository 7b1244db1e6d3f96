"""Prometheus as a source: what goes wrong on the way, and samples that are not as usual."""

from __future__ import annotations

import json
from typing import Any

import pytest
from explain_asking import ask
from explain_history import at
from explain_server import Samples, answering, matrix
from hypothesis import given
from hypothesis import strategies as st

from t3probe.ask.explain.asked import ExplainError
from t3probe.ask.explain.from_prometheus import runs_from
from t3probe.ask.explain.judge import explain
from t3probe.ask.explain.pressure import pressure
from t3probe.ask.explain.prometheus import Prometheus, PrometheusError
from t3probe.ask.explain.prometheus import Samples as Columns
from t3probe.ask.explain.seen import RunSeen, Way, outages_of
from t3probe.ask.explain.window import Question
from t3probe.config.secrets import login_of
from t3probe.exchange.client import Login
from t3probe.timing import FakeClock

GROUP = {"job": "t3-probe", "vantage": "here"}
RUN = "t3probe_run_timestamp_seconds"
TOOK = "t3probe_run_duration_seconds"
LOOKED = "t3probe_observed_seconds_total"
DROPS = "t3probe_disconnects_total"
UP = "t3probe_connected"


def series(name: str, samples: Samples, **labels: str) -> tuple[dict[str, str], Samples]:
    return {"__name__": name, **GROUP, **labels}, samples


def runs(*some: tuple[dict[str, str], Samples], **more: Any) -> list[RunSeen]:
    with answering(matrix(*some)) as server:
        prometheus = Prometheus(server.url, Login(), FakeClock())
        return runs_from(prometheus, 0.0, 1000.0, job="t3-probe", **more)


def scrapes(*values: float) -> Samples:
    return [(30.0 * number, value) for number, value in enumerate(values, 1)]


def test_each_new_stamp_is_a_run_with_what_it_added() -> None:
    first, second, third = runs(
        series(RUN, scrapes(20, 20, 80, 80, 140)),
        series(TOOK, scrapes(10, 10, 36, 36, 30)),
        series(LOOKED, scrapes(5, 5, 40, 40, 70), leg="ws"),
        series(DROPS, scrapes(3, 3, 3, 3, 5), leg="ws", reason="io_error"),
        series(UP, scrapes(1, 1, 1, 1, 0), leg="ws"),
    )
    assert first.legs[0].why.startswith("its counts begin with this run")
    assert (second.began, second.ended) == (44, 80)
    assert (second.legs[0].seconds, second.legs[0].drops) == (35, ())
    assert (third.began, third.ended, third.legs[0].connected) == (110, 140, False)
    (drop,) = third.legs[0].drops
    assert (drop.reason, drop.count, drop.ended) == ("io_error", 2, None)


def test_a_leg_that_refused_is_neither_clean_nor_back() -> None:
    _, second, third, last = runs(
        series(RUN, scrapes(20, 80, 140, 200)),
        series(TOOK, scrapes(10, 36, 36, 36)),
        series(LOOKED, scrapes(5, 40, 75, 110), leg="ws"),
        series(DROPS, scrapes(0, 1, 1, 1), leg="ws", reason="connect_refused"),
        series(UP, scrapes(1, 1, 1, 1), leg="ws"),
        series("t3probe_accepting", scrapes(1, 0, 0, 1), leg="ws"),
        deployment=None,
    )
    assert [one.legs[0].refuses for one in (second, third, last)] == [True, True, False]
    assert second.legs[0].drops[0].ended is None
    assert third.incidents[0].symptom == "refusing"
    assert third.incidents[0].finding.startswith("ws accepted nothing new: ")
    assert not last.incidents
    (outage,) = outages_of([second, third, last])
    assert (len(outage.runs), outage.ended) == (2, last.began)
    question = Question(at=130.0, window=60.0, now=1000.0)
    way = Way(segments=("wan",), source="a test")
    told = explain(question, [second, third], way)
    assert told.legs[0].state == "refusing"
    assert not told.legs[0].clears
    (over,) = explain(question._replace(window=100.0), [second, third, last], way).legs
    assert over.state == "dropped"


def test_a_gateway_without_accepting_says_nothing_about_new_connections() -> None:
    (_, second) = runs(
        series(RUN, scrapes(20, 80)),
        series(LOOKED, scrapes(5, 40), leg="ws"),
        series(UP, scrapes(1, 1), leg="ws"),
    )
    assert second.legs[0].accepting is None
    assert not second.legs[0].refuses
    assert not second.incidents


def test_a_reset_begins_at_zero() -> None:
    *_, second = runs(
        series(RUN, [(30, 20), (60, 20), (150, 140)]),
        series(TOOK, [(30, 10), (60, 10), (150, 36)]),
        series(LOOKED, [(30, 900), (60, 900), (120, 0), (150, 35)], leg="ws"),
        series(DROPS, [(30, 7), (60, 7), (150, 1)], leg="ws", reason="io_error"),
    )
    assert second.legs[0].seconds == 35
    assert second.legs[0].drops[0].count == 1


def test_runs_that_no_scrape_saw_are_told_with_the_next() -> None:
    """70 s cannot have been observed in the last run's 36: it reaches back to the one before."""
    *_, second = runs(
        series(RUN, [(30, 20), (150, 140)]),
        series(TOOK, [(30, 10), (150, 36)]),
        series(LOOKED, [(30, 5), (150, 75)], leg="ws"),
    )
    assert (second.began, second.ended, second.legs[0].seconds) == (20, 140, 70)


def test_the_held_mode_is_told_from_scrape_to_scrape() -> None:
    """Its duration is its whole life."""
    *_, last = runs(
        series(RUN, scrapes(30, 60, 90)),
        series(TOOK, scrapes(9030, 9060, 9090)),
        series(LOOKED, scrapes(9000, 9030, 9060), leg="ws"),
        series(UP, scrapes(1, 1, 1), leg="ws"),
    )
    assert (last.began, last.ended, last.legs[0].seconds) == (60, 90, 30)


def test_without_a_runs_end_each_scrape_counts_as_one() -> None:
    *_, last = runs(
        series(LOOKED, scrapes(0, 25, 50), leg="ws"),
        series(DROPS, scrapes(0, 0, 1), leg="ws", reason="io_error"),
        series(UP, scrapes(1, 1, 1), leg="ws"),
    )
    assert (last.began, last.ended, last.legs[0].seconds) == (60, 90, 25)
    assert [one.count for one in last.legs[0].drops] == [1]


def test_two_replicas_tell_of_the_same_runs() -> None:
    some = [
        series(name, samples, replica=replica, **labels)
        for replica in "ab"
        for name, samples, labels in (
            (RUN, scrapes(20, 80), {}),
            (TOOK, scrapes(10, 36), {}),
            (LOOKED, scrapes(5, 40), {"leg": "ws"}),
        )
    ]
    assert [one.ended for one in runs(*some)] == [20, 80]


def test_a_leg_without_a_state_told_nothing() -> None:
    *_, last = runs(
        series(RUN, scrapes(20, 80)),
        series(LOOKED, scrapes(40, 40), leg="ws"),
        series(UP, scrapes(1), leg="ws"),
        series("t3probe_planned", scrapes(0, 1), leg="other"),
        series(LOOKED, scrapes(40, 75), leg="other"),
    )
    other, ws = last.legs
    assert (ws.connected, ws.seconds) == (None, 0)
    assert "inconclusive" in ws.why
    assert (other.why[:8], other.seconds) == ("planned:", 0)


def test_a_down_leg_without_a_new_drop_is_an_incident() -> None:
    """The held mode counts an outage once, however long it lasts."""
    *_, last = runs(
        series(RUN, scrapes(20, 80)),
        series(LOOKED, scrapes(40, 75), leg="ws"),
        series(UP, scrapes(1, 0), leg="ws"),
        series("t3probe_segment_state", scrapes(0, 1), segment="app", state="convicted"),
    )
    (incident,) = last.incidents
    assert (incident.failed, incident.paths, incident.ended) == (("ws",), (("app",),), None)


def test_a_group_without_legs_has_no_runs() -> None:
    assert runs(series(RUN, scrapes(20, 80), shard="1")) == []


def test_what_is_asked_for() -> None:
    with answering(matrix()) as server:
        prometheus = Prometheus(server.url + "/behind/", Login("s3cret"), FakeClock())
        runs_from(prometheus, 100.0, 1000.0, job='a"b', vantage="x\\y")
        (asked,) = server.asked
        (headers,) = server.headers
    assert asked["time"] == ["1000.000"]
    assert asked["query"][0].endswith(',job="a\\"b",vantage="x\\\\y"}[900s]')
    assert headers["Authorization"] == "Bearer s3cret"


def test_no_question_reaches_further_than_six_hours() -> None:
    with answering(matrix()) as server:
        Prometheus(server.url, Login(), FakeClock()).samples("up", 0.0, 1e9)
        assert server.asked[0]["query"] == ["up[21600s]"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert runs() == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"<html>nginx</html>", 200, "answered HTTP 200 and not with the JSON of Prometheus"),
        (b"no", 502, "answered HTTP 502"),
        (b"[" * 100_000, 200, "not with the JSON"),
        (b'{"status": 5}', 200, "not with the JSON"),
        (b"{}", 200, "refused the question (HTTP 200)"),
        (b'{"status":"error","error":"query\\u001b timed\\nout"}', 503, "(query? timed out)"),
        (b'{"status":"success","data":{"resultType":"vector","result":[]}}', 200, "not a matrix"),
        (b'{"status":"success"}', 200, "refused"),
    ],
)
def test_answers_that_are_none(body: bytes, status: int, words: str) -> None:
    with answering(body, status) as server:
        prometheus = Prometheus(server.url, Login(), FakeClock())
        with pytest.raises(PrometheusError) as refused:
            prometheus.samples("up", 0.0, 60.0)
    sentence = str(refused.value)
    assert words in sentence
    assert sentence.isprintable()
    assert sentence.endswith("name the URL below which /api/v1/query answers")


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("t3probe.ask.explain.prometheus.PROMETHEUS_BYTES", 1000)
    with answering(b" " * 5000) as server, pytest.raises(PrometheusError, match="it was not read"):
        Prometheus(server.url, Login(), FakeClock()).samples("up", 0.0, 60.0)


def test_nobody_listens() -> None:
    with answering(b"") as server:
        url = server.url
    with pytest.raises(PrometheusError, match="refuses connections"):
        Prometheus(url, Login(), FakeClock()).samples("up", 0.0, 60.0)


def test_numbers_that_are_none_are_left_out() -> None:
    with answering(matrix(({"__name__": "up"}, [(1.0, 1.0)]))) as server:
        body = json.loads(server.body)
        body["data"]["result"][0]["values"] = [
            [3, "3"],
            [1, "NaN"],
            [2, "+Inf"],
            [0, "x"],
            [1, "1"],
        ]
        body["data"]["result"][0]["histograms"] = []
        body["warnings"] = ["a\x1bb"]
        server.body = json.dumps(body).encode()
        prometheus = Prometheus(server.url, Login(), FakeClock())
        (found,) = prometheus.samples("up", 0.0, 60.0)
    assert [*found.samples] == [(1.0, 1.0), (3.0, 3.0)]
    assert prometheus.warnings == ["a?b"]


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=8), min_size=1, max_size=4))
def test_what_a_counter_rose_by_is_what_was_added(lives: list[list[int]]) -> None:
    """Every life but the first begins at 0 with a scrape, as a run's start writes it."""
    samples: list[tuple[float, float]] = []
    for number, added in enumerate(lives):
        value = 100.0 if number == 0 else 0.0
        samples.append((float(len(samples)), value))
        for one in added:
            value += one
            samples.append((float(len(samples)), value))
    assert sum(rise for _, rise in Columns(samples).rises()) == sum(map(sum, lives))


PSI = "node_pressure_io_stalled_seconds_total"


@pytest.mark.parametrize(
    ("samples", "share", "peak"),
    [
        ([(0, 5.0), (60, 5.0), (120, 35.0), (180, 35.0)], 0.25, 0.5),
        ([(60, 50.0), (120, 6.0)], 0.1, 0.1),  # the machine was restarted
        ([(60, 5.0), (120, 5.0)], 0.0, 0.0),
        ([(60, 5.0), (120, 500.0)], 1.0, 1.0),  # never more than all of the time
    ],
)
def test_pressure_is_a_share_of_time(samples: Samples, share: float, peak: float) -> None:
    with answering(matrix(({"__name__": PSI, "instance": "m:9100"}, samples))) as server:
        (found,) = pressure(Prometheus(server.url, Login(), FakeClock()), 60.0, 180.0)
    assert (found.io_stalled, found.io_stalled_peak) == (pytest.approx(share), pytest.approx(peak))
    assert found.memory_stalled is None


def test_pressure_of_another_time_is_none() -> None:
    far = [(0.0, 5.0), (10.0, 9.0)]
    with answering(matrix(({"__name__": PSI, "instance": "m:9100"}, far))) as server:
        assert pressure(Prometheus(server.url, Login(), FakeClock()), 60.0, 180.0) == []


def test_the_hardest_pressed_machines_come_first() -> None:
    some = [
        ({"__name__": PSI, "instance": f"10.0.0.{number}:9100"}, [(0.0, 0.0), (60.0, number * 1.0)])
        for number in range(8)
    ]
    with answering(matrix(*some)) as server:
        prometheus = Prometheus(server.url, Login(), FakeClock())
        found = pressure(prometheus, 0.0, 60.0)
        (one,) = pressure(prometheus, 0.0, 60.0, ["10.0.0.3"])
        (same,) = pressure(prometheus, 0.0, 60.0, ["10.0.0.3:9100"])
    assert [one.instance[7] for one in found] == list("76543")
    assert one == same
    assert one.instance == "10.0.0.3:9100"


def test_login_from_the_environment() -> None:
    assert login_of("prometheus", {"T3PROBE_PROMETHEUS_TOKEN": "t"}).token == "t"
    both = {"T3PROBE_PROMETHEUS_USER": "u", "T3PROBE_PROMETHEUS_PASSWORD": "p"}
    assert login_of("prometheus", both).headers()["Authorization"].startswith("Basic ")
    for wrong in ({"T3PROBE_PROMETHEUS_USER": "u"}, {**both, "T3PROBE_PROMETHEUS_TOKEN": "t"}):
        with pytest.raises(ExplainError, match="T3PROBE_PROMETHEUS"):
            ask("--at", str(int(at(1))), "--prometheus", "http://127.0.0.1:1", **wrong)
