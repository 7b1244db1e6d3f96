"""What several tests of the rules of evidence share."""

from __future__ import annotations

from verdict_script import cut, down, good, leg

from t3probe.verdict import Incident, RunVerdict


def only(run: RunVerdict) -> Incident:
    (incident,) = run.incidents
    assert run.verdict == incident.verdict
    return incident


X_DOWN = leg("x", "wan a", good(0, 10), down(10.1, 20))


X_CUT = leg("x", "wan a", good(0, 10), cut(10.1, 20), good(20.2, 30, conn=1, call=1))
