"""Two hours of runs, one a minute, for two engines.

With drops, a silence, a lost state, and runs that could not tell. Made up, then judged and counted
by the program's own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import msgspec
from dashboard_history import JOB, START, VANTAGE, Run, observations, record
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import Observation
from t3probe.verdict.incident.run import judge_run

MINUTES = 120
FIRST, END = START + 300, START + MINUTES * 60
SILENCE = range(80, 90)
"""The minutes in which no run starts; the gateway goes on showing the last one."""
RESET = 40
"""The gateway has lost its state when this minute's run starts."""
UNTOLD = range(30, 34)
"""The minutes whose runs could not tell about the leg cloudflare."""
LOSS = 50
"""The minute whose run tells of counts lost."""
SCRAPE_SECONDS = 30
SCRAPED_AT = 7


def _seen(run: Run) -> list[Observation]:
    found = []
    for one in observations(run):
        if one.leg == "cloudflare" and run.minute in UNTOLD:
            one = msgspec.structs.replace(
                one, outcome="inconclusive", reason="resolver_failed", connected=None,
                accepting=None, beats=(), drops=(), phases={}, observed_seconds=0.0,
            )  # fmt: skip
        found.append(one)
    return found


def _delivered() -> Iterator[tuple[Run, dict[str, float]]]:
    before: carry.Group = {}
    for minute in range(MINUTES):
        if minute in SILENCE:
            continue
        run = Run(minute)
        if minute == RESET:
            before = {}
        seen, ran = _seen(run), record(run)
        lost = 3.0 * (minute == LOSS)
        own = metrics.families(ran, seen, judge_run(ran, seen), counts_lost=lost)
        before = carry.continued(before, own)
        values = {}
        for family in text_string_to_metric_families(rendered(before).decode()):
            for sample in family.samples:
                pairs = (*carry.key_of(sample.labels), ("job", JOB), ("vantage", VANTAGE))
                text = ",".join(f'{label}="{value}"' for label, value in pairs)
                values[f"{sample.name}{{{text}}}"] = sample.value
        yield run, values


def _zeroed(values: dict[str, float]) -> dict[str, float]:
    """What a run writes at its start where nothing is: counters at zero, no gauges."""
    ends = ("_total", "_bucket", "_count", "_sum")
    return {key: 0.0 for key in values if key.partition("{")[0].endswith(ends)}


@cache
def samples() -> dict[str, list[tuple[int, float]]]:
    """Series → (Unix seconds, value) of every scrape."""
    runs = list(_delivered())
    series: dict[str, list[tuple[int, float]]] = {}
    for number in range(MINUTES * 60 // SCRAPE_SECONDS):
        at = START + number * SCRAPE_SECONDS + SCRAPED_AT
        done = [values for run, values in runs if run.ended <= at]
        going = next((run for run, _ in runs if run.started <= at < run.ended), None)
        lost = going is not None and going.minute == RESET
        values = _zeroed(runs[0][1]) if lost or not done else done[-1]
        for key, value in values.items():
            series.setdefault(key, []).append((at, value))
    return series


def openmetrics() -> str:
    """As OpenMetrics text, series by series: times in seconds."""
    lines = [f"{key} {value!r} {at}" for key, some in samples().items() for at, value in some]
    return "\n".join([*lines, "# EOF", ""])


def exposition() -> str:
    """The same for VictoriaMetrics' import: times in milliseconds."""
    return "".join(
        f"{key} {value!r} {at * 1000}\n" for key, some in samples().items() for at, value in some
    )
