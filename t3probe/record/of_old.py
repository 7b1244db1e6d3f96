"""Observations of records of 0.1, as they are written now. Pure."""

from __future__ import annotations

import msgspec

from t3probe.observation import Observation, Reason, Strand

ANSWERS: frozenset[Reason] = frozenset(
    {
        *("connect_refused", "connection_reset", "closed_by_peer", "upgrade_rejected"),
        *("http_4xx", "http_5xx", "http_other", "walled_off", "not_walled", "resolver_failed"),
    }
)
"""Reasons for which a beat of 0.1 ended in an answer."""


def of_any_version(seen: Observation) -> Observation:
    """An observation as this version writes it. In records of 0.1 a connection's first beat was
    fresh and all others were held, and a drop did not say when the beat was sent that failed."""
    strands = [one.strand for one in seen.beats] + [one.strand for one in seen.drops]
    if None not in strands:
        return seen
    known: set[int] = set()
    beats = []
    for beat in sorted(seen.beats, key=lambda one: one.sent):
        strand: Strand = "held" if beat.conn in known else "fresh"
        known.add(beat.conn)
        beats.append(msgspec.structs.replace(beat, strand=beat.strand or strand))
    drops = []
    for drop in seen.drops:
        failed = [one.sent for one in seen.beats if not one.ok and one.ended <= drop.noticed]
        failed = [at for at in failed if at >= drop.began]
        drops.append(
            msgspec.structs.replace(
                drop,
                strand=drop.strand or ("fresh" if drop.conn is None else "held"),
                asked=max(failed, default=drop.noticed) if drop.asked is None else drop.asked,
                answered=drop.answered or drop.reason in ANSWERS,
            )
        )
    return msgspec.structs.replace(seen, beats=tuple(beats), drops=tuple(drops))
