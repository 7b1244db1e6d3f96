"""What another vantage met may be another machine: only what is the same for both is cleared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_vantages import run_at
from verdict_script import cut, down, fresh, leg, opening, usual, well

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
    with pytest.raises(ValueError, match="another spread segments from cloud"):
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
