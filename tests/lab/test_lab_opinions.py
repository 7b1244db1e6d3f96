"""The lab's cloudflared and Traefik notice what the real ones would, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from t3probe.config import loads
from t3probe.config.opinions import OpinionSource
from t3probe.lab.stack import Lab
from t3probe.timing import SystemClock
from t3probe.upstreams.opinions.ask import OpinionReader
from t3probe.upstreams.opinions.said import SelfReport, view_of


def told(*steps: Sequence[str]) -> list[list[SelfReport]]:
    """What both say without a fault, and then under each of these."""
    found = []

    async def main() -> tuple[OpinionSource, ...]:
        lab = Lab(opinions=True)
        await lab.start()
        try:
            sources = loads(lab.deployment_text(), environ={}, now=0).opinion
            for faults in ((), *steps):
                await lab.switch(faults)
                asked = OpinionReader(sources, SystemClock(), {}).begin()
                found.append(await asyncio.to_thread(asked.wait))
            return sources
        finally:
            await lab.stop()

    assert [one.segment for one in asyncio.run(main())] == ["tunnel", "dispatch"]
    assert [one.opinion for one in found[0]] == ["healthy", "healthy"]
    return found


@pytest.mark.parametrize(
    ("fault", "tunnel", "dispatch"),
    [
        ("tunnel:refuse", "unhealthy", "healthy"),
        ("tunnel:blackhole", "unhealthy", "healthy"),
        ("tunnel:exit", "unknown", "healthy"),
        ("tunnel:stall", "healthy", "healthy"),
        ("tunnel:http502", "healthy", "healthy"),
        ("cf-edge:refuse", "healthy", "healthy"),
        ("dispatch:drain", "healthy", "unhealthy"),
        ("devvm:blackhole", "healthy", "unhealthy"),
        ("dispatch:wrong-echo", "healthy", "healthy"),
    ],
)
def test_what_each_notices(fault: str, tunnel: str, dispatch: str) -> None:
    _, said = told([fault])
    assert [one.opinion for one in said] == [tunnel, dispatch]


def test_connections_that_were_cut_and_made_anew_are_not_steady() -> None:
    before, cut, after, down, back = told(["tunnel:cut@0s"], [], ["tunnel:refuse"], [])
    source = OpinionSource(name="x", kind="cloudflared", segment="tunnel", url="http://x")

    def steady(one: list[SelfReport], other: list[SelfReport]) -> bool:
        return view_of(source, (one[0], other[0]), 0.0).steady

    assert not steady(before, cut)
    assert steady(cut, after)
    assert not steady(after, down)
    assert not steady(after, back)
    assert back[0].opinion == "healthy"


def test_a_lab_without_them_names_none() -> None:
    async def main() -> str:
        lab = Lab()
        await lab.start()
        try:
            return lab.deployment_text()
        finally:
            await lab.stop()

    assert "opinion" not in asyncio.run(main())
