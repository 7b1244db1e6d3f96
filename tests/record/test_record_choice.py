"""Runs chosen by what they know of themselves, before their legs are looked at."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_values import some_legs, some_run

from t3probe.ask.explain.from_runs import Nearby
from t3probe.config import load
from t3probe.config.shard import Shard
from t3probe.observation import Observation, RunRecord, parts_said
from t3probe.record import facts, junit, log
from t3probe.record.facts import Recording, leg_property, run_property
from t3probe.record.log import record_line
from t3probe.record.reading import Damage, LatestRuns, newest_since, read_recordings
from t3probe.run.session import Session

SECONDS = st.floats(-1e3, 1e3, allow_nan=False).map(lambda one: round(one, 3))
NAMES = st.sampled_from(["", "a<b>&\"'", "t3probe.run", ',"legs":{', "/><property name="])


@st.composite
def some_records(draw: st.DrawFn) -> RunRecord:
    return msgspec.structs.replace(
        some_run(draw(SECONDS)),
        duration_seconds=abs(draw(SECONDS)),
        deployment=draw(NAMES),
        warnings=tuple(draw(st.lists(NAMES, max_size=2))),
    )


def junit_of(run: RunRecord, legs: Sequence[Observation]) -> str:
    """A JUnit file as pytest writes it: the run comes after its legs."""
    rows = "".join(
        f'<property name="{name}" value="{escape(value, {chr(34): "&quot;"})}" />'
        for name, value in (*map(leg_property, legs), run_property(run))
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite '
        f'name="pytest" tests="1"><properties>{rows}</properties><testcase name="a" />'
        "</testsuite></testsuites>"
    )


def written(form: str, run: RunRecord) -> bytes:
    """A run in each of the forms that it may have."""
    if form == "junit":
        return junit_of(run, some_legs()).encode()
    text = record_line(run, some_legs())
    if form == "json":
        text = json.dumps({"line": text})
    if form == "cri":
        cuts = range(0, len(text), 97)
        last = cuts[-1]
        rows = [f"{'F' if at == last else 'P'} {text[at : at + 97]}" for at in cuts]
        text = "\n".join(f"2026-11-21T14:03:20.1Z stdout {one}" for one in rows)
    return f"{text}\n".encode()


@given(some_records(), st.sampled_from(["junit", "line", "json", "cri"]), SECONDS, SECONDS)
def test_no_run_that_overlaps_the_window_is_dropped(
    run: RunRecord, form: str, one: float, other: float
) -> None:
    began, ended = sorted((one, other))
    nearby, asked = Nearby(began, ended), []

    def wanted(found: RunRecord) -> bool:
        asked.append(found)
        return nearby.wanted(found)

    stream = io.BytesIO(written(form, run))
    if form == "junit":
        kept = [junit.parse_junit(stream, "it", wanted)]
    else:
        kept = [found.parse() for found in log.found_lines(stream, wanted)]
    overlaps = run.started_at <= ended and run.started_at + run.duration_seconds >= began
    assert [one for one in kept if one] == [Recording(run, tuple(some_legs()))] * overlaps
    assert asked == [run]
    assert (nearby.count, nearby.left_out) == (1, int(not overlaps))


@pytest.mark.parametrize("form", ["junit", "line", "json"])
def test_a_run_that_is_not_wanted_costs_no_look_at_its_legs(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it").write_bytes(written(form, some_run(5.0)))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the legs were looked at")

    monkeypatch.setattr(log, "parse_record", fail)
    monkeypatch.setattr(junit, "read_elements", fail)
    assert list(read_recordings(tmp_path / "it", None, lambda run: False)) == []


@pytest.mark.parametrize(
    "early",
    [
        '<property name="c" value="{}"><property name="a" value="b" /></property>',
        "<property name='t3probe.run' value='{}' />",
        "<property value='{}' name='t3probe.run'/>",
        '<property name="t3probe&#46;run" value="{}" />',
        '<!-- <property name="t3probe.run" value="{}" /> -->',
        "<![CDATA[/>]]>",
        "</properties></testsuite><testsuite><properties>",
    ],
)
def test_where_a_glimpse_is_not_sure_the_parser_decides(early: str) -> None:
    text = junit_of(some_run(5.0), []).replace("<properties>", f"<properties>{early}", 1)
    asked: list[RunRecord] = []
    assert junit._glimpse(text.encode()) is None

    def wanted(run: RunRecord) -> bool:
        asked.append(run)
        return True

    junit.parse_junit(io.BytesIO(text.encode()), "it", wanted)
    assert asked == [junit.parse_junit(io.BytesIO(text.encode()), "it").run]  # type: ignore[union-attr]


def test_a_glimpse_is_had_of_what_the_suite_writes() -> None:
    run = some_run(5.0)
    assert junit._glimpse(junit_of(run, some_legs()).encode()) == run


def test_of_a_long_line_that_is_not_wanted_nothing_is_kept() -> None:
    text = record_line(some_run(1.0), some_legs(3000)) + "\n"
    assert len(text) > 3 * log._PIECE_BYTES
    search = log._Search(lambda run: False)
    for at in range(0, len(text), log._PIECE_BYTES):
        search.feed(text[at : at + log._PIECE_BYTES].encode(), 1)
        assert sum(map(len, search._parts)) <= 1
    assert list(search.end()) == []


def test_a_log_whose_runs_are_all_of_other_times_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(written("line", some_run(5.0)))
    assert list(read_recordings(tmp_path / "it", None, lambda run: False)) == []


def test_a_wanted_line_that_is_damaged_is_counted(tmp_path: Path) -> None:
    good, bad = written("line", some_run(5.0)), written("line", some_run(6.0))
    (tmp_path / "it").write_bytes(good + bad[:-40] + b"\n")
    damage = Damage()
    found = list(read_recordings(tmp_path / "it", damage, lambda run: True))
    assert [one.run.started_at for one in found] == [5.0]
    assert damage.count == 1
    (tmp_path / "it").write_bytes(bad[:-40] + b"\n")
    with pytest.raises(facts.RecordError, match="1 record line is not readable"):
        list(read_recordings(tmp_path / "it", None, lambda run: True))


def test_the_latest_runs_of_a_folder_and_how_many_are_older(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.xml").write_bytes(written("junit", some_run(float(number))))
    lines = written("line", some_run(7.0)) + written("line", some_run(2.5))
    (tmp_path / "more.log").write_bytes(lines)
    (tmp_path / "other.txt").write_text("hello")
    notes: list[object] = []
    latest = LatestRuns([str(tmp_path)], notes, 3)
    assert sorted(one.run.started_at for one in latest) == [5.0, 6.0, 7.0]
    assert latest.left_out == 6
    (note,) = notes
    assert "other.txt" in str(note)
    everything = LatestRuns([str(tmp_path)], [], 100)
    assert len(list(everything)) == 9
    assert everything.left_out == 0


def test_a_named_file_without_a_run_is_an_error_there_too(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("hello")
    with pytest.raises(facts.RecordError, match="found neither"):
        list(LatestRuns([str(tmp_path / "it")], [], 3))


def test_the_newest_of_a_log_and_of_one_whose_newest_is_damaged(tmp_path: Path) -> None:
    def rank(run: RunRecord) -> tuple[bool, float]:
        return True, run.started_at

    first, last = written("line", some_run(5.0)), written("line", some_run(6.0))
    file = tmp_path / "it.log"
    file.write_bytes(last + first)
    found = newest_since(file, Damage(), None, rank)
    assert found[1] is not None
    assert (found[0], found[1].run.started_at) == ((True, 6.0), 6.0)
    assert newest_since(file, Damage(), (True, 7.0), rank) == ((True, 6.0), None)
    file.write_bytes(last[:-40] + b"\n" + first)
    damage = Damage()
    found = newest_since(file, damage, None, rank)
    assert found[1] is not None
    assert (found[1].run.started_at, damage.count) == (5.0, 1)


# -- shards --------------------------------------------------------------------------------------


def shard(index: int | None, count: int | None = 4) -> RunRecord:
    return msgspec.structs.replace(some_run(1.0), shard=index, shards=count)


def test_a_record_says_which_shard_it_is_and_an_old_one_none() -> None:
    assert '"shard"' not in record_line(some_run(), [])
    text = record_line(shard(0), [])
    assert '"shard":0,"shards":4' in text
    assert log.parse_record(text).run == shard(0)
    assert log.parse_record(record_line(some_run(), [])).run.shard is None


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([shard(None, None)], ""),
        ([], ""),
        ([shard(0)], "shard 0 of 4: the upstreams of other shards are not in it"),
        (
            [shard(2), shard(1), shard(2)],
            "shards 1 and 2 of 4: the legs, which shard 0 runs, and the upstreams of other shards "
            "are not in it",
        ),
        ([shard(1, 2), shard(0, 2)], "shards 0 and 1 of 2"),
        ([shard(0, 1)], "shard 0 of 1"),
        ([shard(None, None), shard(1)], "shard 1 of 4"),
    ],
)
def test_which_shards_answered(runs: list[RunRecord], said: str) -> None:
    assert parts_said(runs) == said


def test_shards_that_began_at_once_are_two_runs(tmp_path: Path) -> None:
    lines = [record_line(shard(index), some_legs()) for index in (0, 1, 1)]
    file = tmp_path / "it.log"
    file.write_text("\n".join(lines))
    nearby = Nearby(0.0, 9.0)
    nearby.read([str(file)])
    assert [one.shard for one in nearby.parts()] == [0, 1]


@pytest.mark.parametrize("part", [None, Shard(1, 3)])
def test_a_session_writes_its_shard_into_the_record(part: Shard | None, tmp_path: Path) -> None:
    file = tmp_path / "t3.toml"
    file.write_text(Path(__file__).parents[2].joinpath("deployments/t3.toml").read_text())
    session = Session(load(str(file), {}, now=0.0), vantage="", hold=None, shard=part)
    found = session.record()
    assert (found.shard, found.shards) == ((None, None) if part is None else (1, 3))
