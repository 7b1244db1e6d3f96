"""What becomes of counts at a gateway that is made up: nothing is sent, and it fails as told."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import LEGS, REASONS, run_families, spool
from msgspec.structs import replace

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import DISCONNECTS, LOST, OVERLAPPED, Family, Group
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.deliver.sinks.pushgateway import Pushgateway
from t3probe.deliver.sinks.spool import MARK, Spool, SpoolError
from t3probe.exchange.client import Budget, Site, Trouble
from t3probe.timing import FakeClock

DROP = (LEGS[0], REASONS[0])
OTHER = (LEGS[1], REASONS[1])


class Groups:
    """A gateway's groups, and what it does to requests."""

    def __init__(self) -> None:
        self.main: Group = {}
        self.beside: Group = {}
        self.refuses: set[str] = set()
        self.takes_but_is_silent = False
        self.budgets: list[float] = []
        self.writes: list[str] = []
        self.site = Site("http://127.0.0.1:1")
        self.in_doubt = False

    def read(self, budget: Budget) -> tuple[Group, bool]:
        self.budgets.append(budget.left_seconds)
        if "GET" in self.refuses:
            raise Trouble("refuses to be read")
        return deepcopy(self.main), bool(self.beside)

    def write(self, method: str, key: Mapping[str, str], group: Group, budget: Budget) -> None:
        part = key.get("part", "")
        self.writes.append(f"{method} {part}".strip())
        if method in self.refuses or part in self.refuses - {""}:
            raise Trouble("refuses it")
        if part:
            self.beside = deepcopy(group)
        else:
            self.main = {**(self.main if method == "POST" else {}), **deepcopy(group)}
        if self.takes_but_is_silent:
            self.in_doubt = True
            raise Trouble("did not answer in time")

    def total(self, name: str) -> int:
        return going.total(self.main, name)


@pytest.fixture
def groups() -> Groups:
    return Groups()


def push(groups: Groups, memory: Spool | None = None, **more: Any) -> Pushgateway:
    one = Pushgateway(Gateway("http://127.0.0.1:1", "t3-probe", **more), memory, FakeClock())
    one.wire = groups  # type: ignore[assignment]
    return one


def start(one: Pushgateway) -> Receipt:
    return one(Batch(run_families(), opening=True))


def end(one: Pushgateway, drops: Any = None, stamp: float = 1.0, more: Any = ()) -> Receipt:
    return one(Batch({**run_families(drops, {}, stamp), **dict(more)}))


def whole(groups: Groups, memory: Spool | None, drops: Any = None, stamp: float = 1.0) -> Receipt:
    one = push(groups, memory)
    assert start(one).ok
    return end(one, drops, stamp)


# -- a push that failed, and the next one --------------------------------------------------------


def test_a_refused_push_is_certainly_not_in_it(groups: Groups, tmp_path: Path) -> None:
    """So its counts are added later, even by a gateway that lost its state in between."""
    memory = spool(tmp_path)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.refuses = {"PUT"}
    report = end(one, {DROP: 3}, 2.0)
    assert not report.ok
    assert "its counts, 3 drops among them, wait in" in report.sentence
    groups.refuses = set()
    groups.main = {}
    report = whole(groups, memory, {}, 3.0)
    assert "lost" not in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (3, 0)


