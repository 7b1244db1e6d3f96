"""From the kernel's numbers to a claim: recorded ones, made-up ones, and short ones."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.config.types import Leg, Timing
from t3probe.observation import Attempt, TcpSample
from t3probe.probes import tcpinfo
from t3probe.probes.facts import Echo, Facts, ProbeError, Target
from t3probe.run.attempt import AddressAttempt, attempt_of
from t3probe.run.book import Book
from t3probe.run.footing import Footing
from t3probe.run.own_answer import OwnAnswer, claim, evidence
from t3probe.timing import FakeClock, RunClock

# Recorded between two namespaces on Linux 6.18: the last good beat of a held WebSocket, then the
# watchdog's expiry with the server stopped, and with everything dropped between them.
GOOD = TcpSample(
    state=1,
    rtt_seconds=0.001,
    since_last_ack_received_seconds=0.0,
    bytes_acked=346,
    not_sent_bytes=0,
    out_of_order=0,
    peer_window_bytes=64768,
)
FROZEN = msgspec.structs.replace(
    GOOD,
    bytes_acked=384,
    since_last_ack_received_seconds=0.98,
    since_last_data_received_seconds=1.18,
)
DROPPED = msgspec.structs.replace(
    GOOD,
    unacked=1,
    retransmits=3,
    since_last_ack_received_seconds=1.4,
    since_last_data_received_seconds=20.0,
)
BEFORE = msgspec.structs.replace(GOOD, retransmits=1)


def but(sample: TcpSample, **changes: Any) -> TcpSample:
    return msgspec.structs.replace(sample, **changes)


ACKNOWLEDGED = "the far end acknowledged our bytes 980 ms ago and did not answer"
LOST = "1 segment unacknowledged, 3 retransmissions, nothing heard for 20 s"
CLAIMS: list[tuple[str, TcpSample | None, TcpSample | None, str, str]] = [
    ("frozen", FROZEN, GOOD, "acknowledged", ACKNOWLEDGED),
    ("frozen in its first exchange", FROZEN, None, "acknowledged", ACKNOWLEDGED),
    ("dropped", DROPPED, GOOD, "lost", LOST),
    ("only what was sent again since", DROPPED, BEFORE, "lost", LOST.replace("3 r", "2 r")),
    (
        "a window's worth lost, the rest never sent",
        but(DROPPED, unacked=10, not_sent_bytes=9),
        GOOD,
        "lost",
        LOST.replace("1 segment", "10 segments"),
    ),
    ("first bytes lost", but(DROPPED, bytes_acked=1), None, "lost", LOST),
    ("no numbers", None, GOOD, "none", ""),
    ("after a reset they read 0", TcpSample(state=7, rtt_seconds=0), GOOD, "none", ""),
    ("half closed by the peer", but(FROZEN, state=8), GOOD, "none", ""),
    ("half closed by us", but(FROZEN, state=5), GOOD, "none", ""),
    (
        "a full receive window",
        but(FROZEN, peer_window_bytes=0, not_sent_bytes=38, probes=4),
        GOOD,
        "none",
        "the far end takes nothing more: its receive window is full",
    ),
    ("probed, by a kernel that does not tell the window",
     but(FROZEN, peer_window_bytes=None, probes=2), GOOD, "none", ""),
    ("never sent", but(FROZEN, not_sent_bytes=38), GOOD, "none",
     "38 bytes of ours never left this machine"),
    ("nothing sent since the last answer", but(FROZEN, bytes_acked=346), GOOD, "none",
     "nothing of ours was sent since the last answer"),
    ("nothing ever sent", but(FROZEN, bytes_acked=1), None, "none",
     "nothing of ours was sent since the last answer"),
    ("large answers lost", but(FROZEN, out_of_order=2), but(GOOD, out_of_order=1), "none",
     "the far end acknowledged our bytes, but what it sent came with holes"),
    ("old holes do not count", but(FROZEN, out_of_order=1), but(GOOD, out_of_order=1),
     "acknowledged", ACKNOWLEDGED),
    ("a line that loses what we send may lose answers", but(FROZEN, retransmits=2), GOOD, "again",
     ACKNOWLEDGED.replace(" and", " after 2 retransmissions and")),
    ("what was sent again before does not count", but(FROZEN, retransmits=1), BEFORE,
     "acknowledged", ACKNOWLEDGED),
    ("under way", but(DROPPED, retransmits=1), BEFORE, "none",
     "1 segment unacknowledged, nothing sent again yet"),
    ("a part acknowledged", but(DROPPED, bytes_acked=365), GOOD, "none",
     LOST + ", but a part was acknowledged"),
    ("an old kernel, acknowledged",
     but(FROZEN, bytes_acked=None, not_sent_bytes=None), None, "none", ""),
    ("an old kernel, lost", but(DROPPED, bytes_acked=None), None, "none", LOST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "before", "kind", "words"), [row[1:] for row in CLAIMS], ids=[r[0] for r in CLAIMS]
)
def test_claims(seen: TcpSample | None, before: TcpSample | None, kind: str, words: str) -> None:
    assert claim(seen, before) == (kind, words)


NUMBER = st.integers(0, 2**32 - 1)
MAYBE = st.none() | st.integers(0, 1000)
SAMPLES = st.builds(
    TcpSample,
    state=st.sampled_from([1, 1, 1, 2, 4, 5, 7, 8]),
    rtt_seconds=st.floats(0, 10),
    unacked=st.integers(0, 3),
    retransmits=st.integers(0, 5),
    since_last_data_received_seconds=st.floats(0, 100),
    since_last_ack_received_seconds=st.none() | st.floats(0, 100),
    probes=st.integers(0, 1),
    bytes_acked=MAYBE,
    not_sent_bytes=MAYBE,
    out_of_order=MAYBE,
    peer_window_bytes=MAYBE,
)


@settings(deadline=None)
@given(SAMPLES, st.none() | SAMPLES)
def test_a_claim_is_never_made_beyond_the_numbers(
    seen: TcpSample, before: TcpSample | None
) -> None:
    kind, words = claim(seen, before)
    assert "\n" not in words
    if kind == "none":
        return
    assert words
    assert seen.state == tcpinfo.ESTABLISHED
    assert seen.bytes_acked is not None
    assert seen.peer_window_bytes != 0
    floor = before.bytes_acked if before is not None and before.bytes_acked is not None else 1
    again = seen.retransmits > (before.retransmits if before else 0)
    if kind in ("acknowledged", "again"):
        assert again == (kind == "again")
        assert (seen.unacked, seen.not_sent_bytes, seen.probes) == (0, 0, 0)
        assert seen.bytes_acked > floor
    else:
        assert seen.unacked
        assert again
        assert seen.bytes_acked <= floor


# -- what a leg makes of it --------------------------------------------------------------------

LEG = Leg(name="leg", kind="ws_echo", path=("a", "b", "c"), tcp_ends_at="b")


def failed(reason: Any = "rtt_timeout", tcp: TcpSample | None = None, **more: Any) -> ProbeError:
    error = ProbeError(reason, more.pop("stage", "ask"), "x", **more)
    error.tcp = tcp
    return error


@pytest.mark.parametrize(
    ("reason", "answered", "tcp", "ends_at", "carried"),
    [
        ("rtt_timeout", False, FROZEN, "c", ("a", "b")),
        ("tls_failed", False, FROZEN, "b", ("a",)),
        ("rtt_timeout", False, FROZEN, "a", ()),
        ("rtt_timeout", False, but(FROZEN, retransmits=1), "c", ()),
        ("rtt_timeout", False, FROZEN, None, ()),
        ("rtt_timeout", False, DROPPED, "b", ()),
        ("rtt_timeout", False, DROPPED, None, ()),
        ("rtt_timeout", False, None, "c", ()),
        ("connection_reset", False, FROZEN, "c", ()),
        ("connection_reset", False, DROPPED, "c", ()),
        ("connect_timeout", False, FROZEN, "c", ()),
        ("connect_refused", False, None, "c", ("a", "b")),
        ("connect_refused", False, None, None, ()),
        ("http_5xx", True, None, "c", ("a", "b")),
        ("wrong_echo", True, None, "b", ("a",)),
    ],
)
def test_what_a_failure_clears(
    reason: Any, answered: bool, tcp: Any, ends_at: str | None, carried: Any
) -> None:
    leg = msgspec.structs.replace(LEG, tcp_ends_at=ends_at)
    found = evidence(leg, failed(reason, tcp, answered=answered), GOOD)
    assert (found.carried, found.accused) == (carried, "")


def test_who_shows_a_foreign_certificate_is_not_the_far_end() -> None:
    error = failed("tls_failed", FROZEN)
    error.heard = True
    assert evidence(LEG, error, GOOD) == OwnAnswer()


def test_a_refusal_counts_only_where_it_is_trusted() -> None:
    refused = failed("connect_refused", stage="connect")
    for trusts, carried in ((None, ("a",)), (True, ("a",)), (False, ())):
        leg = msgspec.structs.replace(LEG, trust_refusals=trusts)
        assert evidence(leg, refused).carried == carried


@pytest.mark.parametrize(
    ("status", "marked", "ends_at", "carried", "accused"),
    [
        (500, "", "b", ("a",), "b"),
        (403, "c", "b", ("a", "b"), "c"),
        (500, "a", "b", ("a",), "b"),  # whichever of both lies further
        (500, "c", None, ("a", "b"), "c"),
        (500, "", None, (), "a"),  # nobody said how far it came: it may be from anybody
        (502, "", None, (), ""),
        *((gateway, "", "b", ("a",), "") for gateway in (502, 504, 520, 524, 527, 530)),
        (503, "", "b", ("a",), "b"),
        (519, "", "b", ("a",), "b"),
        (528, "", "b", ("a",), "b"),
    ],
)
def test_whom_an_http_answer_accuses(
    status: int, marked: str, ends_at: str | None, carried: Any, accused: str
) -> None:
    leg = msgspec.structs.replace(LEG, tcp_ends_at=ends_at)
    found = evidence(leg, failed("http_5xx").by_answer(status, marked))
    assert (found.carried, found.accused) == (carried, accused)


def test_the_words_say_where() -> None:
    ends_at = [evidence(msgspec.structs.replace(LEG, tcp_ends_at=end), failed(tcp=tcp), GOOD).words
               for tcp in (FROZEN, DROPPED) for end in ("b", "a", None)]  # fmt: skip
    assert ends_at == [
        ACKNOWLEDGED + ": what lies before b carried them",
        ACKNOWLEDGED,
        ACKNOWLEDGED,
        LOST + ": lost at b or before it, there or back",
        LOST + ": lost at a, there or back",
        LOST,
    ]


def test_what_the_kernel_suspects_carries_its_gloss() -> None:
    leg = msgspec.structs.replace(LEG, tcp_ends_at="b")
    error = failed(tcp=DROPPED)
    words = LOST + ": lost at b (or behind) or before it, there or back"
    assert evidence(leg, error, GOOD, {"b": "or behind"}).words == words
    book = Book(leg, 0.0, Footing(RunClock(FakeClock()), Timing()))
    book.gloss = {"b": "or behind"}
    book.good(Echo(sent=1.0, ended=1.1), 0, 0, GOOD, "held")
    book.drop(
        error, began=1.1, sent=2.0, noticed=22.0, call=1, strand="held", conn=0,
        age=21.0, facts=Facts(), tcp=None,
    )  # fmt: skip
    assert book.drops[-1].evidence == words


# -- in a book ---------------------------------------------------------------------------------


def book_with(error: ProbeError, conn: int | None = 0) -> Book:
    """A leg whose second beat failed, after a good one on connection 0."""
    clock = RunClock(FakeClock())
    book = Book(LEG, 0.0, Footing(clock, Timing()))
    book.good(Echo(sent=1.0, ended=1.1), 0, 0, GOOD, "held")
    book.bad(2.0, 22.0, 0, error, 0, "held")
    book.drop(
        error, began=1.1, sent=2.0, noticed=22.0, call=1, strand="held", conn=conn,
        age=21.0, facts=Facts(), tcp=None,
    )  # fmt: skip
    return book


def again(book: Book, error: ProbeError) -> Any:
    attempt = Attempt(started=22.0, ended=23.0, ok=False, reason=error.reason, stage=error.stage)
    book.looked_again(attempt, error, held=False)
    (drop,) = book.drops
    assert (drop.symptom, drop.attempt) == ("down", attempt)
    return drop


def test_the_last_good_beat_counts_on_its_own_connection_only() -> None:
    nothing_new = but(FROZEN, bytes_acked=GOOD.bytes_acked)
    assert book_with(failed(tcp=nothing_new)).drops[0].carried == ()
    assert book_with(failed(tcp=nothing_new), conn=1).drops[0].carried == ("a",)


def test_the_second_look_adds_its_words_where_there_were_none() -> None:
    silent = failed(tcp=FROZEN)
    drop = again(book_with(failed("connection_reset")), silent)
    assert drop.evidence == ACKNOWLEDGED + ": what lies before b carried them"
    assert drop.carried == ()  # what it proves itself stands in the attempt
    assert again(book_with(failed(tcp=DROPPED)), silent).evidence.startswith(LOST)


def test_what_the_first_failure_proved_stays() -> None:
    for second in (
        failed("connect_timeout", stage="connect"),
        failed("connect_refused", stage="connect"),
        failed(tcp=but(DROPPED, bytes_acked=1)),
    ):
        assert again(book_with(failed(tcp=FROZEN)), second).carried == ("a",)


def test_what_the_second_look_proves_stands_in_its_own_record() -> None:
    target = Target("app.example", "10.0.0.1", 80)
    for error, carried, accused in (
        (failed(tcp=FROZEN), ("a",), ""),
        (failed("connect_refused", stage="connect"), ("a",), ""),
        (failed("http_5xx").by_answer(500, ""), ("a",), "b"),
        (failed("connect_timeout", stage="connect"), (), ""),
    ):
        attempt = attempt_of(AddressAttempt(target, 1, 22.0, 23.0, error=error), LEG, [])
        assert (attempt.ok, attempt.reason, attempt.stage) == (False, error.reason, error.stage)
        assert (attempt.carried, attempt.accused) == (carried, accused)
        assert attempt.remote_address == "10.0.0.1:80"
    worked = attempt_of(AddressAttempt(target, 1, 22.0, 23.0), LEG, [])
    assert (worked.ok, worked.reason, worked.carried, worked.remote_address) == (True, None, (), "")


# -- the kernel's struct -----------------------------------------------------------------------


def raw(size: int = 232) -> bytes:
    """A `struct tcp_info` in which every field has a value of its own."""
    data = bytearray(512)
    struct.pack_into("=8B24I", data, 0, 1, 0, 0, 3, 0, 0, 0, 0, *range(1000, 1024))
    struct.pack_into("=Q", data, 120, 2**40)
    for offset, value in ((144, 11), (224, 12), (228, 13)):
        struct.pack_into("=I", data, offset, value)
    return bytes(data[:size])


def test_the_fields_of_the_struct() -> None:
    assert tcpinfo.parse(raw()) == TcpSample(
        state=1,
        probes=3,
        unacked=1004,
        since_last_data_received_seconds=1.011,
        since_last_ack_received_seconds=1.012,
        rtt_seconds=0.001015,
        retransmits=1023,
        bytes_acked=2**40,
        not_sent_bytes=11,
        out_of_order=12,
        peer_window_bytes=13,
    )


@pytest.mark.parametrize(
    ("size", "known"), [(512, 4), (232, 4), (231, 3), (160, 2), (147, 1), (128, 1), (104, 0)]
)
def test_older_kernels_say_less(size: int, known: int) -> None:
    seen = tcpinfo.parse(raw(size))
    assert seen is not None
    later = [seen.bytes_acked, seen.not_sent_bytes, seen.out_of_order, seen.peer_window_bytes]
    assert [one is not None for one in later] == [at < known for at in range(4)]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_sample_or_none(data: bytes) -> None:
    assert (tcpinfo.parse(data) is None) == (len(data) < 104)


def test_no_sample_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        assert tcpinfo.sample(sock) is not None
        monkeypatch.delattr(socket, "TCP_INFO")
        assert tcpinfo.sample(sock) is None
    monkeypatch.undo()
    assert tcpinfo.sample(sock) is None


# -- at the edges ------------------------------------------------------------------------------

HOLES = "the far end acknowledged our bytes, but what it sent came with holes"


@pytest.mark.parametrize(
    ("now", "before", "kind"),
    [
        (1, GOOD, "none"),
        (1, None, "none"),
        (1, but(GOOD, out_of_order=None), "none"),
        (1, but(GOOD, out_of_order=1), "acknowledged"),
        (2, but(GOOD, out_of_order=1), "none"),
        (0, GOOD, "acknowledged"),
        (0, None, "acknowledged"),
        (None, GOOD, "acknowledged"),
        (None, but(GOOD, out_of_order=None), "acknowledged"),
    ],
)
def test_one_segment_out_of_order_is_enough_to_claim_nothing(
    now: int | None, before: TcpSample | None, kind: str
) -> None:
    words = ACKNOWLEDGED if kind == "acknowledged" else HOLES
    assert claim(but(FROZEN, out_of_order=now), before) == (kind, words)
    found = evidence(LEG, failed(tcp=but(FROZEN, out_of_order=now)), before)
    assert found.carried == (("a",) if kind == "acknowledged" else ())


@pytest.mark.parametrize(
    ("seen", "before", "kind"),
    [
        (but(FROZEN, bytes_acked=2), None, "acknowledged"),
        (but(FROZEN, bytes_acked=2), but(GOOD, bytes_acked=None), "acknowledged"),
        (but(FROZEN, bytes_acked=1), but(GOOD, bytes_acked=None), "none"),
        (but(FROZEN, bytes_acked=347), GOOD, "acknowledged"),
        (but(DROPPED, bytes_acked=346), GOOD, "lost"),
        (but(DROPPED, bytes_acked=347), GOOD, "none"),
        (but(DROPPED, bytes_acked=2), None, "none"),
        (but(DROPPED, retransmits=1), GOOD, "lost"),
        (but(DROPPED, retransmits=1, bytes_acked=1), None, "lost"),
        (but(DROPPED, retransmits=0, bytes_acked=1), None, "none"),
        (but(FROZEN, not_sent_bytes=1), GOOD, "none"),
        (but(FROZEN, probes=1), GOOD, "none"),
        (but(FROZEN, peer_window_bytes=1), GOOD, "acknowledged"),
        (but(FROZEN, since_last_ack_received_seconds=None), GOOD, "acknowledged"),
    ],
)
def test_one_byte_or_one_retransmission_decides(
    seen: TcpSample, before: TcpSample | None, kind: str
) -> None:
    assert claim(seen, before).kind == kind


def test_figures_in_words() -> None:
    late = claim(but(FROZEN, since_last_ack_received_seconds=1.0), GOOD).words
    assert late == "the far end acknowledged our bytes 1 s ago and did not answer"
    unknown = claim(but(FROZEN, since_last_ack_received_seconds=None), GOOD).words
    assert unknown == "the far end acknowledged our bytes and did not answer"
    two = claim(but(DROPPED, unacked=2, retransmits=1), GOOD).words
    assert two == "2 segments unacknowledged, 1 retransmission, nothing heard for 20 s"


def test_what_was_heard_is_no_silence() -> None:
    """The far end answered, though not what we asked for: that it did not is left out."""
    error = failed("rtt_timeout", FROZEN)
    error.heard = True
    found = evidence(LEG, error, GOOD)
    assert found.carried == ("a",)
    assert found.words == (
        "the far end acknowledged our bytes 980 ms ago: what lies before b carried them"
    )
