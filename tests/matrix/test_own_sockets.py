"""The lab probed by WebSockets that do not echo, and a wall asked both ways: nobody is cleared by
what nobody exercised, and nobody else is convicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from matrix_field import Seen

from t3probe.config import Leg

ASKED = {"kind": "ws", "send": '{"id":"{nonce}"}', "expect": '{"id":"{nonce}"}'}
PINGED = {"kind": "ws", "ping": True}
BREAKS_THE_DATA = ["dispatch:stall", "carve-out:stall", "tunnel:stall", "devvm:stall"]
"""It accepts, shakes hands and upgrades, and then is silent."""


def run(field: Any, legs: Sequence[Leg], faults: Sequence[str] = (), hold: float = 0.0) -> Seen:
    seen: Seen = field.with_legs(legs).run(faults, hold)
    return seen


def sockets(field: Any, **instead: Any) -> list[Leg]:
    """The lab's legs, the echoing ones so instead."""
    return [
        msgspec.structs.replace(one, **instead) if one.kind == "ws_echo" else one
        for one in field.deployment.legs
    ]


def upgrades(field: Any) -> list[Leg]:
    """The echoing legs once more, which only upgrade."""
    echoing = [one for one in field.deployment.legs if one.kind == "ws_echo"]
    return [
        msgspec.structs.replace(one, name=f"{one.name}-upgrade", kind="ws_upgrade")
        for one in echoing
    ]


def culprit_of(fault: str) -> str:
    return fault.partition(":")[0]


@pytest.mark.parametrize(("instead", "unseen"), [(ASKED, []), (PINGED, ["dispatch"])])
def test_a_good_lab(field, instead: dict[str, Any], unseen: list[str]) -> None:
    seen = run(field, [*sockets(field, **instead), *upgrades(field)], hold=0.9)
    assert not seen.trouble
    assert seen.verdict["unobserved"] == unseen
    assert seen.verdict["status"] == ("incomplete" if unseen else "clean")


@pytest.mark.parametrize("fault", [*BREAKS_THE_DATA, "dispatch:wrong-echo", "dispatch:refuse"])
def test_a_leg_that_asks_tells_what_an_echo_tells(field, fault: str) -> None:
    echo = run(field, field.deployment.legs, [fault])
    asked = run(field, sockets(field, **ASKED), [fault])
    assert asked.verdict["convicted"] == echo.verdict["convicted"], asked.trouble
    assert asked.label(culprit_of(fault)) in ("convicted", "ambiguous")


@pytest.mark.parametrize("fault", BREAKS_THE_DATA)
def test_an_upgrade_clears_nothing_of_what_only_data_meets(field, fault: str) -> None:
    legs = [*field.deployment.legs, *upgrades(field)]
    alone, beside = run(field, field.deployment.legs, [fault]), run(field, legs, [fault])
    assert beside.label(culprit_of(fault)) == alone.label(culprit_of(fault)), beside.trouble
    assert beside.verdict["status"] != "inconsistent"


def test_pings_alone_clear_no_application(field) -> None:
    """It answers wrongly, and its library answers pings."""
    seen = run(field, sockets(field, **PINGED), ["dispatch:wrong-echo"])
    assert seen.outcomes("cloudflare", "internal", "dispatch") == ["passed"] * 3
    assert seen.label("dispatch") == "unobserved"


# -- a wall, asked both ways -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "faults", "outcome", "reason"),
    [
        ("lab_session=valid", [], "passed", None),
        ("lab_session=expired", [], "inconclusive", "token_refused"),
        ("lab_session=valid", ["wall:open"], "failed", "not_walled"),
        ("lab_session=valid", ["serve:http502"], "inconclusive", "http_5xx"),
        (None, [], "inconclusive", "token_refused"),
        (None, ["wall:open"], "failed", "not_walled"),
    ],
)
def test_a_wall_asked_both_ways(
    field,
    tmp_path: Path,
    cookie: str | None,
    faults: list[str],
    outcome: str,
    reason: str | None,
) -> None:
    file = tmp_path / "headers"
    if cookie is not None:
        file.write_text(f"Cookie: {cookie}\n")
    legs = [
        msgspec.structs.replace(one, headers_file=str(file), served_with=True)
        if one.kind == "walled"
        else one
        for one in field.deployment.legs
    ]
    seen = run(field, legs, faults)
    (walled,) = [seen.legs[one.name] for one in legs if one.kind == "walled"]
    assert (walled.outcome, walled.reason) == (outcome, reason), walled.detail
    others = [one for one in seen.legs.values() if one.outcome != "passed" and one is not walled]
    if not faults:
        assert not others
        assert not seen.verdict["convicted"]