def test_a_push_in_doubt_counts_as_lost_when_the_state_is(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.takes_but_is_silent = True
    assert not end(one, {DROP: 3}, 2.0).ok
    groups.takes_but_is_silent = False
    groups.main = {}
    report = whole(groups, memory, {}, 3.0)
    assert "3 drops that it may have had before it lost its state are counted" in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (0, 3)


def test_losses_in_doubt_are_losses_all_the_same(groups: Groups, tmp_path: Path) -> None:
    """Without a spool the folder keeps the number of lost drops; whether it was published is not
    known."""
    memory = spool(tmp_path, False)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.takes_but_is_silent = True
    assert not end(one, {DROP: 3}, 2.0).ok
    groups.takes_but_is_silent = False
    groups.main = {}
    report = whole(groups, memory, {}, 3.0)
    assert "3 drops that it may have had before it lost its state are counted" in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (0, 3)


def test_a_push_in_doubt_that_was_taken_is_not_added_again(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.takes_but_is_silent = True
    assert not end(one, {DROP: 3}, 2.0).ok
    groups.takes_but_is_silent = False
    assert "lost" not in whole(groups, memory, {DROP: 1}, 3.0).sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (4, 0)
    assert not list(tmp_path.glob("batch-*"))


def test_doubt_about_one_push_is_none_about_the_next(groups: Groups, tmp_path: Path) -> None:
    """The doubt is that of a request at the start: the counts themselves were refused."""
    memory = spool(tmp_path)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.in_doubt = True
    groups.refuses = {"PUT"}
    assert not end(one, {DROP: 3}, 2.0).ok
    groups.refuses, groups.main = set(), {}
    whole(groups, memory, {}, 3.0)
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (3, 0)


# -- series that nobody has seen ---------------------------------------------------------------


def without(leg: str, families: Group) -> Group:
    return {
        name: replace(one, series={k: v for k, v in one.series.items() if ("leg", leg) not in k})
        for name, one in families.items()
    }


@pytest.mark.parametrize("keep", [False, None])
def test_losses_are_published_in_the_same_push(
    keep: bool | None, groups: Groups, tmp_path: Path
) -> None:
    """A leg is new, its zeros could not be written, and no spool keeps its counts."""
    memory = None if keep is None else spool(tmp_path, keep)
    push(groups, memory)(Batch(without(LEGS[0], run_families({}, {}, 1.0))))
    report = end(push(groups, memory), {DROP: 2, OTHER: 1}, 2.0)
    assert "2 drops of new series are counted as lost" in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (1, 2)
    report = whole(groups, memory, {}, 3.0)
    assert "lost" not in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (1, 2)


def test_with_a_spool_they_wait_for_one_run(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    push(groups, memory)(Batch(without(LEGS[0], run_families({}, {}, 1.0))))
    report = end(push(groups, memory), {DROP: 2, OTHER: 1}, 2.0)
    assert "new series begin at 0" in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (0, 0)
    whole(groups, memory, {}, 3.0)
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (3, 0)


def test_a_new_count_of_losses_waits_for_the_next_push(groups: Groups, tmp_path: Path) -> None:
    """Nobody has seen the very series of the losses yet: it begins at 0, too."""
    memory = spool(tmp_path, False)
    report = end(push(groups, memory), {DROP: 2}, 1.0)
    assert "2 drops of new series are counted as lost" in report.sentence
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (0, 0)
    assert LOST in groups.main
    whole(groups, memory, {}, 2.0)
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (0, 2)


def test_a_count_of_losses_that_cannot_be_kept_is_said(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = spool(tmp_path, False)
    add, calls = memory.add, []

    def once(own: Group) -> Any:
        calls.append(own)
        if len(calls) > 1:
            raise SpoolError("cannot be written (No space left on device)")
        return add(own)

    monkeypatch.setattr(memory, "add", once)
    report = end(push(groups, memory), {DROP: 2}, 1.0)
    assert f"the folder {tmp_path} cannot be written (No space left" in report.sentence


def test_nothing_is_said_of_losses_when_nothing_was_lost(groups: Groups) -> None:
    report = end(push(groups), {}, 1.0)
    assert report == Receipt(True, f"the gateway at 127.0.0.1:1: wrote {written(groups)} series")


def written(groups: Groups) -> int:
    return sum(len(one.series) for group in (groups.main, groups.beside) for one in group.values())


# -- what stood there ----------------------------------------------------------------------------


def test_zeros_only_where_series_are_missing(groups: Groups) -> None:
    assert whole(groups, None, {DROP: 2}, 1.0).ok
    groups.writes.clear()
    assert start(push(groups)).sentence.endswith("every series is there")
    assert groups.writes == []
    del groups.main[DISCONNECTS].series[("leg", LEGS[1]), ("reason", REASONS[0])]
    report = start(push(groups))
    assert report.sentence.endswith("wrote 1 missing series at 0")
    assert report.known is not None
    assert going.drops(report.known) == 2
    assert groups.writes == ["POST"]
    assert groups.total(DISCONNECTS) == 2
    assert len(groups.main[DISCONNECTS].series) == len(LEGS) * len(REASONS)
    assert "t3probe_connected" in groups.main


def test_a_start_in_trouble_writes_nothing_and_knows_what_it_read(groups: Groups) -> None:
    groups.refuses = {"GET"}
    report = start(push(groups))
    assert (report.ok, report.known) == (False, None)
    assert report.sentence.endswith("refuses to be read; no zeros were written")


@pytest.mark.parametrize(
    ("change", "words", "drops", "overlapped"),
    [
        ("nothing", "", 3, 0),
        ("lost", "it lost its state during the run; the counts go on as before it", 3, 0),
        ("other run", "another run wrote this group meanwhile", 8, 1),
        ("newer stamp", "another run wrote this group meanwhile", 3, 1),
        ("older", "it went back to an older state during the run", 2, 0),
    ],
)
def test_what_happened_during_the_run(
    change: str, words: str, drops: int, overlapped: int, groups: Groups
) -> None:
    assert whole(groups, None, {DROP: 2}, 10.0).ok
    one = push(groups)
    assert start(one).ok
    key = ("leg", LEGS[0]), ("reason", REASONS[0])
    if change == "lost":
        groups.main = {}
    elif change == "other run":
        groups.main[DISCONNECTS].series[key] = 7.0
    elif change == "newer stamp":
        groups.main[going.RUN_TIMESTAMP].series[()] = 11.0
    elif change == "older":
        groups.main[DISCONNECTS].series[key] = 1.0
    report = end(one, {DROP: 1}, 12.0)
    assert report.ok
    assert words in report.sentence
    assert (";" in report.sentence) == bool(words)
    assert (groups.total(DISCONNECTS), groups.total(OVERLAPPED)) == (drops, overlapped)


def test_a_gateway_that_was_always_empty_has_lost_nothing(groups: Groups) -> None:
    one = push(groups)
    one.known = {}
    assert "lost its state" not in end(one, {}, 1.0).sentence


# -- legs that left ----------------------------------------------------------------------------


def test_waiting_drops_of_a_leg_that_left_are_lost(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    assert whole(groups, memory, {}, 1.0).ok
    one = push(groups, memory)
    assert start(one).ok
    groups.refuses = {"PUT"}
    assert not end(one, {DROP: 3, OTHER: 1}, 2.0).ok
    groups.refuses = set()
    one = push(groups, memory)
    one(Batch(without(LEGS[0], run_families()), opening=True))
    one(Batch(without(LEGS[0], run_families({}, {}, 3.0))))
    assert (groups.total(DISCONNECTS), groups.total(LOST)) == (1, 3)


# -- upstreams beside it -------------------------------------------------------------------------


def upstream(value: float = 1.0) -> Group:
    family = Family("gauge", "Reachable.", {(("backend", "envoy-db"),): value})
    return {"t3probe_backend_reachable": family}


def test_upstreams_have_a_group_of_their_own_and_leave_it_empty(groups: Groups) -> None:
    one = push(groups)
    start(one)
    report = end(one, {}, 1.0, upstream())
    assert "t3probe_backend_reachable" in groups.beside
    assert "t3probe_backend_reachable" not in groups.main
    assert report.sentence.endswith(f"wrote {written(groups)} series")
    groups.writes.clear()
    whole(groups, None, {}, 2.0)
    assert groups.writes == ["PUT", "PUT upstreams"]
    assert groups.beside == {}
    groups.writes.clear()
    whole(groups, None, {}, 3.0)
    assert groups.writes == ["PUT"]


def test_the_counts_are_in_although_the_upstreams_are_not(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    one = push(groups, memory)
    start(one)
    groups.refuses = {"upstreams"}
    report = end(one, {DROP: 2}, 1.0, upstream())
    assert not report.ok
    words = "refuses it; the counts of this run are in it, the upstreams are not"
    assert report.sentence == f"the gateway at 127.0.0.1:1 {words}"
    assert groups.total(DISCONNECTS) == 2
    groups.refuses = set()
    whole(groups, memory, {}, 2.0)
    assert groups.total(DISCONNECTS) == 2


# -- marks, bounds and corrections ---------------------------------------------------------------


def test_the_group_says_which_files_it_contains(groups: Groups, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    whole(groups, memory, {DROP: 1}, 1.0)
    numbers = [
        value for key, value in groups.main[MARK].series.items() if ("what", "number") in key
    ]
    assert numbers == [1.0]
    whole(groups, None, {}, 2.0)
    assert numbers == [
        value for key, value in groups.main[MARK].series.items() if ("what", "number") in key
    ]


def test_a_gateway_is_given_its_own_seconds_or_fewer(groups: Groups) -> None:
    one = push(groups, start_seconds=1.5, end_seconds=3.0)
    for opening in (True, False):
        for seconds in (None, 0.5, 100.0):
            one(Batch(run_families(), opening=opening, seconds=seconds))
    assert groups.budgets == [1.5, 0.5, 1.5, 3.0, 0.5, 3.0]


def test_a_correction_replaces_gauges_and_leaves_the_rest(groups: Groups) -> None:
    one = push(groups)
    start(one)
    end(one, {DROP: 2}, 1.0)
    gauge = {"t3probe_run_complete": Family("gauge", "Complete.", {(): 0.0})}
    report = one(Batch(gauge, correction=True, seconds=1.0))
    assert report == Receipt(True, "the gateway at 127.0.0.1:1: corrected t3probe_run_complete")
    assert groups.writes[-1] == "POST"
    assert groups.total("t3probe_run_complete") == 0
    assert "t3probe_run_complete" in groups.main
    assert groups.total(DISCONNECTS) == 2
    groups.refuses = {"POST"}
    report = one(Batch(gauge, correction=True, seconds=1.0))
    words = "refuses it; t3probe_run_complete there was not corrected"
    assert report == Receipt(False, f"the gateway at 127.0.0.1:1 {words}")


def test_a_folder_that_fails_in_the_middle_is_said(
    groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise SpoolError("cannot be written (No space left on device)")

    memory = spool(tmp_path)
    words = f"the folder {tmp_path} cannot be written (No space left on device)"
    monkeypatch.setattr(memory, "sending", fails)
    report = whole(groups, memory, {DROP: 2}, 1.0)
    assert report.ok
    assert words in report.sentence
    assert groups.total(DISCONNECTS) == 2
    monkeypatch.setattr(memory, "add", fails)
    report = whole(groups, memory, {DROP: 1}, 2.0)
    assert report.ok
    assert words in report.sentence
    assert groups.total(DISCONNECTS) == 3


def test_the_help_of_what_the_delivery_counts_itself(groups: Groups) -> None:
    """Runs whose families lack the two counts of the delivery get them all the same."""
    one = push(groups)
    counter = going.counter(DISCONNECTS, 0.0, (("leg", DROP[0]), ("reason", DROP[1])))
    one(Batch(counter, opening=True))
    one(Batch(counter))
    assert {LOST, OVERLAPPED} <= groups.main.keys()
    assert groups.main[LOST] == Family("counter", groups.main[LOST].help, {(): 0.0})


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (True, "its counts, 2 drops among them, wait in {} for the next push"),
        (False, "the 2 drops of this run are lost, and the next push that finds {} says so"),
        (None, "the 2 drops of this run are lost"),
    ],
)
def test_the_fate_of_counts_that_were_not_taken(
    keep: bool | None, words: str, groups: Groups, tmp_path: Path
) -> None:
    groups.refuses = {"GET"}
    report = end(push(groups, None if keep is None else spool(tmp_path, keep)), {DROP: 2})
    expected = f"the gateway at 127.0.0.1:1 refuses to be read; {words.format(tmp_path)}"
    assert report == Receipt(False, expected)
