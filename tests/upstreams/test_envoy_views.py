"""Envoy's opinion beside ours: what is a disagreement, and what is none."""

from __future__ import annotations

import pytest
from metrics_by_label import numbers

from t3probe.config.types import Leg, UpstreamPlace
from t3probe.deliver import metrics
from t3probe.judge import sentence
from t3probe.observation import (
    AddressTry,
    Beat,
    Drop,
    EnvoyView,
    Observation,
    RunRecord,
)
from t3probe.show.summary import render
from t3probe.upstreams.sources import HostView, Opinion
from t3probe.upstreams.views import compared, reached
from t3probe.verdict.incident.run import judge_run

ADDRESS = "10.0.0.7:9000"
KEY = ("orders", ADDRESS)


def leg(*places: UpstreamPlace, **more: object) -> Leg:
    own = (UpstreamPlace(source="edge", route="orders", listen_port=8443),)
    values = {"upstream": True, "backend": ADDRESS, **more}
    return Leg(
        name="envoy-x", kind="tcp", path=("u",), address=ADDRESS, places=places or own, **values
    )


def seen(up: bool | None, **more: object) -> Observation:
    """What was seen of an upstream: up, down, or changing during the run (None)."""
    good = Beat(sent=0.0, ended=0.1, ok=True, conn=0)
    bad = Beat(sent=0.2, ended=0.3, ok=False, conn=1)
    drop = Drop(
        began=0.1, noticed=0.3, reason="connect_refused", symptom="down", stage="connect", call=1
    )
    values: dict[str, object] = {
        "beats": {True: (good,), False: (bad,), None: (good, bad)}[up],
        "drops": () if up else (drop,),
        "outcome": "passed" if up else "failed",
        "connected": bool(up),
        "addresses": (AddressTry(address=ADDRESS, ok=bool(up)),),
        **more,
    }
    return Observation(leg="envoy-x", kind="tcp", path=("u",), **values)


def views(*opinions: Opinion, address: str = ADDRESS) -> dict[str, dict[tuple[str, str], object]]:
    return {"edge": {KEY: tuple(HostView(address, one, "why") for one in opinions)}}


def told(up: bool | None, opinion: Opinion) -> tuple[str, ...] | None:
    both = views(opinion)
    (view,) = compared(seen(up), leg(), both, both).views
    return view.disagreements


@pytest.mark.parametrize(
    ("opinion", "when_up", "when_down"),
    [
        ("healthy", (), ("envoy_only",)),
        ("degraded", (), ("envoy_only",)),
        ("unhealthy", ("probe_only",), ()),
        ("draining", (), ()),
        ("unknown", None, None),
    ],
)
def test_the_table_of_disagreements(opinion: Opinion, when_up: object, when_down: object) -> None:
    assert told(True, opinion) == when_up
    assert told(False, opinion) == when_down


def test_an_upstream_that_changed_under_us_says_nothing() -> None:
    assert told(None, "healthy") is None
    assert told(None, "unhealthy") is None
    # It came back and was up at the end: still no claim.
    assert reached(seen(None, connected=True)) is None


def test_what_could_not_tell_says_nothing_but_a_name_that_is_not_known_here_does() -> None:
    lost = seen(False, outcome="inconclusive", connected=None, beats=(), drops=(), addresses=())
    assert reached(lost) is None
    assert reached(seen(True, planned="planned downtime")) is None
    unknown = seen(
        False, outcome="inconclusive", reason="resolver_failed", connected=None, beats=(),
        drops=(), addresses=(),
    )  # fmt: skip
    assert reached(unknown) is False


def test_another_opinion_at_the_end_is_no_claim() -> None:
    for after, words in (
        (views("unhealthy"), "it changed during the run"),
        ({"edge": {}}, "Envoy took it out of the cluster during the run"),
    ):
        (view,) = compared(seen(True), leg(), views("healthy"), after).views
        assert view == EnvoyView(route="orders", listen_port="8443", detail=words)


def test_without_an_opinion_at_the_end_the_first_is_shown_and_nothing_claimed() -> None:
    (view,) = compared(seen(False), leg(), views("healthy"), {}).views
    assert (view.opinion, view.disagreements) == ("healthy", None)


def test_a_host_that_envoy_says_nothing_about_is_not_compared() -> None:
    (view,) = compared(seen(True), leg(), {"edge": {}}, {"edge": {}}).views
    assert (view.opinion, view.disagreements) == ("unknown", None)


