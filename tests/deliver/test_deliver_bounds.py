"""How long a delivery may take, what is corrected, and what is said: with sinks made up for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import DEAD, run_families
from delivery_servers import answering, serving

from t3probe.config.delivery import Delivery
from t3probe.config.types import Deployment
from t3probe.deliver import delivery as deliver
from t3probe.deliver.delivery import (
    Delivering,
    correct,
    end_of_run,
    gateway_of,
    retire,
    start_of_run,
)
from t3probe.deliver.metrics.carry import Group
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.exchange.client import Budget
from t3probe.timing import FakeClock


def deployment(**delivery: Any) -> Deployment:
    return Deployment(
        name="d",
        file="d.toml",
        segments=("a",),
        own_segments=(),
        paths=(),
        legs=(),
        vantage="cluster",
        delivery=Delivery(**delivery),
    )


@dataclass
class Slow:
    """A sink that takes all the time it is given, and answers as it is told."""

    clock: FakeClock
    start: bool = True
    end: bool = True
    corrected: bool = True
    known: Group | None = None
    seen: list[Batch] = field(default_factory=list)

    def __call__(self, batch: Batch) -> Receipt:
        self.seen.append(batch)
        assert batch.seconds is not None
        self.clock.advance(batch.seconds)
        if batch.opening:
            return Receipt(self.start, f"start {self.start}", self.known)
        if batch.correction:
            return Receipt(self.corrected, f"correction {self.corrected}")
        return Receipt(self.end, f"end {self.end}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def delivering(clock: FakeClock, *sinks: Slow, **delivery: Any) -> Delivering:
    started = Delivering(deployment(**delivery), {}, clock, list(sinks))
    started.opened = [Receipt(one.start, f"start {one.start}", one.known) for one in sinks]
    return started


class Helpers:
    """Kuberhealthy and the heartbeat, each as slow as it is allowed to be."""

    def __init__(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.told: list[tuple[str, Any]] = []
        monkeypatch.setattr("t3probe.deliver.sinks.kuberhealthy.report", self.report)
        monkeypatch.setattr("t3probe.deliver.sinks.heartbeat.beat", self.beat)

    def report(self, url: str, ok: bool, errors: Any, environ: Any, budget: Budget) -> Receipt:
        self.told.append(("kuberhealthy", budget.left_seconds))
        self.clock.advance(budget.left_seconds)
        return Receipt(True, "kuberhealthy was told")

    def beat(self, url: str, budget: Budget) -> Receipt:
        self.told.append(("heartbeat", budget.left_seconds))
        self.clock.advance(budget.left_seconds)
        return Receipt(True, "the heart beats")


# -- bounds -------------------------------------------------------------------------------------


def test_the_start_takes_two_seconds_at_most(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sinks = [Slow(clock), Slow(clock)]
    monkeypatch.setattr("t3probe.deliver.sinks.textfile.sink", lambda *_: sinks[0])
    monkeypatch.setattr("t3probe.deliver.sinks.pushgateway.sink", lambda *_: sinks[1])
    one = deployment(gateway=DEAD, textfile=str(tmp_path / "x.prom"))
    gateway = gateway_of(one, vantage="", environ={})
    start_of_run(one, gateway, [], vantage="", results=tmp_path, environ={}, clock=clock)
    assert 1 < clock.monotonic() <= 2
    assert [one.seen[0].opening for one in sinks] == [True, True]
    assert [one.seen[0].seconds for one in sinks] == [clock.monotonic(), 0]


def test_the_end_takes_five_seconds_at_most_and_helpers_one_each(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = Helpers(clock, monkeypatch)
    started = delivering(clock, heartbeat_url="http://127.0.0.1:1/x")
    started.environ = {"KH_REPORTING_URL": DEAD}
    end_of_run(started, {}, ok=True)
    assert [name for name, _ in helpers.told] == ["kuberhealthy", "heartbeat"]
    assert all(0.5 < seconds <= 1 for _, seconds in helpers.told)
    assert clock.monotonic() <= 2

    slow = delivering(clock, Slow(clock), heartbeat_url="http://127.0.0.1:1/x")
    before = clock.monotonic()
    end_of_run(slow, [], ok=True)
    assert 3 < clock.monotonic() - before <= 5
    assert helpers.told[-1] == ("heartbeat", 0)


def test_a_gateway_leaves_time_for_what_comes_after_it() -> None:
    found = gateway_of(deployment(gateway=DEAD), vantage="", environ={})
    assert found is not None
    assert 2 < found.end_seconds <= deliver.END_SECONDS - 1


def test_seconds_are_the_callers_where_given(clock: FakeClock, tmp_path: Path) -> None:
    sink = Slow(clock)
    started = delivering(clock, sink)
    end_of_run(started, {}, ok=True, seconds=0.5)
    correct(started, {}, 0.25)
    assert [one.seconds for one in sink.seen] == [0.5, 0.25]


# -- the start ----------------------------------------------------------------------------------


def test_a_start_without_time_is_no_failure_that_is_said(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that was told to end before it began writes no zeros, and nothing is wrong."""
    monkeypatch.setattr("t3probe.deliver.sinks.textfile.sink", lambda *_: Slow(clock, start=False))
    one = deployment(textfile=str(tmp_path / "x.prom"))
    for seconds, ok in ((0.0, True), (1.0, False)):
        started = start_of_run(
            one, None, [], vantage="", results=tmp_path, environ={}, clock=clock, seconds=seconds
        )
        assert [report.ok for report in started.opened] == [ok]
        said = end_of_run(started, {}, ok=True).sentences
        assert ("start False" in said) == (not ok)


