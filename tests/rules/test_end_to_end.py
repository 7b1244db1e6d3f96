"""A broken segment, and what the person on duty hears of it: all programs real.

Lab with a fault, runs as the CronJob starts them (a process each, `--exit-delivered`), Pushgateway,
Prometheus with the shipped rules, Alertmanager with the shipped fragment, and a webhook.

Time runs up to `FACTOR` times as fast: all durations of the rules and of Alertmanager's routing are
divided by one number (`rules_scaled` says which those are), and so are the time between two runs,
their hold and the scrape interval. A first run says how fast this machine can be: a run has to fit
into a scaled minute. Nothing is asserted about time: the test waits for what must happen, and at
the end for Alertmanager to hold nothing more that could be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway, RealPrometheus
from plugin.plugin_runner import ENVIRON, ROOT, Runner
from rules_alertmanager import Alertmanager, Labels, Somebody, alertmanager
from rules_file import FRAGMENT, RULES
from rules_programs import program, run
from rules_scaled import scaled

from t3probe.lab.process import LabProcess
from t3probe.timing import SystemClock

FACTOR, SLOWEST = 40, 5
VANTAGE = "cluster"
BOUND_SECONDS = 60 * 60
"""For one thing to happen, on the rules' clock: a few times what it takes."""
CONFIG = """\
route:
  receiver: somebody
  group_by: [alertname, job, vantage]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: ['severity=~"info|none"']
      receiver: nobody
receivers:
  - name: nobody
  - name: somebody
    webhook_configs:
      - url: {url}
        send_resolved: true
"""
"""Alertmanager's usual waits. `info` and `none` are for no person (the watchdog is one)."""


@dataclass(frozen=True)
class Pace:
    """How fast time runs."""

    factor: int = FACTOR

    @property
    def minute_seconds(self) -> float:
        return 60 / self.factor

    @property
    def hold_ms(self) -> int:
        return 35_000 // self.factor

    @property
    def scrape_ms(self) -> int:
        return 15_000 // self.factor


