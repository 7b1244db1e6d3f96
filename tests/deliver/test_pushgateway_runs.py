"""Runs against a real Pushgateway: what a scraper adds up is what was counted."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from delivery_programs import RealGateway
from delivery_runs import DEAD, LEGS, REASONS, OneRun, Scraper, run_families, spool
from delivery_servers import answering, forwarding, serving

from t3probe.deliver.metrics.carry import DISCONNECTS, LOST, OVERLAPPED, Family, key_of
from t3probe.deliver.sinks import Batch

DROP = (LEGS[0], REASONS[0])
TROUBLES = (
    "refused at the end",
    "refused throughout",
    "refused at the start",
    "state lost before",
    "state lost during",
    "state lost and refused at the start",
    "answer lost",
    "answer lost at the start",
    "answers 500",
)


def one_run(
    kind: str,
    gateway: RealGateway,
    scraper: Scraper,
    run: OneRun,
    drops: dict[tuple[str, str], int],
    trips: dict[str, list[float]],
    stamp: float,
) -> bool:
    """One scripted run with a scrape after each of its halves; whether it says it delivered."""
    live = gateway.url
    if kind in {"state lost before", "state lost and refused at the start"}:
        gateway.restart()
    with (
        serving(forwarding(live, lose="POST")) as deaf_start,
        serving(forwarding(live, lose="PUT")) as deaf_end,
        serving(answering("500 No")) as broken,
    ):
        starts = {
            "refused throughout": DEAD,
            "refused at the start": DEAD,
            "state lost and refused at the start": DEAD,
            "answer lost at the start": deaf_start.url,
        }
        run.at(starts.get(kind, live)).start()
        scraper.scrape(gateway.exposition())
        if kind == "state lost during":
            gateway.restart()
        ends = {
            "refused at the end": DEAD,
            "refused throughout": DEAD,
            "answer lost": deaf_end.url,
            "answers 500": broken.url,
        }
        report = run.at(ends.get(kind, live)).end(drops, trips, stamp)
    scraper.scrape(gateway.exposition())
    return report.ok


@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_forty_runs_add_up(seed: int, keep: bool, tmp_path: Path, gateway: RealGateway) -> None:
    chance = random.Random(seed)
    script = ["fine"] * 40
    for kind, place in zip(TROUBLES * 2, chance.sample(range(1, 39), 18), strict=True):
        script[place] = kind
    for number, kind in enumerate(script[1:], 1):
        if kind.startswith("state lost") and script[number - 1] == "answer lost":
            script[number] = "fine"  # nobody can know then; it has a test of its own
    if seed == 3:
        script[0] = "refused at the start"  # the very first run writes no zeros
    scraper = Scraper()
    truth, trips_truth = 0, 0
    for number, kind in enumerate(script):
        drops = {
            (leg, reason): chance.randint(1, 3)
            for leg in LEGS
            for reason in REASONS
            if chance.random() < 0.3
        }
        trips = {leg: [chance.random() for _ in range(chance.randint(0, 4))] for leg in LEGS}
        truth += sum(drops.values())
        trips_truth += sum(map(len, trips.values()))
        run = OneRun(gateway.url, spool(tmp_path / "memory", keep))
        one_run(kind, gateway, scraper, run, drops, trips, 1000.0 + number)
        assert scraper.total(DISCONNECTS) + scraper.total(LOST) <= truth, kind
        assert scraper.total("t3probe_rtt_seconds_count") <= trips_truth, kind
    run = OneRun(gateway.url, spool(tmp_path / "memory", keep))
    one_run("fine", gateway, scraper, run, {}, {}, 2000.0)

    assert scraper.total(OVERLAPPED) == 0
    assert scraper.total(DISCONNECTS) + scraper.total(LOST) == truth
    assert not list((tmp_path / "memory").glob("batch-*"))
    if keep:
        assert scraper.total(LOST) == 0
        assert scraper.total("t3probe_rtt_seconds_count") == trips_truth
        inf = scraper.of("t3probe_rtt_seconds_bucket", le="+Inf")
        assert inf == trips_truth
    else:
        assert scraper.total(LOST) > 0


@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
@pytest.mark.parametrize("taken", [True, False])
def test_what_nobody_can_know_is_counted_as_lost(
    taken: bool, keep: bool, tmp_path: Path, gateway: RealGateway
) -> None:
    """The answer to a push is lost, and then the gateway's state and its mark."""
    scraper = Scraper()
    memory = spool(tmp_path / "memory", keep)
    one_run("fine", gateway, scraper, OneRun(gateway.url, memory), {DROP: 4}, {}, 1)
    run = OneRun(gateway.url, memory)
    run.start()
    with (
        serving(forwarding(gateway.url, lose="PUT")) as deaf,
        serving(forwarding(gateway.url, lose="PUT", drop=True)) as dropping,
    ):
        assert not run.at((deaf if taken else dropping).url).end({DROP: 2}, stamp=2).ok
    scraper.scrape(gateway.exposition())
    run = OneRun(gateway.url, memory)
    gateway.restart()
    run.start()
    scraper.scrape(gateway.exposition())
    assert "2 drops that it may have had" in run.end({DROP: 1}, stamp=3).sentence
    scraper.scrape(gateway.exposition())
    assert scraper.total(DISCONNECTS) == (7 if taken else 5)
    assert scraper.total(LOST) == 2
    assert not list((tmp_path / "memory").glob("batch-*"))