@pytest.mark.parametrize(
    ("vantage", "own", "labels"),
    [
        ("lan", "cluster", {"vantage": "lan"}),
        ("", "cluster", {"vantage": "cluster"}),
        ("", "", {}),
    ],
)
def test_the_textfile_gets_the_vantage(
    vantage: str, own: str, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import msgspec

    seen: list[Any] = []

    def sink(*given: Any) -> Any:
        seen.append(given)
        return lambda batch: Receipt(True, "fine")

    monkeypatch.setattr("t3probe.deliver.sinks.textfile.sink", sink)
    one = msgspec.structs.replace(deployment(textfile="/x.prom"), vantage=own)
    start_of_run(one, None, [], vantage=vantage, results=tmp_path, environ={})
    assert seen == [("/x.prom", labels)]


@pytest.mark.parametrize("spool", [None, "spool"])
def test_without_a_spool_the_results_folder_remembers_only_losses(
    spool: str | None, tmp_path: Path
) -> None:
    where = None if spool is None else str(tmp_path / spool)
    one = deployment(gateway=DEAD, spool=where)
    gateway = Gateway(DEAD, "t3-probe")
    started = start_of_run(
        one, gateway, run_families(), vantage="", results=tmp_path, environ={}, seconds=0.1
    )
    drop = ("internal", "rtt_timeout")
    ended = end_of_run(started, run_families({drop: 3}, {}, 1.0), ok=True, seconds=0.5)
    assert not ended.delivered
    folder = tmp_path / (spool or ".undelivered")
    assert len(list(folder.glob("batch-*"))) == 1
    words = "3 drops among them, wait in" if spool else "the 3 drops of this run are lost"
    assert words in ended.sentences[0]


def test_what_stood_there_is_the_gateways_before_the_files(clock: FakeClock) -> None:
    file, gateway = Slow(clock, known={}), Slow(clock, known={"x": None})  # type: ignore[dict-item]
    assert delivering(clock, file, gateway).known == {"x": None}
    assert delivering(clock, file, Slow(clock)).known == {}
    assert delivering(clock, Slow(clock), Slow(clock)).known is None


# -- what is said -------------------------------------------------------------------------------


def test_a_failure_at_the_start_is_said_when_the_end_went_well(clock: FakeClock) -> None:
    """One that failed twice says it once."""
    both = delivering(clock, Slow(clock, start=False, end=False), Slow(clock))
    ended = end_of_run(both, [], ok=True)
    assert (ended.delivered, ended.sentences) == (False, ("end False", "end True"))
    first = delivering(clock, Slow(clock), Slow(clock, start=False))
    ended = end_of_run(first, [], ok=True)
    assert (ended.delivered, ended.sentences) == (True, ("start False", "end True", "end True"))
    assert end_of_run(delivering(clock, Slow(clock)), [], ok=True).sentences == ("end True",)


def test_what_went_wrong_is_said_first(clock: FakeClock) -> None:
    ended = end_of_run(delivering(clock, Slow(clock), Slow(clock, end=False)), [], ok=True)
    assert ended.sentences == ("end False", "end True")


def test_no_helper_without_its_url(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = Helpers(clock, monkeypatch)
    end_of_run(delivering(clock), [], ok=True)
    assert helpers.told == []
    undelivered = delivering(clock, Slow(clock, end=False), heartbeat_url=DEAD)
    undelivered.environ = {"KH_REPORTING_URL": DEAD}
    end_of_run(undelivered, [], ok=True)
    assert [name for name, _ in helpers.told] == ["kuberhealthy"]


# -- corrections --------------------------------------------------------------------------------


def test_a_correction_goes_where_the_results_are(clock: FakeClock) -> None:
    reached, missed = Slow(clock), Slow(clock, end=False)
    started = delivering(clock, missed, reached)
    end_of_run(started, {}, ok=True)
    families = run_families()
    assert correct(started, families, 1.0) == []
    assert len(missed.seen) == 1
    assert [(one.correction, one.opening) for one in reached.seen] == [
        (False, False),
        (True, False),
    ]
    assert reached.seen[-1].families is families


def test_only_a_correction_that_failed_is_said(clock: FakeClock) -> None:
    started = delivering(clock, Slow(clock), Slow(clock, corrected=False))
    end_of_run(started, {}, ok=True)
    assert correct(started, {}, 1.0) == ["correction False"]


# -- where to -----------------------------------------------------------------------------------


def test_the_file_says_where_to_unless_told() -> None:
    one = deployment(gateway=DEAD, job="jobs")
    found = gateway_of(one, vantage="", environ={})
    assert found is not None
    assert (found.url, found.job, found.vantage, found.shard) == (DEAD, "jobs", "cluster", "")
    assert gateway_of(deployment(), vantage="x", environ={}) is None
    with pytest.raises(ValueError, match="expected a URL"):
        gateway_of(one, vantage="", environ={}, url="nonsense")


def test_retiring_says_what_it_did_and_what_it_did_not(clock: FakeClock) -> None:
    with serving(answering("202 Accepted")) as server:
        report, silence = retire(Gateway(server.url, "t3-probe", "cluster", "1"), clock)
        assert report.ok
        assert report.sentence.endswith(
            "it holds no group job=t3-probe, vantage=cluster, shard=1 any more"
        )
        assert [one.split(b" ")[:2] for one in server.requests] == [
            [b"DELETE", b"/metrics/job/t3-probe/vantage/cluster/shard/1"],
            [b"DELETE", b"/metrics/job/t3-probe/vantage/cluster/shard/1/part/upstreams"],
        ]
    with serving(answering("500 No")) as server:
        report, again = retire(Gateway(server.url, "t3-probe", "cluster", "1"), clock)
        assert (report.ok, again) == (False, silence)
        assert report.sentence.endswith("answers 500; the group is not deleted")
