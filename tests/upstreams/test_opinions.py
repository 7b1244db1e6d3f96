"""What cloudflared and Traefik say of themselves: their answers, two readings, and asking them.

The answers of Traefik are what its version 3.7 said on loopback, cut to what is read of them; those
of cloudflared follow its source.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources_servers import ok, serving

from t3probe.config.opinions import OpinionSource
from t3probe.config.table import Duration
from t3probe.config.types import Deployment
from t3probe.exchange import bounds
from t3probe.observation import OpinionView
from t3probe.timing import SystemClock
from t3probe.upstreams.opinions import cloudflared, traefik
from t3probe.upstreams.opinions.ask import OpinionReader
from t3probe.upstreams.opinions.in_run import RunOpinions
from t3probe.upstreams.opinions.said import SelfReport, view_of

SOURCE = OpinionSource(name="cfd", kind="cloudflared", segment="tunnel", url="http://127.0.0.1:1")


def ready(number: int, status: int | None = None) -> bytes:
    told = {"status": status or (200 if number else 503), "readyConnections": number}
    return json.dumps({**told, "connectorId": "2f7d1c52-0000-4000-8000-000000000000"}).encode()


def metrics(
    places: str = "fra08 fra13 fra08 ams01", *, gone: str = "", began: float = 1000.0, **more: float
) -> bytes:
    """A page; `more` are counters by their last words."""
    lines = ["# TYPE go_goroutines gauge", "go_goroutines 40"]
    for at, place in enumerate(places.split()):
        lines.append(
            f'cloudflared_tunnel_server_locations{{connection_id="{at}",edge_location="{place}"}} 1'
        )
    for place in gone.split():
        lines.append(
            f'cloudflared_tunnel_server_locations{{connection_id="0",edge_location="{place}"}} 0'
        )
    counts = {"register_success": 4.0, **more}
    names = {
        "register_success": 'cloudflared_tunnel_tunnel_register_success{rpcName="y"}',
        "register_fail": 'cloudflared_tunnel_tunnel_register_fail{error="x",rpcName="y"}',
        "rpc_fail": 'cloudflared_tunnel_tunnel_rpc_fail{error="x",rpcName="y"}',
        "request_errors": "cloudflared_tunnel_request_errors",
        "closed": "quic_client_closed_connections",
    }
    lines += [
        "# TYPE cloudflared_tunnel_request_errors counter",
        f"process_start_time_seconds {began}",
        *(f"{names[one]} {value}" for one, value in counts.items()),
    ]
    return "\n".join([*lines, ""]).encode()


def cfd(number: int = 4, page: bytes | str | None = None, **more: float) -> SelfReport:
    status = 200 if number else 503
    return cloudflared.said(status, ready(number), metrics(**more) if page is None else page)


def seen(*readings: SelfReport) -> OpinionView:
    return view_of(SOURCE, readings, 12.3456)


# -- cloudflared


def test_its_connections_and_where_they_end() -> None:
    said = cfd(page=metrics(gone="lhr01"))
    assert (said.opinion, said.colos) == ("healthy", ("ams01", "fra08", "fra13"))
    assert said.words == ("4 connections to the edge, in ams01, fra08 and fra13",)


def test_one_of_four_away_is_degraded_and_none_is_broken() -> None:
    assert (cfd(3).opinion, cfd(3).words[0][:32]) == (
        "degraded",
        "3 of 4 connections to the edge, ",
    )
    assert (cfd(0).opinion, cfd(0).words) == ("unhealthy", ("0 connections to the edge",))
    # One that has never had a connection: no location is known.
    assert cfd(0, metrics("", register_fail=3.0)).opinion == "unhealthy"


def test_the_label_of_a_location_before_2023() -> None:
    page = metrics().replace(b"edge_location", b"location")
    assert cfd(page=page).colos == ("ams01", "fra08", "fra13")


def test_the_same_at_both_ends_is_steady() -> None:
    assert seen(cfd(), cfd()) == OpinionView(
        name="cfd", segment="tunnel", kind="cloudflared", opinion="healthy", steady=True,
        detail="4 connections to the edge, in ams01, fra08 and fra13",
        colos=("ams01", "fra08", "fra13"), at=12.346,
    )  # fmt: skip
    assert seen(cfd(0), cfd(0)).steady


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (cfd(register_success=5.0), ""),
        (cfd(closed=1.0), ""),
        (cfd(page=metrics("fra08 fra13 fra08 lhr01")), ""),
        (cfd(3), "it was healthy before"),
        (cfd(0), "it was healthy before"),
        (cfd(began=2000.0), "it began anew during the run"),
        (cfd(page="answers 404"), "/metrics answers 404, so nothing is compared"),
    ],
)
def test_what_moved_is_not_steady(later: SelfReport, said: str) -> None:
    view = seen(cfd(), later)
    assert not view.steady
    assert said in view.detail


def test_counters_beyond_all_counting_are_left_out() -> None:
    """Their sum is infinite, and what they grew by no number."""
    huge = b"".join(b'cloudflared_tunnel_request_errors{of="%d"} 1e308\n' % at for at in range(3))
    page = metrics("fra08") + huge
    for view in (seen(cfd(), cfd(page=page)), seen(cfd(page=page), cfd(page=page))):
        assert "failed origin request" not in view.detail


def test_what_went_wrong_during_the_run_is_counted() -> None:
    view = seen(
        cfd(register_fail=2.0, request_errors=7.0), cfd(register_fail=3.0, request_errors=19.0)
    )
    assert (
        "1 failed registration during the run; 12 failed origin requests during the run"
        in view.detail
    )
    assert view.steady, "errors behind it are not its own"
    anew = seen(cfd(register_fail=9.0), cfd(register_fail=2.0, began=2000.0))
    assert "2 failed registrations during the run" in anew.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"OK"), (200, b"[]"), (200, b'{"status":200}'), (404, b"404 page not found"),
        (200, ready(0)), (503, ready(4)), (500, ready(4)), (200, ready(-1)), (200, ready(10**9)),
        (200, b"\xff\xfe"), (200, b'{"status":200,"readyConnections":"4"}'), (200, b"[" * 9999),
    ],
)  # fmt: skip
def test_what_is_none_of_its_answers_is_unknown(status: int, body: bytes) -> None:
    said = cloudflared.said(status, body, metrics())
    assert said.opinion == "unknown"
    assert said.marks is None
    assert not seen(said, said).steady


@pytest.mark.parametrize(
    "page",
    [
        b"", b"<html>", b"go_goroutines 4\n", b"process_start_time_seconds nonsense\n",
        b'cloudflared_tunnel_server_locations{connection_id="0\n', b"\xff" * 100,
        b"process_start_time_seconds NaN\n", b"process_start_time_seconds -1\n",
        b"process_start_time_seconds 1\n" * (bounds.OPINION_SAMPLES + 1),
    ],
)  # fmt: skip
def test_a_page_that_is_no_page_of_metrics_compares_nothing(page: bytes) -> None:
    said = cfd(page=page)
    assert said.opinion == "healthy"
    assert "is no page of metrics, so nothing is compared" in said.words[1]
    assert not seen(said, said).steady


def test_foreign_words_move_nothing_and_are_cut() -> None:
    said = cfd(page=metrics("\x1b[31m" + "x" * 500))
    assert all("\x1b" not in one and len(one) <= 16 for one in said.colos)


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([200, 503, 404]))
def test_no_bytes_break_it(body: bytes, page: bytes, status: int) -> None:
    assert cloudflared.said(status, body, page).opinion in ("unknown", "healthy", "unhealthy")
    assert traefik.said(body, {"a@file": page}).opinion in ("unknown", "unhealthy")


# -- Traefik

NONE = {"total": 2, "warnings": 0, "errors": 0}
CHECK = {"mode": "http", "path": "/", "interval": "1s", "timeout": "1s"}


def overview(errors: int = 0) -> bytes:
    routers = {"total": 10, "warnings": 0, "errors": errors}
    http = {"routers": routers, "services": NONE, "middlewares": NONE}
    return json.dumps(
        {
            "http": http,
            "tcp": {"routers": NONE},
            "certificates": {"total": 1},
            "providers": ["File"],
        }
    ).encode()


def service(states: str = "UP", check: object = CHECK, **more: Any) -> bytes:
    urls = [f"http://10.0.0.{at}" for at, _ in enumerate(states.split(), 1)]
    balancer: dict[str, object] = {"servers": [{"url": one} for one in urls], "strategy": "wrr"}
    if check:
        balancer["healthCheck"] = check
    told = {"loadBalancer": balancer, "status": "enabled", "usedBy": ["r@file"]}
    told["serverStatus"] = dict(zip(urls, states.split(), strict=True))
    return json.dumps({**told, **more}).encode()


PASSIVE = {"servers": [{"url": "http://a"}], "passiveHealthCheck": {"maxFailedAttempts": 3}}


@pytest.mark.parametrize(
    ("answer", "opinion", "words"),
    [
        (service("UP UP"), "healthy", "2 of 2 servers up"),
        (service("UP DOWN"), "degraded", "1 of 2 servers up, down: http://10.0.0.2"),
        (service("DOWN"), "unhealthy", "0 of 1 server up, down: http://10.0.0.1"),
        (service("UP", check=None), "unknown", "nobody checks its servers' health"),
        # It took that one out, answers 503, and its page says UP all the same.
        (service("UP", loadBalancer=PASSIVE), "unknown", "nobody checks its servers' health"),
        (service(serverStatus={}), "unknown", "nothing is said of its servers"),
        (service(loadBalancer={"strategy": "wrr"}, serverStatus={}), "unhealthy", "no server"),
        (service(loadBalancer=None, weighted={}), "unknown", "nothing is said of its servers"),
        (service(status="disabled", error=["no such entry\x1b[0m"]), "unhealthy", "no such entry"),
        (b"[]", "unknown", "none of its answers"),
        (b'{"serverStatus": 5}', "unknown", "none of its answers"),
        ("no such service", "unknown", "a@file: no such service"),
    ],
)  # fmt: skip
def test_a_service_is_what_its_health_check_says(
    answer: bytes | str, opinion: str, words: str
) -> None:
    said = traefik.said(overview(), {"a@file": answer})
    assert said.opinion == opinion
    assert words in said.words[0]
    assert "\x1b" not in said.words[0]


def test_of_several_services_the_worst_counts() -> None:
    answers = {"a@file": service("UP"), "b@file": service("DOWN"), "c@file": b"?"}
    assert traefik.said(overview(), answers).opinion == "unhealthy"
    del answers["b@file"]
    assert traefik.said(overview(), answers).opinion == "unknown"
    answers["c@file"] = service("UP DOWN")
    assert traefik.said(overview(), answers).opinion == "degraded"


def test_without_services_the_configuration_is_the_opinion() -> None:
    assert traefik.said(overview(), {}).opinion == "healthy"
    said = traefik.said(overview(errors=2), {})
    assert (said.opinion, said.words) == (
        "degraded",
        ("2 of 16 parts of its configuration have an error",),
    )
    with_service = traefik.said(overview(errors=2), {"a@file": service("UP")})
    assert with_service.opinion == "healthy"
    assert "2 of 16 parts" in with_service.words[1]
    for other in (b"[]", b"{}", b'{"http": 5}', b"no"):
        assert traefik.said(other, {}).opinion == "unknown"


def test_a_server_that_went_down_meanwhile_is_not_steady() -> None:
    up, part = (traefik.said(overview(), {"a@file": service(one)}) for one in ("UP UP", "UP DOWN"))
    assert seen(up, up).steady
    assert not seen(up, part).steady
    other = traefik.said(overview(), {"a@file": service("DOWN UP")})
    assert not seen(part, other).steady


# -- asking


def answering(pages: dict[str, bytes]) -> Callable[[bytes], bytes]:
    def answer(head: bytes) -> bytes:
        path = head.split(b" ")[1].decode()
        return pages.get(path, ok(b"404 page not found", "404 Not Found"))

    return answer


WELL = {"/ready": ok(ready(4)), "/metrics": ok(metrics())}


def source(url: str, **more: Any) -> OpinionSource:
    facts = {"name": "cfd", "kind": "cloudflared", "segment": "tunnel", "url": url}
    return OpinionSource(**{**facts, "timeout": Duration(30), **more})


def asked(*sources: OpinionSource, **environ: str) -> list[SelfReport]:
    return OpinionReader(sources, SystemClock(), environ).begin().wait()


def test_a_login_goes_to_it_and_is_never_shown(tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2hunter2\n")
    with serving(answering(WELL)) as (url, heads):
        (said,) = asked(source(url, token_file=str(token)))
        assert said.opinion == "healthy"
        assert all(b"Authorization: Bearer hunter2hunter2" in one for one in heads)
        (said,) = asked(
            source(url), T3PROBE_OPINION_CFD_USER="me", T3PROBE_OPINION_CFD_PASSWORD="x"
        )
        assert b"Authorization: Basic" in heads[-1]
    with pytest.raises(ValueError, match="T3PROBE_OPINION_CFD_USER"):
        OpinionReader([source(url)], SystemClock(), {"T3PROBE_OPINION_CFD_USER": "me"})


def test_a_token_that_is_gone_later_is_unknown_and_no_error(tmp_path: Any) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2hunter2\n")
    (tmp_path / "other").touch()  # an empty folder may be where a Secret without keys is mounted
    with serving(answering(WELL)) as (url, _):
        reader = OpinionReader([source(url, token_file=str(token))], SystemClock(), {})
        token.unlink()
        (said,) = reader.begin().wait()
    assert said.opinion == "unknown"
    assert "its login cannot be read" in said.words[0]
    assert "hunter2" not in said.words[0]


@pytest.mark.parametrize(
    ("pages", "opinion", "words"),
    [
        ({**WELL, "/ready": ok(ready(0), "503 Service Unavailable")}, "unhealthy", "0 connections"),
        ({**WELL, "/ready": ok(b"", "401 Unauthorized")}, "unknown", "401 to /ready; set"),
        ({"/ready": ok(ready(4))}, "healthy", "/metrics answers 404"),
        ({"/ready": ok(ready(4)), "/metrics": b"nonsense"}, "healthy", "does not speak HTTP"),
        ({"/metrics": ok(metrics())}, "unknown", "it answers 404 to /ready"),
        ({"/ready": b"nonsense"}, "unknown", "it does not speak HTTP"),
        ({"/ready": b""}, "unknown", "it did not answer in time"),
        (
            {"/ready": ok(ready(4)), "/metrics": ok(b"x" * (bounds.OPINION_BYTES + 1))},
            "healthy",
            "answers with more than",
        ),
    ],
)  # fmt: skip
def test_whatever_answers_is_said(pages: dict[str, bytes], opinion: str, words: str) -> None:
    with serving(answering(pages)) as (url, _):
        soon = Duration(0.5 if pages.get("/ready") == b"" else 30)
        (said,) = asked(source(url, timeout=soon))
    assert said.opinion == opinion
    assert words in "; ".join(said.words)


def test_nobody_there() -> None:
    (said,) = asked(source("http://127.0.0.1:1"))
    assert (said.opinion, said.words) == ("unknown", ("it refuses connections",))


def test_traefik_is_asked_for_its_services() -> None:
    pages = {
        "/base/api/overview": ok(overview()),
        "/base/api/http/services/a@file": ok(service("UP")),
    }
    with serving(answering(pages)) as (url, heads):
        both = ("a@file", "b@kubernetescrd")
        one = source(f"{url}/base", kind="traefik", services=both)
        (said,) = asked(one)
        (alone,) = asked(source(f"{url}/base", kind="traefik", services=("a@file",)))
        (other,) = asked(source(url, kind="traefik"))
    assert said.words == ("a@file: 1 of 1 server up", "b@kubernetescrd: no such service")
    assert (said.opinion, alone.opinion, other.opinion) == ("unknown", "healthy", "unknown")
    assert len(heads) == 6


def test_all_are_asked_at_once() -> None:
    both = threading.Barrier(2, timeout=20)

    def answer(head: bytes) -> bytes:
        if b"/ready" in head:
            both.wait()
        return answering(WELL)(head)

    with serving(answer) as (url, _):
        wait = Duration(20)
        said = asked(source(url, timeout=wait), source(url, name="other", timeout=wait))
    assert [one.opinion for one in said] == ["healthy", "healthy"]


# -- of a run


def of_run(*sources: OpinionSource) -> Deployment:
    return Deployment(name="x", file="x", segments=("tunnel",), legs=(), opinion=sources)


def test_a_run_asks_at_its_start_and_at_its_end() -> None:
    with serving(answering(WELL)) as (url, heads):
        opinions = RunOpinions(of_run(source(url)), "", {})
        opinions.ready(bool)
        assert len(heads) == 2
        (view,) = opinions.settle(lambda: 7.0, bool)
        assert len(heads) == 4
    assert (view.opinion, view.steady, view.at) == ("healthy", True, 7.0)


def test_one_that_was_not_there_at_the_start_is_compared_with_nothing() -> None:
    pages: dict[str, bytes] = {}
    with serving(answering(pages)) as (url, _):
        opinions = RunOpinions(of_run(source(url)), "", {})
        opinions.ready(bool)
        pages |= WELL
        (view,) = opinions.settle(lambda: 7.0, bool)
    assert (view.opinion, view.steady) == ("healthy", False)
    assert "not known at its start" in view.detail


def test_a_run_that_is_told_to_end_waits_for_nobody() -> None:
    told = threading.Event()
    with serving(lambda _: b"") as (url, heads):
        opinions = RunOpinions(of_run(source(url, timeout=Duration(600))), "", {})
        while not heads:
            threading.Event().wait(0.01)
        told.set()
        opinions.ready(told.is_set)
        (view,) = opinions.settle(lambda: 7.0, told.is_set)
        assert len(heads) == 1
    assert (view.opinion, view.steady) == ("unknown", False)
    assert "told to end" in view.detail


def test_only_this_vantage_is_asked_and_nothing_is_loaded_for_nobody() -> None:
    elsewhere = source("http://127.0.0.1:1", vantages=("lan",))
    for opinions in (RunOpinions(of_run(elsewhere), "cloud", {}), RunOpinions(of_run(), "", {})):
        opinions.ready(bool)
        assert opinions.settle(lambda: 0.0, bool) == ()
    (view,) = RunOpinions(of_run(elsewhere), "lan", {}).settle(lambda: 0.0, bool)
    assert view.opinion == "unknown"
