"""The record: into JUnit properties and back, and what else a file may hold."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record.record_values import SEEN, junit, observations, runs

from t3probe.observation import RECORD_VERSION, Beat, Drop, Observation, RunRecord
from t3probe.record import facts
from t3probe.record.facts import RecordError, leg_property, run_property
from t3probe.record.junit import read_junit

RUN = run_property(RunRecord(version=RECORD_VERSION))


@given(run=runs(), seen=st.lists(observations(), max_size=3, unique_by=lambda one: one.leg))
def test_what_was_written_is_read_back(
    run: RunRecord, seen: list[Observation], tmp_path_factory: pytest.TempPathFactory
) -> None:
    named = [msgspec.structs.replace(one, leg=f"leg-{at}") for at, one in enumerate(seen)]
    properties = [run_property(run), *(leg_property(one) for one in named)]
    for _, value in properties:
        assert value.isascii()
        assert value.isprintable()
        json.loads(value)
    file = tmp_path_factory.getbasetemp() / "record.xml"
    file.write_text(junit(*properties), encoding="utf-8")
    read = read_junit(file)
    assert read.run == run
    assert read.observations == tuple(named)


@pytest.mark.parametrize(
    "text", ["\x00\x1b[31m", "\ud800", "\udfff\ud800", "\ufffd\uffff", "é\u2028"]
)
def test_strange_characters_survive(text: str, tmp_path: Path) -> None:
    seen = msgspec.structs.replace(SEEN, detail=text, evidence=(text,), phases={text: 1.0})
    file = tmp_path / "run.xml"
    file.write_text(junit(RUN, leg_property(seen)))
    assert read_junit(file).observations == (seen,)


def test_pytest_itself_writes_what_can_be_read(
    tmp_path: Path,
) -> None:
    import subprocess
    import sys

    seen = msgspec.structs.replace(SEEN, detail="\x00\x1b\ud800\ufffd<&\"'\n")
    (tmp_path / "test_it.py").write_text(
        "def test_it(record_testsuite_property):\n"
        f"    record_testsuite_property(*{RUN!r})\n"
        f"    record_testsuite_property(*{leg_property(seen)!r})\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--junitxml=run.xml"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    assert read_junit(tmp_path / "run.xml").observations == (seen,)


def test_a_later_property_of_a_leg_replaces_the_earlier(tmp_path: Path) -> None:
    later = msgspec.structs.replace(SEEN, outcome="failed")
    file = tmp_path / "run.xml"
    file.write_text(junit(RUN, leg_property(SEEN), leg_property(later)))
    assert read_junit(file).observations == (later,)


def test_other_properties_and_unknown_fields_do_not_matter(tmp_path: Path) -> None:
    newer = json.dumps({**json.loads(leg_property(SEEN)[1]), "from_the_future": [1, {"a": None}]})
    file = tmp_path / "run.xml"
    file.write_text(
        junit(("other", "x"), RUN, ("t3probe.legend", "{"), ("t3probe.leg.edge", newer))
    )
    assert read_junit(file).observations == (SEEN,)


def test_numbers_that_json_does_not_have_are_refused_when_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        leg_property(msgspec.structs.replace(SEEN, started=float("nan")))


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "dos">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><testsuites><testsuite><properties><property name='t3probe.run' value='&a9;'/>"
    "</properties></testsuite></testsuites>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    "<testsuites><testsuite><properties><property name='t3probe.run' value='{}'/>"
    "</properties>&e;</testsuite></testsuites>"
)
GOOD = junit(RUN, leg_property(SEEN))
LEG = "t3probe.leg.edge"

BAD_FILES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "binary": bytes(range(256)) * 10,
    "nul": b"\x00" * 100,
    "text": b"hello",
    "json": b"{}",
    "foreign xml": b"<html><body/></html>",
    "foreign junit": junit(("other", "x")).encode(),
    "no run": junit(leg_property(SEEN)).encode(),
    "truncated": GOOD[: len(GOOD) // 2].encode(),
    "cut in the last tag": GOOD[:-3].encode(),
    "two roots": (GOOD + "<a/>").encode(),
    "another encoding": GOOD.replace("utf-8", "klingon").encode(),
    "wrong bytes": GOOD.replace("edge", "\xe9dge").encode("latin-1"),
    "utf-16": GOOD.replace("utf-8", "utf-16").encode("utf-8"),
    "entity bomb": BOMB.encode(),
    "outside entity": OUTSIDE.encode(),
    "broken json": junit(RUN, (LEG, '{"leg":')).encode(),
    "no json": junit(RUN, (LEG, "x")).encode(),
    "empty value": junit(RUN, (LEG, "")).encode(),
    "a list": junit(RUN, (LEG, "[]")).encode(),
    "missing fields": junit(RUN, (LEG, "{}")).encode(),
    "wrong type": junit(RUN, (LEG, leg_property(SEEN)[1].replace('"edge"', "5"))).encode(),
    "unknown outcome": junit(RUN, (LEG, leg_property(SEEN)[1].replace("passed", "great"))).encode(),
    "not a number": junit(RUN, (LEG, leg_property(SEEN)[1][:-1] + ',"started":NaN}')).encode(),
    "endless number": junit(RUN, (LEG, leg_property(SEEN)[1][:-1] + ',"started":1e999}')).encode(),
    "long number": junit(RUN, (LEG, '{"started":' + "9" * 10_000 + "}")).encode(),
    "deep": junit(RUN, (LEG, "[" * 200_000)).encode(),
    "deep objects": junit(RUN, (LEG, '{"a":' * 100_000)).encode(),
    "bad run": junit(("t3probe.run", "[1]")).encode(),
    "run of the wrong type": junit(("t3probe.run", '{"segments":"wan"}')).encode(),
    "hostile name": junit(RUN, ("t3probe.leg.\x85\u202e" + "x" * 500, "{}")).encode(),
}


def sentence(error: RecordError, file: Path) -> None:
    words = str(error)
    assert words.startswith(str(file))
    assert "\n" not in words
    assert words.count(";") >= 1
    assert len(words) < len(str(file)) + 500


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_one_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "run.xml"
    file.write_bytes(content)
    with pytest.raises(RecordError) as raised:
        read_junit(file)
    sentence(raised.value, file)
    assert "root:" not in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.xml", tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(RecordError) as raised:
            read_junit(file)
        sentence(raised.value, file)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.xml"
    file.write_text(GOOD)
    read_junit(file)
    monkeypatch.setattr(facts, "MAX_RECORD_BYTES", 100)
    with pytest.raises(RecordError, match=r"found [0-9]+ bytes") as raised:
        read_junit(file)
    sentence(raised.value, file)


@given(data=st.data())
def test_any_damage_is_read_or_one_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.xml"
    file.write_bytes(bytes(content))
    try:
        read_junit(file)
    except RecordError as error:
        sentence(error, file)


def test_a_big_record_comes_back(tmp_path: Path) -> None:
    beats = tuple(Beat(sent=n / 10, ended=n / 10 + 0.01, ok=True, conn=0) for n in range(20_000))
    drops = tuple(
        Drop(
            began=float(n), noticed=n + 0.5, reason="io_error", symptom="cut", stage="hold",
            call=n, detail="x" * 100,
        )
        for n in range(2_000)
    )  # fmt: skip
    seen = msgspec.structs.replace(SEEN, beats=beats, drops=drops)
    file = tmp_path / "run.xml"
    file.write_text(junit(RUN, leg_property(seen)))
    assert file.stat().st_size > 1 << 20
    assert read_junit(file).observations == (seen,)