def test_several_addresses_are_compared_one_by_one() -> None:
    first, second = "10.0.0.7:9000", "10.0.0.8:9000"
    hosts = (HostView(first, "healthy"), HostView(second, "unhealthy", "why"))
    both = {"edge": {KEY: hosts}}

    def kinds(one: bool, other: bool) -> tuple[str, ...] | None:
        tries = (AddressTry(address=first, ok=one), AddressTry(address=second, ok=other))
        saw = seen(True, outcome="degraded", addresses=tries)
        return compared(saw, leg(), both, both).views[0].disagreements

    assert kinds(True, False) == ()
    assert kinds(False, True) == ("envoy_only", "probe_only")
    assert kinds(True, True) == ("probe_only",)


def test_other_addresses_than_envoys_are_compared_as_a_whole() -> None:
    both = views("healthy", address="10.9.9.9:9000")
    assert compared(seen(False), leg(), both, both).views[0].disagreements == ("envoy_only",)


def test_a_weight_of_nothing_is_no_disagreement() -> None:
    place = UpstreamPlace(source="edge", route="orders", weight=0)
    both = views("healthy")
    found = compared(seen(False), leg(place), both, both)
    assert (found.views[0].opinion, found.views[0].disagreements) == ("draining", ())
    assert found.planned == "Envoy sends it nothing: weight 0"


def test_what_runs_out_may_be_gone_but_not_what_the_file_names() -> None:
    both = views("draining")
    assert compared(seen(False), leg(), both, both).planned == "Envoy sends it nothing: why"
    assert compared(seen(True), leg(), both, both).planned == ""
    assert compared(seen(False), leg(backend=""), both, both).planned == ""
    other = UpstreamPlace(source="api", route="orders", listen_port=1)
    mixed = leg(UpstreamPlace(source="edge", route="orders"), other)
    assert compared(seen(False), mixed, both, both).planned == ""
    gone = compared(seen(False), leg(), views("healthy"), {"edge": {}})
    assert gone.planned == "Envoy sends it nothing: Envoy took it out of the cluster during the run"


def test_a_leg_that_no_source_names_stays_as_it_is() -> None:
    saw = seen(True)
    plain = Leg(name="envoy-x", kind="tcp", path=("u",), address=ADDRESS, upstream=True)
    assert compared(saw, plain, views("healthy"), {}) is saw


def families(*several: Observation) -> dict[tuple[str, ...], float]:
    run = RunRecord(segments=())
    found = numbers(metrics.families(run, several, judge_run(run, several)))
    return {key: value for key, value in found.items() if key[0].startswith("t3probe_backend")}


def test_metrics_of_every_place_and_of_no_claim() -> None:
    labels = {"route": "orders", "listen_port": "8443", "backend": ADDRESS}
    places = [
        UpstreamPlace(source="edge", route="orders", listen_port=8443),
        UpstreamPlace(source="edge", route="pay", listen_port=8444),
        UpstreamPlace(source="api", route="api", listen_port=1),
    ]
    both = {"edge": {KEY: (HostView(ADDRESS, "unhealthy"),)}}
    found = families(compared(seen(True, labels=labels), leg(*places), both, both))
    name = "t3probe_backend_disagreement"
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, "orders", ADDRESS, "envoy_only"): 0,
        (name, "orders", ADDRESS, "probe_only"): 1,
    }
    reachable = {key[1:] for key in found if key[0] == "t3probe_backend_reachable"}
    assert reachable == {
        ("orders", "8443", ADDRESS), ("pay", "8444", ADDRESS), ("api", "1", ADDRESS)
    }  # fmt: skip


def test_a_draining_backend_that_refuses_has_no_state_and_no_disagreement() -> None:
    both = views("draining")
    found = families(compared(seen(False, labels={"backend": ADDRESS}), leg(), both, both))
    assert set(found.values()) == {0.0}
    assert {key[0] for key in found} == {"t3probe_backend_disagreement"}


def test_a_disagreement_is_said_in_the_summary_and_in_the_failure() -> None:
    both = views("healthy")
    found = compared(seen(False), leg(), both, both)
    words = "Envoy calls it healthy (why) behind orders at port 8443, and it cannot be reached"
    assert sentence(found).endswith("; " + words)
    run = RunRecord(segments=())
    crowd = [
        Observation(leg=f"envoy-{n}", kind="tcp", path=(f"u{n}",), outcome="passed")
        for n in range(80)
    ]
    strange = compared(seen(True), leg(), views("unhealthy"), views("unhealthy"))
    several = [*crowd, strange]
    text = " ".join(
        " ".join(line for _, line in render(run, several, judge_run(run, several))).split()
    )
    assert (
        "Envoy calls it unhealthy (why) behind orders at port 8443, and it can be reached" in text
    )
    assert "80 TCP legs that passed" in text
