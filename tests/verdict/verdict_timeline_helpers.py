"""What several tests of the rules of evidence share."""

from __future__ import annotations

from verdict_script import cut, down, good, leg

from t3probe.verdict import Incident, RunVerdict

BESIDE = {"y": "beside"}
"""y passed, so it clears what x does not cross; `wan`, which x crosses, it does not clear."""


def only(run: RunVerdict) -> Incident:
    """The incident of a run that has one; the run says of each segment what the incident says."""
    (incident,) = run.incidents
    assert run.verdict.status == incident.verdict.status
    assert run.verdict.labels() == incident.verdict.labels()
    assert run.verdict.at_least_one_of == incident.verdict.at_least_one_of
    assert run.verdict.minimal_sets == incident.verdict.minimal_sets
    return incident


X_DOWN = leg("x", "wan a", good(0, 10), down(10.1, 20))


X_CUT = leg("x", "wan a", good(0, 10), cut(10.1, 20), good(20.2, 30, conn=1, call=1))
