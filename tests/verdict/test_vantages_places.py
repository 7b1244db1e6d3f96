"""What another vantage met may be another machine: only what is the same for both is cleared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_vantages import KINDS, run_at
from verdict.simulated_world import Breaks
from verdict_script import both, cut, down, fresh, leg, opening, usual, well

from t3probe.cli import main
from t3probe.observation import Beat, Observation, RunRecord
from t3probe.record.log import record_line
from t3probe.verdict.vantages import Together, judge_together

WAY = "wan edge tunnel app"
KNOWN = 999.5, 1000.5


def seen(name: str, path: str, *facts: Any, **more: Any) -> Observation:
    found = leg(name, path, *facts, **({"ends_at": "edge"} | more))
    return msgspec.structs.replace(found, server="app:443", server_began=KNOWN)


def broken(path: str = WAY, **more: Any) -> Observation:
    beats = (*usual(until=15), *fresh(20, 25, 30, ok=False))
    return seen("app", path, beats, down(), **more)


def good(path: str = WAY, beats: Sequence[Beat] = (), **more: Any) -> Observation:
    each = beats or (*opening(0.0), *fresh(*(float(at) for at in range(4, 35, 4))))
    return seen("app", path, tuple(each), **more)


def judged(here: Sequence[Observation], there: Sequence[Observation], **more: Any) -> Together:
    run = RunRecord(
        deployment="t3", segments=tuple(WAY.split()), local=more.pop("local", ("wan",)),
        version=2, vantage="home", started_at=1000.0, duration_seconds=35.0,
    )  # fmt: skip
    other = msgspec.structs.replace(run, **({"vantage": "cloud"} | more))
    return judge_together([(run, here), (other, there)])


def test_at_one_address_in_one_colo_all_that_is_shared_is_cleared() -> None:
    found = judged([broken(colo="AMS")], [good(colo="AMS")])
    assert found.verdict.convicted == ("wan@home",)


def test_another_colo_has_a_way_on_of_its_own() -> None:
    """A tunnel has connections to several colos, and one of them may be broken."""
    found = judged([broken(colo="AMS")], [good(colo="FRA")])
    assert {*found.verdict.ambiguous} == {"wan@home", "edge", "tunnel"}
    assert "app" in found.verdict.exonerated
    assert {one.segment for one in found.contrasts} == {"edge", "tunnel"}


def test_a_colo_that_any_leg_met_at_an_address_counts_for_all_that_go_there() -> None:
    """A leg that says no colo went to the address of one that does."""
    early = opening(0.0)
    trace = {"home": "AMS", "cloud": "FRA"}
    pages = {name: seen("page", "wan edge", early, colo=colo) for name, colo in trace.items()}
    found = judged([broken("wan edge"), pages["home"]], [good("wan edge"), pages["cloud"]])
    assert found.cleared_by == {}
    assert {*found.verdict.ambiguous} == {"wan@home", "edge"}
    pages["cloud"] = seen("page", "wan edge", early, colo="AMS")
    found = judged([broken("wan edge"), pages["home"]], [good("wan edge"), pages["cloud"]])
    assert found.verdict.convicted == ("wan@home",)


def test_a_public_resolver_is_as_many_machines_as_there_are_places() -> None:
    here, there = broken("wan edge", kind="doh"), good("wan edge", kind="doh")
    found = judged([here], [there])
    assert found.cleared_by == {}
    assert {*found.verdict.ambiguous} == {"wan@home", "edge"}
    same = judged([broken("wan edge", kind="doh", colo="AMS")],
                  [good("wan edge", kind="doh", colo="AMS")])  # fmt: skip
    assert same.cleared_by


def test_a_refusal_elsewhere_clears_nothing() -> None:
    """A firewall of that place may refuse everything."""
    tcp: dict[str, Any] = {"level": "connect", "kind": "tcp"}
    beats = (*usual(until=15), *fresh(20, 25, 30, ok=False))
    here = seen("app", "wan edge", beats, down(stage="connect"), **tcp)
    assert judged([here], [good("wan edge", **tcp)]).cleared_by
    sent = tuple(float(at) for at in range(4, 35, 4))
    refused = (*opening(0.0, refused=True), *fresh(*sent, refused=True))
    found = judged([here], [good("wan edge", refused, **tcp)])
    assert found.cleared_by == {}
    assert found.contrasts == ()


def test_a_connection_to_an_unknown_address_is_compared_with_none() -> None:
    here = seen("app", WAY, usual(until=15), cut(remote_address=""), connections=())
    there = seen("app", WAY, well(), connections=())
    there = msgspec.structs.replace(there, address="", connections=())
    assert "edge" not in {name for some in judged([here], [there]).cleared_by.values()
                          for name in some}  # fmt: skip


def test_without_a_local_segment_a_way_out_is_not_cleared_by_anothers() -> None:
    found = judged([broken(colo="AMS")], [good(colo="AMS")], local=())
    assert found.verdict.convicted == ("wan",)
    assert [one.segment for one in found.contrasts] == ["wan"]


def test_other_spread_segments_are_refused() -> None:
    with pytest.raises(ValueError, match="other spread segments from cloud"):
        judged([broken()], [good()], spread=("tunnel",))


def test_what_could_not_tell_is_said() -> None:
    there = msgspec.structs.replace(good(), outcome="inconclusive", reason="prober_stalled")
    found = judged([broken()], [there])
    assert found.cleared_by == {}
    assert found.uncompared[0].text == (
        "home/app could not be compared with cloud: what it saw of app tells nothing"
    )
    assert found.to_dict()["vantages"][1]["could_not_tell"] == ["app"]


def test_a_log_of_several_vantages_is_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run_at(name, None) for name in ("home", "cloud", "office")]
    old = msgspec.structs.replace(runs[2][0], started_at=runs[2][0].started_at - 3600.0)
    runs[2] = old, runs[2][1]
    file = tmp_path / "all.log"
    file.write_text("".join(record_line(*one) + "\n" for one in runs))
    assert main(["verdict", str(file), "--within", "90s"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["vantage"] for one in found["vantages"]] == ["home", "cloud"]
    assert len(found["left_out"]) == 1
    assert "office" in found["left_out"][0]
    assert main(["verdict", str(file), "--clocks", "1s", "--text"]) == 0
    assert "left out" in capsys.readouterr().out
    assert main(["verdict", str(file), "--clocks", "soon"]) == 4
    assert "--clocks: expected a duration such as" in capsys.readouterr().err
    assert main(["verdict", str(file)]) == 0
    assert "vantages" not in json.loads(capsys.readouterr().out)


def in_colo(
    vantage: str, colo: str, breaks: Breaks | Sequence[Breaks] | None
) -> tuple[RunRecord, list[Observation]]:
    run, found = run_at(vantage, breaks)
    return run, [
        msgspec.structs.replace(one, colo=colo) if one.path[:2] == ("wan", "cf-edge") else one
        for one in found
    ]


@pytest.mark.parametrize("kind", ["down", "cut"])
@pytest.mark.parametrize("segment", ["traefik", "carve-out", "devvm", "dispatch"])
def test_what_is_broken_from_here_alone_explains_all_drops_of_here(segment: str, kind: str) -> None:
    """The legs that share it end elsewhere, and the cloud clears a different part of each."""
    fault = Breaks(segment, KINDS[kind], 8.0, float("inf") if kind != "cut" else 8.5)
    found = judge_together([in_colo("home", "AMS", fault), in_colo("cloud", "FRA", None)])
    assert found.verdict.convicted == (segment,), found.text
    assert not found.verdict.ambiguous


def test_what_was_broken_from_here_alone_once_is_cleared_of_no_later_drop() -> None:
    def wide(at: float) -> Observation:
        beats = (*usual(until=at), *both(at + 5, 30, 34, conn=1))
        return seen("app", WAY, beats, cut(at, at + 0.2), colo="AMS")

    def known(at: float) -> Observation:
        beats = (*usual(until=at), *both(at + 5, 30, 34, conn=1))
        own = cut(at, at + 0.2, own="rack tunnel")
        return seen("near", "rack tunnel app", beats, own, ends_at="rack")

    there = good(beats=well(), colo="AMS")
    one = judged([wide(20.0), known(20.0)], [there])
    assert one.verdict.convicted == ("app",), one.text
    late = judged([wide(20.0), known(10.0)], [there])
    assert late.verdict.convicted == ("app",), late.text
    assert [one.segment for one in late.contrasts] == ["app"]


def test_where_it_broke_at_another_time_is_no_place_where_it_works() -> None:
    """The edge is down for all; while it is, traefik breaks, when the cloud is through with it."""
    faults = [Breaks("traefik", "gone", 16.2, 20.0), Breaks("cf-edge", "gone", 4.0)]
    found = judge_together([run_at("home", faults), run_at("cloud", faults)])
    assert {*found.verdict.convicted} == {"traefik", "cf-edge"}
    assert found.contrasts == ()
    assert found.text == "From home and cloud: cf-edge and traefik are convicted."


def test_several_that_are_broken_from_here_are_listed_with_their_glosses() -> None:
    gloss = {"tunnel": "or what the CDN does with this path"}
    found = judged([broken(colo="AMS")], [good(colo="FRA")], gloss=gloss)
    assert found.text == (
        "From home and cloud: one of wan@home, edge (from home, not from cloud) or tunnel (from "
        "home, not from cloud; or what the CDN does with this path) broke."
    )
    alone = [seen("page", "wan edge", well(), colo="AMS"), broken(colo="AMS")]
    assert judged(alone, [good(colo="FRA")], gloss=gloss).text == (
        "From home and cloud: tunnel (or what the CDN does with this path), from home "
        "(192.0.2.1:443, colo AMS), not from cloud (192.0.2.1:443, colo FRA), is convicted."
    )
