"""An ingest gate of nginx or vmauth in front of VictoriaMetrics: right, and with usual faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from probes.fixtures import Authority, no_stalls
from probes.ingest_programs import (
    KNOWN,
    TOKEN,
    Ground,
    Looked,
    VictoriaMetrics,
    deployment_text,
    look,
    nginx,
    running,
    stored,
    vmauth,
)

__all__ = ["no_stalls"]

NOBODY = "127.0.0.1:9"
ALL = {"token", "no_token", "wrong_token", "paths", "method", "health", "plain", "leak"}
HEALTH = 'health = "/health"'


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    one = VictoriaMetrics(tmp_path_factory.mktemp("vm"))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def ground(tmp_path: Path, authority: Authority, receiver: VictoriaMetrics) -> Ground:
    return Ground(tmp_path / "gate", authority, receiver.address)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T3PROBE_INGEST_METRICS_TOKEN", TOKEN)


@dataclass(frozen=True)
class Case:
    """A gate, and what a run must say of it."""

    name: str
    parts: dict[str, str] = field(default_factory=dict)
    receiver: str = ""
    """Another one than the real; `host:port`."""
    whole: str = "passed"
    gate: str = "passed"
    reason: str | None = None
    """Of whichever leg is not passed, the path's first."""
    open: frozenset[str] = frozenset()
    convicted: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    says: str = ""
    more: str = HEALTH


def opened(name: str, check: str, says: str, **more: Any) -> Case:
    """A gate that is open in one respect: the gate alone is convicted."""
    return Case(
        name,
        gate="failed",
        reason="gate_open",
        open=frozenset({check}),
        convicted=("gate",),
        says=says,
        **more,
    )


PROXY = "proxy_pass http://RECEIVER;"
CHALLENGE = "<title>Just a moment...</title>"
NGINX = [
    opened("no question at all", "no_token", "without a token is taken: HTTP 204",
           parts={"write": PROXY}),
    opened("any token", "wrong_token", "a wrong token is taken",
           parts={"write": f'if ($http_authorization = "") {{ return 401; }} {PROXY}'}),
    opened("everything behind the token", "paths", "/ is open to the token",
           parts={"rest": f"{KNOWN} {PROXY}"}),
    opened("the administration behind the token", "paths", "delete_series is open",
           parts={"more": f"location /api/v1/admin/ {{ {KNOWN} {PROXY} }}"}),
    opened("reading behind the token", "paths", "/api/v1/query is open",
           parts={"more": f"location = /api/v1/query {{ {KNOWN} {PROXY} }}"}),
    opened("the health page for everybody", "health", "/health answers without a token",
           parts={"health": "proxy_pass http://RECEIVER/health;"}),
    opened("plain http", "plain", "over plain http is taken",
           parts={"plain": f"location / {{ {PROXY} }}"}),
    opened("the token in a header", "leak", "holds our token in the header x-debug",
           parts={"write": f"{KNOWN} add_header X-Debug $http_authorization always; {PROXY}"}),
    opened("the token in a redirect", "leak", "holds our token in the header location",
           parts={"more": "location = /metrics { return 302 /login?from=$http_authorization; }"}),
    Case("the receiver is down", receiver=NOBODY, whole="failed", reason="http_5xx",
         convicted=("receiver",), says="HTTP 502"),
    Case("another token", parts={"map": 'default 0; "Bearer another-token-of-senders" 1;'},
         whole="inconclusive", reason="token_refused", open=frozenset({"token"}),
         says="our token is refused: HTTP 401"),
    Case("another server answers", parts={"write": "return 404;", "health": "return 404;"},
         whole="inconclusive", gate="inconclusive", reason="http_4xx",
         says="it may be another server"),
    Case("a challenge in front",
         parts={"write": f"default_type text/html; return 403 '{CHALLENGE}';"},
         whole="inconclusive", gate="inconclusive", reason="http_4xx", says="challenge"),
    Case("a limit of requests",
         parts={"top": "limit_req_zone $server_name zone=z:1m rate=1r/m; limit_req_status 429;",
                "write": f"limit_req zone=z; {KNOWN} {PROXY}"},
         whole="inconclusive|passed", gate="inconclusive|passed|degraded", says=""),
    Case("503 for everybody", parts={"write": "return 503;"}, whole="failed",
         gate="inconclusive", reason="http_5xx", ambiguous=("gate", "receiver"),
         says="HTTP 503"),
    Case("everything else is sent on", parts={"rest": "return 301 https://other.example/;"},
         gate="degraded", reason="http_other", says="neither yes nor no"),
    Case("strangers are hung up on",
         parts={"write": f"if ($known = 0) {{ return 444; }} {PROXY}", "rest": "return 444;",
                "health": f"{KNOWN} proxy_pass http://RECEIVER/health;"}),
    Case("the path is gone for senders", parts={"write": f"{KNOWN} return 404;"}, whole="failed",
         reason="http_4xx", ambiguous=("gate", "receiver"), says="HTTP 404"),
    Case("a page for everybody", parts={"write": "default_type text/html; return 200 '<h1>Hi';",
                                        "rest": "default_type text/html; return 200 '<h1>Hi';"},
         whole="inconclusive", gate="inconclusive", reason="http_other", says="page"),
]  # fmt: skip


