"""From the kernel's numbers about a connection to what they say about the path. Pure.

A beat that nobody answered left bytes in the kernel's care. Either the far end's kernel
acknowledged them: then they came past everything before the segment at which the leg's TCP
connection ends, and its acknowledgement came back the same way. Or nothing that was sent since the
last good beat was acknowledged, though the kernel sent it again: then they were lost, or the
acknowledgements were, somewhere up to and including that segment. That is a suspicion: it clears
nobody, neither there nor behind.

No claim is made after a reset or a close (the numbers are gone or are somebody else's), for bytes
that never left this machine, when the far end's receive window is full, when only a part was
acknowledged, when answers came with holes in them (small acknowledgements pass where large
answers are lost), and where the kernel is too old to say.

Whoever acknowledges is a kernel: the one of the first machine on the way that ends TCP, be it a
load balancer, a tunnel's ingress or a proxy that nobody knows of. `tcp_ends_at` says which, and
that its process may stand still all the while is why the terminating segment is never cleared.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from t3probe.config.types import Leg
from t3probe.observation import TcpSample
from t3probe.probes.base import ProbeError
from t3probe.tcpinfo import ESTABLISHED

__all__ = ["Claim", "Evidence", "claim", "evidence"]

_SILENT = frozenset({"rtt_timeout", "tls_failed"})
"""Failures in which the far end may have been silent; the others say themselves what happened."""
_UNANSWERED = " and did not answer"
_SYN = 1
"""What a connection that has sent nothing yet counts as acknowledged."""


class Claim(NamedTuple):
    """What the numbers of one connection say about its bytes."""

    kind: Literal["acknowledged", "lost", "none"]
    words: str
    """For people; empty when there is nothing to say."""


class Evidence(NamedTuple):
    """What a failed beat or attempt says about the segments of its leg."""

    carried: tuple[str, ...] = ()
    """They carried our bytes all the same."""
    lost: tuple[str, ...] = ()
    """One of them lost our bytes, or what came back."""
    words: str = ""


def claim(seen: TcpSample | None, before: TcpSample | None = None) -> Claim:
    """What the kernel's numbers say about the bytes sent since `before`.

    `before` was taken at the last good beat on the same connection; None: since it was opened.
    """
    if seen is None or seen.state != ESTABLISHED:
        return Claim("none", "")
    if seen.peer_window_bytes == 0:
        return Claim("none", "the far end takes nothing more: its receive window is full")
    if seen.unacked:
        return _unacknowledged(seen, before)
    if seen.not_sent_bytes is None or seen.bytes_acked is None or seen.probes:
        return Claim("none", "")
    if seen.not_sent_bytes:
        return Claim("none", f"{seen.not_sent_bytes} bytes of ours never left this machine")
    if seen.bytes_acked <= _acked(before):
        return Claim("none", "nothing of ours was sent since the last answer")
    if (seen.out_of_order or 0) > (before.out_of_order or 0 if before is not None else 0):
        words = "the far end acknowledged our bytes, but what it sent came with holes"
        return Claim("none", words)
    ago = seen.since_last_ack_received_seconds
    when = "" if ago is None else f" {_seconds(ago)} ago"
    return Claim("acknowledged", f"the far end acknowledged our bytes{when}{_UNANSWERED}")


def _unacknowledged(seen: TcpSample, before: TcpSample | None) -> Claim:
    again = seen.retransmits - (before.retransmits if before is not None else 0)
    words = f"{_counted(seen.unacked, 'segment')} unacknowledged"
    if again <= 0:
        return Claim("none", f"{words}, nothing sent again yet")
    heard = _seconds(seen.since_last_data_received_seconds)
    words += f", {_counted(again, 'retransmission')}, nothing heard for {heard}"
    if seen.bytes_acked is None:
        return Claim("none", words)
    if seen.bytes_acked > _acked(before):
        return Claim("none", f"{words}, but a part was acknowledged")
    return Claim("lost", words)


def evidence(leg: Leg, error: ProbeError, before: TcpSample | None = None) -> Evidence:
    """What a failure of `leg` clears and suspects.

    An answer over a verified connection, too, came past everything before `tcp_ends_at`, and
    needs no numbers. `before` as in `claim`.
    """
    end = leg.tcp_ends_at
    found = claim(error.tcp, before) if error.reason in _SILENT else Claim("none", "")
    if error.heard:
        found = found._replace(words=found.words.removesuffix(_UNANSWERED))
    if end is None:
        return Evidence(words=found.words)
    at = leg.path.index(end)
    ahead = leg.path[:at]
    if error.answered:
        return Evidence(carried=ahead)
    if found.kind == "acknowledged":
        tail = f": what lies before {end} carried them" if ahead else ""
        return Evidence(carried=ahead, words=found.words + tail)
    if found.kind == "lost":
        words = f"{found.words}: lost at {end}{' or before it' if ahead else ''}, there or back"
        return Evidence(lost=leg.path[: at + 1], words=words)
    return Evidence(words=found.words)


def _acked(before: TcpSample | None) -> int:
    if before is None or before.bytes_acked is None:
        return _SYN
    return before.bytes_acked


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"
