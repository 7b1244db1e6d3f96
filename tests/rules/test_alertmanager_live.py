"""The fragment on a real Alertmanager: who is muted, and who hears what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from rules_alertmanager import BOUND_SECONDS, Somebody, alertmanager
from rules_file import FRAGMENT, ROOT

from t3probe.config import load

DEPLOYMENT = load(ROOT / "deployments" / "t3.toml", {}, now=0.0)
Labels = dict[str, str]


def alert(name: str, vantage: str = "cluster", **labels: str) -> Labels:
    return {"alertname": name, "job": "t3-probe", "vantage": vantage, **labels}


def as_set(alerts: Iterable[Mapping[str, str]]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(one.items()) for one in alerts}


async def test_each_segment_mutes_exactly_the_legs_that_cross_it(tmp_path: Path) -> None:
    """Each segment is convicted at a vantage of its own, where every leg is down."""
    fired: list[Labels] = []
    muted: list[Labels] = []
    for segment in DEPLOYMENT.segments:
        fired.append(alert("T3ProbeSegmentConvicted", segment, segment=segment))
        fired.append(alert("T3ProbeWalledPathOpen", segment, path="/probe/healthz"))
        fired.append(alert("T3ProbeSilent", segment))
        for leg in DEPLOYMENT.legs:
            of_leg = [alert("T3ProbeLegDown", segment, leg=leg.name)]
            if leg.kind == "walloff":
                of_leg.append(alert("T3ProbePublicPathWalledOff", segment, path="/probe/healthz"))
            fired += of_leg
            muted += of_leg if segment in leg.path else []
    fired.append(alert("T3ProbeLegDown", "lan", leg="edge"))
    fired.append(alert("T3ProbeDropBurst", "lan", leg="internal"))
    muted.append(alert("T3ProbeDropBurst", "lan", leg="edge"))
    fired.append(muted[-1])

    async with (
        Somebody().listening() as somebody,
        alertmanager(tmp_path, FRAGMENT.read_text(), somebody.url) as manager,
    ):
        await manager.fire(*fired)
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                seen = await manager.muted()
                if not as_set(seen) < as_set(muted):
                    break
                await asyncio.sleep(0.02)
        assert as_set(seen) == as_set(muted)


async def test_nobody_hears_of_a_target_that_resolves_first(tmp_path: Path) -> None:
    source = alert("T3ProbeSegmentConvicted", segment="tunnel", severity="critical")
    targets = [
        alert("T3ProbeLegDown", leg="cloudflare"),
        alert("T3ProbeDropBurst", leg="cloudflare"),
        alert("T3ProbeEgressOnlyDivergence", leg="cloudflare"),
        alert("T3ProbePublicPathWalledOff", path="/probe/healthz"),
    ]
    other_leg = alert("T3ProbeLegDown", leg="t3serve")
    other_vantage = alert("T3ProbeLegDown", "lan", leg="cloudflare")

    async with (
        Somebody().listening() as somebody,
        alertmanager(tmp_path, FRAGMENT.read_text(), somebody.url) as manager,
    ):
        await manager.fire(source)
        await somebody.hears("firing", source)
        await manager.fire(*targets)
        await manager.fire(other_leg)
        await somebody.hears("firing", other_leg)  # all targets were in view, and muted
        await manager.resolve(*targets)
        await manager.fire(other_vantage)
        await somebody.hears("firing", other_vantage)  # and they are resolved
        await manager.resolve(source)
        await somebody.hears("resolved", source)
        await manager.resolve(other_leg, other_vantage)
        await somebody.hears("resolved", other_leg)
        await somebody.hears("resolved", other_vantage)

    heard = as_set(labels for _, labels in somebody.told)
    assert heard == as_set([source, other_leg, other_vantage])


async def test_a_target_that_outlives_its_source_is_heard_of(tmp_path: Path) -> None:
    """Why a source keeps firing a while: Alertmanager alone does not prevent this."""
    source = alert("T3ProbeSegmentConvicted", segment="tunnel")
    target = alert("T3ProbeLegDown", leg="cloudflare")
    other = alert("T3ProbeLegDown", leg="t3serve")
    async with (
        Somebody().listening() as somebody,
        alertmanager(tmp_path, FRAGMENT.read_text(), somebody.url) as manager,
    ):
        await manager.fire(source)
        await somebody.hears("firing", source)
        await manager.fire(target)
        await manager.fire(other)
        await somebody.hears("firing", other)
        assert ("firing", target) not in somebody.told
        await manager.resolve(source)
        await somebody.hears("firing", target)