@dataclass
class World:
    """All that runs."""

    pace: Pace
    lab: LabProcess
    somebody: Somebody
    manager: Alertmanager
    runner: asyncio.Task[None]

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something; a run that is not delivered ends the wait."""
        try:
            async with asyncio.timeout(BOUND_SECONDS / self.pace.factor):
                while not await holds():
                    if self.runner.done():
                        self.runner.result()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            there = [(one["labels"], one["status"]) for one in await self.manager.alerts()]
            told = self.somebody.notifications
            raise AssertionError(f"{what}; told: {told}; alerts: {there}") from None


async def one_run(checks: Runner, url: str, pace: Pace) -> None:
    """As the CronJob runs it."""
    words = checks.command("--hold", f"{pace.hold_ms}ms", "--vantage", VANTAGE)
    words += ["--exit-delivered", "--gateway", url]
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env=ENVIRON,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, output.decode()


async def paced_by_a_run(checks: Runner, url: str) -> Pace:
    """A pace at which a run like this one is over within a minute."""
    clock, fastest = SystemClock(), Pace()
    began = clock.monotonic()
    await one_run(checks, url, fastest)
    around_the_hold = clock.monotonic() - began - fastest.hold_ms / 1000
    return Pace(max(SLOWEST, min(FACTOR, int((60 - 35) / around_the_hold))))


async def one_run_a_minute(checks: Runner, url: str, pace: Pace) -> None:
    """One after the other, and each scaled minute at most one."""
    clock = SystemClock()
    while True:
        next_minute = clock.monotonic() + pace.minute_seconds
        await one_run(checks, url, pace)
        await asyncio.sleep(max(0.0, next_minute - clock.monotonic()))


@contextlib.asynccontextmanager
async def world(folder: Path, fragment: str) -> AsyncIterator[World]:
    """Everything started, one good run delivered and the next ones on their way."""
    rules = folder / "t3probe.rules.yml"
    gateway = RealGateway(folder)
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(LabProcess())
        stack.callback(gateway.stop)
        gateway.start()
        checks = Runner(lab, folder)
        # Before Prometheus looks: a vantage that never ran would be an alert of its own.
        pace = await paced_by_a_run(checks, gateway.url)
        rules.write_text(scaled(RULES.read_text(), pace.factor))
        config = scaled(CONFIG, pace.factor)
        async with (
            Somebody().listening() as somebody,
            alertmanager(folder, fragment, somebody.url, config) as manager,
        ):
            target = f"127.0.0.1:{gateway.port}"
            scrape = f"{pace.scrape_ms}ms"
            prometheus = RealPrometheus(folder, target, scrape, rules, manager.address)
            stack.callback(prometheus.stop)
            prometheus.start()
            prometheus.knows_whom_to_tell()
            runner = asyncio.create_task(one_run_a_minute(checks, gateway.url, pace))
            try:
                yield World(pace, lab, somebody, manager, runner)
            finally:
                runner.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await runner


def named(alerts: list[Labels]) -> set[tuple[str, str]]:
    """Name and leg of alerts that have both."""
    return {(one["alertname"], one["leg"]) for one in alerts if "leg" in one}


@pytest.mark.timeout(4 * BOUND_SECONDS / SLOWEST)
async def test_one_broken_segment_is_one_notification_and_one_more_when_it_is_whole(
    tmp_path: Path,
) -> None:
    convicted = {
        "alertname": "T3ProbeSegmentConvicted",
        "job": "t3-probe",
        "vantage": VANTAGE,
        "segment": "tunnel",
        "severity": "critical",
    }
    effects = {("T3ProbeLegDown", "cloudflare"), ("T3ProbeEgressOnlyDivergence", "cloudflare")}
    async with world(tmp_path, FRAGMENT.read_text()) as all_of_it:
        somebody, manager = all_of_it.somebody, all_of_it.manager

        async def muted() -> bool:
            return effects <= named(await manager.muted())

        async def told() -> bool:
            return bool(somebody.notifications)

        async def quiet() -> bool:
            names = {one["labels"]["alertname"] for one in await manager.alerts()}
            return names <= {"T3ProbeWatchdog", "T3ProbeLowCoverage"} and len(somebody.told) > 1

        all_of_it.lab.switch(["tunnel:refuse"])
        await all_of_it.until("nobody heard of the tunnel", told)
        await all_of_it.until("the legs that cross it are not muted", muted)
        assert somebody.notifications == [[("firing", convicted)]]
        all_of_it.lab.clear()
        await all_of_it.until("it is not over, or nobody heard of it", quiet)

    assert somebody.notifications == [[("firing", convicted)], [("resolved", convicted)]]


@pytest.mark.timeout(2 * BOUND_SECONDS / SLOWEST)
async def test_without_the_fragment_people_would_hear_of_every_leg(tmp_path: Path) -> None:
    """So the silence above is the fragment's doing."""
    async with world(tmp_path, "") as all_of_it:

        async def told() -> bool:
            return ("T3ProbeLegDown", "cloudflare") in named(
                [labels for _, labels in all_of_it.somebody.told]
            )

        all_of_it.lab.switch(["tunnel:refuse"])
        await all_of_it.until("nobody heard of the leg", told)


def test_every_duration_of_the_rules_is_scaled(tmp_path: Path) -> None:
    text = RULES.read_text()
    file = tmp_path / "scaled.rules.yml"
    file.write_text(scaled(text, FACTOR))
    code, said = run(program("promtool"), "check", "rules", str(file))
    assert code == 0, said
    code_lines = [
        line
        for line in file.read_text().splitlines()
        if re.search(r"[\[<>]|^ +(for|keep_firing_for|interval):", line) and "#" not in line
    ]
    left = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:[smhd]\b)?(?!\w)", "\n".join(code_lines)))
    # Counts, fractions, the lag of a loop, a certificate's days, and the two ages.
    ages = {f"{240 / FACTOR:g}", f"{300 / FACTOR:g}"}
    assert left == {"0", "1", "6.5", "0.25", "0.5", "14", "86400", *ages}
    assert file.read_text().count("ms") - text.count("ms") == len(
        re.findall(r"\[\d+[smhd]\]|^ +(?:for|keep_firing_for|interval): \d", text, re.MULTILINE)
    )
