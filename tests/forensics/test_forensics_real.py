"""The logs that real programs wrote while something on their path was broken."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest
from real_path import Stack, free_port, program, until
from test_forensics_runs import broken

from t3probe.cli import main
from t3probe.record.log import record_line
from t3probe.timing import SystemClock

PLACES = ("--map", "nginx=cf-edge", "--map", "haproxy=tunnel", "--map", "envoy=traefik",
          "--map", "dnsdist=doh")  # fmt: skip
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("real")) as one:
        one.ask("/ok", 3)
        yield one


def second() -> float:
    return SystemClock().wall()


def found(stack: Stack, since: float, capsys: Capture, *more: str) -> Any:
    """What the logs say from a moment on; all lines have to be read."""
    words = ("--timezone", "UTC", "--json", "--since", f"@{int(since)}", *PLACES, *more)
    assert main(["forensics", *stack.logs, *words]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["unread"] == 0
    assert whole["untimed"] == 0
    return whole


def apart() -> None:
    """Let the second end: what is asked for begins with the next one."""
    began = int(second())
    until(lambda: second() >= began + 1, "the next second")


def logged(stack: Stack, before: dict[str, int], more: int) -> None:
    until(
        lambda: all(stack.lines(name) >= count + more for name, count in before.items()),
        "the logs to be written",
    )


def counts(stack: Stack, *names: str) -> dict[str, int]:
    return {name: stack.lines(name) for name in names}


def test_the_backend_that_is_gone(stack: Stack, capsys: Capture) -> None:
    apart()
    since, before = second(), counts(stack, "nginx-access.log", "haproxy.out", "envoy-access.log")
    stack.kill("backend")
    stack.ask("/ok")
    logged(stack, before, 9)
    stack.start("backend")
    (burst,) = found(stack, since, capsys)["bursts"]
    assert set(burst["sources"]) == {"nginx", "haproxy", "envoy"}
    assert burst["suspects"] == ["devvm", "dispatch", "serve"]
    assert burst["one_cause"]


def test_a_balancer_that_was_killed_and_came_back(stack: Stack, capsys: Capture) -> None:
    apart()
    since, before = second(), counts(stack, "nginx-access.log", "haproxy.out")
    stack.kill("envoy")
    stack.ask("/ok")
    logged(stack, before, 9)
    stack.start("envoy")
    whole = found(stack, since, capsys)
    assert "traefik" in whole["bursts"][0]["suspects"]
    assert not {"wan", "cf-edge", "tunnel"} & set(whole["bursts"][0]["suspects"])


def test_the_tunnel_that_was_killed_and_what_a_run_says(
    stack: Stack, tmp_path: Path, capsys: Capture
) -> None:
    apart()
    since, before = second(), counts(stack, "nginx-access.log")
    stack.kill("haproxy")
    stack.ask("/ok")
    logged(stack, before, 9)
    stack.start("haproxy")
    recording = broken(since - 20)
    (tmp_path / "job.log").write_text(record_line(recording.run, recording.observations) + "\n")
    burst = found(stack, since, capsys, "--runs", str(tmp_path))["bursts"][0]
    assert burst["sources"] == ["nginx"]
    assert burst["suspects"][0] == "tunnel"
    # The access log and the error log speak of the same nine requests.
    assert burst["deaths"] == 9
    assert any("both point at tunnel" in one for one in burst["runs_text"])


def test_clients_that_give_up_do_not_clear_a_server_that_hangs(
    stack: Stack, capsys: Capture
) -> None:
    apart()
    since, before = second(), counts(stack, "nginx-access.log", "haproxy.out", "envoy-access.log")
    stack.ask("/hang", patience=0.3)
    logged(stack, before, 9)
    (burst,) = found(stack, since, capsys)["bursts"]
    assert burst["perhaps_one_person"]
    assert {"wan", "serve"} <= set(burst["suspects"])
    assert {"nginx", "haproxy", "envoy"} >= set(burst["sources"]) >= {"nginx"}


def test_without_their_places_nobody_is_named(stack: Stack, capsys: Capture) -> None:
    assert main(["forensics", *stack.logs, "--timezone", "UTC", "--json"]) == 0
    for burst in json.loads(capsys.readouterr().out)["bursts"]:
        assert (burst["suspects"], burst["one_cause"]) == ([], False)


def test_dnsdist_that_cannot_find_out(tmp_path: Path, capsys: Capture) -> None:
    port = free_port()
    (tmp_path / "dnsdist.conf").write_text(f"""
setLocal("127.0.0.1:{port}")
setSecurityPollSuffix("")
addSelfAnsweredResponseAction(AllRule(), LogResponseAction("{tmp_path}/answers.log", true, false,
  false, true))
addAction(AllRule(), LogAction("{tmp_path}/queries.log", false, true, false, false, true))
addAction("bad.test", RCodeAction(DNSRCode.SERVFAIL))
addAction(AllRule(), RCodeAction(DNSRCode.NOERROR))
""")
    command = [program("dnsdist"), "--supervised", "--disable-syslog", "-C", "dnsdist.conf"]
    with (tmp_path / "out.log").open("wb") as out, subprocess.Popen(
        command, cwd=tmp_path, stdout=out, stderr=out, env={"PATH": os.environ["PATH"]}
    ) as process:  # fmt: skip
        try:
            until(lambda: b"Listening on" in (tmp_path / "out.log").read_bytes(), "dnsdist")
            for name in ("good.test", *["bad.test"] * 7):
                dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", 10, port)
        finally:
            process.terminate()
            process.wait(10)
    files = [str(tmp_path / name) for name in ("answers.log", "queries.log", "out.log")]
    assert main(["forensics", *files, "--timezone", "UTC", "--json", *PLACES]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["unread"] == 0
    (burst,) = whole["bursts"]
    assert (burst["suspects"], burst["deaths"], burst["sure"]) == (["doh"], 7, "guess")
