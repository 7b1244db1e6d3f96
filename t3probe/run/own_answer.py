"""From the kernel's numbers about a connection to what they say about the path. Pure.

A beat that nobody answered left bytes in the kernel's care. Either the far end's kernel
acknowledged them: then they came past everything before the segment at which the leg's TCP
connection ends, and its acknowledgement came back the same way. Or nothing that was sent since the
last good beat was acknowledged, though the kernel sent it again: then they were lost, or the
acknowledgements were, somewhere up to and including that segment. That is a suspicion: it clears
nothing, neither there nor behind.

No claim is made after a reset or a close (the numbers are gone or are somebody else's), where a
certificate was not taken (they may be those of a portal on the way), for bytes that never left
this machine, when the far end's receive window is full, when only a part was acknowledged, when it
was acknowledged only after it was sent again (a line that loses what we send may lose the answers),
when answers came with holes in them (small acknowledgements pass where large answers are lost), and
where the kernel is too old to say.

What acknowledges is a kernel: the one of the first machine on the way that ends TCP, a load
balancer, a tunnel's ingress or an unknown proxy. `tcp_ends_at` says which, and
that its process may stand still all the while is why the terminating segment is never cleared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from t3probe.config.types import Leg
from t3probe.observation import TcpSample
from t3probe.probes.facts import ProbeError
from t3probe.probes.tcpinfo import UNANSWERED, Claim, claim
from t3probe.text.words import glossed

__all__ = ["Claim", "OwnAnswer", "claim", "evidence"]

_SILENT = frozenset({"rtt_timeout", "tls_failed"})
"""Failures in which the far end may have been silent; the others say themselves what happened."""
GATEWAYS = frozenset({502, 504, 530, *range(520, 528)})
"""Statuses by which a proxy says that what lies behind it did not answer."""


class OwnAnswer(NamedTuple):
    """What a failed beat or attempt says about the segments of its leg."""

    carried: tuple[str, ...] = ()
    """They carried our bytes all the same, or the far machine's own answer came past them."""
    accused: str = ""
    """An HTTP answer that is no gateway's came from this segment or from behind it."""
    words: str = ""


def evidence(
    leg: Leg,
    error: ProbeError,
    before: TcpSample | None = None,
    gloss: Mapping[str, str] | None = None,
) -> OwnAnswer:
    """What a failure of `leg` clears and whom it accuses. `gloss`: what the file adds to the names
    of segments.

    A refusal is the far machine's own answer. An answer over a verified connection came past
    everything before `tcp_ends_at`, one with a segment's mark past everything before that segment,
    and needs no numbers. `before` as in `claim`.
    """
    # Who answers with another's certificate may be a portal on the way: so does his kernel.
    foreign = error.reason == "tls_failed" and error.heard
    found = Claim("none", "")
    if error.reason in _SILENT and not foreign:
        found = claim(error.tcp, before)
    if error.heard:
        found = found._replace(words=found.words.removesuffix(UNANSWERED))
    ends = [one for one in (leg.tcp_ends_at, error.marked) if one]
    accuses = error.answered and error.status is not None and error.status not in GATEWAYS
    if not ends:
        # Nobody said where to look for the author: it may be anybody on the way.
        return OwnAnswer(accused=leg.path[0] if accuses else "", words=found.words)
    end = max(ends, key=leg.path.index)
    ahead = leg.path[: leg.path.index(end)]
    refused = error.reason == "connect_refused" and leg.trust_refusals is not False
    if error.answered or refused:
        return OwnAnswer(carried=ahead, accused=end if accuses else "")
    if found.kind == "acknowledged":
        tail = f": what lies before {end} carried them" if ahead else ""
        return OwnAnswer(carried=ahead, words=found.words + tail)
    if found.kind == "lost":
        at = "".join(glossed([end], gloss or {})) + (" or before it" if ahead else "")
        return OwnAnswer(words=f"{found.words}: lost at {at}, there or back")
    return OwnAnswer(words=found.words)