def told(case: Case, seen: Looked) -> None:
    """Hold a run against its case, whole."""
    whole, gate = seen.whole, seen.gate
    said = f"{whole.detail} | {gate.detail} | {gate.evidence}"
    assert whole.outcome in case.whole.split("|"), said
    assert gate.outcome in case.gate.split("|"), said
    verdict = seen.verdict.verdict
    assert tuple(verdict.convicted) == case.convicted, said
    assert tuple(verdict.ambiguous) == case.ambiguous, said
    assert seen.open == case.open, said
    if case.reason is not None:
        first = whole if whole.outcome != "passed" else gate
        assert first.reason == case.reason, said
    assert case.says in said
    assert TOKEN not in said
    if case.convicted == ("receiver",):
        assert {"way", "gate"} <= set(verdict.exonerated)
    if case.open == {"token"}:
        assert "gate" not in verdict.exonerated


@pytest.mark.parametrize("case", NGINX, ids=lambda one: one.name.replace(" ", "-"))
def test_nginx(case: Case, ground: Ground) -> None:
    ground.receiver = case.receiver or ground.receiver
    with nginx(ground, case.parts):
        seen = look(deployment_text(ground, case.more))
    told(case, seen)


def test_nginx_as_it_must_be(ground: Ground, receiver: VictoriaMetrics) -> None:
    before = stored(receiver)
    with nginx(ground, {}):
        seen = look(deployment_text(ground, HEALTH))
    told(Case("right"), seen)
    assert seen.held == ALL
    assert seen.verdict.verdict.status == "clean"
    assert (seen.gate.evidence, stored(receiver)) == ((), before)


HOLD = '[timing]\nhold = "0"'
LONGER = '[timing]\nhold = "1200ms"'


@pytest.mark.parametrize(
    "name", ["no question at all", "the receiver is down", "the administration behind the token"]
)
def test_a_run_that_holds_says_the_same(name: str, ground: Ground) -> None:
    """Several beats, common ones among them, and none contradicts another."""
    (case,) = [one for one in NGINX if one.name == name]
    ground.receiver = case.receiver or ground.receiver
    with nginx(ground, case.parts):
        seen = look(deployment_text(ground, case.more).replace(HOLD, LONGER))
    told(case, seen)
    assert seen.verdict.verdict.contradictions == ()
    assert len(seen.gate.beats) > 2


SECOND = """
[[ingest]]
name = "others"
kind = "remote_write"
url = "https://ingest.example:PORT/api/v2/write"
pin = "127.0.0.1"
path = ["way", "gate", "receiver"]
tcp_ends_at = "gate"
"""


