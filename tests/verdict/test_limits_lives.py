"""What a record says of how connections lived and died."""

from __future__ import annotations

from typing import Any

import pytest

from t3probe.observation import Beat, Connection, Drop, Observation, Silence
from t3probe.verdict.limits.lives import MOST_LIVES, Life, Lives, lives_of


def drop(**more: Any) -> Drop:
    """A close that was noticed at 25 s, between two beats."""
    given: dict[str, Any] = {
        "began": 20.1, "noticed": 25.0, "reason": "closed_by_peer", "symptom": "cut",
        "stage": "hold", "call": 1, "strand": "held", "asked": 25.0, "conn": 0,
        "connection_age_seconds": 25.0,
    }  # fmt: skip
    return Drop(**(given | more))


def life(found: Drop, **more: Any) -> Life:
    beats = tuple(
        Beat(sent=at, ended=at + 0.1, ok=True, conn=0, strand="held" if at else "fresh")
        for at in (0.0, 10.0, 20.0)
    )
    seen = Observation(
        leg="a", kind="ws_echo", path=("x",), outcome="failed", beats=beats, drops=(found,),
        connections=(Connection(conn=0, opened=0.0, remote_address="10.0.0.1:443"),), **more,
    )  # fmt: skip
    (one,) = lives_of(seen).known() or [Life(True, -1.0, -1.0)]
    return one


@pytest.mark.parametrize(
    ("changes", "died"),
    [
        ({}, (25.0, 25.0)),
        ({"reason": "connection_reset"}, (25.0, 25.0)),
        # It met our own question: it may have been dead since the last answer.
        ({"reason": "connection_reset", "asked": 24.0}, (20.1, 25.0)),
        ({"asked": 24.0}, (24.0, 25.0)),
        ({"reason": "rtt_timeout", "asked": 22.0}, (20.1, 22.0)),
        ({"reason": "io_error"}, None),
        ({"reason": "http_5xx"}, None),
        ({"reason": "wrong_echo"}, None),
        ({"symptom": "down"}, None),
        ({"symptom": "unknown"}, None),
        ({"stalled": True}, None),
        ({"strand": "fresh"}, None),
        ({"conn": 7}, None),
        # Fresh attempts had failed before.
        ({"connection_age_seconds": 26.0}, None),
    ],
)
def test_when_a_connection_died(changes: dict[str, Any], died: tuple[float, float] | None) -> None:
    one = life(drop(**changes))
    assert (one.dead_from, one.dead_by) == (died or (None, None))
    assert (one.opened, one.last, one.host) == (0.0, 20.1, "10.0.0.1")
    assert one.quiet == pytest.approx(9.9)


def test_what_is_no_evidence_has_no_lives() -> None:
    assert life(drop(), planned="until noon").opened == -1.0


def silence(end: Any, **more: Any) -> Silence:
    return Silence(
        conn=0, opened=0.0, began=0.1, ended=60.0, end=end, remote_address="10.0.0.1:443", **more
    )


@pytest.mark.parametrize(
    ("one", "died", "quiet"),
    [
        (silence("closed"), (60.0, 60.0), 0.0),
        (silence("unanswered"), (0.1, 60.0), 0.0),
        (silence("closed", stalled=True), (None, None), 0.0),
        (silence("untold"), (None, None), 0.0),
        (silence("answered"), (None, None), 59.9),
    ],
)
def test_how_a_silence_ended(
    one: Silence, died: tuple[float | None, float | None], quiet: float
) -> None:
    lives = Lives()
    lives.silence(one)
    (found,) = lives.known()
    assert (found.dead_from, found.dead_by) == died
    assert found.quiet == pytest.approx(quiet)
    assert not found.held


def test_a_drop_is_known_better_later_and_memory_is_bounded() -> None:
    lives = Lives()
    for conn in range(3 * MOST_LIVES):
        lives.began(conn, float(conn), "h:1")
        age = {"connection_age_seconds": 25.0 - conn}
        lives.drop(drop(conn=conn, symptom="unknown", **age))
        lives.drop(drop(conn=conn, **age))
    assert len(lives.known()) == MOST_LIVES
    assert lives.troubles() == []
    later = lives.known(1000.0)
    assert [one.opened for one in later] == [one.opened + 1000.0 for one in lives.known()]