@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
def test_a_state_lost_during_a_run_loses_nothing(
    keep: bool, tmp_path: Path, gateway: RealGateway
) -> None:
    scraper = Scraper()
    for stamp, kind in ((1, "fine"), (2, "state lost during")):
        run = OneRun(gateway.url, spool(tmp_path / "memory", keep))
        # As many drops as before: from zero they would read as no step at all.
        one_run(kind, gateway, scraper, run, {DROP: 2}, {"internal": [0.3]}, stamp)
    assert (scraper.total(DISCONNECTS), scraper.total(LOST)) == (4, 0)
    assert scraper.total("t3probe_rtt_seconds_count") == 2


def test_every_bucket_continues(gateway: RealGateway) -> None:
    scraper = Scraper()
    for number in range(5):
        run = OneRun(gateway.url)
        one_run("fine", gateway, scraper, run, {}, {"t3serve": [0.01, 0.2, 0.9, 30.0]}, number + 1)
    found = {
        le: scraper.of("t3probe_rtt_seconds_bucket", leg="t3serve", le=le)
        for le in ("0.05", "0.1", "0.25", "1", "20", "+Inf")
    }
    assert found == {"0.05": 5, "0.1": 5, "0.25": 10, "1": 15, "20": 15, "+Inf": 20}
    assert scraper.of("t3probe_rtt_seconds_sum", leg="t3serve") == pytest.approx(5 * 31.11)


def test_two_writers_are_noticed_and_nothing_is_lost(gateway: RealGateway) -> None:
    scraper = Scraper()
    first, second = OneRun(gateway.url), OneRun(gateway.url)
    first.start()
    second.start()
    scraper.scrape(gateway.exposition())
    assert "another run" not in first.end({DROP: 2}, stamp=10).sentence
    report = second.end({DROP: 3}, stamp=11)
    scraper.scrape(gateway.exposition())
    assert report.ok
    assert "another run wrote this group meanwhile" in report.sentence
    assert scraper.total(DISCONNECTS) == 5
    assert scraper.total(OVERLAPPED) == 1


def test_two_runs_one_after_the_other_do_not_overlap(gateway: RealGateway) -> None:
    for stamp in (10, 11):
        run = OneRun(gateway.url)
        run.start()
        assert "another run" not in run.end({DROP: 2}, stamp=stamp).sentence
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    assert [v for (name, _), v in scraper.last.items() if name == OVERLAPPED] == [0]


