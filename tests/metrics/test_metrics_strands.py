"""Two strands in the metrics: what each family takes from which."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from metrics_record import CLOUDFLARE, DEPLOYMENT, EGRESS, INTERNAL, RUN, beats, recorded, values

from t3probe.config.table import Duration
from t3probe.config.types import Leg
from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.observation import Beat, Connection, Drop, Observation, trips
from t3probe.record.facts import Recording
from t3probe.run.conclude import conclude, settled
from t3probe.show.compare.difference import compare

replace = msgspec.structs.replace
HELD = Connection(conn=0, opened=0.0, remote_address="127.0.0.1:1")
HOLDS = Leg(name="leg", kind="ws_echo", path=("a",), rtt_limit=Duration(0.5))
SHOOTS = Leg(name="leg", kind="walled", path=("a",))


def said(*seen: Observation) -> dict[str, float]:
    return values(recorded(RUN, seen))


def fresh(sent: float, ok: bool, ended: float | None = None) -> Beat:
    return Beat(
        sent=sent, ended=sent + 0.1 if ended is None else ended, ok=ok, conn=7, strand="fresh"
    )


def drop(**changes: Any) -> Drop:
    facts: dict[str, Any] = {
        "began": 1.0, "noticed": 2.0, "reason": "connect_refused", "symptom": "refusing",
        "stage": "connect", "call": 1, "strand": "fresh", "asked": 1.5, "detail": "refused",
    }  # fmt: skip
    return Drop(**{**facts, **changes})


REFUSING = replace(
    INTERNAL, outcome="failed", reason="connect_refused", accepting=False, connections=(HELD,),
    drops=(drop(),), beats=(*INTERNAL.beats, fresh(2.0, False)),
)  # fmt: skip


# -- connected and accepting -----------------------------------------------------------------


def test_a_leg_that_refuses_is_connected_and_does_not_accept() -> None:
    found = said(REFUSING)
    assert found["t3probe_connected leg=internal"] == 1
    assert found["t3probe_accepting leg=internal"] == 0


def test_accepting_is_absent_where_nobody_knows() -> None:
    assert "t3probe_accepting leg=internal" not in said(replace(REFUSING, accepting=None))
    unsure = replace(REFUSING, outcome="inconclusive", connected=None, accepting=False)
    assert "t3probe_accepting leg=internal" not in said(unsure)
    assert "t3probe_accepting leg=internal" not in said(replace(REFUSING, planned="until noon"))


def test_nothing_stands_in_for_accepting_in_a_gateway() -> None:
    """It is absent until a run knows it, and again when a later one does not."""
    assert "t3probe_accepting" not in metrics.zeros(DEPLOYMENT)
    known = recorded(RUN, (REFUSING,))
    unknown = recorded(RUN, (replace(REFUSING, accepting=None),))
    name = "t3probe_accepting leg=internal"
    assert values(carry.continued({}, known))[name] == 0
    assert name not in values(carry.continued(known, unknown))
    assert name not in values(carry.continued({}, unknown))


def end(
    leg: Leg, seen: list[Beat], drops: list[Drop], holding: bool | None = None
) -> tuple[Any, ...]:
    told = conclude(leg, seen, drops, (), holding=holding)
    return told.outcome, told.connected, told.accepting


@pytest.mark.parametrize(
    ("holding", "drops", "last", "expected"),
    [
        # The held connection lives, nothing new is accepted.
        (True, [drop()], False, (True, False)),
        # It was closed politely while nothing new was accepted: now the last fresh beat tells.
        (False, [drop()], False, (False, False)),
        # It was closed politely after an outage was over.
        (False, [drop(recovered=3.0)], True, (True, True)),
        # It died, and the run ended before the second look: the good fresh beat is older.
        (False, [drop(strand="held", symptom="unknown")], True, (False, True)),
        # Both died.
        (False, [drop(strand="held", symptom="down")], False, (False, False)),
        # It was cut, and a new one is held.
        (True, [drop(strand="held", symptom="cut", recovered=2.1)], True, (True, True)),
    ],
)
def test_connected_is_the_held_connection_or_else_the_last_fresh_beat(
    holding: bool, drops: list[Drop], last: bool, expected: tuple[bool, bool]
) -> None:
    seen = [*beats(0.1, 0.1), fresh(2.5, last)]
    assert end(HOLDS, seen, drops, holding) == ("failed", *expected)


def test_of_a_leg_that_holds_nothing_both_are_the_last_fresh_beat() -> None:
    over = drop(symptom="down", recovered=3.0)
    assert end(SHOOTS, [fresh(1.0, False), fresh(3.0, True)], [over]) == ("failed", True, True)
    assert end(SHOOTS, [fresh(1.0, True), fresh(3.0, False)], [drop(symptom="down")]) == (
        "failed", False, False,
    )  # fmt: skip


def test_the_last_fresh_beat_is_the_one_that_was_sent_last() -> None:
    """A silent one that was sent before may end after it."""
    seen = [*beats(0.1), fresh(5.0, True), fresh(3.0, False, ended=23.0)]
    assert end(HOLDS, seen, [drop(recovered=5.1)], True) == ("failed", True, True)


def test_a_leg_that_makes_no_fresh_beats_says_nothing_about_new_connections() -> None:
    quiet = replace(HOLDS, fresh_every=0)
    assert end(quiet, [fresh(0.0, True), *beats(0.1)], []) == ("passed", True, None)


# -- what is counted ---------------------------------------------------------------------------


def test_a_refusal_of_new_connections_is_a_disconnect_without_an_age() -> None:
    found = said(REFUSING)
    assert found["t3probe_disconnects_total leg=internal reason=connect_refused"] == 1
    assert found["t3probe_connection_age_seconds_count leg=internal"] == 0


def test_a_lone_blip_is_none_and_two_on_one_segment_are() -> None:
    blip = drop(symptom="blip", lone=True, recovered=2.2)
    one = replace(INTERNAL, outcome="degraded", drops=(blip,))
    found = said(one)
    assert found["t3probe_disconnects_total leg=internal reason=connect_refused"] == 0
    assert "t3probe_last_disconnect_timestamp leg=internal" not in found
    assert found["t3probe_check_success check=internal"] == 1
    other = replace(CLOUDFLARE, outcome="degraded", drops=(blip,))
    found = said(*settled([one, other]))
    assert found["t3probe_disconnects_total leg=internal reason=connect_refused"] == 1
    assert found["t3probe_disconnects_total leg=cloudflare reason=connect_refused"] == 1
    assert found["t3probe_check_success check=internal"] == 0
    apart = replace(EGRESS, outcome="degraded", drops=(blip,))
    found = said(*settled([one, apart]))
    assert found["t3probe_disconnects_total leg=internal reason=connect_refused"] == 0


# -- round trips ---------------------------------------------------------------------------------


def test_round_trips_are_those_of_held_beats() -> None:
    slow = tuple(fresh(10.0 * n, True, ended=10.0 * n + 9) for n in range(4))
    both = replace(INTERNAL, beats=(*INTERNAL.beats, *slow))
    assert both.trips == INTERNAL.trips == [0.5] * 4
    found = said(both)
    assert found["t3probe_rtt_seconds_count leg=internal"] == 4
    assert found["t3probe_rtt_seconds_sum leg=internal"] == 2
    (same,) = compare(Recording(RUN, (INTERNAL,)), Recording(RUN, (both,))).legs
    (pace,) = [one for one in same.paces if one.what == "round trip"]
    assert pace.difference_seconds == 0


def test_of_legs_that_hold_nothing_they_are_those_of_fresh_beats() -> None:
    assert EGRESS.trips == [0.0625] * 3
    assert said(EGRESS)["t3probe_rtt_seconds_count leg=egress"] == 3


def test_a_leg_that_held_something_has_none_of_fresh_beats() -> None:
    """Its held connection never answered: a new one's opening is no round trip."""
    assert trips([fresh(0.0, True)]) == pytest.approx([0.1])
    assert trips([fresh(0.0, True)], holds=True) == []
    assert replace(INTERNAL, beats=(fresh(0.0, True),), connections=(HELD,)).trips == []


def test_a_limit_takes_held_beats_and_bears_their_absence() -> None:
    slow = [fresh(10.0 * n, True, ended=10.0 * n + 9) for n in range(4)]
    assert end(HOLDS, [*beats(0.1, 0.1), *slow], []) == ("passed", True, True)
    assert end(HOLDS, [*beats(0.9, 0.9)], [])[0] == "degraded"
