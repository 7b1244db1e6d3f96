"""What haproxy, nginx, Envoy and dnsdist write, in each of their forms, and who ended it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from forensics_help import AT, read, told
from forensics_samples import CLF, HAPROXY, REQUEST, SAMPLES

from t3probe.ask.forensics.formats import FORMS, JSON_FORMS
from t3probe.ask.forensics.haproxy import state_kind
from t3probe.ask.forensics.kinds import KINDS
from t3probe.ask.forensics.tally import CODE_BITS, Tally


def moments(tally: Tally) -> list[int]:
    return sorted({key >> CODE_BITS for key in tally.cells})


@pytest.mark.parametrize(("line", "kind", "at"), SAMPLES, ids=[one[0][:110] for one in SAMPLES])
def test_what_a_line_says_and_when(line: str, kind: str, at: int) -> None:
    tally = read([line])
    assert told(tally) == {kind: 1}
    assert (tally.unread, tally.timeless) == (0, 0)
    assert (tally.began, tally.ended) == (at, at)
    if next(one for one in KINDS if one.name == kind).sides:
        assert moments(tally) == [at]


@pytest.mark.parametrize(("line", "kind", "at"), SAMPLES, ids=[one[0][:110] for one in SAMPLES])
def test_a_unit_or_container_before_it_changes_nothing(line: str, kind: str, at: int) -> None:
    program = kind.partition("_")[0]
    for before in ("edge-1  | ", f"[pod/{program}-5/{program}] ", "[pod/tunnel-5/tunnel] "):
        tally = read([before + line])
        assert told(tally) == {kind: 1}
        assert tally.ended == at


WHO = {"C": "before", "c": "before", "S": "after", "s": "after", "D": "after"}


@pytest.mark.parametrize("who", "CSPLRIDUKcs-")
@pytest.mark.parametrize("phase", "RQCHDLT-")
def test_every_termination_state_names_who_ended_it(who: str, phase: str) -> None:
    kind = KINDS[state_kind(who + phase, 200, 0.1, 10)]
    if who in "L-":
        assert kind.name == "haproxy_served"
    elif who in WHO:
        assert WHO[who] in kind.sides
        assert "self" not in kind.sides or kind.name in ("haproxy_refused", "haproxy_full")
    else:
        assert "self" in kind.sides or (who + phase in ("PH", "PD") and kind.sides == ("after",))


def test_every_form_of_the_table_has_a_line() -> None:
    for form in (*FORMS, *JSON_FORMS):
        assert any(kind.startswith(form.source) for _, kind, _ in SAMPLES) or (
            form.source == "traefik"
        )


CUSTOM = [
    f"20/Nov/2026:14:03:07 +0000 127.0.0.1 0 502 SH {REQUEST} app",
    "%ci 127.0.0.1 went to app for 33 ms",
]


@pytest.mark.parametrize("line", CUSTOM)
def test_a_form_of_ones_own_is_named_as_unread(line: str) -> None:
    tally = read([f"Nov 20 14:03:07 lb haproxy[1857]: {line}"] * 3)
    assert (tally.known, tally.unread, tally.cannot_tell) == (0, 3, True)
    (sentence,) = tally.remarks
    assert sentence == "haproxy's, in a form of its own (log-format) that is not read"
    bare = read([line])
    assert (bare.known, bare.unread) == (0, 1)


def test_what_a_session_that_only_began_cannot_say_is_said() -> None:
    line = next(line for line, kind in HAPROXY if "/+10 101" in line and kind == "haproxy_served")
    assert "option logasap" in next(iter(read([line]).remarks))
    ended = next(line for line, _ in HAPROXY if "/+10 502" in line)
    assert read([ended]).remarks == {}


@pytest.mark.parametrize(
    ("start", "source"),
    [
        ("2026/11/20 14:03:07 [notice] 9#9: nginx/1.22.1", "nginx"),
        ("[2026-11-20 14:03:07.154][9][info][main] [source/server/server.cc:1098] starting main "
         "dispatch loop", "envoy"),
        ("Nov 20 14:03:07 ns dnsdist[7]: dnsdist 1.7.3 comes with NO WARRANTY", "dnsdist"),
        ("Nov 20 14:03:07 lb haproxy[7]: Proxy f started.", "haproxy"),
    ],
)  # fmt: skip
def test_the_second_start_in_a_log_means_that_it_had_ended(start: str, source: str) -> None:
    assert told(read([start])) == {f"{source}_info": 1}
    assert told(read([start, start])) == {f"{source}_info": 1, f"{source}_restarted": 1}
    of_it = next(line for line, kind, _ in SAMPLES if kind.startswith(f"{source}_") and
                 not kind.endswith("_info"))  # fmt: skip
    assert f"{source}_restarted" in told(read([of_it, start]))


def test_a_request_cannot_speak_for_the_server() -> None:
    lines = [
        '2026/11/20 14:03:07 [info] 9#9: *3 client closed connection, client: 127.0.0.1, request: '
        '"GET /upstream/timed/out HTTP/1.1"',
        f'{CLF} 200 2 "-" "x [20/Nov/2026:14:03:07.1] f b/app 0/0/0/0/9 502 9 - - SH-- 1/1/1/1/0"',
        '127.0.0.1:1 [20/Nov/2026:14:03:07.415] f b/app 0/0/0/0/0 200 51 - - ---- 9/1/7/7/0 0/0 '
        '"GET /x" 502 0/0/ SC-- 9/9/9/9/9 HTTP/1.1"',
    ]  # fmt: skip
    said = [told(read([line])) for line in lines]
    assert said == [{"nginx_info": 1}, {"nginx_served": 1}, {"haproxy_served": 1}]


HOSTILE = [
    b'"GET ' * 9_000,
    b'[20/Nov/2026:14:03:07 +0000] "' * 1_200,
    b"[20/Nov/2026:14:03:07.123] " * 1_300,
    b"[20/Nov/2026:14:03:07.123] " + b" a/b 0/0/0/0/" * 2_600,
    b"[20/Nov/2026:14:03:07.123] f " + b"a/" * 16_000,
    b'[2026-11-20T14:03:07Z] "' + b"1 1 1 " * 5_300,
    b'[2026-11-20T14:03:07Z] "x" 503 UF' + b" 1 1" * 8_000,
    b"<1>1 - a b c d [" + b'a="\\' * 6_000,
    b"2026-11-20T14:03:07Z {" + b'a="b",' * 5_400,
    b"Answer to 1 for " + b" (x) with id " * 2_400,
    b"Marking downstream " + b" as '" * 6_000,
    b"\x1b[" * 16_000,
    b"time=" + b'"' * 32_000,
    b"Main process exited " + b"a:" * 16_000,
    b"x | " * 8_000,
    b"[" * 32_000,
    b"[    1.1" + b" <" * 16_000,
    b'{"log":' * 4_600,
    b"read tcp a:1->" * 2_300,
    b'context canceled" 1ms" ' * 1_400,
]


@pytest.mark.parametrize("line", HOSTILE, ids=[repr(one[:30]) for one in HOSTILE])
def test_no_line_costs_more_than_in_proportion(line: bytes) -> None:
    def cost(some: bytes) -> float:
        least = float("inf")
        for _ in range(5):
            began = time.process_time()
            read([some + b" http: proxy error: "] * 40)
            least = min(least, time.process_time() - began)
        return least

    assert cost(line) <= 3 * cost(line[: len(line) // 2]) + 0.01


def test_the_samples_lie_at_the_moment_that_they_name() -> None:
    assert read([one[0] for one in SAMPLES]).began == AT


def test_the_document_lists_every_form() -> None:
    page = (Path(__file__).parents[2] / "docs" / "forensics.md").read_text()
    for form in (*FORMS, *JSON_FORMS):
        assert form.name in page
    for flag in ("DC", "UH", "UF", "UC", "UT", "URX"):
        assert f"`{flag}`" in page
