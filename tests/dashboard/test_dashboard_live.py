"""Every panel's every query on a real Prometheus that holds a recorded outage."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

import pytest
from dashboard_file import Target, dashboard, named, substituted, target, targets
from dashboard_history import (
    CONNECTS,
    DURATION,
    END,
    EXPIRES,
    LAG,
    OBSERVED,
    OUTAGE,
    PATHS,
    RUNS,
    SCRAPE_SECONDS,
    SEGMENTS,
    SILENT_SECONDS,
    START,
    TRIPS,
    TROUBLE,
    VANTAGE,
    Run,
    fresh,
    shown,
    write,
)
from dashboard_prometheus import Prometheus, prometheus

from t3probe.deliver.metrics.table import RTT_BUCKETS

FIRST = START + 300
"""Where the queried range begins: by then every counter is there and has grown."""
RANGE = END - FIRST
CODES = {"exonerated": 0, "convicted": 4}
OBSERVED_LEGS = {*PATHS, "rule-public", "rule-walled"}
Rows = dict[str, dict[float, float]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    write(folder / "history.txt")
    with prometheus(folder, folder / "history.txt", SCRAPE_SECONDS - 1) as running:
        yield running


def ask(server: Prometheus, one: Target, leg: str = ".+") -> Rows:
    """What a panel draws: values by time under each legend."""
    step = one.interval
    query = substituted(
        one.expr,
        {
            "vantage": VANTAGE,
            "leg": leg,
            "__interval": f"{step}s",
            "__interval_ms": f"{step * 1000}",
            "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            "__range": f"{RANGE}s",
        },
    )
    rows: Rows = {}
    for labels, values in server.range(query, FIRST, END, step):
        name = named(one.legend, labels)
        assert name not in rows, f"two series are called {name}"
        rows[name] = values
    return rows


def times(one: Target) -> range:
    return range(FIRST, END + 1, one.interval)


def expected(one: Target, value: Callable[[Run, float], float | None]) -> dict[float, float]:
    """What the newest run says at each step of a panel that shows fresh runs only."""
    found = {}
    for at in times(one):
        run = fresh(at)
        told = value(run, at) if run is not None else None
        if told is not None:
            found[float(at)] = told
    assert 0 < len(found) < len(times(one)), "the silence must be seen"
    return found


def last(row: dict[float, float]) -> float:
    return row[max(row)]


def outside_the_outage(at: float, one: Target) -> bool:
    """Whether no run that found it down is within the window of a rate."""
    window = one.interval + 2 * SCRAPE_SECONDS + DURATION
    return not START + OUTAGE.start * 60 <= at <= START + OUTAGE.stop * 60 + window


@pytest.mark.parametrize("one", targets(), ids=str)
def test_every_query_returns_data(server: Prometheus, one: Target) -> None:
    rows = ask(server, one)
    assert rows
    assert all(math.isfinite(value) for row in rows.values() for value in row.values())


def test_the_variables_offer_what_there_is(server: Prometheus) -> None:
    offered = {}
    for one in dashboard()["templating"]["list"][1:]:
        query = substituted(one["query"]["query"], {"vantage": VANTAGE})
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
        assert match, query
        offered[one["name"]] = server.label_values(match[1], match[2], FIRST, END)
    assert offered == {"vantage": [VANTAGE], "leg": sorted(OBSERVED_LEGS)}


def test_one_leg_can_be_chosen(server: Prometheus) -> None:
    chosen = [one for one in targets() if "{{leg}}" in one.legend]
    assert len(chosen) >= 8
    for one in chosen:
        assert {name.split(":")[0].split()[0] for name in ask(server, one, "cloudflare")} == {
            "cloudflare"
        }, one.title


def test_segments_show_the_verdict_of_every_run(server: Prometheus) -> None:
    one = target("Path: the state of each segment")
    rows = ask(server, one)
    assert rows.keys() == set(SEGMENTS)
    for segment, row in rows.items():

        def state(run: Run, _at: float, segment: str = segment) -> float:
            return CODES["convicted" if run.broken and segment == "tunnel" else "exonerated"]

        assert row == expected(one, state), segment
    assert list(rows["tunnel"].values()).count(CODES["convicted"]) == len(OUTAGE)


def test_legs_show_whether_they_were_connected(server: Prometheus) -> None:
    one = target("Legs: connected at the end of the run")
    rows = ask(server, one)
    assert rows.keys() == OBSERVED_LEGS
    for leg, row in rows.items():

        def connected(run: Run, _at: float, leg: str = leg) -> float:
            return float(not (run.broken and leg == "cloudflare"))

        assert row == expected(one, connected), leg


def test_legs_show_whether_they_accepted_anything_new(server: Prometheus) -> None:
    one = target("Legs: new connections accepted at the end of the run")
    rows = ask(server, one)
    assert rows.keys() == set(PATHS)
    for leg, row in rows.items():

        def accepting(run: Run, _at: float, leg: str = leg) -> float:
            return float(not (run.broken and leg in ("cloudflare", "internal")))

        assert row == expected(one, accepting), leg


def test_drops_add_up_by_reason(server: Prometheus) -> None:
    one = target("Drops by leg and reason")
    rows = ask(server, one)
    assert rows.keys() == {"cloudflare: closed_by_peer", "cloudflare: upgrade_rejected"}
    for reason, number in (("closed_by_peer", 1), ("upgrade_rejected", len(OUTAGE) - 1)):
        row = rows[f"cloudflare: {reason}"]
        assert sum(row.values()) == pytest.approx(number, abs=0.35)
        assert not [at for at in row if outside_the_outage(at, one)]


def test_drops_of_the_whole_range(server: Prometheus) -> None:
    rows = ask(server, target("Drops in the whole range"))
    assert rows.keys() == OBSERVED_LEGS
    for leg, row in rows.items():
        truth = len(OUTAGE) if leg == "cloudflare" else 0
        assert last(row) == pytest.approx(truth, rel=0.02), leg


def quantile(leg: str, share: float) -> float:
    """Of round trips that are all alike: a histogram knows their bucket, no more."""
    above = next(bound for bound in RTT_BUCKETS if TRIPS[leg] <= bound)
    below = RTT_BUCKETS[RTT_BUCKETS.index(above) - 1]
    return below + share * (above - below)


SHARES = {"median": 0.5, "90 %": 0.9, "99 %": 0.99}


@pytest.mark.parametrize(("number", "name"), list(enumerate(SHARES)))
def test_quantiles_lie_in_the_right_bucket(server: Prometheus, number: int, name: str) -> None:
    rows = ask(server, target("Round trips per leg", number))
    for leg in PATHS:
        row = rows[f"{leg} {name}"]
        assert len(row) > 10
        truth = quantile(leg, SHARES[name])
        assert row == pytest.approx(dict.fromkeys(row, truth), rel=1e-6), leg


@pytest.mark.parametrize(("number", "name"), [(0, "median"), (1, "99 %")])
def test_the_difference_is_what_the_public_way_adds(
    server: Prometheus, number: int, name: str
) -> None:
    rows = ask(server, target("Round trips: cloudflare minus internal", number))
    truth = quantile("cloudflare", SHARES[name]) - quantile("internal", SHARES[name])
    assert rows.keys() == {name}
    row = rows[name]
    assert len(row) > 10
    assert row == pytest.approx(dict.fromkeys(row, truth), rel=1e-6)


def test_phases_are_those_of_the_last_run(server: Prometheus) -> None:
    one = target("Phases of connecting")
    rows = ask(server, one)
    assert rows.keys() == {f"{leg} {phase}" for leg in PATHS for phase in ("connect", "tls")}

    def tls(run: Run, _at: float) -> float | None:
        return None if run.broken else 2 * TRIPS["cloudflare"]

    assert rows["cloudflare tls"] == expected(one, tls)


def test_coverage_is_the_share_of_time_observed(server: Prometheus) -> None:
    one = target("Coverage: share of the time observed")
    rows = ask(server, one)
    assert rows.keys() == OBSERVED_LEGS
    for row in rows.values():
        assert row.keys() == {float(at) for at in times(one)}
        assert row[START + 50 * 60] == pytest.approx(OBSERVED / 60, rel=0.1)
        assert row[START + 120 * 60] == 0


def test_observed_time_of_the_whole_range(server: Prometheus) -> None:
    first, newest = shown(FIRST), shown(END)
    assert first is not None
    assert newest is not None
    seen = [run for run in RUNS if first.minute < run.minute <= newest.minute]
    rows = ask(server, target("Observed time in the whole range"))
    assert rows.keys() == OBSERVED_LEGS
    for row in rows.values():
        assert last(row) == pytest.approx(len(seen) * OBSERVED, rel=0.02)


def test_upstreams(server: Prometheus) -> None:
    answer = target("Upstreams by route", 0)
    assert ask(server, answer) == {
        "api answer": expected(answer, lambda run, _at: 1 if run.broken else 2)
    }
    silent = target("Upstreams by route", 1)
    assert ask(server, silent) == {"api do not": expected(silent, lambda run, _at: run.broken)}
    listed = target("Upstreams that do not answer")
    assert ask(server, listed) == {
        "api 8080 b": expected(listed, lambda run, _at: 0 if run.broken else None)
    }
    slowest = target("Upstreams: the slowest connects")
    rows = ask(server, slowest)
    assert rows.keys() == {"api 8080 a", "api 8080 b"}
    truth = expected(slowest, lambda _run, _at: CONNECTS["a"])
    assert rows["api 8080 a"] == pytest.approx(truth)


def test_certificates_show_the_days_left(server: Prometheus) -> None:
    one = target("Certificates: days left")
    rows = ask(server, one)
    assert rows.keys() == {"edge", "cloudflare", "internal"}
    truth = expected(one, lambda _run, at: (EXPIRES - at) / 86400)
    for leg, row in rows.items():
        assert row == pytest.approx(truth), leg


def test_ingest_gates(server: Prometheus) -> None:
    one = target("Ingest gates")
    assert ask(server, one) == {
        "metrics: token": expected(one, lambda _run, _at: 1),
        "metrics: paths": expected(one, lambda run, _at: not run.broken),
    }


@pytest.mark.parametrize("title", ["Rigs", "Rigs: can be used"])
def test_rigs(server: Prometheus, title: str) -> None:
    one = target(title)
    assert ask(server, one) == {"spin01": expected(one, lambda run, _at: not run.broken)}


def test_the_age_of_streams(server: Prometheus) -> None:
    found = ask(server, target("Rigs: the oldest streams"))
    assert set(found["spin01 video"].values()) == {SILENT_SECONDS}


def test_rate_and_errors(server: Prometheus) -> None:
    rate = ask(server, target("Rate: round trips per second"))
    assert rate.keys() == OBSERVED_LEGS
    assert rate["internal"][START + 50 * 60] == pytest.approx(3 / 60, rel=0.1)
    errors = ask(server, target("Errors: share of exchanges that dropped"))
    assert max(errors["cloudflare"].values()) == pytest.approx(1, abs=0.05)
    assert set(errors["internal"].values()) == {0}


@pytest.mark.parametrize(("number", "share"), [(0, 0.5), (1, 0.95), (2, 0.99)])
def test_durations(server: Prometheus, number: int, share: float) -> None:
    rows = ask(server, target("Duration: p50, p95 and p99", number))
    for leg in PATHS:
        row = rows[f"{leg} p{share * 100:.0f}"]
        truth = quantile(leg, share)
        assert row == pytest.approx(dict.fromkeys(row, truth), rel=1e-6), leg


def test_rules_around_the_sign_on_hold(server: Prometheus) -> None:
    public, walled = (target("Paths around the single sign-on", number) for number in (0, 1))
    truth = expected(public, lambda _run, _at: 1)
    assert ask(server, public) == {"public /public": truth}
    assert ask(server, walled) == {"walled /walled": truth}


def test_the_prober_itself(server: Prometheus) -> None:
    assert set(ask(server, target("Prober: loop lag"))[VANTAGE].values()) == {LAG}
    took, age = (target("Prober: run duration and age", number) for number in (0, 1))
    assert set(ask(server, took)[f"duration {VANTAGE}"].values()) == {DURATION}
    ages = {float(at): at - run.ended for at in times(age) if (run := shown(at)) is not None}
    assert ask(server, age) == {f"age {VANTAGE}": ages}
    assert max(ages.values()) > 600
    complete = target("Prober: complete runs")
    truth = expected(complete, lambda run, _at: run.minute != TROUBLE)
    assert ask(server, complete) == {VANTAGE: truth}
    assert list(truth.values()).count(False) == 1


@pytest.mark.parametrize(
    ("number", "name", "truth"), [(0, "counts lost", 3), (1, "runs overlapped", 1)]
)
def test_troubles_of_delivery(server: Prometheus, number: int, name: str, truth: int) -> None:
    rows = ask(server, target("Prober: counts lost and runs overlapped", number))
    assert rows.keys() == {name}
    assert last(rows[name]) == pytest.approx(truth, rel=0.02)