def test_a_gate_that_is_closed_elsewhere_is_open_all_the_same(ground: Ground) -> None:
    """The other path's legs cross the same gate, and clear it of nothing."""
    other = f"location = /api/v2/write {{ {KNOWN} proxy_pass http://RECEIVER/api/v1/write; }}"
    more = HEALTH + SECOND.replace("PORT", str(ground.port))
    with nginx(ground, {"write": PROXY, "more": other}):
        seen = look(deployment_text(ground, more))
    found = {name: one.outcome for name, one in seen.session.observations.items()}
    assert found.pop("ingest-metrics-gate") == "failed"
    assert found.pop("ingest-others") == "inconclusive", "no token of its own is set"
    assert set(found.values()) == {"passed"}
    assert seen.verdict.verdict.convicted == ("gate",)


APP = """
[[leg]]
name = "app"
kind = "http"
url = "https://ingest.example:PORT/ready-of-the-test"
pin = "127.0.0.1"
path = ["way", "gate", "app"]
tcp_ends_at = "gate"
"""


@pytest.mark.parametrize("timing", [HOLD, LONGER], ids=["one look", "held"])
def test_an_open_gate_is_convicted_where_ordinary_legs_cross_it(
    timing: str, ground: Ground
) -> None:
    text = deployment_text(ground, APP.replace("PORT", str(ground.port)))
    text = text.replace('"receiver"]', '"receiver", "app"]', 1).replace(HOLD, timing)
    with nginx(ground, {"write": PROXY}):
        seen = look(text)
    assert seen.session.observations["app"].outcome == "passed"
    verdict = seen.verdict.verdict
    assert (verdict.status, verdict.convicted) == ("localised", ("gate",)), verdict


def test_nginx_that_is_down(ground: Ground) -> None:
    seen = look(deployment_text(ground))
    assert {seen.whole.reason, seen.gate.reason} == {"connect_refused"}
    verdict = seen.verdict.verdict
    assert (verdict.convicted, verdict.exonerated) == (("gate",), ("way",))


def test_the_receiver_itself_refuses(ground: Ground, tmp_path: Path) -> None:
    own = VictoriaMetrics(tmp_path, "-httpAuth.username=a", "-httpAuth.password=b")
    ground.receiver = own.address
    port = int(own.address.rpartition(":")[2])
    with running(own.words, ground.folder, "vm", port), nginx(ground, {}):
        seen = look(deployment_text(ground))
    assert (seen.whole.outcome, seen.whole.reason) == ("inconclusive", "token_refused")
    assert "it seems to be the receiver that refuses it" in seen.whole.detail
    assert seen.verdict.verdict.convicted == ()


USERS = """
users:
- bearer_token: TOKEN
  url_map:
  - src_paths: ["/api/v1/write"]
    url_prefix: "http://RECEIVER"
"""
VMAUTH = [
    Case("right", more=""),
    opened("everything behind the token", "paths", "is open to the token", more=""),
    opened("the administration behind the token", "paths", "delete_series is open", more=""),
    Case("the receiver is down", receiver=NOBODY, whole="failed", reason="http_5xx",
         convicted=("receiver",), more=""),
    Case("another token", whole="inconclusive", reason="token_refused",
         open=frozenset({"token"}), says="our token is refused: HTTP 400", more=""),
]  # fmt: skip
USERS_OF = {
    "everything behind the token": "users:\n- {bearer_token: TOKEN, url_prefix: http://RECEIVER}\n",
    "the administration behind the token": USERS.replace(
        '"/api/v1/write"', '"/api/v1/write", "/api/v1/admin/.*"'
    ),
    "another token": USERS.replace("TOKEN", "another-token-of-senders"),
}


@pytest.mark.parametrize("case", VMAUTH, ids=lambda one: one.name.replace(" ", "-"))
def test_vmauth(case: Case, ground: Ground) -> None:
    ground.receiver = case.receiver or ground.receiver
    with vmauth(ground, USERS_OF.get(case.name, USERS)):
        seen = look(deployment_text(ground, case.more))
    told(case, seen)