def test_the_start_keeps_what_is_there(gateway: RealGateway) -> None:
    run = OneRun(gateway.url)
    run.start()
    run.end({DROP: 2}, {"internal": [0.3]}, stamp=10)
    before = Scraper()
    before.scrape(gateway.exposition())
    again = OneRun(gateway.url)
    assert "every series is there" in again.start().sentence
    families = run_families()
    families[DISCONNECTS].series[("leg", "new"), ("reason", "io_error")] = 0.0
    assert "wrote 1 missing series at 0" in again.push(Batch(families, opening=True)).sentence
    after = Scraper()
    after.scrape(gateway.exposition())
    ours = {key: value for key, value in before.last.items() if key[0].startswith("t3probe_")}
    assert ours.items() <= after.last.items()
    assert [v for (_, labels), v in after.last.items() if ("leg", "new") in labels] == [0]


def test_a_leg_that_is_gone_leaves_and_the_last_drop_stays(gateway: RealGateway) -> None:
    run = OneRun(gateway.url)
    last = Family("gauge", "When.", {(("leg", leg),): 5.0 for leg in ("gone", LEGS[0])})
    run.push(Batch(run_families(stamp=10)))
    run.push(Batch({**run_families(stamp=11), "t3probe_last_disconnect_timestamp": last}))
    run.push(Batch(run_families(stamp=12)))
    text = gateway.exposition()
    assert f'leg="{LEGS[0]}",vantage="cluster"}} 5' in text
    assert 'leg="gone"' not in text


def test_upstreams_have_a_group_beside(gateway: RealGateway) -> None:
    place = key_of({"route": "a/b", "listen_port": "80", "backend": 'x"\\\n'})
    reach = Family("gauge", "Reachable.", {place: 1.0})
    run = OneRun(gateway.url)
    run.push(Batch({**run_families(stamp=10), "t3probe_backend_reachable": reach}))
    text = gateway.exposition()
    wanted = 't3probe_backend_reachable{backend="x\\"\\\\\\n",instance="",job="t3-probe",'
    assert wanted + 'listen_port="80",part="upstreams",route="a/b",vantage="cluster"} 1' in text
    assert text.count("push_time_seconds{") == 2
    run.push(Batch(run_families(stamp=11)))
    assert "t3probe_backend_reachable" not in gateway.exposition()


@pytest.mark.parametrize("vantage", ["", "a/b", "lan 2", ".", "köln"])
def test_any_vantage_finds_its_group_again(vantage: str, gateway: RealGateway) -> None:
    for stamp in (1, 2):
        run = OneRun(gateway.url, vantage=vantage)
        run.start()
        assert run.end({DROP: 2}, stamp=stamp).ok
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    found = {
        dict(key).get("vantage", ""): value
        for (name, key), value in scraper.last.items()
        if name == DISCONNECTS and value
    }
    assert found == {vantage: 4}


def test_a_conflict_of_types_is_one_sentence(gateway: RealGateway, tmp_path: Path) -> None:
    other = OneRun(gateway.url, vantage="elsewhere")
    other.push(Batch({DISCONNECTS: Family("gauge", "Not a counter.", {(): 1.0})}))
    run = OneRun(gateway.url, spool(tmp_path / "spool"))
    assert "400" in run.start().sentence
    report = run.end({DROP: 2})
    assert not report.ok
    assert "another group holds one of these names with another type" in report.sentence
    assert "2 drops among them, wait in" in report.sentence


def test_an_older_state_is_said(tmp_path: Path) -> None:
    state = tmp_path / "state"
    gateway = RealGateway(tmp_path, state)
    gateway.start()
    try:
        OneRun(gateway.url).end({}, stamp=1)
        run = OneRun(gateway.url)
        run.start()
        run.end({DROP: 2}, stamp=2)
        gateway.stop()
        saved = state.read_bytes()
        gateway.start()
        later = OneRun(gateway.url)
        later.start()
        later.end({DROP: 3}, stamp=3)
        last = OneRun(gateway.url)
        last.start()
        gateway.stop(signal.SIGKILL)
        state.write_bytes(saved)
        gateway.start()
        report = last.end({DROP: 1}, stamp=4)
        assert "went back to an older state" in report.sentence
        assert 'reason="rtt_timeout",vantage="cluster"} 3' in gateway.exposition()
    finally:
        gateway.stop()
